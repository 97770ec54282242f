//! Tests of the keyring over a toy key system, and what the tests of the real ones share.

use super::*;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::Kind;
use kernel::clock::{Clock, ManualClock};
use kernel::keys::KeyStore;
use kernel::mask::MaskFactory;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Objects in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl KeyStore for Memory {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let mut objects = self.0.lock().unwrap();
        let is_new = !objects.contains_key(name);
        objects.entry(name.to_owned()).or_insert(bytes);
        Ok(is_new)
    }
}

/// A key system that turns bits around, and can be sealed.
#[derive(Default)]
struct Toy {
    sealed: Mutex<bool>,
    asked: AtomicUsize,
    turns: u8,
}

#[async_trait]
impl Wrapper for Arc<Toy> {
    async fn wrap(&self, root: &Root) -> Result<String> {
        Ok(STANDARD.encode(root.map(|byte| byte ^ 0x55 ^ self.turns)))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Root> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *self.sealed.lock().unwrap() {
            return Err(Error::new(Kind::Unreachable, "ask the toy", "sealed"));
        }
        let bytes: [u8; 32] = STANDARD.decode(wrapped).unwrap().try_into().unwrap();
        Ok(Zeroizing::new(bytes.map(|byte| byte ^ 0x55 ^ self.turns)))
    }

    fn describe(&self) -> String {
        "the toy".into()
    }
}

struct Bench {
    toy: Arc<Toy>,
    store: Memory,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { toy: Arc::default(), store: Memory::default(), clock: Arc::new(ManualClock::at(0)) }
    }

    async fn open(&self) -> Keyring {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Keyring::open(Box::new(self.toy.clone()), &self.store, HOLD, clock).await.unwrap()
    }

    fn seal(&self, sealed: bool) {
        *self.toy.sealed.lock().unwrap() = sealed;
    }

    fn asked(&self) -> usize {
        self.toy.asked.load(Ordering::SeqCst)
    }
}

fn same(a: &Key, b: &Key) -> bool {
    a.version() == b.version() && a.expose() == b.expose()
}

#[tokio::test]
async fn a_store_in_memory_obeys_the_law() {
    kernel::laws::keys::store_obeys(&Memory::default()).await;
}

#[tokio::test]
async fn a_keyring_obeys_the_laws_and_is_kept() {
    let bench = Bench::new();
    let mut ring = bench.open().await;
    assert_eq!(ring.key("person", None).map_err(|e| e.kind).err(), Some(Kind::Refused), "a ring without a key");
    assert!(ring.make(&bench.store, 1).await.unwrap());
    kernel::laws::keys::obeys(&ring);
    let first = ring.key("person", None).unwrap();
    assert!(ring.make(&bench.store, 2).await.unwrap());
    kernel::laws::keys::obeys(&ring);
    let again = bench.open().await;
    assert!(same(&first, &again.key("person", Some(1)).unwrap()));
    assert_eq!(again.key("person", None).unwrap().version(), 2);
    let pinned = Pinned::new(Arc::new(again), 1);
    kernel::laws::keys::obeys(&pinned);
    assert!(same(&first, &pinned.key("person", None).unwrap()) && pinned.expires());
    let text = String::from_utf8(bench.store.get("1.json").await.unwrap().unwrap()).unwrap();
    assert!(text.contains("1970-01-01T00:00:00Z") && text.contains("the toy"), "{text}");
}

#[tokio::test]
async fn two_processes_that_make_a_version_agree() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.open().await, bench.open().await);
    assert!(one.make(&bench.store, 1).await.unwrap() && !two.make(&bench.store, 1).await.unwrap());
    assert!(same(&one.key("person", None).unwrap(), &two.key("person", None).unwrap()));
}

#[tokio::test]
async fn a_secret_is_held_for_its_time_and_asked_for_again() {
    let bench = Bench::new();
    let mut ring = bench.open().await;
    ring.make(&bench.store, 1).await.unwrap();
    let before = bench.asked();
    for _ in 0..3 {
        ring.key("person", None).unwrap();
    }
    assert_eq!(bench.asked(), before + 1, "one question serves for its time");
    bench.seal(true);
    bench.clock.advance(299_000_000);
    ring.key("person", None).unwrap();
    bench.clock.advance(1_000_000);
    let error = ring.key("person", None).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(ring.probe().await.is_err());
    bench.seal(false);
    assert!(ring.key("person", None).is_ok() && ring.probe().await.is_ok(), "it heals");
}

