//! `data/card_payments-YYYY-MM.csv.gz`, one a month.

use super::calendar::{Day, MONTHS, YEAR};
use super::documents::cpf_broken;
use super::facts::{Facts, FileFact};
use super::payments::{Fault, Kind, Payment, Stream, World};
use super::text::{cents, digits, time_of_day};
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::Write;
use std::path::Path;

pub const SOURCE: &str = "card_payments";
const HEADER: &[u8] = b"payment_id,customer_id,merchant_id,payer_cpf,card_number,amount,currency,status,paid_at\n";
const CHUNK: usize = 1 << 20;

pub fn kind(bursts: usize) -> Kind {
    Kind {
        source: SOURCE,
        stream: 0xCA2D,
        statuses: &[("approved", 93_000), ("declined", 5_000), ("refunded", 1_500), ("chargeback", 500)],
        faults: &[
            (Fault::AmountNotPositive, 16),
            (Fault::AmountNoNumber, 8),
            (Fault::UnknownStatus, 12),
            (Fault::BrokenCpf, 10),
            (Fault::FieldMissing, 5),
        ],
        without_merchant: 0,
        bursts,
    }
}

pub fn write(dir: &Path, world: &World, kind: &Kind, total: usize) -> Result<Facts> {
    let mut stream = Stream::new(kind, world, total);
    let dates: Vec<String> = world.days.iter().map(|day| format!("{}T", day.date)).collect();
    for (number, month) in MONTHS.iter().enumerate() {
        let path = format!("data/card_payments-{YEAR}-{month:02}.csv.gz");
        let file = month_file(&dir.join(&path), number, world, &mut stream, &dates);
        let (rows, bytes) = file.with_context(|| format!("writing {path}"))?;
        stream.facts.files.push(FileFact { source: SOURCE, path, rows, bytes });
    }
    Ok(stream.facts)
}

/// Rows and bytes of one file.
fn month_file(path: &Path, month: usize, world: &World, stream: &mut Stream, dates: &[String]) -> Result<(usize, u64)> {
    let mut gzip = GzEncoder::new(File::create(path)?, Compression::fast());
    let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 2);
    chunk.extend_from_slice(HEADER);
    let mut rows = 0;
    let of_month = |(_, day): &(usize, &Day)| day.month == month;
    for (day, _) in world.days.iter().enumerate().filter(of_month) {
        for payment in stream.arrivals(day) {
            row(&mut chunk, &payment, world, &dates[usize::from(payment.day)]);
            rows += 1;
            if chunk.len() >= CHUNK {
                gzip.write_all(&chunk)?;
                chunk.clear();
            }
        }
    }
    gzip.write_all(&chunk)?;
    Ok((rows, gzip.finish()?.metadata()?.len()))
}

fn row(out: &mut Vec<u8>, payment: &Payment, world: &World, date: &str) {
    let person = &world.people[payment.person as usize];
    let merchant = &world.merchants[payment.merchant as usize];
    out.extend_from_slice(b"CRD");
    digits(out, payment.number, 10);
    out.push(b',');
    out.extend_from_slice(&person.id);
    out.push(b',');
    out.extend_from_slice(&merchant.id);
    out.push(b',');
    match payment.fault {
        Some(Fault::BrokenCpf) => out.extend_from_slice(&cpf_broken(&person.cpf)),
        _ => out.extend_from_slice(&person.cpf),
    }
    out.push(b',');
    out.extend_from_slice(&person.card);
    out.push(b',');
    match payment.fault {
        Some(Fault::AmountNotPositive) => cents(out, -(payment.cents % 3) * payment.cents),
        Some(Fault::AmountNoNumber) => out.extend_from_slice(b"N/D"),
        _ => cents(out, payment.cents),
    }
    out.extend_from_slice(b",BRL,");
    match payment.fault {
        Some(Fault::UnknownStatus) => out.extend_from_slice(b"em_analise"),
        _ => out.extend_from_slice(payment.status.as_bytes()),
    }
    if payment.fault != Some(Fault::FieldMissing) {
        out.push(b',');
        out.extend_from_slice(date.as_bytes());
        time_of_day(out, payment.micros, !payment.micros.is_multiple_of(1_000_000));
        out.push(b'Z');
    }
    out.push(b'\n');
}
