//! Python with other people's readers and writers of Delta tables.

use crate::harness::Project;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

/// An environment of its own, made once under `target/` for each list of packages.
pub struct Python {
    folder: &'static str,
    packages: &'static [&'static str],
    made: OnceLock<PathBuf>,
}

pub static READERS: Python =
    Python::of("readers-venv", &["deltalake==1.6.6", "polars==1.44.2", "duckdb==1.5.6", "pyarrow==24.0.0"]);

/// What speaks to a Spark server; no Spark of its own.
pub static SPARK: Python = Python::of("spark-venv", &["pyspark-client==4.2.0"]);

/// Confluent's client of a schema registry, with its serializers.
pub static CONFLUENT: Python =
    Python::of("confluent-venv", &["confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1", "protobuf==7.36.2"]);

impl Python {
    pub const fn of(folder: &'static str, packages: &'static [&'static str]) -> Self {
        Self { folder, packages, made: OnceLock::new() }
    }

    fn program(&self) -> &Path {
        self.made.get_or_init(|| {
            let own = std::env::current_exe().expect("this test's program");
            let folder = own.ancestors().nth(3).expect("target").join(self.folder);
            let (python, made) = (folder.join("bin/python"), folder.join("made-of.txt"));
            if std::fs::read_to_string(&made).is_ok_and(|text| text == self.packages.join("\n")) {
                return python;
            }
            let _ = std::fs::remove_dir_all(&folder);
            must(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            must(Command::new(&python).args(install).args(self.packages));
            std::fs::write(&made, self.packages.join("\n")).expect("a note of what was made");
            python
        })
    }

    /// Runs a script in the project's folder and gives what it prints.
    pub fn run(&self, project: &Project, script: &str) -> String {
        project.write("script.py", script);
        must(Command::new(self.program()).arg(project.path("script.py")).current_dir(project.path(".")))
    }

    /// Starts a script in the project's folder, and leaves it at work.
    pub fn start(&self, project: &Project, script: &str) -> Child {
        project.write("started.py", script);
        let mut command = Command::new(self.program());
        command.arg(project.path("started.py")).current_dir(project.path(".")).spawn().expect("a started script")
    }
}

fn must(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?} does not start ({e}); Python 3 with venv is needed"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}
