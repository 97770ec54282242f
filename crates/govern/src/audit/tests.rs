use super::*;
use kernel::clock::ManualClock;
use kernel::ledger::Entry;
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Ledger for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.0.lock().unwrap().get(key).map(|value| Entry { value: value.clone(), version: 1 }))
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
        assert_eq!(expected, None, "a record is never replaced");
        let mut all = self.0.lock().unwrap();
        let is_new = !all.contains_key(key);
        all.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        Ok(is_new)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
        let all = self.0.lock().unwrap();
        let found = all.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), Entry { value: value.clone(), version: 1 })).collect())
    }
}

fn chain(ledger: &Arc<Memory>, key: u64) -> AuditChain {
    // Enough of a seal for a test.
    let seal = move |text: &[u8]| {
        Ok(format!("{:x}", text.iter().fold(key, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))))
    };
    AuditChain::new(ledger.clone(), Arc::new(ManualClock::at(1_700_000_000_000_000)), Arc::new(seal))
}

async fn filled() -> (Arc<Memory>, AuditChain) {
    let ledger = Arc::new(Memory::default());
    let chain = chain(&ledger, 7);
    let session = Session { user: "ana".into(), purpose: "chargeback 4711".into(), grants: Vec::new() };
    for rows in 0..4 {
        let number = chain.begin(&session, "select ?", &["open(amounts)".into()]).await.unwrap();
        chain.end(number, rows, true).await.unwrap();
    }
    (ledger, chain)
}

#[tokio::test]
async fn records_follow_each_other() {
    let (ledger, chain) = filled().await;
    let all = records(&*ledger).await.unwrap();
    assert_eq!(all.iter().map(|record| record.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(all[3].event, Event::Ended { of: 3, rows: 1, whole: true });
    assert_eq!(chain.verify().await.unwrap(), (8, Some(all[7].seal.clone()), Vec::new()));
}

#[tokio::test]
async fn whatever_is_done_to_a_record_shows() {
    let numbers = |broken: Vec<Broken>| broken.iter().map(|broken| broken.number).collect::<Vec<_>>();
    let (ledger, whole) = filled().await;
    let (_, _, broken) = chain(&ledger, 8).verify().await.unwrap();
    assert_eq!(broken.len(), 8, "another key");

    let change = |from: &str, to: &str| {
        let mut all = ledger.0.lock().unwrap();
        let record = all.get_mut(&key(3)).unwrap();
        assert!(record.contains(from), "{record}");
        *record = record.replace(from, to);
    };
    change("4711", "4712");
    assert_eq!(numbers(whole.verify().await.unwrap().2), [3]);
    change("4712", "4711");
    assert_eq!(whole.verify().await.unwrap().2, []);
    change("\"number\"", "\"numbre\"");
    assert_eq!(numbers(whole.verify().await.unwrap().2), [3, 4]);
    change("\"numbre\"", "\"number\"");

    ledger.0.lock().unwrap().remove(&key(5));
    assert_eq!(numbers(whole.verify().await.unwrap().2), [6]);
}

#[tokio::test]
async fn two_who_write_at_once_both_stand_in_it() {
    let (ledger, one) = filled().await;
    let other = chain(&ledger, 7);
    let session = Session::owner("both");
    let (a, b) = tokio::join!(one.begin(&session, "a", &[]), other.begin(&session, "b", &[]));
    assert_ne!(a.unwrap(), b.unwrap());
    assert_eq!(one.verify().await.unwrap().2, []);
}
