//! What is still to be taken of a listed file: this and the positions are what "exactly once" rests on.

use super::list::{Found, unquoted};
use super::mark;
use super::options::{OnReplaced, Options};
use super::trouble::Troubles;
use crate::spec::Progress;
use kernel::clock::Timestamp;
use kernel::{Error, Point, Positions, Result};

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take what is behind this line or row; when the etag is another one, only if the content up to there has this mark.
    Take { behind: u64, mark: Option<u64> },
    /// Nothing is left of it.
    Taken,
    /// Written to a moment ago.
    Settling,
    /// Taken before under another etag, and what was taken can't be compared.
    Replaced,
}

impl Step {
    pub fn of(found: &Found, taken: &Positions, options: &Options, now: Timestamp) -> Result<Self> {
        let (behind, mark) = match taken.get(&found.partition) {
            None => (0, None),
            Some(Point::File { etag, row, done }) => match mark::take_apart(etag) {
                (etag, _) if unquoted(etag) == found.etag && *done => return Ok(Step::Taken),
                (etag, _) if unquoted(etag) == found.etag => (*row, None),
                // It had nothing to take.
                _ if *row == 0 => (0, None),
                (_, Some(mark)) => (*row, Some(mark)),
                (_, None) => return Ok(Step::Replaced),
            },
            Some(Point::Offset(_) | Point::Mark { .. }) => {
                return Err(Error::internal(&found.partition, "the committed position is not a file's"));
            }
        };
        let settled = found.modified.saturating_add(i64::from(options.settle_seconds) * 1_000_000);
        let young = options.settle_seconds > 0 && settled > now.0;
        Ok(if young { Step::Settling } else { Step::Take { behind, mark } })
    }

    /// What a plan shows of it, if anything.
    pub fn progress(self) -> Option<Progress> {
        match self {
            Step::Take { behind: 0, .. } => Some(Progress::New),
            Step::Take { behind, .. } => Some(Progress::Partly(behind)),
            Step::Settling => Some(Progress::Settling),
            Step::Replaced => Some(Progress::Replaced),
            Step::Taken => None,
        }
    }
}

/// A file to read.
#[derive(Clone)]
pub struct Todo {
    pub found: Found,
    /// The line or row behind which to go on.
    pub behind: u64,
    /// What the content up to there must have, for the file changed since.
    pub mark: Option<u64>,
}

impl Todo {
    pub fn whole(found: Found) -> Self {
        Self { found, behind: 0, mark: None }
    }
}

