//! Buckets of an S3 server, and projects whose lake is in one.

use super::{Server, server, unique};
use crate::harness::Project;
use crate::python::READERS;

/// What versitygw was started with; moto takes any.
pub const KEY: &str = "lavra-test";
pub const SECRET: &str = "lavra-test-secret";

/// Every server of the suite: what holds for one S3 must hold for all.
pub fn servers() -> [Server; 2] {
    ["moto", "versitygw"].map(server)
}

/// A bucket that is made for one test.
pub struct Bucket {
    pub name: String,
    endpoint: String,
}

impl Bucket {
    pub fn new(server: &Server) -> Self {
        let bucket = Self { name: unique("lavra"), endpoint: server.url.clone() };
        bucket.python(&Project::new("maker"), "s3.create_dir(bucket)");
        bucket
    }

    /// A project whose lake, and the objects of whose sources, are in the bucket.
    pub fn project(&self, name: &str) -> Project {
        let project = Project::new(name);
        self.configure(&project, &[]);
        project
    }

    /// Writes `lavra.yaml`, with some settings of the store otherwise.
    pub fn configure(&self, project: &Project, otherwise: &[(&str, &str)]) {
        let usual = [
            ("aws_endpoint", self.endpoint.as_str()),
            ("aws_allow_http", "true"),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", KEY),
            ("aws_secret_access_key", SECRET),
        ];
        let settings: String = usual
            .iter()
            .map(|(name, value)| {
                let other = otherwise.iter().find(|(other, _)| other == name);
                format!("      {name}: '{}'\n", other.map_or(*value, |(_, value)| value))
            })
            .collect();
        let lake = format!("s3://{}/lake", self.name);
        let environment = format!("environments:\n  local:\n    lake: {lake}\n    store:\n{settings}");
        project.write("lavra.yaml", format!("project: p\n{environment}"));
    }

    /// Puts all files of a project's folder below `s3://BUCKET/FOLDER/`.
    pub fn put(&self, project: &Project, folder: &str) {
        let copy = format!("fs.copy_files('{folder}', f'{{bucket}}/{folder}', destination_filesystem=s3)");
        self.python(project, &copy);
    }

    /// Runs a script that finds `s3` (a file system of pyarrow), `bucket`, and `options` (of delta-rs).
    pub fn python(&self, project: &Project, script: &str) -> String {
        let (endpoint, bucket) = (&self.endpoint, &self.name);
        let address = endpoint.trim_start_matches("http://");
        let head = format!(
            "from pyarrow import fs\nbucket = '{bucket}'\n\
             s3 = fs.S3FileSystem(access_key='{KEY}', secret_key='{SECRET}', endpoint_override='{address}', scheme='http',\n\
             \x20   region='us-east-1', allow_bucket_creation=True)\n\
             options = {{'AWS_ENDPOINT_URL': '{endpoint}', 'AWS_ALLOW_HTTP': 'true', 'AWS_REGION': 'us-east-1',\n\
             \x20   'AWS_ACCESS_KEY_ID': '{KEY}', 'AWS_SECRET_ACCESS_KEY': '{SECRET}'}}\n"
        );
        // The interpreter is not taken down: pyarrow's threads for a bucket now and then abort it then, when all is said.
        let end = "import os, sys\nsys.stdout.flush()\nos._exit(0)";
        READERS.run(project, &format!("{head}{script}\n{end}\n"))
    }
}
