//! The detector on whole columns: a seeded corpus of many kinds, beside columns that look like them and are not.

use super::*;
use crate::stopwatch::core_seconds;
use arrow::array::{Int32Array, ListArray, StringArray, StringViewArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{Field, Int32Type};
use std::sync::Arc;

/// splitmix64: a test may not draw from the machine.
struct Seed(u64);

impl Seed {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn digits(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.next(10) as u32).collect()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len() as u64) as usize]
    }
}

fn check(values: &[u32], weight_max: u32) -> u32 {
    let sum: u32 = values.iter().rev().zip((2..=weight_max).cycle()).map(|(v, w)| v * w).sum();
    (11 - sum % 11) % 11 % 10
}

fn text(values: &[u32]) -> String {
    values.iter().map(|v| char::from_digit(*v, 10).unwrap()).collect()
}

fn cpf(seed: &mut Seed) -> String {
    let mut v = seed.digits(9);
    v.push(check(&v, 11));
    v.push(check(&v, 11));
    text(&v)
}

fn dotted(cpf: &str) -> String {
    format!("{}.{}.{}-{}", &cpf[..3], &cpf[3..6], &cpf[6..9], &cpf[9..])
}

fn cnpj(seed: &mut Seed) -> String {
    let mut v = seed.digits(8);
    v.extend([0, 0, 0, 1]);
    v.push(check(&v, 9));
    v.push(check(&v, 9));
    text(&v)
}

fn card(seed: &mut Seed) -> String {
    let mut v = vec![4];
    v.extend(seed.digits(14));
    let doubled = |v: &u32| v * 2 / 10 + v * 2 % 10;
    let sum: u32 = v.iter().rev().enumerate().map(|(at, v)| if at % 2 == 0 { doubled(v) } else { *v }).sum();
    v.push((10 - sum % 10) % 10);
    text(&v)
}

fn person(seed: &mut Seed) -> String {
    let first = seed.pick(&["Maria", "José", "Ana", "João", "Carlos", "Beatriz", "Thiago", "Luzia", "Zuleika"]);
    format!("{first} {} {}", seed.pick(&["da Silva", "Souza", "Pereira"]), seed.pick(&["Lima", "Alves", "Rocha"]))
}

type Make = fn(&mut Seed) -> String;

