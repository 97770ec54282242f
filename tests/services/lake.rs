//! A lake in an object store. Needs: moto, versitygw, azurite, gcs.

use super::harness::proxy::Proxy;
use super::harness::stores::{Bucket, SECRET, servers};
use super::harness::{server, sized, unique};
use crate::harness::{Answer, Project, finish, gzip, node};
use crate::people::cpf;
use crate::python::READERS;
use std::time::{Duration, Instant};

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true,
        quality: [{ type: sql, name: enough, query: 'select count(*) from {table}', mustBeGreaterThan: 0 }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

/// Two sources, one of compressed CSV and one of Parquet, below the bucket's `data/`, and a model over both.
fn project(bucket: &Bucket, name: &str) -> Project {
    let project = bucket.project(name);
    project.source("orders", &bucket.url("data/orders-*.csv.gz"), &[]).contract("orders", COLUMNS, &[]);
    project.source("returns", &bucket.url("data/returns/*.parquet"), &[]).contract("returns", COLUMNS, &[]);
    project.model(
        "silver.moved",
        "-- write: merge\n-- key: [id]\nselect id, amount from bronze.orders union all select id, -amount from bronze.returns\n",
    );
    project
}

/// A CSV and a Parquet file of so many rows each, and one bad row.
fn arrive(bucket: &Bucket, project: &Project, wave: u64, rows: u64) {
    let mut text = "id,amount,cpf\n".to_owned();
    for row in 0..rows {
        text.push_str(&format!("o{wave}-{row},{row}.50,{}\n", cpf(row % 90)));
    }
    text.push_str(&format!("bad{wave},much,\n"));
    let _ = std::fs::remove_dir_all(project.path("data"));
    project.write(&format!("data/orders-{wave}.csv.gz"), gzip(text)).write("data/returns/.keep", "");
    let parquet = format!(
        "import pyarrow as pa, pyarrow.parquet as pq\nrows = range({rows})\n\
         pq.write_table(pa.table({{'id': [f'r{wave}-{{r}}' for r in rows], 'amount': [f'{{r}}.25' for r in rows],\n\
         \x20   'cpf': pa.array([None] * {rows}, pa.string())}}), 'data/returns/{wave}.parquet')\n"
    );
    READERS.run(project, &parquet);
    bucket.put(project, "data");
}

/// All that was ever put, once.
fn is_whole(project: &Project, waves: u64, rows: u64) {
    for table in ["orders", "returns"] {
        let n = project.lines(&format!("select count(*), count(distinct id) from bronze.{table}"));
        assert_eq!(n, [format!("{0},{0}", waves * rows)], "bronze.{table}");
    }
    assert_eq!(project.count("quarantine.orders"), waves);
    assert_eq!(project.count("silver.moved"), 2 * waves * rows);
    let per_row: f64 = 0.25;
    let sum = project.lines("select cast(sum(amount) as double) from silver.moved");
    assert_eq!(sum, [format!("{:?}", per_row * (waves * rows) as f64)]);
}

#[test]
fn a_lake_in_a_bucket_takes_each_object_once_and_is_read_by_delta_rs() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let project = project(&bucket, "lake");
        for wave in 0..2 {
            arrive(&bucket, &project, wave, 200);
            let run = project.run();
            assert_eq!(node(&run, "orders")["report"]["rows_read"], 201, "on {}: {run}", server.name);
            is_whole(&project, wave + 1, 200);
        }
        let again = project.run();
        for name in ["orders", "returns", "silver.moved"] {
            assert_eq!(node(&again, name)["status"], "up_to_date", "on {}: {again}", server.name);
        }
        let read = "import deltalake\n\
            for name in ['bronze/orders', 'silver/moved']:\n\
            \x20   t = deltalake.DeltaTable(f'{url}/lake/{name}', storage_options=options)\n\
            \x20   rows = t.to_pyarrow_table()\n\
            \x20   print(name, rows.num_rows, len(set(rows['id'].to_pylist())), sum(rows['amount'].to_pylist()), t.version())";
        let version = |table: &str| project.version(table);
        let expected = format!(
            "bronze/orders 400 400 40000.00 {}\nsilver/moved 800 800 100.00 {}\n",
            version("bronze.orders"),
            version("silver.moved")
        );
        assert_eq!(bucket.python(&project, read), expected, "on {}", server.name);
    }
}

