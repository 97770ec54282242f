//! The key file: what `lavra init` makes when no key store is named. Whoever has it can open every mask of the project.

use super::{derive, rfc3339, unknown_version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result, io};
use kernel::keys::{Key, KeyProvider};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FORMAT: &str = "lavra-keys/1";
/// A key file is a few hundred bytes; something this large is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys derived from the secrets of one file, one secret per version: a leaked version says nothing of the next.
pub struct KeyFile {
    versions: Vec<Version>,
}

struct Version {
    number: u32,
    made_at: Option<String>,
    secret: Zeroizing<[u8; 32]>,
}

/// As it stands in the file; the secret is borrowed from a buffer that is wiped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    format: &'a str,
    versions: Vec<StoredVersion<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVersion<'a> {
    version: u32,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<&'a str>,
    /// 32 bytes, base64.
    secret: &'a str,
}

impl KeyFile {
    /// Makes a key file with a fresh random secret, readable by its owner only.
    ///
    /// Refuses to touch a file that is there: with its keys, everything masked so far would be lost.
    pub fn create(path: &Path, now: Timestamp) -> Result<()> {
        let what = || format!("make the key file {}", path.display());
        let json = text_of(&[Version { number: 1, made_at: Some(rfc3339(now)), secret: fresh(path)? }], path)?;
        let mut file = new_private_file(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::refused(
                what(),
                "it is there already, and the only way back to what it masked; move it away yourself if you mean it",
            ),
            _ => io(what(), e),
        })?;
        file.write_all(json.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| {
            // Half a key file would be in the way of the next try, and no mask was made with it.
            std::fs::remove_file(path).ok();
            io(what(), e)
        })
    }

    /// Adds version `number`, unless it is there: written aside, synced, and put in the place of the old file in one act, so
    /// that whenever the process dies the file is one of the two. Returns whether it was made here.
    pub fn add(path: &Path, lake: Option<&Path>, number: u32, now: Timestamp) -> Result<bool> {
        let what = || format!("add version {number} to the key file {}", path.display());
        // The file itself changes its identity, so that what is locked stands beside it.
        let lock = path.with_added_extension("lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&lock).map_err(|e| io(what(), e))?;
        lock.lock().map_err(|e| io(what(), e))?;
        let mut versions = Self::open(path, lake)?.versions;
        if versions.iter().any(|version| version.number == number) {
            return Ok(false);
        }
        versions.push(Version { number, made_at: Some(rfc3339(now)), secret: fresh(path)? });
        let aside = path.with_added_extension("new");
        // Left by a process that died; the lock says that no living one writes it.
        std::fs::remove_file(&aside).ok();
        let json = text_of(&versions, path)?;
        let mut file = new_private_file(&aside).map_err(|e| io(what(), e))?;
        let put = file.write_all(json.as_bytes()).and_then(|()| file.sync_all());
        put.and_then(|()| std::fs::rename(&aside, path)).and_then(|()| sync_folder(path)).map_err(|e| io(what(), e))?;
        Ok(true)
    }

    pub fn versions(&self) -> Vec<super::Version> {
        let told = |v: &Version| super::Version { number: v.number, made_at: v.made_at.clone() };
        self.versions.iter().map(told).collect()
    }

    /// Opens a key file. `lake` is the lake's folder when it is a local one: whoever may read the data must not find the
    /// key beside it.
    pub fn open(path: &Path, lake: Option<&Path>) -> Result<Self> {
        let what = || format!("open the key file {}", path.display());
        if lake.is_some_and(|lake| is_inside(path, lake)) {
            let detail = "it lies inside the lake, where every reader of the data can read it; move it out of there";
            return Err(Error::refused(what(), detail));
        }
        let file = File::open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::project(
                what(),
                "there is no such file; `lavra init .` makes one, or name a key store under `keys:`",
            ),
            _ => io(what(), e),
        })?;
        check_private(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|e| io(what(), e))?;
        Ok(Self { versions: parse(&text, path)? })
    }
}

