//! Versions and subjects that go: at first they are hidden and their schemas still found by id, then for good.

use super::{Answer, Fault, Registry, SUBJECT, Subject, TRIES_MAX, Which, subject_name};

impl Registry {
    /// Gives the versions that were deleted. `permanent` takes what is hidden already.
    pub async fn delete_subject(&self, subject: &str, permanent: bool) -> Answer<Vec<i32>> {
        let name = subject_name(subject)?;
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            let (mut entry, at) = self.subject(&name).await?;
            if entry.versions.is_empty() {
                return Err(Fault::subject_not_found(&name));
            }
            self.writable(&name, &entry).await?;
            match (entry.is_live(), permanent) {
                (false, false) => {
                    let message = format!("Subject '{name}' was soft deleted.Set permanent=true to delete permanently");
                    return Err(Fault::new(40404, message));
                }
                (true, true) => {
                    let message = format!("Subject '{name}' was not deleted first before being permanently deleted");
                    return Err(Fault::new(40405, message));
                }
                _ => {}
            }
            let gone: Vec<i32> = entry
                .versions
                .iter()
                .filter(|version| permanent || !version.deleted)
                .map(|version| version.version)
                .collect();
            for version in &gone {
                self.unreferenced(&name, *version, permanent, Some(&name)).await?;
            }
            match permanent {
                true => entry = Subject::default(),
                false => entry.versions.iter_mut().for_each(|version| version.deleted = true),
            }
            if self.put(&format!("{SUBJECT}{name}"), &entry, at).await? {
                return Ok(gone);
            }
        }
        Err(Fault::busy())
    }

    /// `None` is the last version. Gives the version that was deleted.
    pub async fn delete_version(&self, subject: &str, version: Option<i32>, permanent: bool) -> Answer<i32> {
        let name = subject_name(subject)?;
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            let (mut entry, at) = self.subject(&name).await?;
            if entry.versions.is_empty() {
                return Err(Fault::subject_not_found(&name));
            }
            let wanted = version.or_else(|| entry.live().next_back().map(|last| last.version));
            let place = entry.versions.iter().position(|one| Some(one.version) == wanted);
            let Some(place) = place else { return Err(Fault::version_not_found(version.unwrap_or(-1))) };
            let found = entry.versions[place];
            let number = found.version;
            self.writable(&name, &entry).await?;
            match (found.deleted, permanent) {
                (true, false) => {
                    let message = format!(
                        "Subject '{name}' Version {number} was soft deleted.Set permanent=true to delete permanently"
                    );
                    return Err(Fault::new(40406, message));
                }
                (false, true) => {
                    let message = format!(
                        "Subject '{name}' Version {number} was not deleted first before being permanently deleted"
                    );
                    return Err(Fault::new(40407, message));
                }
                _ => {}
            }
            self.unreferenced(&name, number, permanent, None).await?;
            match permanent {
                true => entry.versions.retain(|one| one.version != number),
                false => entry.versions[place].deleted = true,
            }
            if entry.versions.is_empty() {
                entry = Subject::default();
            }
            if self.put(&format!("{SUBJECT}{name}"), &entry, at).await? {
                return Ok(number);
            }
        }
        Err(Fault::busy())
    }

    /// Nothing goes that somebody refers to: a hidden version must not be needed by a live one, and one that goes for good
    /// by none. Those of the subject itself don't count when it goes as a whole.
    async fn unreferenced(&self, name: &str, version: i32, permanent: bool, but: Option<&str>) -> Answer<()> {
        let which = if permanent { Which::All } else { Which::Live };
        for id in self.ids.referring(name, version).await? {
            let uses = self.uses(id, which).await?;
            if uses.iter().any(|(subject, _)| Some(subject.as_str()) != but) {
                let key = format!("{{subject={name},version={version}}}");
                return Err(Fault::new(42206, format!("One or more references exist to the schema {key}.")));
            }
        }
        Ok(())
    }
}
