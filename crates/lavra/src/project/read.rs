//! The text files of a project.

use super::privacy::{DICTIONARIES, PRIVACY_FILE};
use kernel::diagnostic::Diagnostic;
use kernel::error::{Error, Result, io};
use kernel::name::LAYERS;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file of a project that is read as text, by its path from the project's folder.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub folder: PathBuf,
    pub texts: BTreeMap<String, String>,
    /// Files that can't be read as text, or have no place.
    pub faults: Vec<Diagnostic>,
}

/// The nearest folder with a `lavra.yaml`, from `start` upwards.
pub fn find_folder(start: &Path) -> Result<PathBuf> {
    let start = std::path::absolute(start).map_err(|e| io(format!("find the project from {}", start.display()), e))?;
    match start.ancestors().find(|folder| folder.join("lavra.yaml").is_file()) {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(Error::project(
            format!("no lavra.yaml in {} or above", start.display()),
            "make a project with `lavra init NAME`, or name its folder with `--project DIR`",
        )),
    }
}

impl Files {
    /// Reads all of them; nothing else of the project is touched.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = Self { folder: folder.to_path_buf(), ..Self::default() };
        files.take(Path::new("lavra.yaml"));
        for (sub, ending) in
            [("sources", "yaml"), ("contracts", "yaml"), ("tests", "yaml"), ("policies", "yaml"), ("models", "sql")]
        {
            files.walk(Path::new(sub), ending)?;
        }
        files.take_privacy()?;
        Ok(files)
    }

    /// Reads `privacy.yaml` and its dictionaries alone.
    pub fn privacy(folder: &Path) -> Result<Self> {
        let mut files = Self { folder: folder.to_path_buf(), ..Self::default() };
        files.take_privacy()?;
        Ok(files)
    }

    fn take_privacy(&mut self) -> Result<()> {
        if self.folder.join(PRIVACY_FILE).exists() {
            self.take(Path::new(PRIVACY_FILE));
        }
        self.walk(Path::new(DICTIONARIES), "txt")
    }

    fn walk(&mut self, sub: &Path, ending: &str) -> Result<()> {
        let folder = self.folder.join(sub);
        if !folder.is_dir() {
            return Ok(());
        }
        let what = || format!("read the folder {}", folder.display());
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(|e| io(what(), e))? {
            entries.push(sub.join(entry.map_err(|e| io(what(), e))?.file_name()));
        }
        entries.sort();
        for path in entries {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if self.folder.join(&path).is_dir() {
                self.walk(&path, ending)?;
            } else if path.extension().is_some_and(|e| e == ending) {
                self.take(&path);
            } else if path.extension().is_some_and(|e| e == "yml") {
                let fault = Diagnostic::new(path.to_string_lossy(), None, "this file's name ends in `.yml`");
                self.faults.push(fault.help(Some("rename it to `.yaml`")));
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path) {
        let name = path.to_string_lossy().into_owned();
        match std::fs::read(self.folder.join(path)) {
            Err(e) => self.faults.push(Diagnostic::new(name, None, format!("can't be read: {e}"))),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => drop(self.texts.insert(name, text)),
                Err(e) => {
                    let at = e.utf8_error().valid_up_to();
                    let fault = Diagnostic::new(name, None, format!("is not UTF-8 text (byte {at})"));
                    self.faults.push(fault.help(Some("save it as UTF-8")));
                }
            },
        }
    }

    /// The files of a folder, with the name that each stands for.
    pub fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let prefix = format!("{folder}/");
        self.texts.iter().filter_map(move |(path, text)| {
            let name = path.strip_prefix(&prefix)?.rsplit_once('.')?.0;
            Some((name, path.as_str(), text.as_str()))
        })
    }

    /// As printed to a person.
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        diagnostic.render(self.texts.get(&diagnostic.file).map_or("", String::as_str))
    }

    /// The layers that models may be in.
    pub fn model_layers() -> &'static [&'static str] {
        &LAYERS[2..]
    }
}
