//! Which values of a column are somebody's with hardly a doubt: the gate's alarm for columns that nobody called personal.

use super::kinds::{Id, Set};
use super::look::{Eye, Sure};
use crate::mask::canonical_text;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use kernel::gate::Alarm;
use std::collections::{BTreeMap, HashSet};

/// One such value is enough: written with separators and right check digits, or of a form that nothing else has.
const SINGLE: Set = Set::of(&[
    Id::Cpf,
    Id::Cnpj,
    Id::Pis,
    Id::TituloEleitor,
    Id::Email,
    Id::Card,
    Id::Iban,
    Id::UrlCredentials,
    Id::Jwt,
    Id::ApiKey,
    Id::FrNir,
    Id::ItCodiceFiscale,
    Id::Passport,
]);
/// Forms that a few harmless codes have too: they count when most values of the column are of them.
const MOST: Set =
    Set::of(&[Id::Phone, Id::UsSsn, Id::UsItin, Id::UkNino, Id::UkNhs, Id::EsDni, Id::EuVat, Id::DeSteuer]);
/// Numbers without separators: they count when most numbers of their length have the right check digits.
const BARE: Set = Set::of(&[Id::Cpf, Id::Cnpj, Id::Card]);
/// Fewer different values than this may be an accident, unless there was one before.
const VALUES_MIN: usize = 3;
/// No value that counts is shorter: `a@b.co`.
const LENGTH_MIN: usize = 6;

/// What was seen of one kind.
#[derive(Default)]
struct OfKind<'a> {
    rows: Vec<usize>,
    values: HashSet<&'a str>,
    /// Values of the form with wrong check digits.
    wrong: usize,
}

type Finds<'a> = BTreeMap<usize, OfKind<'a>>;

/// What of a column is somebody's; `None` when nothing is, or it can't be read.
pub(super) fn alarm(eye: &Eye, values: &ArrayRef, suspected: bool) -> Option<Alarm> {
    let text = canonical_text(values).ok().or_else(|| super::column::shown(values))?;
    let text = text.as_string_view();
    let (mut single, mut most, mut bare) = (Finds::new(), Finds::new(), Finds::new());
    for (row, value) in text.iter().enumerate() {
        let Some(value) = value.map(str::trim).filter(|value| value.len() >= LENGTH_MIN) else { continue };
        eye.each_form(value, &mut |place, sure, range| {
            let set = match sure {
                Sure::Strong if is_telling(eye, place) => &mut single,
                Sure::Strong if MOST.has(place) => &mut most,
                Sure::Weak if BARE.has(place) => &mut bare,
                Sure::Shaped | Sure::Written if BARE.has(place) => {
                    bare.entry(place).or_default().wrong += 1;
                    return;
                }
                // A number of 7 to 10 digits is not told as a wrong CPF, and is none unless it lost its zeros.
                Sure::Shaped if place == Id::Rg.place() => {
                    bare.entry(Id::Cpf.place()).or_default().wrong += 1;
                    return;
                }
                _ => return,
            };
            let of = set.entry(place).or_default();
            of.rows.push(row);
            of.values.insert(&value[range]);
        });
    }
    let few = if suspected { 1 } else { VALUES_MIN };
    let there = text.len() - text.null_count();
    most.retain(|_, of| of.values.len() >= few && of.rows.len() * 2 >= there);
    bare.retain(|_, of| of.values.len() >= few && of.rows.len() > of.wrong);
    raised(eye, text.len(), [single, most, bare])
}

/// Whether one value of a kind is enough.
pub(super) fn is_telling(eye: &Eye, place: usize) -> bool {
    SINGLE.has(place) || is_own_personal(eye, place)
}

fn is_own_personal(eye: &Eye, place: usize) -> bool {
    eye.own(place).is_some_and(|own| own.classification.is_personal())
}

