//! What bad files get: what can be read is in bronze, what can't is in quarantine with its line, and nothing is lost or
//! there twice.

use super::happy::parquet_of;
use crate::harness::{Project, gzip, node};
use arrow::array::{BooleanArray, Int64Array, StringArray};
use std::sync::Arc;

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }";

fn project(path: &str, options: &[&str]) -> Project {
    let project = Project::new("bad_files");
    project.source("orders", path, options).contract("orders", COLUMNS, &[]);
    project
}

/// The lines in quarantine with the reason.
fn aside(project: &Project) -> Vec<String> {
    project.lines("select _position['partition'] as file, _position['offset'] as line, reason from quarantine.orders")
}

fn ids(project: &Project) -> Vec<String> {
    project.lines("select id from bronze.orders")
}

#[test]
fn half_a_gzip_file_costs_nothing_that_is_whole() {
    let project = project("data/*.csv.gz", &[]);
    let rows: String = (0..5_000).map(|id| format!("b{id},{id}.50\n")).collect();
    let whole = gzip(format!("id,amount\n{rows}"));
    project.write("data/a.csv.gz", gzip("id,amount\na1,1.00\n"));
    project.write("data/b.csv.gz", &whole[..whole.len() / 2]);
    for _ in 0..2 {
        project.run_with(&[]).exits(1).says("data/b.csv.gz");
    }
    assert!(ids(&project).contains(&"a1".to_owned()), "the file before is in");
    let doubled = "(select id from bronze.orders group by id having count(*) > 1)";
    assert_eq!(project.count(doubled), 0, "nothing of the half file is taken twice");
    project.write("data/b.csv.gz", whole);
    let answer = project.run_with(&[]);
    if answer.code != Some(0) {
        // Rows of the half file were taken, so the whole one is a replaced file, and a person decides.
        answer.exits(1).says("on_replaced");
        return;
    }
    assert_eq!((project.count("bronze.orders"), project.count(doubled)), (5_001, 0));
}

/// 64 MiB in one line between two good ones.
fn long_line(start: &str, end: &str) -> Vec<u8> {
    let mut line = start.as_bytes().to_vec();
    line.resize(line.len() + (64 << 20), b'x');
    line.extend(end.as_bytes());
    line
}

#[test]
fn a_very_long_line_is_set_aside_and_the_lines_around_it_are_taken() {
    let reason = "the line is longer than `line_bytes_max`";
    let csv = [b"id,amount\n1,1.00\n".to_vec(), long_line("2", ",2.00\n"), b"3,3.00\n".to_vec()].concat();
    let json =
        [b"{\"id\":\"1\"}\n\n".to_vec(), long_line("{\"id\":\"2", "\"}\n"), b"{\"id\":\"3\"}\n".to_vec()].concat();
    for (file, bytes) in [("data/x.csv", &csv), ("data/x.ndjson", &json)] {
        for options in [&[][..], &["line_bytes_max: 100000"]] {
            let project = project(file, options);
            project.write(file, bytes);
            let run = project.run();
            assert_eq!(node(&run, "orders")["report"]["rows_quarantined"], 1, "{run}");
            assert_eq!(ids(&project), ["1", "3"], "{file} {options:?}");
            assert_eq!(aside(&project), [format!("{file},3,{reason}")]);
        }
    }
}

#[test]
fn a_line_within_its_bound_is_taken_whole() {
    let project = project("data/x.csv", &["line_bytes_max: 100000000"]);
    project.write("data/x.csv", [b"id,amount\n".to_vec(), long_line("2", ",2.00\n")].concat());
    project.run();
    assert_eq!(project.lines("select character_length(id) as n, amount from bronze.orders"), ["67108865,2.00"]);
}

#[test]
fn nul_bytes_bad_text_and_ragged_rows_are_set_aside_with_their_line() {
    let project = project("data/x.csv", &["encoding: utf-8"]);
    let bytes =
        b"id,amount\n1,1.00\n2\0,2.00\n\xe7,3.00\n4\n5,5.00,5,5\n\"six\nlines\",6.00\n7,7.00\n\"open,8.00\n9,9.00\n";
    project.write("data/x.csv", bytes).age("data/x.csv");
    project.run();
    let reasons = [
        "data/x.csv,10,a quote is opened and not closed",
        "data/x.csv,3,it holds a NUL byte",
        "data/x.csv,4,it is not valid UTF-8",
        "data/x.csv,5,1 field where the header has 2",
        "data/x.csv,6,4 fields where the header has 2",
    ];
    assert_eq!(aside(&project), reasons);
    assert_eq!(project.value("select count(*) from bronze.orders where id in ('1', '7', '9') or id like 'six%'"), 4);
}