/// Column name, the kind that must be found, the logical type that must be proposed, and how to make a value.
const CORPUS: [(&str, Option<&str>, &str, Make); 33] = [
    ("payer_cpf", Some("cpf"), "string", |s| dotted(&cpf(s))),
    ("a1", Some("cpf"), "string", |s| dotted(&cpf(s))),
    ("a2", Some("cpf"), "string", cpf),
    ("cpf_errado", Some("cpf"), "string", |s| text(&s.digits(11))),
    ("merchant_cnpj", Some("cnpj"), "string", cnpj),
    ("a3", Some("cnpj"), "string", cnpj),
    ("email", Some("email"), "string", |s| format!("u{}@example.com", s.next(1 << 40))),
    ("a4", Some("phone"), "string", |s| {
        format!("+55 {} 9{:04}-{:04}", 11 + s.next(9), 4000 + s.next(6000), s.next(10_000))
    }),
    ("celular", Some("phone"), "string", |s| format!("119{:08}", 40_000_000 + s.next(60_000_000))),
    ("a5", Some("card"), "string", card),
    ("cep", Some("cep"), "string", |s| format!("{:08}", 1_000_000 + s.next(90_000_000))),
    ("a6", Some("cep"), "string", |s| format!("{:05}-{:03}", s.next(99_999), s.next(1000))),
    ("chave_pix", Some("pix_key"), "string", |s| match s.next(4) {
        0 => cpf(s),
        1 => format!("u{}@example.com", s.next(1 << 30)),
        2 => format!("+55119{:08}", 40_000_000 + s.next(60_000_000)),
        _ => format!("{:08x}-0000-4000-8000-{:012x}", s.next(1 << 32), s.next(1 << 48)),
    }),
    ("a7", Some("ip"), "string", |s| format!("10.{}.{}.{}", s.next(256), s.next(256), s.next(256))),
    ("data_nascimento", Some("birth_date"), "date", |s| {
        format!("{:02}/{:02}/{}", 1 + s.next(28), 1 + s.next(12), 1940 + s.next(70))
    }),
    ("nome", Some("person_name"), "string", person),
    ("a8", Some("person_name"), "string", |s| person(s).to_uppercase()),
    ("endereco", Some("address"), "string", |s| format!("Rua das Flores, {}", s.next(3000))),
    ("a9", Some("address"), "string", |s| {
        format!("{} {}, {}", s.pick(&["Av.", "Rua", "R.", "Travessa"]), s.pick(&["Brasil", "Goiás"]), s.next(900))
    }),
    ("placa", Some("plate"), "string", |s| {
        format!("ABC{}{}{:02}", s.next(10), s.pick(&["A", "B", "1", "2"]), s.next(100))
    }),
    ("rg", Some("rg"), "string", |s| {
        format!("{:02}.{:03}.{:03}-{}", s.next(99), s.next(1000), s.next(1000), s.next(10))
    }),
    ("ssn", Some("us_ssn"), "string", |s| {
        format!("{:03}-{:02}-{:04}", 1 + s.next(600), 1 + s.next(99), 1 + s.next(9999))
    }),
    ("amount", None, "number", |s| format!("{}.{:02}", s.next(10_000), s.next(100))),
    ("valor", None, "number", |s| format!("{},{:02}", s.next(10_000), s.next(100))),
    ("order_id", None, "integer", |s| (10_000_000_000 + s.next(80_000_000_000)).to_string()),
    ("epoch_ms", None, "integer", |s| (1_700_000_000_000 + s.next(9_000_000_000)).to_string()),
    ("epoch", None, "integer", |s| (1_700_000_000 + s.next(9_000_000)).to_string()),
    ("paid_at", None, "timestamp", |s| format!("2026-{:02}-{:02}T08:00:00Z", 1 + s.next(12), 1 + s.next(28))),
    ("settled_on", None, "date", |s| format!("2026-{:02}-{:02}", 1 + s.next(12), 1 + s.next(28))),
    ("status", None, "string", |s| s.pick(&["paid", "refused", "pending"]).into()),
    ("product_name", None, "string", |s| {
        format!("{} {}", s.pick(&["Caneta", "Lapis", "Rosa"]), s.pick(&["Azul", "Verde"]))
    }),
    ("id", None, "string", |s| format!("{:08x}-0000-4000-8000-{:012x}", s.next(1 << 32), s.next(1 << 48))),
    ("code", None, "integer", |s| (1_000_000_000_000_000 + s.next(8_000_000_000_000_000)).to_string()),
];

const ROWS: usize = 3000;

fn corpus() -> Vec<(&'static str, ArrayRef)> {
    let mut seed = Seed(1);
    let column = |(name, _, _, make): &(&'static str, Option<&str>, &str, Make)| -> (&'static str, ArrayRef) {
        let value = |row: usize| -> Option<String> {
            // One in fifty is missing, one in a hundred is rubbish.
            match (row % 50, row % 100) {
                (7, _) => None,
                (_, 31) if name.starts_with('a') && name.len() == 2 => Some("???".into()),
                _ => Some(make(&mut seed)),
            }
        };
        (*name, Arc::new((0..ROWS).map(value).collect::<StringViewArray>()))
    };
    CORPUS.iter().map(column).collect()
}

fn findings(columns: &[(&str, ArrayRef)]) -> Vec<ColumnFinding> {
    let mut detector = Detector::new().unwrap();
    for (name, values) in columns {
        for at in (0..values.len()).step_by(1000) {
            detector.column(name, &values.slice(at, 1000.min(values.len() - at)));
        }
    }
    detector.finish()
}

