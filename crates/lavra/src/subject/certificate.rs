//! What was erased, signed: for the person, the authority, and for who goes on with a request that was cut off.

use super::find::HeldFile;
use super::requests::Request;
use crate::project::{LegalHold, STATE};
use kernel::error::{Error, Result, io};
use privacy::sign::{Signer, verify as verify_signature};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FORMAT: &str = "lavra-erasure/1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub format: String,
    pub project: String,
    #[serde(flatten)]
    pub request: Request,
    /// When this was written; each further step writes it again.
    pub issued_at: String,
    /// The earliest moment at which old versions may be purged.
    pub purge_after: String,
    /// When the last of them was.
    pub purged_at: Option<String>,
    pub tables: BTreeMap<String, Erased>,
    /// What other places held, by their names.
    pub places: BTreeMap<String, u64>,
    pub holds: BTreeMap<String, LegalHold>,
    /// What is left and until when, a sentence each.
    pub remains: BTreeSet<String>,
}

/// What became of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    pub rows: u64,
    /// The last version with the rows, and the first without.
    pub version_before: u64,
    pub version_after: u64,
    pub files: BTreeMap<String, ErasedFile>,
    /// Whether the files below, and the log of their versions, are gone.
    pub is_purged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedFile {
    #[serde(flatten)]
    pub held: HeldFile,
    pub sha256: String,
}

/// A certificate with its signature: over the compact JSON of `certificate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub certificate: Certificate,
    pub algorithm: String,
    pub public_key: String,
    pub signature: String,
}

/// The folder of all certificates.
pub fn folder(project: &Path) -> PathBuf {
    project.join(STATE).join("certificates")
}

impl Certificate {
    pub fn new(project: &str, request: Request) -> Self {
        Self {
            format: FORMAT.into(),
            project: project.into(),
            request,
            issued_at: String::new(),
            purge_after: String::new(),
            purged_at: None,
            tables: BTreeMap::new(),
            places: BTreeMap::new(),
            holds: BTreeMap::new(),
            remains: BTreeSet::new(),
        }
    }

    /// Whether the old versions of every table are gone.
    pub fn is_purged(&self) -> bool {
        self.tables.values().all(|table| table.is_purged)
    }

    fn message(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal("write a certificate", &e))
    }

    /// Signs it and puts it in its place, for programs and for people; gives the place.
    pub fn save(&self, project: &Path, signer: &Signer) -> Result<PathBuf> {
        let signed = Signed {
            certificate: self.clone(),
            algorithm: "Ed25519".into(),
            public_key: signer.public_key(),
            signature: signer.sign(&self.message()?),
        };
        let place = folder(project).join(format!("{}.json", self.request.pseudonym));
        write(&place, signed.text()?.as_bytes())?;
        write(&place.with_extension("md"), signed.shown().as_bytes())?;
        Ok(place)
    }
}

impl Signed {
    fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal("write a certificate", &e))?;
        Ok(text + "\n")
    }

    /// The same for people, in Markdown.
    fn shown(&self) -> String {
        let c = &self.certificate;
        let mut out = format!(
            "# Certificate of erasure\n\n\
             * Project: {}\n* Person: {} (by {})\n* Asked: {}\n* Deadline: {}\n* Written: {}\n* Old versions: {}\n\n\
             | table | rows | last version with them | first without | files | purged |\n|---|---|---|---|---|---|\n",
            c.project,
            c.request.pseudonym,
            c.request.kind,
            c.request.requested_at,
            c.request.deadline,
            c.issued_at,
            match &c.purged_at {
                Some(at) => format!("purged {at}"),
                None => format!("to be purged from {} on", c.purge_after),
            },
        );
        for (name, table) in &c.tables {
            let purged = if table.is_purged { "yes" } else { "no" };
            let (before, after) = (table.version_before, table.version_after);
            let _ =
                writeln!(out, "| {name} | {} | {before} | {after} | {} | {purged} |", table.rows, table.files.len());
        }
        let mut list = |title: &str, lines: Vec<String>| {
            let lines = if lines.is_empty() { vec!["nothing".to_owned()] } else { lines };
            let _ = write!(out, "\n## {title}\n\n{}\n", lines.iter().map(|l| format!("* {l}\n")).collect::<String>());
        };
        list("Other places", c.places.iter().map(|(name, held)| format!("{name}: {held} removed")).collect());
        let holds = c.holds.iter().map(|(name, hold)| format!("{name}: {}", hold.sentence()));
        list("Kept by law", holds.collect());
        list("What remains", c.remains.iter().cloned().collect());
        let files = c.tables.iter().flat_map(|(name, table)| table.files.values().map(move |file| (name, file)));
        list("Files (SHA-256)", files.map(|(name, f)| format!("{name}/{}: `{}`", f.held.path, f.sha256)).collect());
        let _ = write!(
            out,
            "\nSigned with {} by the key `{}`; the signature is in the JSON beside this text, which is what counts.\n",
            self.algorithm, self.public_key
        );
        out
    }
}