fn raised(eye: &Eye, length: usize, found: [Finds; 3]) -> Option<Alarm> {
    let mut marked = vec![false; length];
    let mut best: Option<(usize, usize)> = None;
    for (place, of) in found.iter().flatten() {
        of.rows.iter().for_each(|row| marked[*row] = true);
        if best.is_none_or(|(count, _)| of.rows.len() > count) {
            best = Some((of.rows.len(), *place));
        }
    }
    let (_, place) = best?;
    Some(Alarm { kind: eye.name(place).to_owned(), rows: BooleanArray::new(BooleanBuffer::from(marked), None) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use std::sync::Arc;

    fn raised(values: &[&str], suspected: bool) -> Option<(String, Vec<usize>)> {
        let values: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        of(&values, suspected)
    }

    fn of(values: &ArrayRef, suspected: bool) -> Option<(String, Vec<usize>)> {
        let alarm = alarm(&Eye::new(Arc::new([])).expect("an eye"), values, suspected)?;
        Some((alarm.kind, alarm.rows.values().set_indices().collect()))
    }

    #[test]
    fn one_telling_value_is_enough() {
        for (kind, value) in [
            ("cpf", "ligar para 529.982.247-25 amanhã"),
            ("cnpj", "11.222.333/0001-81"),
            ("email", "ana@example.com"),
            ("card", "4111 1111 1111 1111"),
            ("iban", "DE89370400440532013000"),
            ("url_credentials", "amqp://ana:s3cret@mq/x"),
            ("api_key", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ] {
            assert_eq!(raised(&["ok", value], false), Some((kind.to_owned(), vec![1])), "{value}");
        }
    }

    #[test]
    fn bare_numbers_count_when_most_of_them_are_right() {
        let cpfs = ["52998224725", "11144477735", "ligou", "12345678909", "x"];
        assert_eq!(raised(&cpfs, false), Some(("cpf".to_owned(), vec![0, 1, 3])));
        assert_eq!(raised(&cpfs[..2], false), None, "two may be an accident");
        assert_eq!(raised(&cpfs[..2], true), Some(("cpf".to_owned(), vec![0, 1])));
        assert_eq!(raised(&["52998224725"; 9], false), None, "one value many times");
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![52_998_224_725, 11_144_477_735, 12_345_678_909]));
        assert_eq!(of(&numbers, false), Some(("cpf".to_owned(), vec![0, 1, 2])));
    }

    #[test]
    fn ordinary_columns_raise_nothing() {
        let column = |make: &dyn Fn(u64) -> String| -> ArrayRef {
            // A linear step through the range: spread, and the same each time.
            Arc::new(StringArray::from_iter_values((0..5000u64).map(|n| make(n * 7_919_317))))
        };
        let columns = [
            column(&|n| (10_000_000_000 + n % 89_000_000_000).to_string()),
            column(&|n| (100_000_000 + n % 899_000_000).to_string()),
            column(&|n| (1_000_000_000 + n % 999_000_000).to_string()),
            column(&|n| (1_700_000_000 + n % 99_000_000).to_string()),
            column(&|n| (1_700_000_000_000 + n).to_string()),
            column(&|n| (4_000_000_000_000_000 + n * 1_000_003).to_string()),
            column(&|n| format!("{}.{:02}", n % 10_000, n % 100)),
            column(&|n| format!("SKU-{:05}-{}", n % 99_999, n % 10)),
            column(&|n| format!("2026-{:02}-{:02}T08:{:02}:00Z", 1 + n % 12, 1 + n % 28, n % 60)),
            column(&|n| format!("{n:08x}-0000-4000-8000-{:012x}", n * 31)),
            column(&|n| format!("pedido {} entregue", 10_000_000_000 + n)),
            column(&|n| format!("v{}.{}.{}.{}", n % 9, n % 30, n % 7, n % 99)),
            column(&|n| (n % 500).to_string()),
        ];
        for (at, values) in columns.iter().enumerate() {
            assert_eq!(of(values, false), None, "column {at}");
        }
    }
}