#[test]
fn every_column_of_the_corpus_is_what_it_is() {
    let found = findings(&corpus());
    let wrong: Vec<String> = CORPUS
        .iter()
        .zip(&found)
        .filter(|((_, kind, logical, _), f)| {
            let rubbish = f.column.len() == 2 && f.column.starts_with('a');
            f.kind.as_deref() != *kind || !rubbish && f.proposed.logical != *logical
        })
        .map(|((name, kind, ..), f)| {
            format!("{name}: {:?} ({}, {}) {} instead of {kind:?}", f.kind, f.confidence, f.share, f.proposed.logical)
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for f in &found {
        assert_eq!((f.rows, f.nulls, f.required), (ROWS as u64, 60, false), "{}", f.column);
        assert_eq!(f.kind.is_some(), f.mask.is_some() && f.classification.is_some(), "{}", f.column);
    }
}

#[test]
fn a_finding_holds_no_value() {
    let columns = corpus();
    let found = serde_json::to_string(&findings(&columns)).unwrap();
    for (name, values) in &columns {
        for value in
            values.as_string_view().iter().flatten().filter(|v| v.len() > 6 && v.contains(|c: char| c.is_ascii_digit()))
        {
            assert!(!found.contains(value), "{name}");
        }
    }
    let cpf = &serde_json::from_str::<serde_json::Value>(&found).unwrap()[0];
    assert_eq!(cpf["examples"], serde_json::json!(["999.999.999-99", "999.999.999-99", "999.999.999-99"]));
    for (key, value) in
        [("column", "payer_cpf"), ("kind", "cpf"), ("classification", "personal.cpf"), ("mask", "pseudonym(person)")]
    {
        assert_eq!(cpf[key], value);
    }
    assert!(cpf["confidence"].as_f64() > Some(0.95) && cpf["share"].as_f64() > Some(0.99));
}

#[test]
fn dictionaries_and_encodings_change_nothing() {
    for (name, values) in corpus() {
        let plain = &findings(&[(name, values.clone())])[0];
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for encoding in [DataType::Utf8, DataType::LargeUtf8, dictionary] {
            let encoded = &findings(&[(name, cast(&values, &encoding).unwrap())])[0];
            assert_eq!(
                (&encoded.kind, encoded.rows, encoded.nulls),
                (&plain.kind, plain.rows, plain.nulls),
                "{name} {encoding}"
            );
            assert_eq!(
                (encoded.unique_like, &encoded.proposed),
                (plain.unique_like, &plain.proposed),
                "{name} {encoding}"
            );
        }
    }
}

#[test]
fn nested_columns_are_looked_into() {
    let emails: ArrayRef = Arc::new(StringArray::from(vec!["a@example.com", "b@example.com"]));
    let field = Arc::new(Field::new("contact", DataType::Utf8, true));
    let person: ArrayRef = Arc::new(StructArray::from(vec![(field, emails)]));
    let tags: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]));
    let found = findings(&[("person", person), ("tags", tags)]);
    assert_eq!((found[0].column.as_str(), found[0].kind.as_deref()), ("person.contact", Some("email")));
    assert_eq!((found[1].column.as_str(), found[1].rows, found[1].proposed.logical), ("tags", 2, "integer"));
}

#[test]
fn maps_are_read_as_text() {
    let mut map =
        arrow::array::MapBuilder::new(None, arrow::array::StringBuilder::new(), arrow::array::StringBuilder::new());
    for row in 0..5 {
        map.keys().append_value("mail");
        map.values().append_value(format!("u{row}@example.com"));
        map.append(true).unwrap();
    }
    let found = findings(&[("extra", Arc::new(map.finish()))]);
    assert_eq!((found[0].kind.as_deref(), found[0].rows, found[0].nulls), (Some("email"), 5, 0));
}

#[test]
fn uniqueness_and_emptiness_are_seen() {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..20));
    let same: ArrayRef = Arc::new(StringArray::from(vec!["x"; 20]));
    let blank: ArrayRef = Arc::new(StringArray::from(vec![" "; 20]));
    let found = findings(&[("id", ids), ("same", same), ("blank", blank)]);
    assert_eq!((found[0].unique_like, found[0].required, found[0].distinct), (true, true, 20));
    assert_eq!((found[1].unique_like, found[1].distinct), (false, 1));
    assert_eq!((found[2].nulls, found[2].kind.as_deref(), found[2].unique_like), (20, None, false));
    assert!(Detector::new().unwrap().finish().is_empty());
}

/// Bytes looked at per second and core; run it alone: `cargo test -p privacy -- --ignored --nocapture per_second`.
#[test]
#[ignore = "a measurement, not a judgement"]
fn values_looked_at_per_second() {
    let eye = Eye::new(Arc::new([])).unwrap();
    for (name, values) in
        corpus().into_iter().filter(|(name, _)| ["a1", "amount", "nome", "paid_at", "status"].contains(name))
    {
        let mut detector = Detector::new().unwrap();
        let seconds = core_seconds(|| (0..300).for_each(|_| detector.column(name, &values)));
        println!("a column of 900,000 values: {name:16} {:6.3} s", seconds);
    }
    for (name, values) in corpus() {
        let bytes: usize = values.as_string_view().iter().flatten().map(str::len).sum();
        let all = (0..50).flat_map(|_| values.as_string_view().iter().flatten());
        let look = |value: &str| {
            std::hint::black_box(eye.look(value));
        };
        let seconds = core_seconds(|| all.for_each(look));
        let rate = (50 * ROWS) as f64 / seconds / 1e6;
        println!("{name:16} {rate:6.2} M values/s {:6.1} MB/s", (50 * bytes) as f64 / seconds / 1e6);
    }
}