/// The lock is a file of the project's folder: between two machines there is only the store's put-if-absent.
#[test]
fn two_machines_at_once_double_nothing() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let one = project(&bucket, "one");
        let two = project(&bucket, "two");
        two.write(".lavra/keys.json", one.read(".lavra/keys.json"));
        for wave in 0..sized(3, 12) {
            arrive(&bucket, &one, wave, 2_000);
            let mut calls = [&one, &two].map(|project| project.call(&["run", "--quiet", "--format", "json"]));
            let started = calls.each_mut().map(|call| call.start());
            let ended = started.map(|child| Answer::of("one of two runs".into(), &finish(child, "a run")));
            for answer in &ended {
                assert!(matches!(answer.code, Some(0 | 1)), "on {}: {answer:?}", server.name);
                let run = answer.json();
                for node in run["nodes"].as_array().expect("nodes") {
                    let lost = node["status"] != "failed" || node["kind"] == "conflict";
                    assert!(lost, "on {}: it fails by a conflict or not at all: {node}", server.name);
                }
            }
            two.run();
            is_whole(&one, wave + 1, 2_000);
        }
    }
}

#[test]
fn kill_nine_in_the_middle_is_resumed() {
    const ROWS: u64 = 5_000;
    let each = sized(3, 30);
    for server in servers() {
        let bucket = Bucket::new(&server);
        let project = project(&bucket, "killed");
        arrive(&bucket, &project, 0, ROWS);
        let start = Instant::now();
        project.run();
        let longest = start.elapsed();
        let mut dice = fastrand::Rng::with_seed(20_261_125);
        let mut kills = 0;
        for wave in 1..4 {
            arrive(&bucket, &project, wave, ROWS);
            // So many times and no more: on a busy machine a run may take longer than the first one did.
            for _ in 0..each {
                let mut child = project.call(&["run", "--quiet"]).start();
                std::thread::sleep(longest.mul_f64(dice.f64()));
                if child.try_wait().expect("a child to wait for").is_some() {
                    Answer::of("a run".into(), &finish(child, "a run")).exits(0);
                    continue;
                }
                child.kill().expect("kill -9");
                child.wait().expect("its end");
                kills += 1;
            }
            project.run();
            is_whole(&project, wave + 1, ROWS);
        }
        project.lavra(&["run"]).exits(0).says("nothing new");
        assert!(kills > each, "on {}: {kills} kills", server.name);
    }
}

#[test]
fn a_network_that_is_cut_in_the_middle_is_exit_4_and_loses_nothing() {
    const ROWS: u64 = 20_000;
    for server in servers() {
        let bucket = Bucket::new(&server);
        let project = project(&bucket, "cut");
        arrive(&bucket, &project, 0, ROWS);
        let proxy = Proxy::to(server.address());
        bucket.through(&project, &proxy.address);
        proxy.cut_after(150_000);
        let told = project.run_with(&["--retries", "0"]).exits(4).json();
        assert!(proxy.is_cut(), "on {}: the run was at work", server.name);
        let failed = told["nodes"].as_array().expect("nodes").iter().find(|node| node["status"] == "failed");
        assert_eq!(failed.expect("a failed node")["kind"], "unreachable", "on {}: {told}", server.name);
        proxy.mend();
        project.run();
        is_whole(&project, 1, ROWS);
    }
}

#[test]
fn a_server_that_is_gone_is_exit_4() {
    let bucket = Bucket::new(&server("moto"));
    let project = project(&bucket, "gone");
    let proxy = Proxy::to("127.0.0.1:1");
    proxy.cut();
    bucket.through(&project, &proxy.address);
    project.lavra(&["run", "--retries", "0"]).exits(4).says(&proxy.address).says("does not answer");
}

