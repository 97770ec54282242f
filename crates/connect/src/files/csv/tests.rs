use crate::files::testing::{entity, read, read_behind, resumes};
use proptest::prelude::*;
use serde_json::{Value, json};

fn some(row: &[&'static str]) -> Vec<Option<&'static str>> {
    row.iter().map(|value| Some(*value)).collect()
}

fn csv(text: &[u8], options: Value) -> crate::files::testing::Read {
    read("a.csv", text, options, entity(&[])).expect("a read")
}

#[test]
fn fields_come_as_they_are_written() {
    let text =
        b"id,note\r\n1, x \r\n2,\"a \"\"b\"\", c\"\r\n\r\n3,\"two\r\nlines\"\r\n4,\"x\"y\n5,a\"b\"\n6,\n7,\"\"\n8,z";
    let found = csv(text, json!({}));
    assert_eq!(found.names, ["id", "note"]);
    let values = found.values();
    assert_eq!(values[0], some(&["1", " x "]));
    assert_eq!(values[1], some(&["2", "a \"b\", c"]));
    assert_eq!(values[2], some(&["3", "two\r\nlines"]));
    assert_eq!(values[3], some(&["4", "xy"]));
    assert_eq!(values[4], some(&["5", "a\"b\""]));
    assert_eq!(values[5], [Some("6"), None]);
    assert_eq!(values[6], some(&["7", ""]));
    assert_eq!(values[7], some(&["8", "z"]));
    assert_eq!(found.offsets(), [2, 3, 5, 7, 8, 9, 10, 11]);
    assert_eq!(found.upto, [11]);
}

#[test]
fn ragged_records_are_set_aside_with_their_line() {
    let found = csv(b"a,b,c\n1,2,3\n1,2\n\n1,2,3,4\nx\n4,5,6\n", json!({}));
    let reasons = [
        (3, "2 fields where the header has 3"),
        (5, "4 fields where the header has 3"),
        (6, "1 field where the header has 3"),
    ];
    assert_eq!(found.reasons(), reasons);
    assert_eq!(found.offsets(), [2, 7]);
}

#[test]
fn a_stray_quote_costs_one_line() {
    let found = csv(b"a,b\n1,2\n3,\"4\n5,6\n7,8\n", json!({}));
    assert_eq!(found.reasons(), [(3, "a quote is opened and not closed")]);
    assert_eq!(found.offsets(), [2, 4, 5]);
    let options = json!({ "line_bytes_max": 300 });
    let long = format!("a,b\n1,\"2\n{}3,\"4\"\n", "5,6\n".repeat(200));
    let found = csv(long.as_bytes(), options);
    assert_eq!(found.reasons(), [(2, "a quote is opened and not closed")]);
    assert_eq!(found.rows.len(), 201);
}

#[test]
fn bad_bytes_cost_one_record() {
    let found = csv(b"a,b\n1,\xc3\xa7\n2,\xe7\n3,x\0\n4,y\n", json!({}));
    assert_eq!(found.reasons(), [(3, "it is not valid UTF-8"), (4, "it holds a NUL byte")]);
    assert_eq!(found.values(), [some(&["1", "ç"]), some(&["4", "y"])]);
}

#[test]
fn encodings_are_found_out() {
    for (text, options) in [
        (b"\xef\xbb\xbfnome,x\nJos\xc3\xa9,1\n".to_vec(), json!({})),
        (b"nome,x\nJos\xe9,1\n".to_vec(), json!({})),
        (b"nome,x\nJos\xe9,1\n".to_vec(), json!({ "encoding": "latin-1" })),
        ("\u{feff}nome,x\nJosé,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect(), json!({})),
        ("nome,x\nJosé,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect(), json!({ "encoding": "utf-16" })),
    ] {
        let found = csv(&text, options);
        assert_eq!(
            (found.names.clone(), found.values()),
            (vec!["nome".into(), "x".into()], vec![some(&["José", "1"])])
        );
    }
    let unmarked: Vec<u8> = "nome,x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = read("a.csv", &unmarked, json!({}), entity(&[])).expect_err("no mark");
    assert!(error.to_string().contains("encoding: utf-16"), "{error}");
}

#[test]
fn empty_files_have_no_rows() {
    for (text, names, upto) in
        [("", vec!["id"], 0), ("\n\n", vec!["id"], 0), ("a;b\n", vec!["a", "b"], 1), ("a;b", vec!["a", "b"], 1)]
    {
        let found = read("a.csv", text.as_bytes(), json!({}), entity(&["id"])).expect("a read");
        assert_eq!(
            (found.names, found.rows.len(), found.upto),
            (names.iter().map(|s| (*s).into()).collect(), 0, vec![upto]),
            "{text:?}"
        );
    }
}

#[test]
fn null_is_what_the_options_say() {
    let text = b"a,b\nNULL,\"NULL\"\n,\\N\n";
    assert_eq!(csv(text, json!({})).values(), [vec![Some("NULL"), Some("NULL")], vec![None, Some("\\N")]]);
    let options = json!({ "null_values": ["NULL", "\\N"] });
    assert_eq!(csv(text, options).values(), [vec![None, Some("NULL")], vec![Some(""), None]]);
}

#[test]
fn a_long_line_is_never_held() {
    let long = 3 << 20;
    let mut text = b"a,b\n1,2\n".to_vec();
    text.resize(text.len() + long, b'x');
    text.extend_from_slice(b",y\n3,4\n");
    let found = csv(&text, json!({ "line_bytes_max": 1 << 20 }));
    assert_eq!(found.reasons(), [(3, "the line is longer than `line_bytes_max`")]);
    assert_eq!(found.offsets(), [2, 4]);
    assert_eq!(csv(&text, json!({})).offsets(), [2, 3, 4]);
    let error =
        read("a.csv", &text[8..long], json!({ "line_bytes_max": 1 << 20 }), entity(&[])).expect_err("no header");
    assert!(error.to_string().contains("first line"), "{error}");
}

#[test]
fn a_header_that_names_a_column_twice_is_an_error() {
    let error = read("a.csv", b"id,x,id\n1,2,3\n", json!({}), entity(&["id"])).expect_err("twice");
    assert!(error.to_string().contains("`id` twice"), "{error}");
    assert_eq!(error.kind, kernel::Kind::Data);
}

#[test]
fn a_file_is_resumed_behind_any_line() {
    let text: String = (0..50).map(|i| format!("{i},\"a\nb{i}\"\n{i}\n")).collect();
    let text = format!("id,note\n{text}");
    resumes("a.csv", text.as_bytes(), &json!({ "batch_rows_max": 3 }), &entity(&[]));
    let straight = csv(text.as_bytes(), json!({}));
    for behind in 0..=152 {
        let rest = read_behind("a.csv", text.as_bytes(), json!({}), entity(&[]), behind).expect("a read");
        let at = i64::try_from(behind).expect("small");
        assert_eq!(rest.offsets(), straight.offsets().into_iter().filter(|line| *line > at).collect::<Vec<_>>());
    }
}

/// The records that the `csv` crate reads.
fn by_csv_crate(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("a record").iter().map(str::to_owned).collect()).collect()
}

/// Blocks as small as they can be, so that they are cut anywhere.
fn ours(text: &str, width: usize, block: usize, behind: i64) -> (Vec<Vec<String>>, Vec<i64>, Vec<i64>) {
    use super::scan::{Dialect, Records, Scanner};
    use crate::files::options::Encoding;
    use crate::files::text::{Blocks, Region};
    let input = std::io::Cursor::new(text.as_bytes().to_vec());
    let mut blocks = Blocks::new(Box::new(input), Encoding::Utf8, block);
    let mut scanner = Scanner::new(Dialect { delimiter: b',', quote: Some(b'"') }, width, 1, behind, 1 << 20);
    let (mut rows, mut lines, mut bad, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    loop {
        let block = blocks.next(&rest).expect("a block");
        let region = Region { text: &block.data, used: block.used, last: block.last, clean: block.clean };
        let (mut at, mut records) = (0, Records::default());
        loop {
            records.clear();
            let next = scanner.scan(region, at, 2, &mut records);
            let side = std::mem::take(&mut records.side);
            let texts = crate::files::views::Texts::new(block.data.clone().into(), side);
            let split: Vec<_> = records.spans_mut(width).to_vec();
            rows.extend(split.chunks(width).map(|row| {
                row.iter().map(|span| String::from_utf8(span.of(&texts).to_vec()).expect("UTF-8")).collect::<Vec<_>>()
            }));
            lines.extend_from_slice(&records.lines);
            bad.extend(records.malformed.iter().map(|bad| bad.offset));
            if next == at {
                break;
            }
            at = next;
        }
        if block.last {
            return (rows, lines, bad);
        }
        rest = block.data[at..block.used].to_vec();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Quotes, delimiters and line ends anywhere, in blocks cut anywhere. A last quote that stays open is closed: there
    /// we give up one line and go on, and the `csv` crate takes the rest of the file as one field.
    #[test]
    fn fields_are_those_of_the_csv_crate(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "é", "\"", "\"\"", ",", "\n", "\r\n", "bcd", " ", ",\"", "\",", "\"\n", "x,y\n",
            "a long text that fills more than one word of sixty-four bytes, surely",
        ]), 0..60),
        width in 1usize..4,
        block in 1usize..100,
        behind in 0i64..10,
    ) {
        let mut text = parts.concat();
        if leaves_a_quote_open(&text) {
            text.push('"');
        }
        prop_assume!(!leaves_a_quote_open(&text));
        let all = by_csv_crate(&text);
        let (rows, lines, bad) = ours(&text, width, block, 0);
        let expected: Vec<_> = all.iter().filter(|record| record.len() == width).cloned().collect();
        prop_assert_eq!(&rows, &expected);
        prop_assert_eq!(rows.len() + bad.len(), all.len());
        let (rest, rest_lines, _) = ours(&text, width, block, behind);
        let skipped = lines.iter().filter(|line| **line <= behind).count();
        prop_assert_eq!(rest, rows[skipped..].to_vec());
        prop_assert_eq!(rest_lines, lines[skipped..].to_vec());
    }
}

/// Whether the text ends inside quotes: a delimiter put behind it is then part of the last field.
fn leaves_a_quote_open(text: &str) -> bool {
    let fields = |text: &str| by_csv_crate(text).last().map_or(0, Vec::len);
    let closed = format!("{text}x,y");
    let open = format!("{text}x");
    !text.is_empty() && !text.ends_with('\n') && fields(&closed) == fields(&open)
        || text.ends_with('\n') && by_csv_crate(&format!("{text}x")).len() == by_csv_crate(text).len()
}