/// The files to read now, in order. Those that nobody said what to do with are trouble, and the others are read.
pub fn to_read(
    files: impl IntoIterator<Item = Found>,
    taken: &Positions,
    options: &Options,
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<Vec<Todo>> {
    let mut todo = Vec::new();
    for found in files {
        match Step::of(&found, taken, options, now)? {
            Step::Take { behind, mark } => todo.push(Todo { found, behind, mark }),
            Step::Taken => {}
            Step::Settling => tracing::info!(file = found.partition, "written to a moment ago; left for a later run"),
            Step::Replaced => match options.on_replaced {
                OnReplaced::Error => troubles.add_unknown(found.partition),
                OnReplaced::NewVersion => todo.push(Todo::whole(found)),
                OnReplaced::Ignore => note_ignored(&found.partition),
            },
        }
    }
    Ok(todo)
}

/// A last line without an end may go on for so long after a file was written to.
const TAIL_SECONDS: i64 = 2;
/// A time further ahead than clocks differ is somebody's invention, and tells nothing.
const SKEW_SECONDS: i64 = 60;

/// Whether a file was written to a moment ago.
pub fn is_young(modified: i64, now: Timestamp) -> bool {
    let age = now.0.saturating_sub(modified);
    (-SKEW_SECONDS * 1_000_000..TAIL_SECONDS * 1_000_000).contains(&age)
}

pub fn note_ignored(partition: &str) {
    tracing::info!(file = partition, "replaced since it was taken; ignored");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::Place;
    use object_store::path::Path;
    use std::sync::Arc;

    fn found(etag: &str) -> Found {
        let place = Place::new("a.csv", std::path::Path::new("/p"), &Default::default()).expect("a place");
        Found {
            partition: "a.csv".into(),
            place: Arc::new(place),
            location: Path::from("p/a.csv"),
            bytes: 1,
            etag: etag.into(),
            modified: 10_000_000,
        }
    }

    fn taken(row: u64, done: bool) -> Positions {
        let mut positions = Positions::new();
        positions.set("a.csv", Point::File { etag: "v1".into(), row, done });
        positions
    }

    #[test]
    fn quotes_make_no_other_etag() {
        let mut quoted = Positions::new();
        quoted.set("a.csv", Point::File { etag: "\"v1\"".into(), row: 5, done: true });
        let step = Step::of(&found("v1"), &quoted, &Options::default(), Timestamp(0)).expect("a step");
        assert_eq!(step, Step::Taken);
    }

    #[test]
    fn a_file_is_taken_once_and_resumed_behind_its_last_row() {
        let (options, now) = (Options::default(), Timestamp(0));
        let step = |etag: &str, taken: &Positions| Step::of(&found(etag), taken, &options, now).expect("a step");
        assert_eq!(step("v1", &Positions::new()), Step::Take { behind: 0, mark: None });
        assert_eq!(step("v1", &taken(7, false)), Step::Take { behind: 7, mark: None });
        assert_eq!(step("v1", &taken(7, true)), Step::Taken);
        assert_eq!(step("v2", &taken(7, true)), Step::Replaced);
    }

    #[test]
    fn a_file_with_a_mark_is_looked_at_before_it_counts_as_replaced() {
        let mut taken = Positions::new();
        for done in [false, true] {
            taken.set("a.csv", Point::File { etag: mark::put_behind("v1", Some(5)), row: 7, done });
            let step = |etag| Step::of(&found(etag), &taken, &Options::default(), Timestamp(0)).expect("a step");
            assert_eq!(step("v1"), if done { Step::Taken } else { Step::Take { behind: 7, mark: None } });
            assert_eq!(step("v2"), Step::Take { behind: 7, mark: Some(5) });
        }
    }

    #[test]
    fn a_file_of_which_nothing_was_taken_is_new_under_any_etag() {
        let step = Step::of(&found("v2"), &taken(0, true), &Options::default(), Timestamp(0)).expect("a step");
        assert_eq!(step, Step::Take { behind: 0, mark: None });
    }

    #[test]
    fn a_replaced_file_follows_the_policy() {
        let with = |on_replaced| {
            let (options, mut troubles) = (Options { on_replaced, ..Options::default() }, Troubles::default());
            let todo = to_read([found("v2")], &taken(7, false), &options, Timestamp(0), &mut troubles);
            (todo.expect("files"), troubles.tell())
        };
        let (todo, error) = with(OnReplaced::Error);
        let told = error.expect("an error").to_string();
        assert!(todo.is_empty() && told.contains("`a.csv`") && told.contains("new_version"), "{told}");
        assert_eq!(with(OnReplaced::NewVersion).0[0].behind, 0);
        assert!(with(OnReplaced::Ignore).0.is_empty());
    }

    #[test]
    fn a_time_in_the_future_makes_no_file_young() {
        let young = |age: i64| is_young(1_000_000_000, Timestamp(1_000_000_000 + age * 1_000_000));
        assert_eq!([young(0), young(1), young(2), young(-1), young(-3600)], [true, true, false, true, false]);
    }

    #[test]
    fn a_file_written_a_moment_ago_waits() {
        let options = Options { settle_seconds: 5, ..Options::default() };
        let step = |now| Step::of(&found("v1"), &Positions::new(), &options, Timestamp(now)).expect("a step");
        assert_eq!(step(14_999_999), Step::Settling);
        assert_eq!(step(15_000_000), Step::Take { behind: 0, mark: None });
    }
}
