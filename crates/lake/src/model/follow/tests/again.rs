//! Rows that are there once more: no new versions, whenever and however they come.

use super::*;

/// Lets the log come in commits of so many changes, each applied, and gives the versions.
async fn in_pieces(log: &[Event], size: usize) -> (Lake, Vec<String>) {
    let (mut lake, mut upto) = (Lake::new("scd2", 32 << 20).await, 0);
    for events in log.chunks(size) {
        upto = upto.max(events.iter().map(|event| event.offset).max().unwrap_or_default());
        lake.arrive(events, &BTreeMap::from([("p0".into(), upto)]), false).await;
        lake.run().await;
    }
    let versions = lake.versions().await;
    (lake, versions)
}

fn changed(op: Op, offset: i64, a: &str) -> Event {
    event(1, op, offset, a, "b", vec![])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_there_once_more_is_no_new_version() {
    let unsent = |offset, a: &str, b: &str, name| event(1, Op::Update, offset, a, b, vec![name]);
    let log = [
        changed(Op::Create, 1, "one"),
        changed(Op::Update, 2, "one"),
        // What was not sent is what it was; what was sent may be that too.
        unsent(3, "one", "", "b"),
        unsent(4, "two", "", "b"),
        unsent(5, "", "b", "a"),
        changed(Op::Update, 6, "two"),
        // No value is another one than any text, and the same as no value.
        changed(Op::Update, 7, ""),
        changed(Op::Update, 8, ""),
        // A delete or an emptied table is between them.
        changed(Op::Delete, 9, ""),
        changed(Op::Create, 10, ""),
        changed(Op::Update, 11, ""),
        changed(Op::Truncate, 12, ""),
        changed(Op::Read, 13, ""),
        changed(Op::Update, 14, "one"),
        changed(Op::Update, 15, ""),
        changed(Op::Update, 16, ""),
    ];
    let expected = [
        "1|-|b|10|100|120|false",
        "1|-|b|13|130|140|false",
        "1|-|b|15|150|-|true",
        "1|-|b|7|70|90|false",
        "1|one|b|14|140|150|false",
        "1|one|b|1|10|40|false",
        "1|two|b|4|40|70|false",
    ];
    for size in [1, 2, 3, 5, 16] {
        let (mut lake, versions) = in_pieces(&log, size).await;
        assert_eq!(versions, expected, "{size} at once");
        lake.full_refresh = true;
        lake.run().await;
        assert_eq!(lake.versions().await, expected, "{size} at once, made anew");
    }
    assert_eq!(versions_of(&log), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_change_parts_two_versions_that_were_one() {
    let both = [changed(Op::Create, 1, "one"), changed(Op::Update, 3, "one")];
    for (late, expected) in [
        (changed(Op::Update, 2, "two"), vec!["1|one|b|1|10|20|false", "1|one|b|3|30|-|true", "1|two|b|2|20|30|false"]),
        (changed(Op::Delete, 2, ""), vec!["1|one|b|1|10|20|false", "1|one|b|3|30|-|true"]),
        (changed(Op::Update, 2, "one"), vec!["1|one|b|1|10|-|true"]),
        // An older one takes the place of the first; an unequal first one parts nothing.
        (changed(Op::Create, 0, "one"), vec!["1|one|b|0|0|-|true"]),
        (changed(Op::Create, 0, "two"), vec!["1|one|b|1|10|-|true", "1|two|b|0|0|10|false"]),
    ] {
        for size in [1, 2] {
            let (mut lake, versions) = in_pieces(&both, size).await;
            assert_eq!(versions, ["1|one|b|1|10|-|true"], "{size} at once");
            lake.arrive(std::slice::from_ref(&late), &BTreeMap::new(), true).await;
            lake.run().await;
            assert_eq!(lake.versions().await, expected, "{late:?}");
            lake.full_refresh = true;
            lake.run().await;
            assert_eq!(lake.versions().await, expected, "{late:?}, made anew");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_once_more_writes_no_file() {
    let rows = |from: i64, a: &str| -> Vec<Event> {
        (0..50).map(|key| event(key, Op::Update, from + key, a, "b", vec![])).collect()
    };
    let mut lake = Lake::new("scd2", 32 << 20).await;
    lake.arrive(&rows(1, "a"), &BTreeMap::from([("p0".into(), 50)]), false).await;
    assert_eq!(lake.run().await.rows_written, 50);
    let before = lake.versions().await;
    lake.arrive(&rows(51, "a"), &BTreeMap::from([("p0".into(), 100)]), false).await;
    let report = lake.run().await;
    assert_eq!((report.rows_written, report.bytes_written, report.files_removed), (0, 0, 0), "{report:?}");
    assert_eq!(lake.versions().await, before);
    assert!(lake.run().await.is_up_to_date);
    let mut third = rows(101, "a");
    third[7].a = Some("c".into());
    lake.arrive(&third, &BTreeMap::from([("p0".into(), 150)]), false).await;
    lake.run().await;
    let counts = lake.lines("select a, is_current, count(*) from silver.t group by a, is_current").await;
    assert_eq!(counts, ["a|false|1", "a|true|49", "c|true|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_those_of_the_changes_that_made_versions() {
    let at = |at: i64, change: Event| Event { at: Some(at), ..change };
    let log = [
        // It came at 1010.
        Event { at: None, ..changed(Op::Create, 1, "one") },
        at(1_004, changed(Op::Update, 2, "one")),
        at(1_030, changed(Op::Update, 3, "one")),
        // The source's clock is behind that of a row that was no new version.
        at(1_020, changed(Op::Update, 4, "two")),
        at(1_040, changed(Op::Update, 5, "two")),
        at(1_015, changed(Op::Update, 6, "three")),
    ];
    let expected = ["1|one|b|1|1010|1020|false", "1|three|b|6|1020|-|true", "1|two|b|4|1020|1020|false"];
    assert_eq!(versions_of(&log), expected);
    for size in [1, 2, 3, 4, 6] {
        assert_eq!(in_pieces(&log, size).await.1, expected, "{size} at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_nothing_but_its_key_has_one_version_until_a_delete() {
    let mut lake = Lake::new("scd2", 32 << 20).await;
    lake.model = model(&lake.engine, "scd2", "id").await;
    let log = [
        changed(Op::Create, 1, "one"),
        changed(Op::Update, 2, "two"),
        changed(Op::Delete, 3, ""),
        changed(Op::Create, 4, "one"),
        changed(Op::Update, 5, "two"),
    ];
    for (place, change) in log.iter().enumerate() {
        lake.arrive(std::slice::from_ref(change), &BTreeMap::from([("p0".into(), change.offset)]), false).await;
        lake.run().await;
        let versions = if place < 3 { vec!["1|1"] } else { vec!["1|1", "1|4"] };
        assert_eq!(lake.lines("select id, _position['offset'] from silver.t").await, versions, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_current_rows_names_the_newest_change() {
    let mut lake = Lake::new("merge", 32 << 20).await;
    for offset in 1..4 {
        lake.arrive(&[changed(Op::Update, offset, "one")], &BTreeMap::from([("p0".into(), offset)]), false).await;
        lake.run().await;
    }
    assert_eq!(lake.rows().await, ["1|one|b|3"]);
}