impl KeyProvider for KeyFile {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        let found = match version {
            None => self.versions.last(),
            Some(number) => self.versions.iter().find(|v| v.number == number),
        };
        let found = found.ok_or_else(|| unknown_version(scope, version.unwrap_or(0)))?;
        derive::scope_key(&found.secret, scope, found.number)
    }
}

fn fresh(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0u8; 32]);
    let what = || format!("draw a key for {}", path.display());
    getrandom::fill(&mut *secret).map_err(|e| Error::new(Kind::Storage, what(), e))?;
    Ok(secret)
}

fn text_of(versions: &[Version], path: &Path) -> Result<Zeroizing<String>> {
    let what = || format!("write the key file {}", path.display());
    let secrets: Vec<_> = versions.iter().map(|version| Zeroizing::new(STANDARD.encode(*version.secret))).collect();
    let stored = versions.iter().zip(&secrets).map(|(version, secret)| StoredVersion {
        version: version.number,
        made_at: version.made_at.as_deref(),
        secret,
    });
    let stored = Stored { format: FORMAT, versions: stored.collect() };
    let json = serde_json::to_string_pretty(&stored).map_err(|_| Error::internal(what(), "it can't be written"))?;
    Ok(Zeroizing::new(json + "\n"))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Reads the file's text. A JSON error may quote what it met, so that only its place is passed on.
fn parse(text: &str, path: &Path) -> Result<Vec<Version>> {
    let refuse = |detail: String| Error::refused(format!("read the key file {}", path.display()), detail);
    if text.trim().is_empty() {
        return Err(refuse("it is empty; an empty key hides nothing".into()));
    }
    let stored: Stored = serde_json::from_str(text)
        .map_err(|e| refuse(format!("it is not a key file (line {}, column {})", e.line(), e.column())))?;
    if stored.format != FORMAT {
        return Err(refuse(format!("its format is not `{FORMAT}`; was it made by a newer Lavra?")));
    }
    let mut versions = Vec::new();
    for StoredVersion { version, made_at, secret } in stored.versions {
        if version == 0 || versions.last().is_some_and(|last: &Version| last.number >= version) {
            return Err(refuse("its versions must grow from 1".into()));
        }
        let secret = decode(secret).map_err(|why| refuse(format!("the secret of version {version} {why}")))?;
        versions.push(Version { number: version, made_at: made_at.map(str::to_owned), secret });
    }
    if versions.is_empty() {
        return Err(refuse("it holds no key".into()));
    }
    Ok(versions)
}

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| "is not base64")?);
    let secret: [u8; 32] = bytes.as_slice().try_into().map_err(|_| "is not 32 bytes long")?;
    let secret = Zeroizing::new(secret);
    if secret.iter().all(|byte| *byte == secret[0]) {
        return Err("is one byte 32 times: no secret at all");
    }
    Ok(secret)
}

/// Whether `path` lies under `folder`, links resolved. What isn't there yet is judged by its nearest parent that is.
pub fn is_inside(path: &Path, folder: &Path) -> bool {
    resolved(path).starts_with(resolved(folder))
}

fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = absolute.ancestors().find_map(|known| Some((known, known.canonicalize().ok()?)));
    match known {
        Some((known, real)) => real.join(absolute.strip_prefix(known).unwrap_or(Path::new(""))),
        None => absolute,
    }
}

