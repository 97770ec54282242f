use super::*;
use crate::registry::schema::{Reference, SchemaType};
use async_trait::async_trait;
use kernel::error::{Error, Result};
use kernel::ledger::Entry;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

/// A ledger in memory that can be made to break off: after so many writes every one fails.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<(u64, BTreeMap<String, Entry>)>,
    writes_left: Option<AtomicI64>,
}

impl Memory {
    fn dying(after: i64) -> Self {
        Self { writes_left: Some(AtomicI64::new(after)), ..Self::default() }
    }

    fn copy(&self) -> Self {
        Self { entries: Mutex::new(self.entries.lock().expect("whole").clone()), writes_left: None }
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        tokio::task::yield_now().await;
        Ok(self.entries.lock().expect("whole").1.get(key).cloned())
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
        tokio::task::yield_now().await;
        if self.writes_left.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::SeqCst) <= 0) {
            return Err(Error::internal("write", "the process has died"));
        }
        let mut entries = self.entries.lock().expect("whole");
        if entries.1.get(key).map(|entry| entry.version) != expected {
            return Ok(false);
        }
        entries.0 += 1;
        let entry = Entry { value: value.into(), version: entries.0 };
        entries.1.insert(key.into(), entry);
        Ok(true)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
        let entries = self.entries.lock().expect("whole");
        Ok(entries
            .1
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(k, e)| (k.clone(), e.clone()))
            .collect())
    }
}

pub fn registry() -> Registry {
    Registry::new(Arc::new(Memory::default()))
}

fn avro(fields: &str) -> Request {
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    Request { definition: Definition { schema, ..Definition::default() }, ..Request::default() }
}

const A: &str = r#"{"name":"a","type":"string"}"#;
const AB: &str = r#"{"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}"#;
const BROKEN: &str = r#"{"name":"a","type":"string"},{"name":"c","type":"int"}"#;

#[tokio::test]
async fn equal_schemas_have_one_id_and_each_subject_its_versions() {
    let all = registry();
    let one = all.register("one", &avro(A)).await.expect("registered");
    assert_eq!((one.id, one.version), (1, 1));
    let again = all.register("one", &avro(&format!(" {A} "))).await.expect("known");
    assert_eq!((again.id, again.version), (1, 1));
    let second = all.register("one", &avro(AB)).await.expect("compatible");
    assert_eq!((second.id, second.version), (2, 2));
    let other = all.register("two", &avro(AB)).await.expect("registered");
    assert_eq!((other.id, other.version), (2, 1));
    assert_eq!(all.uses(2, Which::Live).await.expect("uses"), [("one".to_owned(), 2), ("two".to_owned(), 1)]);
    assert_eq!(all.versions("one", Which::Live).await.expect("versions"), [1, 2]);
    assert_eq!(all.find("one", &avro(A).definition, false, false).await.expect("found").version, 1);
    assert_eq!(all.find("two", &avro(A).definition, false, false).await.expect_err("not there").code, 40403);
    assert_eq!(all.find("three", &avro(A).definition, false, false).await.expect_err("not there").code, 40401);
    assert_eq!(all.schema(1).await.expect("there").guid, one.guid);
    assert_eq!(all.by_guid(&one.guid).await.expect("there").id, 1);
    assert_eq!(all.schema(3).await.expect_err("not there").code, 40403);
}

#[tokio::test]
async fn an_incompatible_change_is_refused_with_its_version_and_rule() {
    let all = registry();
    all.register("s", &avro(A)).await.expect("registered");
    let refused = all.register("s", &avro(BROKEN)).await.expect_err("refused");
    assert_eq!((refused.code, refused.status()), (409, 409));
    let (version, why) = refused.incompatible.clone().expect("why");
    assert_eq!((version, why[0].rule, why[0].at.as_str()), (1, "READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/1"));
    assert!(
        why[0].why.contains("`c` has no default in the new schema and is missing in the old schema"),
        "{}",
        why[0].why
    );
    let told = all.check("s", &avro(BROKEN).definition, Wanted::Latest, false).await.expect("checked");
    assert!(
        told[0].contains("READER_FIELD_MISSING_DEFAULT_VALUE") && told[1].contains("oldSchemaVersion: 1"),
        "{told:?}"
    );
    assert!(all.check("s", &avro(AB).definition, Wanted::All, false).await.expect("checked").is_empty());
    assert!(all.check("nowhere", &avro(BROKEN).definition, Wanted::Latest, false).await.expect("checked").is_empty());
    assert_eq!(
        all.check("s", &avro(AB).definition, Wanted::Version(7), false).await.expect_err("no version").code,
        40402
    );
    all.set_config(Some("s"), Config { compatibility_level: Some(Level::None), ..Config::default() })
        .await
        .expect("set");
    assert_eq!(all.register("s", &avro(BROKEN)).await.expect("allowed").version, 2);
}

