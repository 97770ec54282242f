//! Files that could not be taken: a bad one must not stop its neighbours, so all are told when the others are done.

use kernel::{Error, Kind, Result};

/// More are counted, not named.
const NAMED_MAX: usize = 5;

#[derive(Default)]
pub struct Troubles {
    /// No longer begin with what was taken of them.
    replaced: Vec<String>,
    /// Have another etag than when they were taken, and nothing to compare their content by.
    unknown: Vec<String>,
    failed: Vec<Error>,
}

impl Troubles {
    pub fn add_replaced(&mut self, partition: impl Into<String>) {
        self.replaced.push(partition.into());
    }

    pub fn add_unknown(&mut self, partition: impl Into<String>) {
        self.unknown.push(partition.into());
    }

    /// Keeps an error that is one file's own. Any other is given back: the next file would meet it as well.
    pub fn keep(&mut self, error: Error) -> Result<()> {
        match error.kind {
            Kind::Data | Kind::Storage => self.failed.push(error),
            _ => return Err(error),
        }
        Ok(())
    }

    /// All of them as one error, once.
    pub fn tell(&mut self) -> Option<Error> {
        let Self { replaced, unknown, failed: mut all } = std::mem::take(self);
        let files = replaced.len() + unknown.len() + all.len();
        let changed = [(replaced, "the content changed since it was taken"), (unknown, UNKNOWN)];
        for (names, why) in changed.into_iter().filter(|(names, _)| !names.is_empty()) {
            all.push(Error::data(format!("read {}", listed(&names)), format!("{why}. {ADVICE}")));
        }
        if all.len() < 2 {
            return all.pop();
        }
        let kind = if all.iter().any(|error| error.kind == Kind::Data) { Kind::Data } else { Kind::Storage };
        let more = all.len().saturating_sub(NAMED_MAX);
        let mut told: Vec<String> = all.iter().rev().take(NAMED_MAX).map(Error::to_string).collect();
        told.reverse();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Some(Error::new(kind, format!("read {files} files"), told.join("; ")))
    }
}

const UNKNOWN: &str = "it is not the file that was taken (another etag), and may have other content";

const ADVICE: &str = "Say what that means: put the old content back under this name and the new under another, or set \
                      `on_replaced: new_version` to read it again from its start as further rows, or \
                      `on_replaced: ignore` to leave it";

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMED_MAX);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_is_told_as_it_is_and_several_together() {
        let mut troubles = Troubles::default();
        assert!(troubles.tell().is_none());
        troubles.keep(Error::data("read a.csv", "it breaks off")).expect("kept");
        assert_eq!(troubles.tell().expect("an error").to_string(), "read a.csv: it breaks off");
        assert!(troubles.tell().is_none(), "once");
        (0..9).for_each(|file| troubles.keep(Error::data(format!("read {file}.csv"), "broken")).expect("kept"));
        troubles.add_replaced("x.csv");
        let told = troubles.tell().expect("an error").to_string();
        assert!(told.starts_with("read 10 files: read 5.csv: broken; "), "{told}");
        assert!(told.contains("`x.csv`: the content changed") && told.ends_with("and 5 more"), "{told}");
    }

    #[test]
    fn what_every_file_would_meet_is_no_files_own_trouble() {
        for kind in [Kind::Unreachable, Kind::Internal, Kind::Project] {
            assert!(Troubles::default().keep(Error::new(kind, "read a.csv", "")).is_err());
        }
    }
}