#[cfg(unix)]
fn new_private_file(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Elsewhere the file has the rights of its folder.
#[cfg(not(unix))]
fn new_private_file(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let what = format!("open the key file {}", path.display());
    let mode = file.metadata().map_err(|e| io(&what, e))?.permissions().mode();
    if mode & 0o077 != 0 {
        let detail = format!("others can read it (mode {:04o}); run `chmod 600 {}`", mode & 0o7777, path.display());
        return Err(Error::refused(what, detail));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("keys.json");
        std::fs::remove_file(&path).ok();
        new_private_file(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn refusal(path: &Path, lake: Option<&Path>) -> Error {
        KeyFile::open(path, lake).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_new_file_obeys_the_laws_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/keys.json");
        KeyFile::create(&path, Timestamp(0)).unwrap();
        let keys = KeyFile::open(&path, Some(&folder.path().join("lake"))).unwrap();
        kernel::laws::keys::obeys(&keys);
        let again = KeyFile::open(&path, None).unwrap();
        assert_eq!(keys.key("person", None).unwrap().expose(), again.key("person", None).unwrap().expose());

        let before = std::fs::read(&path).unwrap();
        assert_eq!(KeyFile::create(&path, Timestamp(0)).unwrap_err().kind, Kind::Refused);
        assert_eq!(std::fs::read(&path).unwrap(), before);

        let other = folder.path().join("other.json");
        KeyFile::create(&other, Timestamp(0)).unwrap();
        let other = KeyFile::open(&other, None).unwrap();
        assert_ne!(keys.key("person", None).unwrap().expose(), other.key("person", None).unwrap().expose());
    }

    #[test]
    fn a_version_is_added_once_and_the_old_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        KeyFile::create(&path, Timestamp(0)).unwrap();
        let before = KeyFile::open(&path, None).unwrap();
        std::fs::write(path.with_added_extension("new"), "half a file of a process that died").unwrap();
        let add = || KeyFile::add(&path, None, 2, Timestamp(1_000_000)).unwrap();
        let made = std::thread::scope(|scope| {
            let both = [scope.spawn(add), scope.spawn(add)];
            both.map(|one| one.join().unwrap())
        });
        assert_ne!(made[0], made[1], "of two at once one makes it");
        let after = KeyFile::open(&path, None).unwrap();
        kernel::laws::keys::obeys(&after);
        let versions: Vec<_> = after.versions().into_iter().map(|v| (v.number, v.made_at.unwrap())).collect();
        assert_eq!(versions, [(1, "1970-01-01T00:00:00Z".into()), (2, "1970-01-01T00:00:01Z".into())]);
        let first = |keys: &KeyFile| *keys.key("person", Some(1)).unwrap().expose();
        assert_eq!(first(&before), first(&after));
        assert_eq!(after.key("person", None).unwrap().version(), 2);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        KeyFile::create(&path, Timestamp(0)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = refusal(&path, None);
            assert!(error.kind == Kind::Refused && error.detail.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_key_inside_the_lake_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        let path = lake.join("bronze/keys.json");
        KeyFile::create(&path, Timestamp(0)).unwrap();
        assert_eq!(refusal(&path, Some(&lake)).kind, Kind::Refused);
        assert!(KeyFile::open(&path, Some(&folder.path().join("lak"))).is_ok(), "a name's beginning is no folder");
        #[cfg(unix)]
        {
            let link = folder.path().join("keys");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert_eq!(refusal(&link, Some(&lake)).kind, Kind::Refused, "a link into the lake is inside it");
        }
    }

    #[test]
    fn weak_and_broken_files_are_refused_without_a_word_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(&folder.path().join("none"), None).detail.contains("lavra init"));
        let secret = STANDARD.encode([5u8; 31]);
        let with = |secret: &str| {
            format!(r#"{{"format": "lavra-keys/1", "versions": [{{"version": 1, "secret": "{secret}"}}]}}"#)
        };
        let texts = [
            String::new(),
            " \n".into(),
            "{}".into(),
            with(""),
            with(&secret),
            with(&STANDARD.encode([0u8; 32])),
            with("not base64 at all"),
            with(&secret).replace("/1", "/9"),
            with(&secret).replace(": 1", ": 0"),
            r#"{"format": "lavra-keys/1", "versions": []}"#.into(),
            format!(r#"{{"format": "lavra-keys/1", "versions": "{secret}"}}"#),
        ];
        for text in texts {
            let error = refusal(&write(folder.path(), &text), None);
            let shown = format!("{error:?} {:?}", error.source);
            assert_eq!(error.kind, Kind::Refused, "{text}: {shown}");
            assert!(!shown.contains(&secret), "{shown}");
        }
    }
}
