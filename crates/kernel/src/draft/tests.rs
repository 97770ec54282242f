use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shop {
    name: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    write: Write,
    #[serde(default)]
    shelves: Vec<Shelf>,
    #[serde(default)]
    owner: Option<Owner>,
    #[serde(default)]
    limits: BTreeMap<String, f64>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    extra: Option<serde_json::Value>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Write {
    #[default]
    Append,
    Overwrite,
    Merge,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shelf {
    label: String,
    items: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Owner {
    Name(String),
    Team { team: String, people: Vec<String> },
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Source {
    Files { path: String },
    Kafka { topic: String, port: u16 },
}

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2: [x]\n- y".into()),
        "PORT" => Some("5432".into()),
        _ => None,
    }
}

fn shop(text: &str) -> Shop {
    read("shop.yaml", text, &env).unwrap_or_else(|faults| panic!("{}", render(&faults, text))).value
}

fn render(faults: &[Diagnostic], text: &str) -> String {
    faults.iter().map(|fault| fault.render(text)).collect()
}

/// `line:column message [help]` of every fault.
fn faults(text: &str) -> Vec<String> {
    let faults = read::<Shop>("shop.yaml", text, &env).expect_err("faults");
    let place = |n: Option<usize>| n.map_or("-".to_owned(), |n| n.to_string());
    let show = |fault: Diagnostic| {
        let help = fault.help.map_or(String::new(), |help| format!(" [{help}]"));
        format!("{}:{} {}{help}", place(fault.line), place(fault.column), fault.message)
    };
    faults.into_iter().map(show).collect()
}

#[test]
fn a_file_is_read_as_its_type() {
    let text = "# a shop\nname: Loja São João\nport: 80\nopen: true\nwrite: merge\nshelves:\n  - label: a\n    items: [x, 'y']\n\
                owner: {team: t, people: [p]}\nlimits: {a: 1, b: 2.5}\nsource: {type: files, path: data/*.csv}\nextra: [1, {a: null}]\n";
    let shop = shop(text);
    assert_eq!((shop.name.as_str(), shop.port, shop.open, shop.write), ("Loja São João", Some(80), true, Write::Merge));
    assert_eq!(shop.shelves, [Shelf { label: "a".into(), items: vec!["x".into(), "y".into()] }]);
    assert_eq!(shop.owner, Some(Owner::Team { team: "t".into(), people: vec!["p".into()] }));
    assert_eq!(shop.source, Some(Source::Files { path: "data/*.csv".into() }));
    assert_eq!(shop.extra, Some(serde_json::json!([1, { "a": null }])));
    assert_eq!(shop.limits["b"], 2.5);
}

#[test]
fn all_faults_of_a_file_come_at_once_each_in_its_place() {
    let text = "nmae: x\nport: eighty\nopen: yes\nwrite: mrege\nshelves:\n  - label: 7\n    itms: [a]\n    items: b\nwrite: append\n";
    assert_eq!(
        faults(text),
        [
            "1:1 unknown field `nmae` [did you mean `name`?]",
            "2:7 expected a whole number, found text",
            "3:7 expected true or false, found text [write `true`]",
            "4:8 unknown value `mrege` [did you mean `merge`?]",
            "6:12 expected text, found a number [in quotes it is text: \"7\"]",
            "7:5 unknown field `itms`",
            "8:12 expected a list, found text [write it as a list: [b]]",
            "9:1 `write` is written twice [it stands on line 4 already]",
        ]
    );
}

#[test]
fn a_missing_field_is_shown_at_what_misses_it() {
    assert_eq!(faults(""), ["-:- the field `name` is missing"]);
    assert_eq!(faults("# nothing\n---\n"), ["-:- the field `name` is missing"]);
    assert_eq!(
        faults("shelves:\n  - label: x\n  - {items: []}\n"),
        ["1:1 the field `name` is missing", "2:5 the field `items` is missing", "3:6 the field `label` is missing"]
    );
    assert_eq!(faults("name: x\nsource:\n  type: kafka\n  topic: t\n"), ["2:1 the field `port` is missing"]);
}

#[test]
fn of_alternatives_the_one_that_was_meant_is_explained() {
    let one = |text: &str| faults(&format!("name: x\n{text}\n")).join("; ");
    assert_eq!(one("owner: [a]"), "2:8 expected text or fields, found a list");
    assert_eq!(one("owner: {team: t, people: p}"), "2:26 expected a list, found text [write it as a list: [p]]");
    assert_eq!(
        one("shelves: [[a]]"),
        "2:11 expected fields, found a list [write `label: …` lines below it, or `{ label: … }`; it can have: label, items]"
    );
    assert_eq!(one("source: {type: kafka, topic: t, port: 70000}"), "2:39 `70000` must be at most 65535");
    assert_eq!(one("source: {type: kafak}"), "2:16 unknown value `kafak` [did you mean `kafka`?]");
    assert_eq!(one("source: {topic: kafka}"), "2:1 the field `type` is missing [it can be: files, kafka]");
    assert_eq!(one("source: {type: files, paht: x}"), "2:23 unknown field `paht` [did you mean `path`?]");
    assert_eq!(one("limits: {a: high}"), "2:13 expected a number, found text");
    assert_eq!(
        one("name2:"),
        "2:1 unknown field `name2` [it can be: port, open, write, shelves, owner, limits, source, extra]"
    );
    assert_eq!(one("port: 1.5"), "2:7 expected a whole number, found a number with decimals");
    assert_eq!(one("shelves:"), "2:1 expected a list, found nothing [leave the field out, or give it a value]");
}

#[test]
fn text_that_is_no_yaml_has_a_place_too() {
    assert_eq!(
        faults("name: a: b\n"),
        [
            "1:8 this is not YAML: mapping values are not allowed in this context [text that holds `: ` is written in quotes]"
        ]
    );
    assert_eq!(faults("name: \"é\nport: 1"), ["1:7 this is not YAML: unclosed quote"]);
    assert!(faults("owner: {team: ${PORT}}")[0].contains("write a variable in quotes"));
    assert!(faults("name: *x\n")[0].starts_with("1:7 this is not YAML"));
    assert_eq!(faults("name: a\n---\nname: b\n"), ["2:1 a file holds one document; a second one starts here"]);
    assert_eq!(faults("name: !!int 5\n")[0], "1:13 the tag `!!int` has no meaning here [take it away]");
}

#[test]
fn places_are_bytes_also_behind_letters_of_several_bytes() {
    let text = "\u{feff}name: São João 😀\nextra: {é: ção, port: [ü, x]}\n";
    let draft = read::<Shop>("shop.yaml", text, &env).expect("a shop");
    let slice = |span: Option<Span>| span.map(|(start, end)| &text[start..end]);
    assert_eq!(slice(draft.span("name")), Some("São João 😀"));
    assert_eq!(slice(draft.key_span("extra.é")), Some("é"));
    assert_eq!(slice(draft.span("extra[\"é\"]")), Some("ção"));
    assert_eq!(slice(draft.span("extra.port[1]")), Some("x"));
    assert_eq!(slice(draft.span("extra.port")), Some("[ü, x]"));
    assert_eq!((draft.span("extra.gone"), slice(draft.place("extra.gone.deeper"))), (None, Some("extra")));
    let fault = draft.fault("extra.port[1]", "no");
    assert_eq!((fault.line, fault.column), (Some(2), Some(27)));
}

#[test]
fn blocks_end_where_their_text_ends() {
    let text = "extra:\n  a: |\n    one\n    two\n\nname: x\n\n";
    let draft = read::<Shop>("shop.yaml", text, &env).expect("a shop");
    let slice = |path| draft.span(path).map(|(start, end)| &text[start..end]);
    assert_eq!(slice("extra"), Some("a: |\n    one\n    two"));
    assert_eq!(draft.value.extra, Some(serde_json::json!({ "a": "one\ntwo\n" })));
}

#[test]
fn a_variable_adds_no_structure_and_is_what_the_field_wants() {
    let draft =
        read::<Shop>("s", "name: ${SECRET}\nport: ${PORT}\nextra: '${NONE:-x}/${PORT}'\n", &env).expect("a shop");
    assert_eq!(draft.value.name, "hunter2: [x]\n- y");
    assert_eq!(draft.value.port, Some(5432));
    assert_eq!(draft.value.extra, Some(serde_json::json!("x/5432")));
    assert!(shop("name: ${PORT}\nopen: ${OPEN:-true}\nowner: x$${PORT}").open);
    assert_eq!(shop("name: \"${PORT}\"\nlimits: {a: \"${PORT}\"}").limits["a"], 5432.0);
}

#[test]
fn a_variable_without_value_is_reported_where_it_stands_and_only_once() {
    assert_eq!(
        faults("name: x\nport: ${SHOP_PORT}\nextra: a ${A} b ${B}\n"),
        [
            "2:7 the variable `SHOP_PORT` is not set [set it, or write `${NAME:-default}`; `$${` stands for `${` itself]",
            "3:10 the variable `A` is not set [set it, or write `${NAME:-default}`; `$${` stands for `${` itself]",
            "3:17 the variable `B` is not set [set it, or write `${NAME:-default}`; `$${` stands for `${` itself]",
        ]
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Even;

impl TryFrom<String> for Even {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len().is_multiple_of(2) { Ok(Self) } else { Err(format!("`{text}` is odd")) }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Pair {
    #[expect(dead_code, reason = "it is read only to be refused")]
    even: Even,
}

#[test]
fn a_secret_is_never_in_a_message() {
    let texts = ["write: ${SECRET}", "port: ${SECRET}", "source: {type: '${SECRET}'}", "owner: {team: '${SECRET}'}"];
    for text in texts {
        let text = format!("name: x\n{text}\n");
        let faults = read::<Shop>("s", &text, &env).expect_err("a fault");
        let shown = render(&faults, &text) + &format!("{faults:?}");
        assert!(!shown.contains("hunter2") && shown.contains("${SECRET}"), "{shown}");
    }
    let odd = read::<Pair>("s", "even: abc\n", &env).expect_err("odd");
    assert_eq!((odd[0].message.as_str(), odd[0].line, odd[0].column), ("`abc` is odd", Some(1), Some(7)));
    let odd = read::<Pair>("s", "even: x${SECRET}\n", &env).map(|draft| draft.value);
    assert!(odd.is_err_and(|faults| !format!("{faults:?}").contains("hunter2")));
    assert!(!format!("{:?}", read::<Shop>("s", "name: ${SECRET}", &env).expect("a shop").tree()).contains("hunter2"));
}

#[test]
fn aliases_repeat_values_but_not_without_end() {
    let shop = shop("name: &n x\nshelves:\n  - &s {label: *n, items: [a]}\n  - *s\n");
    assert_eq!(shop.shelves[0], shop.shelves[1]);
    let mut bomb = String::from("name: x\nextra:\n  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..9 {
        let of = format!("*a{}", level - 1);
        bomb += &format!("  a{level}: &a{level} [{}]\n", vec![of; 10].join(", "));
    }
    assert!(faults(&bomb)[0].contains("larger than a project's file can be"));
    let deep = format!("name: x\nextra: {}{}\n", "[".repeat(150), "]".repeat(150));
    assert!(faults(&deep)[0].contains("nested more than"));
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Header {
    write: Write,
    key: Vec<String>,
    checks: BTreeMap<String, serde_json::Value>,
}

#[test]
fn a_header_is_yaml_behind_dashes_with_the_places_of_the_sql_file() {
    let text = "\u{feff}\n-- ---------\n-- write: merge\n-- key: [día]\n-- checks:\n--   unique: [día]\n\n-- not part of it: x\nselect 1\n";
    let (draft, body) = read_header::<Header>("m.sql", text, &env).expect("a header");
    assert_eq!((&draft.value.write, &draft.value.key), (&Write::Merge, &vec!["día".to_owned()]));
    let slice = |path| draft.span(path).map(|(start, end)| &text[start..end]);
    assert_eq!((slice("key"), slice("checks.unique[0]")), (Some("[día]"), Some("día")));
    assert_eq!(&text[body..], "\n-- not part of it: x\nselect 1\n");
}

#[test]
fn comments_that_are_no_header_are_left_alone() {
    for text in
        ["select 1", "-- Revenue by day, as the board wants it.\nselect 1", "", "\n\n-- (see the wiki): x\nselect 2"]
    {
        let (draft, body) = read_header::<Header>("m.sql", text, &env).expect("no header");
        assert_eq!((draft.value, body), (Header::default(), 0));
    }
}

#[test]
fn faults_of_a_header_are_located_in_the_sql_file() {
    let fault = |text: &str| {
        let faults = read_header::<Header>("m.sql", text, &env).expect_err("a fault");
        (faults[0].line, faults[0].column, format!("{} {:?}", faults[0].message, faults[0].help))
    };
    assert_eq!(
        fault("-- write: mrege\nselect 1"),
        (Some(1), Some(11), "unknown value `mrege` Some(\"did you mean `merge`?\")".into())
    );
    assert_eq!(fault("-- note: x\n-- wriet: merge\nselect").0, Some(1));
    let prose = fault("-- Revenue by day\n-- write: merge\nselect 1");
    assert!(prose.2.contains("prose stands behind"), "{prose:?}");
}

#[test]
fn editors_get_the_same_schema_and_may_write_variables() {
    let schema = json_schema::<Shop>();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["port"]["type"], serde_json::json!(["integer", "null", "string"]));
    assert_eq!(schema["properties"]["port"]["pattern"], r"\$\{");
    assert_eq!(schema["properties"]["name"], serde_json::json!({ "type": "string" }));
}
