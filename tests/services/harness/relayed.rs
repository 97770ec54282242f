//! A source that goes through an outside broker, killed on the way, with a stranger's record among its own.

use super::unique;
use crate::harness::{Project, node};
use crate::journeys::kill::under_fire;
use crate::people::cpf;
use std::time::Instant;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

const ROWS: u64 = 2_000;

/// Files through the broker of this URL. `forge` puts a record of somebody else's into a topic: a JSON object as this
/// program's are, with the text that it is given for a CPF.
pub fn goes_through(broker: &str, forge: impl FnOnce(&Project, &str, &str)) {
    let (name, project) = (unique("relay"), Project::new("relay"));
    project.write("lavra.yaml", format!("project: {name}\nenvironments:\n  local: {{ broker: '{broker}' }}\n"));
    project.source("orders", "data/orders-*.csv", &[]).contract("orders", COLUMNS, &[]);
    let arrive = |wave: u64| {
        let rows: String = (0..ROWS).map(|row| format!("o{wave}-{row},{row}.50,{}\n", cpf(row % 90))).collect();
        project.write(&format!("data/orders-{wave}.csv"), format!("id,amount,cpf\n{rows}bad{wave},much,\n"));
    };
    let has = |waves: u64| {
        let n = project.lines("select count(*), count(distinct id) from bronze.orders");
        assert_eq!(n, [format!("{0},{0}", waves * ROWS)]);
        assert_eq!(project.lines("select count(*) from quarantine.orders where rule <> 'seal'"), [waves.to_string()]);
    };
    arrive(0);
    let start = Instant::now();
    let run = project.run();
    let longest = start.elapsed();
    assert_eq!(node(&run, "orders")["report"]["rows_written"], ROWS, "{run}");
    has(1);
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    let mut kills = 0;
    for wave in 1..5 {
        arrive(wave);
        kills += under_fire(&project, &["run", "--quiet"], longest, &mut dice);
        has(wave + 1);
    }
    assert!(kills > 0, "it was killed");
    let secret = "529.982.247-25";
    forge(&project, &format!("{name}.bronze.orders"), secret);
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["quarantined_because"]["seal"], 1, "{run}");
    has(5);
    for (path, bytes) in project.files_below("lake") {
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{} holds a CPF", path.display());
    }
    project.lavra(&["run"]).exits(0).says("nothing new");
}