/// moto takes any credentials and regions, so this is for the others.
#[test]
fn wrong_credentials_and_regions_are_told_and_no_secret_is_shown() {
    let bucket = Bucket::new(&server("versitygw"));
    let wrong = [
        ("aws_secret_access_key", "not-the-secret", "403"),
        ("aws_access_key_id", "nobody", "access key ID"),
        ("aws_region", "sa-east-1", "region"),
    ];
    for (setting, value, says) in wrong {
        let project = project(&bucket, "wrong");
        bucket.configure(&project, &[(setting, value)]);
        let answer = project.lavra(&["run"]).exits(1).says(says).says("permissions");
        for secret in [SECRET, "not-the-secret"] {
            assert!(!answer.stderr.contains(secret) && !answer.stdout.contains(secret), "{answer:?}");
        }
    }
    let bucket = Bucket::new(&server("azurite"));
    let (project, wrong) = (project(&bucket, "wrong"), "bm90LXRoZS1rZXk=");
    bucket.configure(&project, &[("azure_storage_account_key", wrong)]);
    let answer = project.lavra(&["run"]).exits(1).says("403").says("permissions");
    assert!(!answer.stderr.contains(wrong) && !answer.stdout.contains(wrong), "{answer:?}");
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let project = project(&bucket, "nowhere");
        let config = project.read("lavra.yaml").replace(&bucket.name, "lavra-nowhere");
        project.write("lavra.yaml", config);
        project.lavra(&["run"]).exits(1).says("lavra-nowhere");
    }
}

/// A listing comes in pages of a thousand.
#[test]
fn a_folder_of_many_small_objects_is_taken_whole() {
    let objects: u64 = sized(3_500, 20_000);
    let bucket = Bucket::new(&server("versitygw"));
    let project = bucket.project("many");
    project.source("orders", &bucket.url("data/*.csv"), &[]).contract("orders", COLUMNS, &[]);
    for object in 0..objects {
        project.write(&format!("data/{object}.csv"), format!("id,amount,cpf\no{object},1.00,\n"));
    }
    bucket.put(&project, "data");
    project.run();
    assert_eq!(
        project.lines("select count(*), count(distinct id) from bronze.orders"),
        [format!("{objects},{objects}")]
    );
    let start = Instant::now();
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
    assert!(start.elapsed() < Duration::from_secs(30), "looking again took {:?}", start.elapsed());
}

/// The lookalike takes no object that is put as Google's own store does, so that the lake is a folder here.
#[test]
fn objects_of_google_s_store_are_taken_once() {
    let (server, bucket) = (server("gcs"), unique("lavra"));
    let project = Project::new("google");
    let account = format!(
        r#"{{"gcs_base_url": "{}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#,
        server.url
    );
    let store = format!("environments:\n  local:\n    store:\n      google_service_account_key: '{account}'\n");
    project.write("lavra.yaml", format!("project: p\n{store}"));
    project.source("orders", &format!("gs://{bucket}/data/*.csv"), &[]).contract("orders", COLUMNS, &[]);
    let put = |objects: std::ops::Range<u64>| {
        let script = format!(
            "import urllib.request\ndef post(path, body, kind):\n\
             \x20   urllib.request.urlopen(urllib.request.Request('{url}' + path, body, {{'Content-Type': kind}})).read()\n\
             if {first}: post('/storage/v1/b?project=p', b'{{\"name\": \"{bucket}\"}}', 'application/json')\n\
             for n in range({start}, {end}):\n\
             \x20   post(f'/upload/storage/v1/b/{bucket}/o?uploadType=media&name=data/{{n}}.csv', f'id,amount,cpf\\no{{n}},1.50,\\n'.encode(), 'text/csv')\n",
            url = server.url,
            first = if objects.start == 0 { "True" } else { "False" },
            start = objects.start,
            end = objects.end,
        );
        READERS.run(&project, &script);
    };
    put(0..30);
    assert_eq!(node(&project.run(), "orders")["report"]["rows_read"], 30);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
    put(30..35);
    assert_eq!(node(&project.run(), "orders")["report"]["rows_read"], 5);
    let sums = project.lines("select count(*), count(distinct id), sum(amount) from bronze.orders");
    assert_eq!(sums, ["35,35,52.50"]);
}