fn column(make: impl Fn(&mut Seed) -> String) -> ArrayRef {
    let mut seed = Seed(7);
    Arc::new((0..1000).map(|_| Some(make(&mut seed))).collect::<StringViewArray>())
}

fn kind_of(name: &str, values: &ArrayRef) -> Option<String> {
    findings(&[(name, values.clone())]).remove(0).kind
}

/// Draws until a check holds.
fn drawn(seed: &mut Seed, make: impl Fn(&mut Seed) -> String, holds: fn(&[u8]) -> bool) -> String {
    loop {
        let text = make(seed);
        if holds(text.as_bytes()) {
            return text;
        }
    }
}

/// Eleven digits: the share of right check digits, the column's name and the profile (a RENAVAM has zeros in front, a PIS
/// begins with 1 or 2) tell six kinds and an order number apart.
#[test]
fn eleven_digits_are_told_apart() {
    use numbers::{brazil, europe};
    let licence = column(|s| drawn(s, |s| text(&s.digits(11)), brazil::is_cnh));
    let vehicle = column(|s| drawn(s, |s| format!("01{}", text(&s.digits(9))), brazil::is_renavam));
    let worker = column(|s| drawn(s, |s| format!("1{}", text(&s.digits(10))), digits::is_pis));
    let taxpayer = column(|s| drawn(s, |s| format!("6{}", text(&s.digits(10))), europe::is_de_steuer_id));
    let mobile = column(|s| format!("119{:08}", 40_000_000 + s.next(60_000_000)));
    let order = column(|s| (10_000_000_000 + s.next(80_000_000_000)).to_string());
    for (values, kind) in [
        (&licence, Some("cnh")),
        (&vehicle, Some("renavam")),
        (&worker, Some("pis")),
        (&taxpayer, Some("de_steuer_id")),
        (&column(cpf), Some("cpf")),
        (&order, None),
    ] {
        assert_eq!(kind_of("c0", values).as_deref(), kind, "without a name: {kind:?}");
    }
    assert_eq!(kind_of("celular", &mobile).as_deref(), Some("phone"));
    for (name, kind) in
        [("cnh", "cnh"), ("renavam", "renavam"), ("pis", "pis"), ("cpf", "cpf"), ("steuer_id", "de_steuer_id")]
    {
        assert_eq!(kind_of(name, &order).as_deref(), Some(kind), "a name, and numbers made up for a test");
    }
    assert_eq!(kind_of("numero_pedido", &order), None);
}

#[test]
fn ordinary_columns_hold_nothing() {
    for (name, values) in [
        ("order_number", column(|s| (100_000_000 + s.next(899_000_000)).to_string())),
        ("invoice", column(|s| (10_000_000 + s.next(80_000_000)).to_string())),
        ("ticket", column(|s| (1_000_000_000 + s.next(8_000_000_000)).to_string())),
        ("shipment", column(|s| (100_000_000_000 + s.next(800_000_000_000)).to_string())),
        ("event_us", column(|s| (1_700_000_000_000_000 + s.next(9_000_000_000_000)).to_string())),
        ("quantity", column(|s| s.next(500).to_string())),
        ("price", column(|s| format!("{}.{:03}", s.next(500), s.next(1000)))),
        ("sku", column(|s| format!("{}{}-{:05}", s.pick(&["A", "B", "K"]), s.pick(&["X", "Z"]), s.next(100_000)))),
        ("item_code", column(|s| format!("ABC{:06}", s.next(1_000_000)))),
        ("seat", column(|s| format!("{}{:02}", s.pick(&["A", "B", "C", "D"]), 1 + s.next(30)))),
        ("version", column(|s| format!("{}.{}.{}", s.next(9), s.next(30), s.next(10)))),
        ("checksum", column(|s| format!("{:016x}", s.next(u64::MAX)))),
        ("url", column(|s| format!("https://example.com:8443/a/{}", s.next(1000)))),
        ("duration", column(|s| format!("{:02}:{:02}:{:02}", s.next(24), s.next(60), s.next(60)))),
        ("comment", column(|s| format!("pedido {} entregue", 10_000_000_000 + s.next(80_000_000_000)))),
    ] {
        assert_eq!(kind_of(name, &values), None, "{name}");
    }
}