#[test]
fn text_in_an_older_encoding_is_found_out() {
    let project = project("data/x.csv", &[]);
    project.write("data/x.csv", b"id;amount\nJo\xe3o \x80;1.00\n");
    project.run();
    assert_eq!(ids(&project), ["João €"]);
}

#[test]
fn files_without_rows_are_taken_and_not_looked_at_again() {
    let project = project("data/*", &[]);
    project.write("data/empty.csv", "").write("data/header.csv", "id,amount\n").write("data/line.csv", "\n");
    project
        .write("data/empty.ndjson", "")
        .write("data/empty.csv.gz", gzip(""))
        .write("data/full.csv", "id,amount\n1,1.00\n");
    let none = parquet_of(vec![("id", Arc::new(StringArray::from(Vec::<&str>::new())))]);
    project.write("data/none.parquet", none);
    project.run();
    assert_eq!(ids(&project), ["1"]);
    let version = project.version("bronze.orders");
    let again = project.run();
    assert_eq!(node(&again, "orders")["status"], "up_to_date");
    assert_eq!(project.version("bronze.orders"), version);
}

#[test]
fn a_source_without_any_file_is_no_error() {
    let project = project("data/none-*.csv", &[]);
    project.model("silver.orders", "select id from bronze.orders\n");
    project.run();
    assert_eq!(project.count("silver.orders"), 0);
}

#[test]
fn a_column_that_changes_its_type_in_a_later_csv_file_costs_its_rows_only() {
    let project = project("data/*.csv", &[]);
    for file in 0..36 {
        project.write(&format!("data/{file:03}.csv"), format!("id,amount\n{file},{file}.00\n"));
    }
    project.write("data/037.csv", "id,amount\n37,37.00\nx,thirty-eight\ny,1e3\nz,9.999\n");
    project.write("data/038.csv", "amount,id\n39.00,39\n");
    project.run();
    assert_eq!(project.count("bronze.orders"), 36 + 2 + u64::from(ids(&project).contains(&"y".to_owned())));
    let aside = aside(&project);
    assert!(aside.contains(&"data/037.csv,3,\"not a decimal(12,2), exactly\"".to_owned()), "{aside:?}");
    assert!(
        aside.contains(&"data/037.csv,5,\"not a decimal(12,2), exactly\"".to_owned()),
        "no silent rounding: {aside:?}"
    );
    assert_eq!(project.lines("select amount from bronze.orders where id = '39'"), ["39.00"]);
}

#[test]
fn a_column_that_changes_its_type_in_a_later_parquet_file_costs_its_rows_only() {
    let project = project("data/*.parquet", &[]);
    let ids_of = |ids: &[&str]| Arc::new(StringArray::from(ids.to_vec()));
    let whole = Arc::new(Int64Array::from(vec![1, 2]));
    project.write("data/1.parquet", parquet_of(vec![("id", ids_of(&["1", "2"])), ("amount", whole)]));
    let text = Arc::new(StringArray::from(vec!["3.25", "lots"]));
    project.write("data/2.parquet", parquet_of(vec![("id", ids_of(&["3", "4"])), ("amount", text)]));
    let flags = Arc::new(BooleanArray::from(vec![true, false]));
    project.write("data/3.parquet", parquet_of(vec![("id", ids_of(&["5", "6"])), ("amount", flags)]));
    let numbers = Arc::new(Int64Array::from(vec![7, 8]));
    project
        .write("data/4.parquet", parquet_of(vec![("id", numbers), ("amount", Arc::new(Int64Array::from(vec![7, 8])))]));
    project.run_with(&[]).exits(0);
    let good = ["1,1.00", "2,2.00", "3,3.25"];
    let taken =
        project.lines("select id, amount from bronze.orders where _position['partition'] not like '%4.parquet'");
    assert_eq!(taken, good);
    assert_eq!(project.count("bronze.orders") + project.count("quarantine.orders"), 8, "no row is lost");
}

