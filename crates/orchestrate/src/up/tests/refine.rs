//! When models are made for commits of this process, of others, and behind a failure.

use super::*;

/// Models that are asked for at these times.
struct Models {
    begun: Instant,
    asked: Mutex<Vec<(Duration, Vec<String>)>>,
    answer: fn() -> Result<bool>,
}

#[async_trait]
impl Refine for Models {
    async fn refine(&self, sources: &BTreeSet<String>, _: &CancellationToken) -> Result<bool> {
        self.asked.lock().expect("asked").push((self.begun.elapsed(), sources.iter().cloned().collect()));
        (self.answer)()
    }
}

/// Runs a process beside a source of others for an hour, in which its own commits once.
async fn refined(answer: fn() -> Result<bool>) -> Vec<(Duration, Vec<String>)> {
    let mut process = process(&Stage::new(1, &[]), &Arc::default(), 1, "continuous");
    let models = Arc::new(Models { begun: Instant::now(), asked: Mutex::default(), answer });
    let up = Arc::get_mut(&mut process.up).expect("nobody else has it");
    up.refine = Some(models.clone());
    up.options.others = vec!["theirs".into()];
    let committing = process.up.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1_795)).await;
        committing.changed(["ours".to_owned()]);
    });
    process.work(Duration::from_secs(3_600)).await;
    std::mem::take(&mut models.asked.lock().expect("asked"))
}

#[tokio::test(start_paused = true)]
async fn sources_of_others_are_looked_at_in_quiet_and_delay_no_commit_of_ours() {
    let asked = refined(|| Ok(false)).await;
    assert!((119..=121).contains(&(asked.len() - 1)), "each half minute: {}", asked.len());
    let of_ours = asked.iter().find(|(_, sources)| sources.contains(&"ours".to_owned())).expect("it was told");
    assert!(of_ours.0 < Duration::from_secs(1_796), "{of_ours:?}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_is_not_made_again_by_looks_at_sources_of_others() {
    let asked = refined(|| Err(Error::data("make a model", "its query fails"))).await;
    assert!(asked.len() < 20, "{} times in an hour", asked.len());
    let since = |at: usize| asked[at].0 - asked[at - 1].0;
    assert!((2..asked.len()).filter(|at| since(*at) < Duration::from_secs(60)).count() <= 1, "{asked:?}");
}