/// Names in the languages of the columns, with values that alone would not do.
#[test]
fn names_in_five_languages_are_understood() {
    let dates = column(|s| format!("{}-{:02}-{:02}", 1940 + s.next(60), 1 + s.next(12), 1 + s.next(28)));
    for name in ["data_nascimento", "birth_date", "fecha_nacimiento", "Geburtsdatum", "date_de_naissance"] {
        assert_eq!(kind_of(name, &dates).as_deref(), Some("birth_date"), "{name}");
    }
    let passports = column(|s| format!("C{:08}", s.next(100_000_000)));
    for name in ["passaporte", "passport_no", "pasaporte", "Reisepass", "passeport"] {
        assert_eq!(kind_of(name, &passports).as_deref(), Some("passport"), "{name}");
    }
    let degrees = column(|s| format!("-{}.{:06}", s.next(90), s.next(1_000_000)));
    for name in ["latitude", "lat", "Breitengrad"] {
        assert_eq!(kind_of(name, &degrees).as_deref(), Some("coordinates"), "{name}");
    }
    let codes = column(|s| format!("{}{:02}", s.pick(&["A", "F", "M"]), s.next(100)));
    for name in ["cid", "icd10", "diagnostico", "Diagnose", "diagnostic"] {
        assert_eq!(kind_of(name, &codes).as_deref(), Some("icd10"), "{name}");
    }
    let account = column(|s| format!("{:08}", s.next(100_000_000)));
    for name in ["conta_corrente", "account_number", "cuenta_bancaria", "Kontonummer", "compte_bancaire"] {
        assert_eq!(kind_of(name, &account).as_deref(), Some("bank_account"), "{name}");
    }
}

#[test]
fn health_is_sensitive_and_free_text_is_told() {
    let codes = column(|s| format!("F{:02}.{}", s.next(100), s.next(10)));
    let found = &findings(&[("x", codes)])[0];
    assert_eq!((found.kind.as_deref(), found.classification.as_deref()), (Some("icd10"), Some("sensitive.icd10")));
    let notes = column(|s| format!("o cliente {} pediu para ligar", dotted(&cpf(s))));
    let found = &findings(&[("notes", notes), ("cpf", column(|s| dotted(&cpf(s))))]);
    assert_eq!((found[0].kind.as_deref(), found[0].in_text, found[1].in_text), (Some("cpf"), true, false));
}

#[test]
fn a_projects_own_kinds_are_found_beside_the_others() {
    let own = |name: &str, names: &[&str], rule| OwnKind {
        name: name.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        classification: kernel::Classification::new(format!("personal.{name}")),
        mask: kernel::contract::MaskSpec::parse("pseudonym(staff)").unwrap(),
        rule,
    };
    let kinds: Arc<[OwnKind]> = Arc::new([
        own("employee_id", &["matricula funcional"], Rule::Pattern(Pattern::new("E[0-9]{6}", None).unwrap())),
        own("ward", &[], Rule::Dictionary(Dictionary::new(["Ala Norte", "Ala Sul"]))),
    ]);
    let mut detector = Detector::with(kinds.clone()).unwrap();
    detector.column("x", &column(|s| format!("E{:06}", s.next(1_000_000))));
    detector.column("y", &column(|s| s.pick(&["ALA NORTE", "ala sul", "Ala Sul"]).into()));
    detector.column("cpf", &column(cpf));
    let found = detector.finish();
    let told: Vec<_> = found.iter().map(|f| (f.kind.as_deref(), f.mask.as_deref())).collect();
    let (staff, person) = (Some("pseudonym(staff)"), Some("pseudonym(person)"));
    assert_eq!(told, [(Some("employee_id"), staff), (Some("ward"), staff), (Some("cpf"), person)]);
    let screen = PersonalScreen::with(kinds).unwrap();
    use kernel::gate::Screen;
    assert!(screen.is_personal("ver E123456") && !screen.is_personal("ver E12345"));
    let notes: ArrayRef = Arc::new(StringArray::from(vec!["ok", "ver E123456"]));
    let alarm = screen.alarm(&notes, false).expect("an alarm");
    assert_eq!((alarm.kind.as_str(), alarm.rows.true_count()), ("employee_id", 1));
}

/// A value that comes often is looked at once: what is seen is the same.
#[test]
fn repeats_count_each_time_and_are_looked_at_once() {
    let values: Vec<String> =
        (0..9000).map(|n| if n % 3 == 0 { "ana@example.com".into() } else { format!("x{}", n % 7) }).collect();
    let found = &findings(&[("c0", Arc::new(StringViewArray::from_iter_values(values)))])[0];
    assert_eq!((found.kind.as_deref(), found.share, found.distinct), (Some("email"), 0.333, 8));
}
