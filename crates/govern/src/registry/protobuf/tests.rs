use super::{ProtobufSchema, compare};
use crate::registry::schema::{Definition, Resolved, SchemaType};

fn read(text: &str) -> ProtobufSchema {
    ProtobufSchema::read(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A message of proto3.
fn schema(body: &str) -> ProtobufSchema {
    read(&format!("syntax = \"proto3\"; package p; message M {{ {body} }}"))
}

fn proto2(body: &str) -> ProtobufSchema {
    read(&format!("syntax = \"proto2\"; package p; message M {{ {body} }}"))
}

fn rules(old: &ProtobufSchema, new: &ProtobufSchema) -> Vec<&'static str> {
    compare(old, new).into_iter().map(|one| one.rule).collect()
}

#[test]
fn a_rule_is_broken_one_way_and_kept_the_other() {
    let inner = "message I { string s = 1; } I i = 2;";
    let cases = [
        ("MESSAGE_REMOVED", "message I {} string a = 1;", "string a = 1;"),
        ("ONEOF_FIELD_REMOVED", "oneof o { string a = 1; string b = 2; }", "oneof o { string a = 1; }"),
        ("MULTIPLE_FIELDS_MOVED_TO_ONEOF", "string a = 1; string b = 2;", "oneof o { string a = 1; string b = 2; }"),
        (
            "FIELD_MOVED_TO_EXISTING_ONEOF",
            "oneof o { string a = 1; } string b = 2;",
            "oneof o { string a = 1; string b = 2; }",
        ),
        (
            "FIELD_MOVED_TO_EXISTING_ONEOF",
            "oneof o { string a = 1; } oneof q { string b = 2; }",
            "oneof o { string a = 1; string b = 2; }",
        ),
        ("FIELD_SCALAR_KIND_CHANGED", &format!("{inner} int32 a = 1;"), &format!("{inner} sint32 a = 1;")),
    ];
    for (rule, old, new) in cases {
        let (old, new) = (schema(old), schema(new));
        assert_eq!(rules(&old, &new), [rule]);
        if !rule.ends_with("KIND_CHANGED") {
            assert!(!rules(&new, &old).contains(&rule), "{rule}, back: {:?}", rules(&new, &old));
        }
    }
}

#[test]
fn scalars_that_are_written_alike_may_take_each_others_place() {
    let groups = [
        vec!["int32", "int64", "uint32", "uint64", "bool", "E"],
        vec!["sint32", "sint64"],
        vec!["fixed32", "sfixed32"],
        vec!["fixed64", "sfixed64"],
        vec!["float"],
        vec!["double"],
        vec!["string", "bytes"],
    ];
    let of = |name: &str| schema(&format!("enum E {{ NONE = 0; }} {name} a = 1;"));
    for (place, group) in groups.iter().enumerate() {
        for one in group {
            for other in group {
                assert_eq!(rules(&of(one), &of(other)), Vec::<&str>::new(), "{one} → {other}");
            }
            for other in groups.iter().skip(place + 1).flatten() {
                assert_eq!(rules(&of(one), &of(other)), ["FIELD_SCALAR_KIND_CHANGED"], "{one} → {other}");
                assert_eq!(rules(&of(other), &of(one)), ["FIELD_SCALAR_KIND_CHANGED"], "{other} → {one}");
            }
        }
    }
}

#[test]
fn kinds_and_messages_of_a_field_stay_what_they_are() {
    let of = |body: &str| schema(&format!("message I {{ string s = 1; }} message J {{ string s = 1; }} {body}"));
    let (scalar, message, other, map) =
        (of("int32 a = 1;"), of("I a = 1;"), of("J a = 1;"), of("map<string, int32> a = 1;"));
    for (one, two) in [(&scalar, &message), (&message, &map), (&scalar, &map)] {
        assert_eq!(rules(one, two), ["FIELD_KIND_CHANGED"]);
        assert_eq!(rules(two, one), ["FIELD_KIND_CHANGED"]);
    }
    assert_eq!(rules(&message, &other), ["FIELD_NAMED_TYPE_CHANGED"]);
    assert_eq!(rules(&map, &of("map<string, int64> a = 1;")), Vec::<&str>::new());
    assert_eq!(rules(&map, &of("map<string, string> a = 1;")), ["FIELD_SCALAR_KIND_CHANGED"]);
    assert_eq!(rules(&map, &of("map<int32, int32> a = 1;")), ["FIELD_SCALAR_KIND_CHANGED"]);
}

#[test]
fn labels_of_numbers_stay_and_those_of_texts_may_change() {
    for (old, new) in
        [("optional int32 a = 1;", "repeated int32 a = 1;"), ("optional int32 a = 1;", "required int32 a = 1;")]
    {
        assert_eq!(rules(&proto2(old), &proto2(new)), ["FIELD_NUMERIC_LABEL_CHANGED"]);
        assert_eq!(rules(&proto2(new), &proto2(old)), ["FIELD_NUMERIC_LABEL_CHANGED"]);
    }
    let text = |label: &str| proto2(&format!("{label} string a = 1;"));
    assert!(rules(&text("optional"), &text("repeated")).is_empty());
    assert_eq!(rules(&schema("int32 a = 1;"), &schema("repeated int32 a = 1;")), ["FIELD_NUMERIC_LABEL_CHANGED"]);
    assert!(rules(&schema("int32 a = 1;"), &schema("optional int32 a = 1;")).is_empty());
}

#[test]
fn what_is_required_neither_comes_nor_goes() {
    let (with, without) = (proto2("required int32 a = 1;"), proto2(""));
    assert_eq!(rules(&with, &without), ["REQUIRED_FIELD_REMOVED"]);
    assert_eq!(rules(&without, &with), ["REQUIRED_FIELD_ADDED"]);
}

#[test]
fn what_breaks_nobody_passes() {
    for (old, new) in [
        ("string a = 1;", "string a = 1; string b = 2;"),
        ("string a = 1; string b = 2;", "string a = 1;"),
        ("string a = 1;", "string other = 1;"),
        ("enum E { NONE = 0; ONE = 1; } E e = 1;", "enum E { NONE = 0; TWO = 2; } E e = 1;"),
        ("oneof o { string a = 1; }", "oneof o { string a = 1; string b = 2; }"),
        ("oneof o { string a = 1; string b = 2; }", "string a = 1; string b = 2;"),
        ("oneof o { string a = 1; string b = 2; }", "oneof renamed { string a = 1; string b = 2; }"),
        ("oneof o { string a = 1; string b = 2; }", ""),
        ("string a = 1;", "oneof o { string a = 1; string b = 2; }"),
        ("M m = 1;", "M m = 1; string a = 2;"),
        ("string a = 1;", "message I {} string a = 1;"),
    ] {
        assert_eq!(rules(&schema(old), &schema(new)), Vec::<&str>::new(), "{old} → {new}");
    }
    assert_eq!(
        rules(
            &read("syntax = \"proto3\"; package p; message M {}"),
            &read("syntax = \"proto3\"; package q; message M {}")
        ),
        ["PACKAGE_CHANGED"]
    );
}

fn imported(body: &str) -> Vec<Resolved> {
    let schema = format!("syntax = \"proto3\"; package other; message I {{ {body} }}");
    let definition = Definition { schema_type: SchemaType::Protobuf, schema, ..Definition::default() };
    vec![Resolved { name: "other/i.proto".into(), definition }]
}

#[test]
fn what_an_import_changes_is_seen() {
    let text = "syntax = \"proto3\"; package p; import \"other/i.proto\"; message M { other.I i = 1; }";
    let with = |body: &str| ProtobufSchema::read(text, &imported(body)).expect("a schema with its import");
    assert!(rules(&with("string a = 1;"), &with("string a = 1; string b = 2;")).is_empty());
    assert_eq!(
        rules(&with("int32 a = 1;"), &with("string a = 1;")),
        ["FIELD_SCALAR_KIND_CHANGED", "FIELD_NAMED_TYPE_CHANGED"]
    );
    let told = ProtobufSchema::read(text, &[]).expect_err("an import that is nowhere");
    assert!(told.contains("other/i.proto") && told.contains("references"), "{told}");
    for outside in ["/etc/passwd", "../../Cargo.toml", "Cargo.toml"] {
        let text = format!("syntax = \"proto3\"; import \"{outside}\"; message M {{}}");
        assert!(ProtobufSchema::read(&text, &[]).is_err(), "{outside}");
    }
}

/// All that a file can say, and once more through its own text and through its descriptor.
#[test]
fn a_file_reads_back_from_its_text_and_from_its_descriptor() {
    let whole = r#"
        syntax = "proto2";
        package whole.test;
        import "google/protobuf/descriptor.proto";
        import "google/protobuf/timestamp.proto";
        import "confluent/meta.proto";
        option java_package = "com.example";
        option optimize_for = SPEED;
        extend google.protobuf.FieldOptions { optional string note = 50001; repeated int32 marks = 50002; }
        // A comment that goes.
        message M {
          option deprecated = true;
          option (confluent.message_meta) = { doc: "a \"doc\"", tags: ["PII"], params: [{ key: "k", value: "v" }] };
          reserved 20 to 22, 30; reserved "old";
          extensions 100 to 199;
          required string a = 1 [default = "x\n\"y\"", (note) = "n", json_name = "other"];
          optional bytes b = 2 [default = "\001\xff"];
          repeated int64 c = 3 [packed = true, (marks) = 1, (marks) = 2];
          map<string, M.Inner> m = 4;
          oneof choice { string d = 5; Inner e = 6; }
          optional group G = 7 { optional int32 z = 1; }
          optional double inf = 8 [default = inf];
          optional E en = 9 [default = TWO];
          optional google.protobuf.Timestamp at = 10;
          message Inner { optional M back = 1; }
          enum E { option allow_alias = true; ONE = 1; TWO = 2 [deprecated = true]; ZWEI = 2; reserved 5 to 7; reserved "GONE"; }
          extend M { optional string extra = 150; }
        }
        service S { rpc Call(M) returns (stream M.Inner); rpc Old(stream M) returns (M) { option deprecated = true; } }
    "#;
    let one = read(whole);
    assert_eq!(one.kept(), whole, "what was written in text is kept");
    let text = one.canonical();
    let again = read(&text);
    assert_eq!(again.canonical(), text);
    assert!(!text.contains("A comment"));
    assert!(compare(&one, &again).is_empty() && compare(&again, &one).is_empty());
    let bytes = read(&one.serialized());
    assert_eq!(bytes.canonical(), text);
    assert_eq!(bytes.kept(), text, "what was a descriptor is kept as text");
    for kept in [
        "(.whole.test.note) = \"n\"",
        "json_name = \"other\"",
        "group G = 7",
        "map<string, .whole.test.M.Inner> m = 4",
        "(.whole.test.marks) = 1, (.whole.test.marks) = 2",
        "reserved 20 to 22, 30;",
    ] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

#[test]
fn proto3_reads_back_too() {
    let text = read("syntax = \"proto3\"; message M { optional int32 a = 1; int32 b = 2; repeated M c = 3; oneof o { string d = 4; } google.type.Date e = 5; } import \"google/type/date.proto\";").canonical();
    assert!(text.contains("  optional int32 a = 1;\n  int32 b = 2;\n"), "{text}");
    assert_eq!(read(&text).canonical(), text);
}

#[test]
fn what_is_no_schema_is_told() {
    for bad in [
        "{",
        "syntax = \"proto3\"; message M { Nothing a = 1; }",
        "message M { string a = 1; }; nonsense",
        "syntax = \"proto3\"; message M { string a = 1; string b = 1; }",
        "CgZi",
    ] {
        assert!(ProtobufSchema::read(bad, &[]).is_err(), "{bad}");
    }
}
