use super::*;
use kernel::Kind;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

fn vault() -> (TempDir, SqliteVault) {
    let folder = tempdir().expect("a folder");
    let vault = SqliteVault::new(folder.path().join("secrets/vault.db"));
    (folder, vault)
}

fn id(n: u64) -> Id {
    // Ids are digests: they come in no order.
    let mut id = [7; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn ids(from: u64, count: u64) -> Vec<Id> {
    (from..from + count).map(id).collect()
}

/// A secret whose bytes are found wherever they are left.
fn telling(n: u64) -> Secret {
    Secret {
        token: Some(format!("t_{n:026}")),
        sealed: format!("<<sealed secret number {n:010} of sixty bytes or so>>").into(),
    }
}

fn put(vault: &SqliteVault, from: u64, count: u64) {
    let ids = ids(from, count);
    vault.get_or_put("token/person", &ids, &mut |at| Ok(telling(from + at as u64))).expect("secrets");
}

/// How many files of the vault hold these bytes.
fn holders(folder: &TempDir, bytes: &[u8]) -> usize {
    let files = std::fs::read_dir(folder.path().join("secrets")).expect("the folder");
    let content = files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes"));
    content.filter(|content| content.windows(bytes.len()).any(|part| part == bytes)).count()
}

#[test]
fn it_obeys_the_laws_of_vaults() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("vault.db");
    kernel::laws::vault::obeys(&|| Arc::new(SqliteVault::new(&path)) as Arc<dyn Vault>);
}

#[test]
fn a_vault_that_was_made_anew_is_another_one() {
    let (folder, vault) = vault();
    let path = folder.path().join("secrets/vault.db");
    assert_eq!(vault.identity().expect("no vault"), None);
    assert!(!path.exists(), "to ask makes none");
    put(&vault, 0, 1);
    let one = vault.identity().expect("an identity");
    assert!(one.is_some());
    drop(vault);
    let opened = SqliteVault::new(&path);
    assert_eq!(opened.identity().expect("an identity"), one, "the same when it is opened again");
    drop(opened);
    std::fs::remove_dir_all(folder.path().join("secrets")).expect("a loss");
    let anew = SqliteVault::new(&path);
    put(&anew, 0, 1);
    assert_ne!(anew.identity().expect("an identity"), one);
}

#[test]
fn an_id_that_comes_twice_in_a_batch_has_one_secret() {
    let (_folder, vault) = vault();
    let twice = [id(1), id(2), id(1)];
    let secrets = vault.get_or_put("token/person", &twice, &mut |at| Ok(telling(at as u64))).expect("secrets");
    assert_eq!(secrets[0], secrets[2]);
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn there_is_no_file_before_it_is_needed_and_then_it_is_the_owners() {
    let (folder, vault) = vault();
    let path = folder.path().join("secrets/vault.db");
    assert!(!path.exists());
    put(&vault, 0, 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for file in std::fs::read_dir(folder.path().join("secrets")).expect("the folder") {
            let file = file.expect("a file");
            let mode = file.metadata().expect("its rights").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("other rights");
        let error = SqliteVault::new(&path).get("token/person", &[id(0)]).expect_err("a refusal");
        assert!(error.kind == Kind::Refused && error.detail.contains("chmod 600"), "{error}");
    }
    assert!(path.exists());
}

#[test]
fn of_what_was_shredded_no_byte_is_left() {
    let (folder, vault) = vault();
    // Many, so that pages were split and the log was written back in between.
    for batch in 0..8 {
        put(&vault, batch * 1_000, 1_000);
    }
    let gone = [0, 17, 4_444, 7_999];
    for n in gone {
        assert!(holders(&folder, &telling(n).sealed) > 0, "the search finds what is there");
        assert_eq!(vault.shred("", &id(n)).expect("a shredding"), 1);
    }
    for n in gone {
        assert_eq!(holders(&folder, &telling(n).sealed), 0, "secret {n}");
    }
    assert_eq!(vault.find("token/person", &telling(18).token.expect("a token")).expect("a look"), Some(telling(18)));
    let again = vault.get_or_put("token/person", &[id(17)], &mut |_| Ok(telling(17))).map_err(|e| e.kind);
    assert_eq!(again, Err(Kind::Refused));
}

#[test]
fn a_shredding_waits_for_nobody_who_still_reads_and_says_so() {
    let (folder, vault) = vault();
    put(&vault, 0, 10);
    let mut reader = Connection::open(folder.path().join("secrets/vault.db")).expect("another process");
    let reading = reader.transaction().expect("a look");
    let count = |c: &Connection| c.query_row("select count(*) from secret", [], |row| row.get::<_, i64>(0));
    assert_eq!(count(&reading).expect("a count"), 10);
    assert_eq!(vault.shred("", &id(3)).expect_err("an old page is still read").kind, Kind::Conflict);
    assert_eq!(vault.get("token/person", &[id(3)]).expect("a look"), [None], "it is shredded all the same");
    drop(reading);
    assert_eq!(vault.shred("", &id(3)).expect("again"), 0);
    assert_eq!(holders(&folder, &telling(3).sealed), 0);
}

#[test]
fn what_is_no_vault_is_told() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("vault.db");
    make_private(&path).expect("a file");
    std::fs::write(&path, "id;name\n".repeat(1_000)).expect("other content");
    let error = SqliteVault::new(&path).get("a", &[id(0)]).expect_err("no vault");
    assert!(error.kind == Kind::Data && error.to_string().contains("vault.db: it is damaged"), "{error}");
}
