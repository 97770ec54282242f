//! An API of other people's making, with two kinds of pages. Needs: datasette.

use super::harness::proxy::Proxy;
use super::harness::server;
use crate::harness::{Project, node};

const ORDERS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: integer, physicalType: bigint }
    { name: note, logicalType: string }
    { name: updated_at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

const PEOPLE: &str = "
    { name: cpf, logicalType: string, primaryKey: true, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: state, logicalType: string }";

/// The rows of datasette's table of orders.
const ROWS: u64 = 1000;

const NEXT_URL: &str =
    "params: { _size: 40, _shape: objects }\nrecords: $.rows\npagination: { type: next_url, next: $.next_url }";
const LINK: &str = "params: { _size: 40, _shape: array }\npagination: { type: link }";

fn project(name: &str, columns: &str, address: &str, path: &str, options: &str) -> Project {
    let project = Project::new("rest");
    let source = format!("connector: rest\nconnection: http://{address}\npath: {path}\nbackoff_ms: 1\n{options}\n");
    project.write(&format!("sources/{name}.yaml"), source).contract(name, columns, &[]);
    project
}

#[track_caller]
fn has_all_orders(project: &Project) {
    let sql =
        "select count(*), count(distinct id), sum(amount), count(note), count(distinct updated_at) from bronze.orders";
    assert_eq!(project.lines(sql), ["1000,1000,499500,857,334"]);
}

#[test]
fn datasettes_pages_are_followed_by_url_and_by_header() {
    let api = server("datasette");
    for options in [NEXT_URL, LINK] {
        let project = project("orders", ORDERS, api.address(), "shop/orders.json", options);
        project.run();
        has_all_orders(&project);
        let run = project.run();
        assert_eq!(node(&run, "orders")["status"], "up_to_date", "{run}");
        assert_eq!(node(&run, "orders")["report"]["rows_repeated"], ROWS, "{run}");
    }
}

#[test]
fn datasette_is_asked_for_what_is_new_only() {
    let api = server("datasette");
    let since = "incremental: { field: updated_at, param: updated_at__gte, lookback: 3 seconds }";
    let options = format!("{since}\n{}", NEXT_URL.replace("_shape: objects", "_shape: objects, _sort: updated_at"));
    let project = project("orders", ORDERS, api.address(), "shop/orders.json", &options);
    project.run();
    has_all_orders(&project);
    let run = project.run();
    let again = &node(&run, "orders")["report"]["rows_repeated"];
    assert!((1..=12).contains(&again.as_u64().unwrap_or_default()), "three seconds and the last one: {run}");
}

/// The page behind a CPF is named by it; no position has it, and no file.
#[test]
fn a_key_that_names_the_next_page_is_kept_nowhere() {
    let api = server("datasette");
    let proxy = Proxy::to(api.address());
    let project = project("people", PEOPLE, &proxy.address, "shop/people.json", &format!("retries_max: 0\n{NEXT_URL}"));
    proxy.cut_after(3_000);
    project.run_with(&["--retries", "0"]).exits(4);
    assert!(proxy.is_cut(), "the run was on its way");
    proxy.mend();
    project.run();
    assert_eq!(project.lines("select count(*), count(distinct cpf) from bronze.people"), ["300,300"]);
    for (path, content) in project.files_below("lake") {
        let raw = (0..300u64).map(|n| format!("{:011}", 52_998_224_725 + n * 1009));
        let found = raw.into_iter().find(|cpf| content.windows(11).any(|window| window == cpf.as_bytes()));
        assert_eq!(found, None, "{} holds a CPF", path.display());
    }
}

#[test]
fn a_network_that_is_cut_is_gone_on_with_at_the_servers_own_link() {
    let api = server("datasette");
    let proxy = Proxy::to(api.address());
    let project = project("orders", ORDERS, &proxy.address, "shop/orders.json", &format!("retries_max: 0\n{LINK}"));
    proxy.cut_after(10_000);
    project.run_with(&["--retries", "0"]).exits(4);
    assert!(proxy.is_cut(), "the run was on its way");
    proxy.mend();
    let kept = project.count("bronze.orders");
    assert!(kept > 0 && kept < ROWS, "{kept} rows were committed before the cut");
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"].as_u64(), Some(ROWS - kept), "{run}");
    has_all_orders(&project);
}
