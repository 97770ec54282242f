//! Which files differ from a git revision, by asking `git` itself: its index, attributes and ignore rules are its own.

use kernel::suggest::hint;
use kernel::{Error, Kind, Result};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

/// The files under `folder` that were changed, added, removed or are new and not ignored since `rev`, committed or not;
/// paths are relative to `folder`, with `/`. Blocks while `git` runs.
pub fn changed_files(folder: &Path, rev: &str) -> Result<BTreeSet<String>> {
    let what = format!("find what changed since `{rev}`");
    let git = Git { folder, what: &what };
    git.checks(rev)?;
    // Without rename detection a moved file is named at both its places, and both tables are looked at.
    let changed = git.output(&["diff", "--name-only", "--no-renames", "--relative", "-z", rev, "--", "."])?;
    let new = git.output(&["ls-files", "--others", "--exclude-standard", "-z", "--", "."])?;
    let paths = |output: &[u8]| {
        let paths = output.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
    };
    Ok(paths(&changed).into_iter().chain(paths(&new)).collect())
}

struct Git<'a> {
    folder: &'a Path,
    what: &'a str,
}

impl Git<'_> {
    fn checks(&self, rev: &str) -> Result<()> {
        let inside = self.run(&["rev-parse", "--is-inside-work-tree"])?;
        if !inside.status.success() {
            // It may also be there but belong to somebody else, which only git's own words tell.
            let said = String::from_utf8_lossy(&inside.stderr).into_owned();
            let detail = format!("{} is in no git repository that can be used: {}", self.folder.display(), said.trim());
            return Err(Error::project(self.what, detail));
        }
        let commit = format!("{rev}^{{commit}}");
        // A revision that looks like an option must not become one.
        let known = !rev.starts_with('-') && self.run(&["rev-parse", "--verify", "--quiet", &commit])?.status.success();
        if known { Ok(()) } else { Err(self.unknown(rev)) }
    }

    fn unknown(&self, rev: &str) -> Error {
        let refs = self.output(&["for-each-ref", "--format=%(refname:short)"]).unwrap_or_default();
        let refs = String::from_utf8_lossy(&refs).into_owned();
        let hint = hint(rev, refs.lines()).map(|hint| format!("; {hint}")).unwrap_or_default();
        Error::project(self.what, format!("git knows no commit of this name{hint}"))
    }

    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.run(arguments)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(Kind::Storage, self.what, format!("git {} failed: {}", arguments[0], said.trim())))
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("git");
        command.arg("--no-optional-locks").arg("-C").arg(self.folder).args(arguments);
        command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::project(self.what, "the program `git` is not installed, or not on the path"),
            _ => kernel::error::io(self.what, error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn git(folder: &Path, arguments: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
        let done =
            Command::new("git").current_dir(folder).args(who).args(arguments).output().expect("git is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A repository whose project is in a folder of it.
    fn repository() -> tempfile::TempDir {
        let repository = tempfile::tempdir().expect("a folder");
        let shop = repository.path().join("shop");
        fs::create_dir(&shop).expect("a project");
        for (file, text) in [("same.sql", "1"), ("edited.sql", "1"), ("gone.sql", "1"), ("moved.sql", "a long text")] {
            fs::write(shop.join(file), text).expect("a file");
        }
        fs::write(repository.path().join(".gitignore"), "lake\n").expect("a file");
        git(repository.path(), &["init", "-q"]);
        git(repository.path(), &["add", "."]);
        git(repository.path(), &["commit", "-q", "-m", "first"]);
        repository
    }

    #[test]
    fn every_kind_of_change_under_the_folder_is_found() {
        let repository = repository();
        let shop = repository.path().join("shop");
        fs::write(shop.join("edited.sql"), "2").expect("an edit");
        fs::remove_file(shop.join("gone.sql")).expect("a removal");
        fs::rename(shop.join("moved.sql"), shop.join("here.sql")).expect("a move");
        fs::write(shop.join("new ção.sql"), "1").expect("a new file");
        fs::write(shop.join("lake"), "1").expect("an ignored file");
        fs::write(repository.path().join("outside.sql"), "1").expect("a file elsewhere");
        let found = changed_files(&shop, "main").expect("a revision");
        let expected = ["edited.sql", "gone.sql", "here.sql", "moved.sql", "new ção.sql"];
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        git(repository.path(), &["add", "."]);
        git(repository.path(), &["commit", "-q", "-m", "second"]);
        assert_eq!(changed_files(&shop, "HEAD~1").expect("a revision"), found);
        assert!(changed_files(&shop, "HEAD").expect("a revision").is_empty());
    }

    #[test]
    fn an_unknown_revision_is_told_and_is_no_option() {
        let repository = repository();
        let error = changed_files(repository.path(), "mian").expect_err("no such branch");
        assert_eq!(error.kind, Kind::Project);
        assert!(error.to_string().contains("did you mean `main`?"), "{error}");
        for rev in ["", "-h", "--output=stolen", "HEAD:shop"] {
            let error = changed_files(repository.path(), rev).expect_err(rev);
            assert!(error.to_string().contains("no commit"), "{error}");
        }
        assert!(!repository.path().join("stolen").exists());
    }

    #[test]
    fn a_folder_outside_any_repository_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = changed_files(folder.path(), "main").expect_err("no repository");
        assert_eq!(error.kind, Kind::Project);
        assert!(error.to_string().contains("is in no git repository"), "{error}");
    }
}
