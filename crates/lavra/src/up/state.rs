//! How a process is doing, as a document: served, and put into the project's folder for `lavra status`.

use super::models::Models;
use kernel::clock::Clock;
use kernel::error::{Error, Result, advice, io};
use orchestrate::lock::{AT_WORK, at_work, is_here};
use orchestrate::up::{Board, Failure, SourceView};
use orchestrate::{BreakerView, Breakers, Holder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the document is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    Running,
    /// It was told to end: nothing more is pulled.
    Draining,
    /// It made way for a command that needs the project alone, and goes on after it.
    Paused,
    Stopped,
    /// It ended without a word.
    Dead,
}

/// A model, as its process made it last. Times are microseconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelView {
    pub model: String,
    /// Of the last time: `done`, `up_to_date`, `failed`, `skipped`, `cancelled`.
    pub status: String,
    pub version: Option<u64>,
    pub made_at: Option<i64>,
    pub looked_at: i64,
    pub elapsed_ms: u64,
    pub last_failure: Option<Failure>,
}

/// The document of one process; the keys of `/status` and of `lavra status --format json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessView {
    pub project: String,
    pub environment: String,
    #[serde(flatten)]
    pub holder: Holder,
    pub state: ProcessState,
    pub updated_at: i64,
    /// Where it is served.
    pub address: Option<SocketAddr>,
    pub sources: Vec<SourceView>,
    /// By outside system.
    pub breakers: BTreeMap<String, BreakerView>,
    pub models: Vec<ModelView>,
}

/// Where everything lies that the document is made of.
pub struct Desk {
    pub holder: Holder,
    pub project: String,
    pub environment: String,
    pub address: Option<SocketAddr>,
    pub clock: Arc<dyn Clock>,
    pub board: Arc<Board>,
    pub breakers: Arc<Breakers>,
    pub models: Option<Arc<Models>>,
    pub cancel: CancellationToken,
    /// The project's state folder.
    pub folder: PathBuf,
}

impl Desk {
    pub fn view(&self) -> ProcessView {
        ProcessView {
            project: self.project.clone(),
            environment: self.environment.clone(),
            holder: self.holder.clone(),
            state: if self.cancel.is_cancelled() { ProcessState::Draining } else { ProcessState::Running },
            updated_at: self.clock.now().0,
            address: self.address,
            sources: self.board.views(),
            breakers: self.breakers.views(),
            models: self.models.as_ref().map(|models| models.views()).unwrap_or_default(),
        }
    }

    pub async fn write_on_and_on(self: Arc<Self>) {
        let mut told = false;
        loop {
            // A full disk must not end the process; that it can't be seen is told once.
            if let Err(error) = put(&self.folder, &self.view())
                && !std::mem::replace(&mut told, true)
            {
                tracing::warn!("{error}; `lavra status` will show what is old");
            }
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }
}

/// Puts the document into the project's folder. Whoever reads it sees the whole of it or the one before.
pub fn put(state: &Path, view: &ProcessView) -> Result<()> {
    let text = serde_json::to_vec(view).map_err(|e| Error::internal("write the status", e))?;
    let path = document(state, &view.holder);
    let young = path.with_extension("json.young");
    let put = || std::fs::write(&young, text).and_then(|()| std::fs::rename(&young, &path));
    put().map_err(|e| io(format!("write {}", path.display()), e))
}

/// An error, as it is shown.
pub fn failure(error: &Error, at: i64) -> Failure {
    let advice = advice(error.kind);
    Failure { at, error: error.to_string(), kind: advice.page.to_owned(), remedy: advice.sentence.to_owned() }
}

fn document(state: &Path, holder: &Holder) -> PathBuf {
    state.join(AT_WORK).join(format!("{}.json", holder.id))
}

/// Whether it has ended, with a word or without.
pub fn is_over(view: &ProcessView) -> bool {
    matches!(view.state, ProcessState::Stopped | ProcessState::Dead)
}

/// Takes away what processes told that have ended, but for those with a source that is still somebody's to take in.
pub fn clear(state: &Path, is_owed: impl Fn(&str) -> bool) {
    for view in processes(state).iter().filter(|view| is_over(view)) {
        let is_missing = view.state == ProcessState::Dead && view.sources.iter().any(|source| is_owed(&source.source));
        if !is_missing {
            let _ = std::fs::remove_file(document(state, &view.holder));
        }
    }
}

/// The processes of a project, living ones and those that ended.
pub fn processes(state: &Path) -> Vec<ProcessView> {
    let living = at_work(state);
    let entries = std::fs::read_dir(state.join(AT_WORK)).into_iter().flatten().flatten();
    let documents = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let read = |path: PathBuf| {
        // Looked for before the document is read: a process shows itself before it tells anything, and until it told its end.
        let is_there = path.file_stem().and_then(|id| id.to_str()).is_some_and(|id| is_here(state, id));
        let mut view = serde_json::from_slice::<ProcessView>(&std::fs::read(path).ok()?).ok()?;
        // One of a version before shows itself while it is at work only.
        if view.state != ProcessState::Stopped && !is_there && !living.contains(&view.holder) {
            view.state = ProcessState::Dead;
        }
        Some(view)
    };
    let mut all: Vec<ProcessView> = documents.filter_map(read).collect();
    all.sort_by(|a, b| (&a.holder.since, &a.holder.id).cmp(&(&b.holder.since, &b.holder.id)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;
    use orchestrate::RunLock;
    use orchestrate::lock::Presence;

    #[test]
    fn who_made_way_and_is_gone_is_over() {
        let holder = Holder::of_this_process("lavra up", &ManualClock::at(1_700_000_000_000_000));
        let folder = std::env::temp_dir().join(format!("lavra-state-{}", holder.id));
        let view = |state| ProcessView {
            project: "shop".into(),
            environment: "local".into(),
            holder: holder.clone(),
            state,
            updated_at: 0,
            address: None,
            sources: Vec::new(),
            breakers: BTreeMap::new(),
            models: Vec::new(),
        };
        let states = || processes(&folder).into_iter().map(|view| view.state).collect::<Vec<_>>();
        let lock = RunLock::share(&folder, &holder).expect("shared");
        let presence = Presence::show(&folder, &holder).expect("shown");
        put(&folder, &view(ProcessState::Paused)).expect("written");
        drop(lock);
        assert_eq!(states(), [ProcessState::Paused], "it lives");
        clear(&folder, |_| false);
        assert_eq!(states(), [ProcessState::Paused], "and its document stays");
        drop(presence);
        assert_eq!(states(), [ProcessState::Dead]);
        clear(&folder, |_| false);
        assert!(states().is_empty());
        std::fs::remove_dir_all(&folder).expect("it can go");
    }
}