#[test]
fn a_file_that_is_no_parquet_file_is_named() {
    let project = project("data/*.parquet", &[]);
    project.write("data/a.parquet", parquet_of(vec![("id", Arc::new(StringArray::from(vec!["1"])))]));
    project.write("data/b.parquet", "id,amount\n1,1.00\n");
    project.run_with(&[]).exits(1).says("data/b.parquet");
    assert_eq!(ids(&project), ["1"]);
    std::fs::remove_file(project.path("data/b.parquet")).expect("the bad file");
    project.run();
    assert_eq!(ids(&project), ["1"]);
}

#[test]
fn a_contract_that_contradicts_all_data_loses_nothing_and_says_why() {
    let project = project("data/x.csv", &[]);
    let rows: String = (0..500).map(|id| format!("{id},a lot\n")).collect();
    project.write("data/x.csv", format!("id,amount\n{rows}"));
    project.model("silver.orders", "select id from bronze.orders\n");
    let run = project.run_with(&[]).exits(0).json();
    let report = &node(&run, "orders")["report"];
    assert_eq!((report["rows_written"].as_u64(), report["rows_quarantined"].as_u64()), (Some(0), Some(500)));
    assert_eq!(report["quarantined_because"], serde_json::json!({ "amount: type": 500 }));
    assert_eq!(project.count("quarantine.orders"), 500);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
    assert_eq!(project.count("quarantine.orders"), 500);
}

#[test]
fn a_bad_file_does_not_stop_its_neighbours() {
    let project = project("data/*", &[]);
    let half = gzip("id,amount\n1,1.00\n");
    project.write("data/a.csv.gz", &half[..half.len() - 9]).write("data/b.csv", [&[0; 200][..], b"\n"].concat());
    project.write("data/c.csv", "id,amount\n3,3.00\n").write("data/d.csv.gz", gzip("id,amount\n4,4.00\n"));
    for _ in 0..2 {
        project.run_with(&[]).exits(1).says("data/a.csv.gz").says("data/b.csv");
        assert_eq!(ids(&project), ["3", "4"]);
    }
    project.write("data/a.csv.gz", half);
    std::fs::remove_file(project.path("data/b.csv")).expect("the bad file");
    project.run();
    assert_eq!(ids(&project), ["1", "3", "4"]);
}

#[test]
fn numbers_and_times_inside_json_objects_are_read_as_columns_are() {
    let project = Project::new("bad_files");
    let columns = "
        { name: id, logicalType: string }
        { name: o, logicalType: object, properties: [PARTS] }";
    let parts = "{ name: price, logicalType: number, physicalType: 'decimal(10,2)' }, \
                 { name: share, logicalType: number, physicalType: double }, { name: at, logicalType: timestamp }";
    let columns = columns.replace("PARTS", parts);
    project.source("orders", "data/*.ndjson", &[]).contract("orders", &columns, &[]);
    project.write(
        "data/x.ndjson",
        "{\"id\":\"1\",\"o\":{\"price\":1.1,\"share\":2,\"at\":\"2026-01-01T09:00:00-03:00\"}}\n\
         {\"id\":\"2\",\"o\":{\"price\":5,\"share\":1e3,\"at\":\"2026-01-01 12:00:00\"}}\n\
         {\"id\":\"3\",\"o\":{\"price\":1.125,\"share\":1,\"at\":null}}\n",
    );
    project.run();
    let taken = project.lines("select id, o['price'] as price, o['share'] as share from bronze.orders");
    assert_eq!(taken, ["1,1.10,2.0", "2,5.00,1000.0"]);
    assert_eq!(project.value("select count(distinct o['at']) from bronze.orders"), 1);
    assert_eq!(project.count("quarantine.orders"), 1, "no silent rounding");
}

#[test]
fn a_file_is_taken_once_also_when_it_is_renamed_in() {
    let project = project("data/*.csv", &[]);
    project.write("data/.a.csv", "id,amount\n1,1.00\n").write("data/a.csv.tmp", "id,amount\n1,1.00\n");
    project.run();
    assert_eq!(project.count("bronze.orders"), 0);
    std::fs::rename(project.path("data/.a.csv"), project.path("data/a.csv")).expect("renamed");
    project.run();
    project.run();
    assert_eq!(ids(&project), ["1"]);
}

