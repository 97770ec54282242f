//! `data/pix_payments-YYYY-MM.parquet`, one a month.

use super::calendar::{DAY_MICROS, Day, MONTHS, YEAR};
use super::documents::cpf_broken;
use super::facts::{Facts, FileFact};
use super::payments::{Fault, Kind, NOBODY, Payment, Stream, World};
use super::text::digits;
use anyhow::{Context, Result};
use arrow::array::{ArrayRef, Decimal128Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub const SOURCE: &str = "pix_payments";

pub fn kind() -> Kind {
    Kind {
        source: SOURCE,
        stream: 0x0219,
        statuses: &[("approved", 98_600), ("declined", 500), ("refunded", 900)],
        faults: &[(Fault::AmountNotPositive, 10), (Fault::UnknownStatus, 8), (Fault::BrokenCpf, 10)],
        without_merchant: 35_000,
        bursts: 0,
    }
}

pub fn write(dir: &Path, world: &World, kind: &Kind, total: usize) -> Result<Facts> {
    let mut stream = Stream::new(kind, world, total);
    for (number, month) in MONTHS.iter().enumerate() {
        let path = format!("data/pix_payments-{YEAR}-{month:02}.parquet");
        let file = month_file(&dir.join(&path), number, world, &mut stream);
        let (rows, bytes) = file.with_context(|| format!("writing {path}"))?;
        stream.facts.files.push(FileFact { source: SOURCE, path, rows, bytes });
    }
    Ok(stream.facts)
}

/// Rows and bytes of one file.
fn month_file(path: &Path, month: usize, world: &World, stream: &mut Stream) -> Result<(usize, u64)> {
    let schema = schema();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema.clone(), Some(properties()))?;
    let mut rows = 0;
    let of_month = |(_, day): &(usize, &Day)| day.month == month;
    for (day, _) in world.days.iter().enumerate().filter(of_month) {
        let payments = stream.arrivals(day);
        rows += payments.len();
        writer.write(&batch(&schema, &payments, world)?)?;
    }
    writer.finish()?;
    Ok((rows, writer.inner().metadata()?.len()))
}

/// A dictionary is tried, and paid for, also where no two values are alike: so it is off there.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("lavra demo".into())
        .set_column_dictionary_enabled("payment_id".into(), false)
        .set_column_dictionary_enabled("amount".into(), false)
        .set_column_dictionary_enabled("paid_at".into(), false)
        .build()
}

fn schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("payment_id", DataType::Utf8, false),
        Field::new("customer_id", DataType::Utf8, false),
        Field::new("merchant_id", DataType::Utf8, true),
        Field::new("payer_cpf", DataType::Utf8, false),
        Field::new("payer_pix_key", DataType::Utf8, false),
        Field::new("amount", DataType::Decimal128(12, 2), false),
        Field::new("status", DataType::Utf8, false),
        Field::new("paid_at", utc, false),
    ]))
}

fn batch(schema: &SchemaRef, payments: &[Payment], world: &World) -> Result<RecordBatch> {
    let strings = |width: usize| StringBuilder::with_capacity(payments.len(), payments.len() * width);
    let (mut ids, mut customers, mut merchants) = (strings(13), strings(8), strings(5));
    let (mut cpfs, mut keys, mut statuses) = (strings(11), strings(24), strings(8));
    let mut amounts = Decimal128Builder::with_capacity(payments.len()).with_precision_and_scale(12, 2)?;
    let mut times = TimestampMicrosecondBuilder::with_capacity(payments.len()).with_timezone("UTC");
    let mut id = Vec::with_capacity(16);
    for payment in payments {
        let person = &world.people[payment.person as usize];
        id.clear();
        id.extend_from_slice(b"PIX");
        digits(&mut id, payment.number, 10);
        ids.append_value(utf8(&id)?);
        customers.append_value(utf8(&person.id)?);
        match payment.merchant {
            NOBODY => merchants.append_null(),
            merchant => merchants.append_value(utf8(&world.merchants[merchant as usize].id)?),
        }
        match payment.fault {
            Some(Fault::BrokenCpf) => cpfs.append_value(utf8(&cpf_broken(&person.cpf))?),
            _ => cpfs.append_value(utf8(&person.cpf)?),
        }
        keys.append_value(&person.pix_key);
        let wrong_amount = payment.fault == Some(Fault::AmountNotPositive);
        amounts.append_value(i128::from(if wrong_amount { -payment.cents } else { payment.cents }));
        let wrong_status = payment.fault == Some(Fault::UnknownStatus);
        statuses.append_value(if wrong_status { "em_analise" } else { payment.status });
        let midnight = world.days[usize::from(payment.day)].epoch * DAY_MICROS as i64;
        times.append_value(midnight + payment.micros as i64);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(customers.finish()),
        Arc::new(merchants.finish()),
        Arc::new(cpfs.finish()),
        Arc::new(keys.finish()),
        Arc::new(amounts.finish()),
        Arc::new(statuses.finish()),
        Arc::new(times.finish()),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    Ok(std::str::from_utf8(bytes)?)
}
