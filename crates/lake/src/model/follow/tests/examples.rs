//! A few changes each, and what they come to.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_touched_key_stays_as_it_is() {
    let mut lake = Lake::new("merge", 32 << 20).await;
    for part in 0..4 {
        let rows: Vec<Event> =
            (0..50).map(|n| event(part * 100 + n, Op::Create, part * 50 + n + 1, "a", "b", vec![])).collect();
        lake.arrive(&rows, &BTreeMap::from([("p0".into(), part * 50 + 50)]), false).await;
        lake.run().await;
    }
    let changes = [event(103, Op::Update, 201, "new", "", vec!["b"]), event(999, Op::Delete, 202, "", "", vec![])];
    lake.arrive(&changes, &BTreeMap::from([("p0".into(), 202)]), false).await;
    let report = lake.run().await;
    assert_eq!((report.files_removed, report.rows_written), (1, 1), "{report:?}");
    assert_eq!(lake.lines("select a, b, count(*) from silver.t group by a, b").await, ["a|b|199", "new|b|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_more_has_what_the_log_had_of_it() {
    let mut lake = Lake::new("merge", 32 << 20).await;
    lake.model = model(&lake.engine, "merge", "id, a").await;
    lake.arrive(&[event(1, Op::Create, 1, "a", "b", vec![])], &BTreeMap::from([("p0".into(), 1)]), false).await;
    lake.run().await;
    lake.model = model(&lake.engine, "merge", "id, a, b").await;
    assert!(!lake.run().await.is_up_to_date);
    assert_eq!(lake.rows().await, ["1|a|b|1"]);
    assert!(lake.run().await.is_up_to_date);
}

/// A table is read, changes, and is read anew; a kill cuts that read in two.
fn read_anew() -> Vec<Event> {
    let changed = |key, op, offset, a: &str| event(key, op, offset, a, "b", vec![]);
    let read = |key, offset, a: &str| Event { at: None, ..changed(key, Op::Read, offset, a) };
    let emptied = Event { at: None, ..event(0, Op::Truncate, 6, "", "", vec![]) };
    vec![
        read(1, 1, "one"),
        read(2, 2, "two"),
        read(3, 3, "three"),
        changed(2, Op::Update, 4, "two more"),
        changed(3, Op::Delete, 5, ""),
        emptied,
        read(1, 7, "one"),
        read(2, 8, "two anew"),
        read(4, 9, "four"),
        Event { at: Some(2_000), ..changed(4, Op::Update, 10, "four more") },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_read_anew_has_the_rows_of_that_read() {
    let log = read_anew();
    // The read anew in the first commit, in one of its own, cut in two, and cut behind the truncate.
    for cuts in [vec![10], vec![5, 10], vec![5, 8, 10], vec![6, 10], vec![3, 6, 9, 10]] {
        for write in ["merge", "scd2"] {
            let (mut lake, mut from) = (Lake::new(write, 32 << 20).await, 0);
            for upto in &cuts {
                lake.arrive(&log[from..*upto], &BTreeMap::from([("p0".into(), *upto as i64)]), false).await;
                lake.run().await;
                from = *upto;
            }
            for full_refresh in [false, true] {
                lake.full_refresh = full_refresh;
                lake.run().await;
                if write == "merge" {
                    assert_eq!(lake.rows().await, ["1|one|b|7", "2|two anew|b|8", "4|four more|b|10"], "{cuts:?}");
                    continue;
                }
                let current = "select id, a from silver.t where is_current";
                assert_eq!(lake.lines(current).await, ["1|one", "2|two anew", "4|four more"], "{cuts:?}");
                assert_eq!(lake.versions().await, versions_of(&log), "{cuts:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_one_tick_are_all_there_and_none_overlaps() {
    let at = |at: i64, change: Event| Event { at: Some(at), ..change };
    let changed = |op, offset, a: &str| event(1, op, offset, a, "b", vec![]);
    let log = [
        // It came at 1010: a change that the source says was before tells that the row was there before.
        Event { at: None, ..changed(Op::Read, 1, "read") },
        at(1_005, changed(Op::Update, 2, "first")),
        at(1_020, changed(Op::Update, 3, "second")),
        at(1_020, changed(Op::Update, 4, "third")),
        at(1_020, changed(Op::Delete, 5, "")),
        at(1_020, changed(Op::Create, 6, "again")),
        // The source's clock went back.
        at(1_003, changed(Op::Update, 7, "back")),
        at(1_030, changed(Op::Update, 8, "last")),
    ];
    let expected = [
        "1|again|b|6|1020|1020|false",
        "1|back|b|7|1020|1030|false",
        "1|first|b|2|1005|1020|false",
        "1|last|b|8|1030|-|true",
        "1|read|b|1|1005|1005|false",
        "1|second|b|3|1020|1020|false",
        "1|third|b|4|1020|1020|false",
    ];
    for size in [1, 3, 8] {
        let (mut lake, mut upto) = (Lake::new("scd2", 32 << 20).await, 0);
        for events in log.chunks(size) {
            upto += events.len() as i64;
            lake.arrive(events, &BTreeMap::from([("p0".into(), upto)]), false).await;
            lake.run().await;
        }
        assert_eq!(lake.versions().await, expected, "{size} at once");
    }
}