fn write(place: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("write {}", place.display());
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).map_err(|e| io(what(), e))?;
    }
    let aside = place.with_added_extension("part");
    let written = std::fs::File::create(&aside).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&aside, place)).map_err(|e| io(what(), e))
}

/// Reads a certificate and holds it to its signature, and that to a key. Every byte counts.
pub fn verify(place: &Path, public_key: &str) -> Result<Signed> {
    let what = || format!("verify {}", place.display());
    let text = std::fs::read_to_string(place).map_err(|e| io(what(), e))?;
    let signed: Signed = serde_json::from_str(&text).map_err(|e| {
        Error::refused(what(), format!("it is no certificate (line {}, column {})", e.line(), e.column()))
    })?;
    if signed.text()? != text || signed.certificate.format != FORMAT || signed.algorithm != "Ed25519" {
        return Err(Error::refused(what(), "it was changed after it was written"));
    }
    if signed.public_key != public_key {
        let why = format!("it was signed by the key {}, which is not {public_key}", signed.public_key);
        return Err(Error::refused(what(), why));
    }
    verify_signature(public_key, &signed.certificate.message()?, &signed.signature)?;
    Ok(signed)
}

/// Puts the certificate of an earlier request aside: the person came back since, and asked again.
pub fn set_by(project: &Path, earlier: &Certificate) -> Result<()> {
    let (folder, name) = (folder(project), &earlier.request.pseudonym);
    let day: String = earlier.request.requested_at.chars().filter(char::is_ascii_digit).collect();
    for ending in ["json", "md"] {
        let (from, to) = (folder.join(format!("{name}.{ending}")), folder.join(format!("{name}-{day}.{ending}")));
        std::fs::rename(&from, &to).map_err(|e| io(format!("keep {}", from.display()), e))?;
    }
    Ok(())
}

/// The certificate of an earlier try, if there is a good one.
pub fn load(project: &Path, pseudonym: &str, signer: &Signer) -> Result<Option<Certificate>> {
    let place = folder(project).join(format!("{pseudonym}.json"));
    match place.is_file() {
        true => verify(&place, &signer.public_key()).map(|signed| Some(signed.certificate)),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::keys::FixedKeys;

    #[test]
    fn a_certificate_holds_until_a_byte_of_it_changes() {
        let folder = std::env::temp_dir().join(format!("lavra-certificate-{}", std::process::id()));
        let request = Request {
            kind: "cpf".into(),
            pseudonym: "s1_x".into(),
            requested_at: "2026-07-01T00:00:00Z".into(),
            deadline: "2026-07-16T00:00:00Z".into(),
        };
        let mut certificate = Certificate::new("shop", request);
        let held = HeldFile { path: "part-1.parquet".into(), bytes: 10, rows: 2, since: Some(1), until: None };
        let files = BTreeMap::from([(held.path.clone(), ErasedFile { held, sha256: "ab".into() })]);
        certificate.tables.insert("bronze.people".into(), Erased { rows: 2, files, ..Erased::default() });
        let signer = Signer::of(&FixedKeys::new(&[7])).expect("a signer");
        let place = certificate.save(&folder, &signer).expect("a place");
        let key = signer.public_key();
        assert_eq!(verify(&place, &key).expect("a good one").certificate, certificate);
        assert_eq!(load(&folder, "s1_x", &signer).expect("a good one"), Some(certificate));
        let good = std::fs::read(&place).expect("its bytes");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&place, &bad).expect("a changed one");
            assert!(verify(&place, &key).is_err(), "byte {at} of {}", String::from_utf8_lossy(&bad));
        }
        std::fs::write(&place, &good).expect("the good one");
        let other = Signer::of(&FixedKeys::new(&[8])).expect("a signer").public_key();
        assert!(verify(&place, &other).is_err_and(|e| e.kind == kernel::Kind::Refused));
        let _ = std::fs::remove_dir_all(&folder);
    }
}