#[tokio::test]
async fn a_secret_that_nobody_asks_for_is_wiped() {
    let bench = Bench::new();
    bench.open().await.make(&bench.store, 1).await.unwrap();
    let hold = Duration::from_millis(50);
    let ring = Keyring::open(Box::new(bench.toy.clone()), &bench.store, hold, bench.clock.clone()).await.unwrap();
    ring.key("person", None).unwrap();
    assert_eq!(ring.held(), 1);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if ring.held() == 0 {
            return;
        }
    }
    panic!("two seconds later it is held still");
}

/// The mask of a gate that goes on for hours: a key that was revoked stops the next batch behind its time, and nothing is
/// masked by another key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mask_keeps_no_key_beyond_its_time() {
    let bench = Bench::new();
    let mut ring = bench.open().await;
    ring.make(&bench.store, 1).await.unwrap();
    let masks = crate::mask::Masks::new(Arc::new(ring));
    let build = |text: &str| masks.build(&kernel::contract::MaskSpec::parse(text).unwrap(), None).unwrap();
    let sample = kernel::laws::mask::text_sample();
    for text in ["pseudonym(person)", "encrypt(person)", "fpe(person)"] {
        kernel::laws::mask::obeys(&|| build(text), std::slice::from_ref(&sample));
        let mask = build(text);
        let masked = mask.apply(&sample).unwrap();
        bench.seal(true);
        mask.apply(&sample).unwrap();
        bench.clock.advance(300_000_000);
        assert_eq!(mask.apply(&sample).map_err(|e| e.kind).err(), Some(Kind::Unreachable), "{text}");
        bench.seal(false);
        let healed = mask.apply(&sample).unwrap();
        assert!(mask.promise().joinable <= (healed == masked), "{text}");
    }
    bench.seal(true);
    bench.clock.advance(300_000_000);
    build("redact").apply(&sample).unwrap();
}

#[tokio::test]
async fn a_system_that_opens_to_something_else_is_refused() {
    let bench = Bench::new();
    bench.open().await.make(&bench.store, 1).await.unwrap();
    let other = Arc::new(Toy { turns: 1, ..Toy::default() });
    let ring = Keyring::open(Box::new(other), &bench.store, HOLD, bench.clock.clone()).await.unwrap();
    assert_eq!(ring.key("person", None).map_err(|e| e.kind).err(), Some(Kind::Refused));
    for (name, body) in [("3.json", "{}"), ("4.json", r#"{"format":"x"}"#)] {
        let bench = Bench::new();
        bench.store.put_new(name, body.into()).await.unwrap();
        let opened = Keyring::open(Box::new(bench.toy.clone()), &bench.store, HOLD, bench.clock.clone()).await;
        assert_eq!(opened.map_err(|e| e.kind).err(), Some(Kind::Data));
    }
}

#[tokio::test]
async fn what_the_tables_carry_is_told_at_every_step_of_a_rotation() {
    let (store, now) = (Memory::default(), kernel::clock::Timestamp(0));
    let read = async || Carried::read(&store).await.unwrap();
    assert_eq!(read().await, Carried { version: None, begun: None });
    assert_eq!(read().await.version(), 1);
    begin(&store, 2, now).await.unwrap();
    assert_eq!(read().await, Carried { version: None, begun: Some(2) });
    let error = read().await.whole().unwrap_err();
    assert!(error.kind == Kind::Conflict && error.detail.contains("lavra keys rotate"), "{error}");
    begin(&store, 2, now).await.unwrap();
    finish(&store, 2, now).await.unwrap();
    finish(&store, 2, now).await.unwrap();
    assert_eq!(read().await.whole().unwrap(), Carried { version: Some(2), begun: None });
    begin(&store, 10, now).await.unwrap();
    finish(&store, 10, now).await.unwrap();
    assert_eq!(read().await.version(), 10, "ten comes after two");
}

#[test]
fn fixed_keys_obey_the_laws() {
    kernel::laws::keys::obeys(&FixedKeys::new(&[7]));
    kernel::laws::keys::obeys(&FixedKeys::new(&[7, 8, 9]));
    assert!(FixedKeys::new(&[]).key("person", None).is_err());
}

#[test]
fn a_scope_is_well_formed_or_refused() {
    assert!(check_scope("person").is_ok() && check_scope("br.person-2_x").is_ok());
    for bad in ["Person", "a b", "pessoa física", "a/b", &"x".repeat(65)] {
        assert!(check_scope(bad).is_err(), "{bad}");
    }
    assert_eq!(check_scope("").map_err(|e| e.kind), Err(kernel::Kind::Refused));
}
