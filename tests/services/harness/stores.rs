//! Buckets of object stores, and projects whose lake is in one.

use super::{Server, server, unique};
use crate::harness::Project;
use crate::python::READERS;

/// What versitygw was started with; moto takes any.
pub const KEY: &str = "lavra-test";
pub const SECRET: &str = "lavra-test-secret";

/// The account of every Azurite, and its key, which Microsoft publishes.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Every server of the suite that a lake can be in: what holds for one must hold for all.
pub fn servers() -> [Server; 3] {
    ["moto", "versitygw", "azurite"].map(server)
}

/// A bucket, or a container of Azure, that is made for one test.
pub struct Bucket {
    pub name: String,
    is_azure: bool,
    address: String,
}

impl Bucket {
    pub fn new(server: &Server) -> Self {
        let (is_azure, address) = (server.name == "azurite", server.address().to_owned());
        let bucket = Self { name: unique("lavra"), is_azure, address };
        bucket.python(&Project::new("maker"), "store.create_dir(bucket)");
        bucket
    }

    /// What is there by this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", if self.is_azure { "az" } else { "s3" }, self.name)
    }

    /// A project whose lake, and the objects of whose sources, are in the bucket.
    pub fn project(&self, name: &str) -> Project {
        let project = Project::new(name);
        self.configure(&project, &[]);
        project
    }

    /// Writes `lavra.yaml`, with some settings of the store otherwise.
    pub fn configure(&self, project: &Project, otherwise: &[(&str, &str)]) {
        self.write(project, &self.address, otherwise);
    }

    /// Writes `lavra.yaml`, with the server at another address.
    pub fn through(&self, project: &Project, address: &str) {
        self.write(project, address, &[]);
    }

    fn write(&self, project: &Project, address: &str, otherwise: &[(&str, &str)]) {
        let settings: String = self
            .settings(address)
            .iter()
            .map(|(name, value)| {
                let other = otherwise.iter().find(|(other, _)| other == name);
                format!("      {name}: '{}'\n", other.map_or(value.as_str(), |(_, value)| value))
            })
            .collect();
        let environment = format!("environments:\n  local:\n    lake: {}\n    store:\n{settings}", self.url("lake"));
        project.write("lavra.yaml", format!("project: p\n{environment}"));
    }

    /// The store's own, which delta-rs knows by the same names.
    fn settings(&self, address: &str) -> Vec<(&'static str, String)> {
        if self.is_azure {
            return vec![
                ("azure_storage_endpoint", format!("http://{address}/{ACCOUNT}")),
                ("azure_allow_http", "true".into()),
                ("azure_storage_account_name", ACCOUNT.into()),
                ("azure_storage_account_key", ACCOUNT_KEY.into()),
            ];
        }
        vec![
            ("aws_endpoint", format!("http://{address}")),
            ("aws_allow_http", "true".into()),
            ("aws_region", "us-east-1".into()),
            ("aws_access_key_id", KEY.into()),
            ("aws_secret_access_key", SECRET.into()),
        ]
    }

    /// Puts all files of a project's folder below the bucket's folder of that name.
    pub fn put(&self, project: &Project, folder: &str) {
        let copy = format!("fs.copy_files('{folder}', f'{{bucket}}/{folder}', destination_filesystem=store)");
        self.python(project, &copy);
    }

    /// Runs a script that finds `store` (a file system of pyarrow), `bucket`, its `url`, and `options` (of delta-rs).
    pub fn python(&self, project: &Project, script: &str) -> String {
        let (address, bucket, url) = (&self.address, &self.name, self.url(""));
        let store = if self.is_azure {
            let at =
                ["blob", "dfs"].map(|of| format!("{of}_storage_authority='{address}', {of}_storage_scheme='http'"));
            format!("AzureFileSystem('{ACCOUNT}', account_key='{ACCOUNT_KEY}', {})", at.join(", "))
        } else {
            format!(
                "S3FileSystem(access_key='{KEY}', secret_key='{SECRET}', endpoint_override='{address}', scheme='http', \
                 region='us-east-1', allow_bucket_creation=True)"
            )
        };
        let options: String =
            self.settings(address).iter().map(|(name, value)| format!("'{name}': '{value}', ")).collect();
        let head = format!(
            "from pyarrow import fs\nbucket, url = '{bucket}', '{}'\nstore = fs.{store}\noptions = {{{options}}}\n",
            url.trim_end_matches('/')
        );
        // The interpreter is not taken down: pyarrow's threads for a bucket now and then abort it then, when all is said.
        let end = "import os, sys\nsys.stdout.flush()\nos._exit(0)";
        READERS.run(project, &format!("{head}{script}\n{end}\n"))
    }
}