/// Which of three chains each level lets in: one that only adds, one that only removes, and one that is only wrong against
/// the version before the last.
#[tokio::test]
async fn each_level_asks_what_it_says() {
    let (removed, added) = (record(&["a"]), record(&["a", "b"]));
    let with_default = record(&["a", "b?"]);
    for level in Level::ALL {
        let all = registry();
        all.set_config(None, Config { compatibility_level: Some(level), ..Config::default() }).await.expect("set");
        let lets = async |first: &Request, second: &Request| {
            let subject = format!("s{}", first.definition.schema.len() * 1000 + second.definition.schema.len());
            all.register(&subject, first).await.expect("the first");
            all.register(&subject, second).await.is_ok()
        };
        let (is_back, is_forth) = match level {
            Level::None => (true, true),
            Level::Backward | Level::BackwardTransitive => (true, false),
            Level::Forward | Level::ForwardTransitive => (false, true),
            Level::Full | Level::FullTransitive => (false, false),
        };
        assert_eq!(lets(&added, &removed).await, is_back, "{level:?}: a field that goes");
        assert_eq!(lets(&removed, &added).await, is_forth, "{level:?}: a field that comes without a default");
        assert!(lets(&removed, &with_default).await, "{level:?}: a field that comes with a default");
        // b was an int, went, and comes as a text: the last version knows nothing of it.
        let int = Request {
            definition: avro(r#"{"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}"#)
                .definition,
            ..Request::default()
        };
        let text = avro(r#"{"name":"a","type":"string"},{"name":"b","type":["null","string"],"default":null}"#);
        for step in [&int, &removed] {
            all.register("chain", step).await.expect("a step");
        }
        let is_transitive = level.name().ends_with("TRANSITIVE");
        assert_eq!(all.register("chain", &text).await.is_ok(), !is_transitive, "{level:?}: against all before");
    }
}

fn record(fields: &[&str]) -> Request {
    let fields = fields.iter().map(|name| match name.strip_suffix('?') {
        Some(name) => format!(r#"{{"name":"{name}","type":"string","default":""}}"#),
        None => format!(r#"{{"name":"{name}","type":"string"}}"#),
    });
    avro(&fields.collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn what_is_deleted_is_hidden_first_and_then_gone() {
    let all = registry();
    all.register("s", &avro(A)).await.expect("registered");
    all.register("s", &avro(AB)).await.expect("registered");
    assert_eq!(all.delete_version("s", Some(1), true).await.expect_err("not hidden yet").code, 40407);
    assert_eq!(all.delete_version("s", Some(1), false).await.expect("hidden"), 1);
    assert_eq!(all.delete_version("s", Some(1), false).await.expect_err("hidden already").code, 40406);
    assert_eq!(all.versions("s", Which::Live).await.expect("live"), [2]);
    assert_eq!(all.versions("s", Which::All).await.expect("all"), [1, 2]);
    assert_eq!(all.versions("s", Which::Deleted).await.expect("hidden"), [1]);
    assert_eq!(all.schema(1).await.expect("what is hidden reads").id, 1);
    assert_eq!(all.version("s", Some(1), false).await.expect_err("hidden").code, 40402);
    assert_eq!(all.version("s", Some(1), true).await.expect("hidden").id, 1);
    assert_eq!(all.delete_version("s", Some(1), true).await.expect("gone"), 1);
    assert_eq!(all.schema(1).await.expect_err("gone").code, 40403);
    assert_eq!(all.delete_version("s", Some(9), false).await.expect_err("no such").code, 40402);
    assert_eq!(all.delete_subject("s", true).await.expect_err("not hidden yet").code, 40405);
    assert_eq!(all.delete_subject("s", false).await.expect("hidden"), [2]);
    assert_eq!(all.delete_subject("s", false).await.expect_err("hidden already").code, 40404);
    assert_eq!(all.list("", Which::Live).await.expect("live"), Vec::<String>::new());
    assert_eq!(all.list("", Which::Deleted).await.expect("hidden"), ["s"]);
    all.set_config(Some("s"), Config { compatibility_level: Some(Level::Full), ..Config::default() })
        .await
        .expect("set");
    assert_eq!(all.delete_subject("s", true).await.expect("gone"), [2]);
    assert_eq!(all.delete_subject("s", true).await.expect_err("gone").code, 40401);
    assert_eq!(all.config("s", false).await.expect_err("what was set went with it").code, 40408);
    assert_eq!(
        all.register("s", &avro(AB)).await.expect("anew"),
        Registered { version: 1, id: 2, ..all.version("s", None, false).await.expect("it") }
    );
}

#[tokio::test]
async fn a_version_that_was_hidden_and_comes_again_is_a_new_one() {
    let all = registry();
    for one in [A, AB] {
        all.register("s", &avro(one)).await.expect("registered");
    }
    all.delete_version("s", Some(2), false).await.expect("hidden");
    let again = all.register("s", &avro(AB)).await.expect("registered");
    assert_eq!((again.id, again.version), (2, 3));
    assert_eq!(all.versions("s", Which::All).await.expect("all"), [1, 3]);
}

fn referring(subject: &str, version: i32) -> Request {
    let reference = Reference { name: "R".into(), subject: subject.into(), version };
    let schema = r#"{"type":"record","name":"Outer","fields":[{"name":"r","type":"R"}]}"#.to_owned();
    Request {
        definition: Definition { schema, references: vec![reference], ..Definition::default() },
        ..Request::default()
    }
}

#[tokio::test]
async fn nothing_goes_that_somebody_refers_to() {
    let all = registry();
    all.register("inner", &avro(A)).await.expect("registered");
    let outer = all.register("outer", &referring("inner", 1)).await.expect("resolved");
    assert_eq!(all.referring("inner", 1, Which::Live).await.expect("who"), [outer.id]);
    assert_eq!(all.delete_subject("inner", false).await.expect_err("needed").code, 42206);
    assert_eq!(all.delete_version("inner", Some(1), false).await.expect_err("needed").code, 42206);
    all.delete_subject("outer", false).await.expect("hidden");
    all.delete_subject("inner", false).await.expect("hidden: who needs it is hidden too");
    assert_eq!(all.delete_subject("inner", true).await.expect_err("needed by what is hidden").code, 42206);
    all.delete_subject("outer", true).await.expect("gone");
    all.delete_subject("inner", true).await.expect("gone");
    let lost = all.register("outer", &referring("inner", 1)).await.expect_err("nothing to refer to");
    assert!(lost.code == 42201 && lost.message.contains("version 1 of the subject `inner`"), "{lost}");
}

#[tokio::test]
async fn a_mode_says_who_may_write() {
    let all = registry();
    all.register("s", &avro(A)).await.expect("registered");
    all.set_mode(None, Mode::ReadOnly, false).await.expect("set");
    for refused in [
        all.register("s", &avro(AB)).await.map(drop),
        all.delete_subject("s", false).await.map(drop),
        all.set_config(Some("s"), Config::default()).await.map(drop),
    ] {
        assert_eq!(refused.expect_err("read only").code, 42205);
    }
    all.set_mode(Some("s"), Mode::ReadWrite, false).await.expect("set");
    all.register("s", &avro(AB)).await.expect("its own mode counts");
    assert_eq!(all.mode(Some("other"), false).await.expect_err("not set").code, 40409);
    assert_eq!(all.unset_mode(Some("s")).await.expect("unset"), Mode::ReadWrite);
    assert_eq!(all.unset_mode(Some("s")).await.expect_err("not set").code, 40401);
    all.set_mode(None, Mode::ReadWrite, false).await.expect("set");
    assert_eq!(all.set_mode(None, Mode::Import, false).await.expect_err("there are schemas").code, 42205);
    all.set_mode(Some("new"), Mode::Import, false).await.expect("set");
    let brought = Request { id: Some(700), version: Some(3), ..avro(BROKEN) };
    let done = all.register("new", &brought).await.expect("imported");
    assert_eq!((done.id, done.version), (700, 3));
    let clash = Request { id: Some(700), ..avro(r#"{"name":"z","type":"int"}"#) };
    assert_eq!(all.register("new", &clash).await.expect_err("taken").code, 42205);
    assert_eq!(all.register("new", &avro(A)).await.expect_err("without an id").code, 42205);
    assert_eq!(all.register("s", &Request { id: Some(5), ..avro(A) }).await.expect_err("no import").code, 42205);
    let next = all.register("other", &avro(r#"{"name":"z","type":"int"}"#)).await.expect("registered");
    assert_eq!(next.id, 701, "ids go on above those that were brought along");
    // Another process that knew the ids before.
    assert_eq!(all.register("other", &avro(BROKEN)).await.expect_err("incompatible").code, 409);
}

#[tokio::test]
async fn settings_of_a_subject_stand_before_those_of_all() {
    let all = registry();
    assert_eq!(all.global_config().await.expect("all").compatibility_level, Some(Level::Backward));
    assert_eq!(all.config("s", false).await.expect_err("not set").code, 40408);
    all.set_config(None, Config { compatibility_level: Some(Level::Full), ..Config::default() }).await.expect("set");
    assert_eq!(all.config("s", true).await.expect("of all").compatibility_level, Some(Level::Full));
    all.set_config(Some("s"), Config { normalize: Some(true), ..Config::default() }).await.expect("set");
    assert_eq!(all.config("s", true).await.expect("both").compatibility_level, Some(Level::Full));
    assert_eq!(all.config("s", false).await.expect("own").normalize, Some(true));
    let kept = all.register("s", &avro(r#"{"type":"string","name":"a"}"#)).await.expect("registered");
    assert!(kept.definition.schema.starts_with(r#"{"type":"record","name":"R""#), "{}", kept.definition.schema);
    assert_eq!(all.unset_config(Some("s")).await.expect("unset").normalize, Some(true));
    assert_eq!(all.unset_config(Some("s")).await.expect_err("not set").code, 40401);
    assert_eq!(all.unset_config(None).await.expect("unset").compatibility_level, Some(Level::Full));
    assert_eq!(all.global_config().await.expect("all").compatibility_level, Some(Level::Backward));
}

#[tokio::test]
async fn contexts_are_refused_by_name() {
    let all = registry();
    for bad in [":.other:s", ":.other:", "", "a\nb"] {
        let refused = all.register(bad, &avro(A)).await.expect_err(bad);
        assert_eq!(refused.code, 42208, "{bad}");
    }
    assert_eq!(all.register(":.:s", &avro(A)).await.expect("the default one").subject, "s");
    for odd in ["a/b", "é ü", "a:b", "%2F", "__x"] {
        assert_eq!(all.register(odd, &avro(A)).await.expect("any other name").subject, odd);
    }
}

#[tokio::test]
async fn metadata_is_kept_and_found() {
    let all = registry();
    let with = |owner: &str, fields: &str| {
        let mut request = avro(fields);
        request.definition.metadata = Some(serde_json::json!({ "properties": { "owner": owner } }));
        request
    };
    all.register("s", &with("ana", A)).await.expect("registered");
    let next = all.register("s", &avro(AB)).await.expect("registered");
    assert_eq!(next.definition.metadata, with("ana", A).definition.metadata, "what is not said is as before");
    assert_eq!(all.register("s", &with("rui", AB)).await.expect("registered").version, 3);
    let found = all.with_metadata("s", &[("owner".into(), "ana".into())], false).await.expect("found");
    assert_eq!(found.version, 2);
    assert_eq!(all.with_metadata("s", &[("owner".into(), "eva".into())], false).await.expect_err("none").code, 40403);
}

#[tokio::test]
async fn of_many_who_register_at_once_each_gets_what_it_asked_for() {
    let ledger = Arc::new(Memory::default());
    // Each has a registry of its own, as processes have.
    let tasks: Vec<_> = (0..12)
        .map(|who| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let all = Registry::new(ledger);
                let mut ids = Vec::new();
                for round in 0..10 {
                    let own = avro(&format!(r#"{{"name":"own{who}_{round}","type":"int","default":0}}"#));
                    let shared = avro(&format!(r#"{{"name":"shared{round}","type":"int","default":0}}"#));
                    let mine = all.register(&format!("own{who}"), &own).await.expect("its own").id;
                    ids.push((format!("own{who}_{round}"), mine));
                    ids.push((
                        format!("shared{round}"),
                        all.register("shared", &shared).await.expect("a shared one").id,
                    ));
                }
                ids
            })
        })
        .collect();
    let mut by_schema: BTreeMap<String, i32> = BTreeMap::new();
    for task in tasks {
        for (schema, id) in task.await.expect("no panic") {
            assert_eq!(*by_schema.entry(schema).or_insert(id), id, "a schema has one id");
        }
    }
    let mut ids: Vec<i32> = by_schema.values().copied().collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=130).collect::<Vec<i32>>(), "no id twice, and none left out");
    let all = Registry::new(ledger);
    let versions = all.versions("shared", Which::Live).await.expect("versions");
    assert_eq!(versions, (1..=10).collect::<Vec<i32>>(), "no version twice");
}

/// Whoever dies after any number of writes leaves a registry in which the next one gets the same ids.
#[tokio::test]
async fn a_registration_that_broke_off_is_done_by_the_next() {
    for after in 0..8 {
        let ledger = Arc::new(Memory::dying(after));
        let dying = Registry::new(ledger.clone());
        let steps = [("one", A), ("one", AB), ("two", AB)];
        let mut done = Vec::new();
        for (subject, fields) in steps {
            let Ok(registered) = dying.register(subject, &avro(fields)).await else { break };
            done.push(registered);
        }
        let all = Registry::new(Arc::new(ledger.copy()));
        for (at, (subject, fields)) in steps.into_iter().enumerate() {
            let again = all.register(subject, &avro(fields)).await.expect("registered");
            if let Some(before) = done.get(at) {
                assert_eq!(again, *before, "what was answered stays");
            }
        }
        assert_eq!(all.versions("one", Which::Live).await.expect("versions"), [1, 2]);
        assert_eq!(all.version("two", None, false).await.expect("it").id, 2, "ids have no holes");
    }
}

#[tokio::test]
async fn a_schema_of_another_type_is_incompatible_and_one_that_can_not_be_read_is_told() {
    let all = registry();
    all.register("s", &avro(A)).await.expect("registered");
    let json =
        Definition { schema_type: SchemaType::Json, schema: r#"{"type":"object"}"#.into(), ..Definition::default() };
    let refused =
        all.register("s", &Request { definition: json, ..Request::default() }).await.expect_err("another type");
    assert_eq!(refused.incompatible.expect("why").1[0].rule, "SCHEMA_TYPE_CHANGED");
    for bad in ["{", "\"nothing\""] {
        let definition = Definition { schema: bad.into(), ..Definition::default() };
        assert_eq!(all.register("t", &Request { definition, ..Request::default() }).await.expect_err(bad).code, 42201);
    }
    assert_eq!(all.register("t", &Request::default()).await.expect_err("empty").code, 42201);
}

#[tokio::test]
async fn an_entry_that_somebody_else_wrote_is_told_by_its_key() {
    let ledger = Arc::new(Memory::default());
    ledger.swap("registry/subject/s", None, "nonsense").await.expect("written");
    let told = Registry::new(ledger).register("s", &avro(A)).await.expect_err("damaged");
    assert!(told.code == 50001 && told.message.contains("registry/subject/s"), "{told}");
}