/// Delta takes such columns for one, and no reader would open the table again.
#[test]
fn a_field_that_differs_from_a_column_only_in_case_costs_its_row_and_no_table() {
    let project = project("data/*.ndjson", &[]);
    project.contract("orders", COLUMNS, &[("schema_change", "evolve")]);
    project.write(
        "data/a.ndjson",
        "{\"id\":\"a1\",\"amount\":1,\"colour\":\"red\"}\n{\"id\":\"a2\",\"ID\":\"x\"}\n\
         {\"id\":\"a3\",\"colour\":\"red\",\"Colour\":\"blue\"}\n{\"id\":\"a4\",\"\u{e9}\":1}\n\
         {\"id\":\"a5\",\"\u{c9}\":2}\n{\"id\":\"a6\",\"_Source\":\"x\"}\n{\"id\":\"a7\",\"_op\":\"d\"}\n",
    );
    project.run();
    assert_eq!(ids(&project), ["a1", "a4"]);
    let reasons: Vec<String> =
        project.lines("select \"column\", reason from quarantine.orders order by _position['offset']");
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    for says in
        ["`ID` and `id`", "`Colour` and `colour`", "`\u{c9}` and `\u{e9}`", "`_Source` is kept", "`_op` is kept"]
    {
        assert!(reasons.iter().any(|reason| reason.contains(says)), "{says}: {reasons:?}");
    }
    project.write("data/b.ndjson", "{\"id\":\"b1\",\"colour\":\"blue\"}\n");
    project.run();
    assert_eq!(project.lines("select id, colour from bronze.orders"), ["a1,red", "a4,", "b1,blue"]);
}

/// Another one that differs from a column of an earlier run.
#[test]
fn a_field_that_differs_only_in_case_from_one_of_an_earlier_run_harms_no_table() {
    let project = project("data/*.ndjson", &[]);
    project.contract("orders", COLUMNS, &[("schema_change", "evolve")]);
    project.write("data/a.ndjson", "{\"id\":\"a1\",\"colour\":\"red\"}\n");
    project.run();
    project.write("data/b.ndjson", "{\"id\":\"b1\",\"Colour\":\"red\"}\n{\"id\":\"b2\",\"colour\":\"blue\"}\n");
    project.run();
    assert_eq!(project.lines("select id, colour from bronze.orders"), ["a1,red", "b2,blue"]);
    let aside = project.lines("select reason from quarantine.orders");
    assert!(aside.len() == 1 && aside[0].contains("`Colour` and `colour`"), "{aside:?}");
}

/// A column that is called otherwise than before, but for its case, is another one that the table can't have.
#[test]
fn a_contract_that_only_changes_the_case_of_a_column_harms_no_table() {
    let project = project("data/*.csv", &[]);
    project.write("data/a.csv", "id,amount\na1,1.00\n");
    project.run();
    project.contract("orders", &COLUMNS.replace("amount", "Amount"), &[]);
    project.write("data/b.csv", "id,Amount\nb1,2.00\n");
    for command in ["plan", "run"] {
        project.lavra(&[command]).exits(2).says("column `Amount` of bronze.orders is called `amount` in the table");
    }
    project.contract("orders", COLUMNS, &[]);
    project.write("data/b.csv", "id,amount\nb1,2.00\n");
    project.run();
    assert_eq!(project.lines("select id, amount from bronze.orders"), ["a1,1.00", "b1,2.00"]);
}

#[test]
fn a_field_with_a_name_of_lavras_own_does_not_go_in_silence() {
    let project = project("data/*.ndjson", &[]);
    project.write("data/a.ndjson", "{\"id\":\"a1\",\"_source\":{\"a\":1}}\n");
    project.run_with(&[]).exits(1).says("new column `_source`").says("kept for Lavra's own columns");
    assert_eq!(project.count("bronze.orders"), 0);
    project.contract("orders", COLUMNS, &[("schema_change", "quarantine")]);
    project.run();
    assert_eq!(project.lines("select rule, \"column\" from quarantine.orders"), ["schema,_source"]);
}
