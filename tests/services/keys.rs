//! Keys in a system that keeps them: whatever it says but yes, no row passes. Needs: openbao, moto.

use super::harness::aws::Kms;
use super::harness::proxy::Proxy;
use super::harness::vault::{Role, Vault};
use super::harness::{Own, server};
use crate::harness::{Answer, Project};
use crate::people::cpf;
use std::time::Duration;

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

const ROWS: u64 = 50;

/// Who the process says it is: variables of its environment.
type Credentials<'a> = &'a [(&'a str, &'a str)];

/// What moto takes.
const ANY_AWS: Credentials<'static> = &[("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any")];

/// People in a file, and keys at a URL. The lake is another project's folder, or its own.
fn project(keys: &str, lake: Option<&Project>) -> Project {
    let project = Project::new("keys");
    let lake = lake.map_or_else(|| project.path("lake"), |other| other.path("lake"));
    let environment = format!("environments:\n  local:\n    lake: {}\n    keys: '{keys}'\n", lake.display());
    project.write("lavra.yaml", format!("project: keys\n{environment}"));
    project.source("people", "data/*.csv", &[]).contract("people", COLUMNS, &[]);
    arrive(&project, 0);
    project
}

fn arrive(project: &Project, wave: u64) {
    let rows: String = (0..ROWS).map(|row| format!("{wave}-{row},{}\n", cpf(row))).collect();
    project.write(&format!("data/{wave}.csv"), format!("id,cpf\n{rows}"));
}

fn lavra(project: &Project, args: &[&str], who: Credentials) -> Answer {
    let mut call = project.call(args);
    for name in ["VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_NAMESPACE", "VAULT_CACERT"] {
        call.command.env_remove(name);
    }
    call.command.envs(who.iter().copied());
    call.done()
}

/// A run without second tries, so that an outage is told at once.
fn run(project: &Project, who: Credentials) -> Answer {
    lavra(project, &["run", "--quiet", "--retries", "0"], who)
}

/// Each id with what stands for its CPF.
fn pseudonyms(project: &Project, who: Credentials) -> Vec<String> {
    let sql = "select id, cpf from bronze.people";
    let answer = lavra(project, &["query", "--format", "csv", sql], who).exits(0);
    let mut lines: Vec<String> = answer.stdout.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// So many waves are in bronze, every person in them by one pseudonym, and no CPF is anywhere but in the input.
#[track_caller]
fn is_whole(project: &Project, waves: u64, who: Credentials) {
    let lines = pseudonyms(project, who);
    assert_eq!(lines.len() as u64, waves * ROWS);
    let mut tokens: Vec<&str> = lines.iter().filter_map(|line| line.split(',').nth(1)).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len() as u64, ROWS, "a person has one pseudonym in all files");
    nothing_raw(project);
}

/// A first run that failed has left no row.
#[track_caller]
fn is_empty(project: &Project) {
    for (path, _) in project.files_below("lake") {
        assert!(path.extension().is_none_or(|end| end != "parquet"), "rows without a key in {}", path.display());
    }
    nothing_raw(project);
}

#[track_caller]
fn nothing_raw(project: &Project) {
    for folder in ["lake", ".lavra"] {
        for (path, content) in project.files_below(folder) {
            let raw = (0..ROWS).find(|row| content.windows(11).any(|window| window == cpf(*row).as_bytes()));
            assert_eq!(raw, None, "{} holds a CPF", path.display());
        }
    }
}

/// A run is refused or gets no answer, and nothing passes; when it is healed, the next one takes all.
#[track_caller]
fn fails_closed(project: &Project, code: i32, who: Credentials, says: &str) {
    run(project, who).exits(code).says(says);
    is_empty(project);
}

fn token(token: &str) -> [(&str, &str); 1] {
    [("VAULT_TOKEN", token)]
}

fn role(role: &Role) -> [(&str, &str); 2] {
    [("VAULT_ROLE_ID", &role.id), ("VAULT_SECRET_ID", &role.secret)]
}

/// A vault of the suite with a key, a policy for it, and the key's URL.
fn vault() -> (Vault, String, String) {
    let vault = Vault::new();
    vault.create_key("lavra");
    let policy = vault.policy("lavra");
    let url = vault.keys_url(server("openbao").address(), "lavra");
    (vault, policy, url)
}

#[test]
fn the_first_run_makes_a_keyring_that_other_projects_share() {
    let (vault, policy, url) = vault();
    let granted = vault.token(&policy, 600);
    let first = project(&url, None);
    run(&first, &token(&granted)).exits(0);
    is_whole(&first, 1, &token(&granted));
    let ring = first.read("lake/_lavra/keys/1.json");
    assert!(ring.contains("vault:v1:"), "what is kept is wrapped by transit: {ring}");

    let second = project(&url, Some(&first));
    second.write("sources/people.yaml", "connector: files\npath: data/*.csv\ninto: others\ncontract: people\n");
    run(&second, &token(&vault.token(&policy, 600))).exits(0);
    let who = token(&granted);
    let both = "select count(distinct p.cpf) as n from bronze.people p join bronze.others o on p.cpf = o.cpf";
    let joined = lavra(&second, &["query", "--format", "csv", both], &who).exits(0);
    assert_eq!(joined.stdout.lines().nth(1), Some(&*ROWS.to_string()), "the same person is the same in both");
    assert_eq!(first.read("lake/_lavra/keys/1.json"), ring, "there is one keyring");
}

#[test]
fn a_role_signs_in_and_one_that_was_deleted_does_not() {
    let (vault, policy, url) = vault();
    let signed_in = vault.role(&policy, 60);
    let project = project(&url, None);
    run(&project, &role(&signed_in)).exits(0);
    is_whole(&project, 1, &role(&signed_in));
    vault.delete_role(&signed_in);
    arrive(&project, 1);
    run(&project, &role(&signed_in)).exits(3).says("VAULT_SECRET_ID");
    let other = vault.role(&policy, 60);
    is_whole(&project, 1, &role(&other));
    run(&project, &role(&other)).exits(0);
    is_whole(&project, 2, &role(&other));
}

#[test]
fn without_a_credential_it_says_which_to_give() {
    let (_vault, _policy, url) = vault();
    fails_closed(&project(&url, None), 2, &[], "VAULT_TOKEN");
}

#[test]
fn a_wrong_token_is_refused() {
    let (vault, policy, url) = vault();
    let project = project(&url, None);
    let answer = run(&project, &token("s.wrong-token-0001")).exits(3).says("HTTP 403");
    assert!(!answer.stderr.contains("s.wrong-token-0001"), "no credential is shown: {answer:?}");
    is_empty(&project);
    let granted = vault.token(&policy, 600);
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 1, &token(&granted));
}

#[test]
fn a_token_whose_lease_has_ended_is_refused() {
    let (vault, policy, url) = vault();
    let project = project(&url, None);
    let short = vault.token(&policy, 5);
    run(&project, &token(&short)).exits(0);
    arrive(&project, 1);
    std::thread::sleep(Duration::from_secs(6));
    run(&project, &token(&short)).exits(3).says("HTTP 403");
    let granted = vault.token(&policy, 600);
    is_whole(&project, 1, &token(&granted));
    vault.revoke(&granted);
    run(&project, &token(&granted)).exits(3).says("HTTP 403");
    let granted = vault.token(&policy, 600);
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 2, &token(&granted));
}

#[test]
fn a_key_that_the_policy_denies_is_refused() {
    let (vault, policy, url) = vault();
    let project = project(&url, None);
    let granted = vault.token(&policy, 600);
    vault.deny(&policy);
    fails_closed(&project, 3, &token(&granted), "policy");
    vault.allow(&policy, "lavra");
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 1, &token(&granted));
}

/// A keyring whose wrapping key is gone can't be opened again, and no other one is made in its place.
#[test]
fn a_deleted_key_stops_every_later_run() {
    let (vault, policy, url) = vault();
    let project = project(&url, None);
    let granted = vault.token(&policy, 600);
    run(&project, &token(&granted)).exits(0);
    let ring = project.read("lake/_lavra/keys/1.json");
    vault.delete_key("lavra");
    arrive(&project, 1);
    for _ in 0..2 {
        let answer = run(&project, &token(&granted));
        assert!(matches!(answer.code, Some(2 | 3)), "{answer:?}");
        is_whole(&project, 1, &token(&granted));
        vault.create_key("lavra");
    }
    assert_eq!(project.read("lake/_lavra/keys/1.json"), ring);
}

#[test]
fn a_sealed_vault_is_exit_4_until_it_is_unsealed() {
    let own = Own::start("openbao");
    let vault = Vault::of(&own.server);
    vault.create_key("lavra");
    let granted = vault.token(&vault.policy("lavra"), 600);
    let project = project(&vault.keys_url(own.server.address(), "lavra"), None);
    vault.seal(&own);
    fails_closed(&project, 4, &token(&granted), "sealed");
    vault.unseal(&own);
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 1, &token(&granted));
    vault.seal(&own);
    arrive(&project, 1);
    run(&project, &token(&granted)).exits(4).says("sealed");
    vault.unseal(&own);
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 2, &token(&granted));
}

#[test]
fn a_network_that_is_cut_in_the_middle_of_an_answer_is_exit_4() {
    let (vault, policy, _) = vault();
    let granted = vault.token(&policy, 600);
    let proxy = Proxy::to(server("openbao").address());
    let project = project(&vault.keys_url(&proxy.address, "lavra"), None);
    // The question is longer than this, so that the cut comes while it is asked or answered.
    for bytes in [1, 400] {
        proxy.cut_after(bytes);
        fails_closed(&project, 4, &token(&granted), "no row passes");
        assert!(proxy.is_cut(), "the run was on its way");
        proxy.mend();
    }
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 1, &token(&granted));
    proxy.cut();
    arrive(&project, 1);
    run(&project, &token(&granted)).exits(4);
    is_whole(&project, 1, &token(&granted));
    proxy.mend();
    run(&project, &token(&granted)).exits(0);
    is_whole(&project, 2, &token(&granted));
}

#[test]
fn a_key_of_aws_kms_wraps_a_keyring_that_other_projects_share() {
    let kms = Kms::new();
    let key = kms.create_key();
    let first = project(&kms.keys_url(&key), None);
    run(&first, ANY_AWS).exits(0);
    is_whole(&first, 1, ANY_AWS);
    let second = project(&kms.keys_url(&key), None);
    second.write("lake/_lavra/keys/1.json", first.read("lake/_lavra/keys/1.json"));
    run(&second, ANY_AWS).exits(0);
    assert_eq!(pseudonyms(&first, ANY_AWS), pseudonyms(&second, ANY_AWS));
}

#[test]
fn a_key_that_aws_kms_does_not_have_lets_no_row_pass() {
    let kms = Kms::new();
    let absent = project(&kms.keys_url("1234abcd-12ab-34cd-56ef-1234567890ab"), None);
    fails_closed(&absent, 2, ANY_AWS, "no such key");
    // Another key than the one that wrapped the ring is refused, whatever it may open by itself.
    let own = project(&kms.keys_url(&kms.create_key()), None);
    run(&own, ANY_AWS).exits(0);
    let other = project(&kms.keys_url(&kms.create_key()), None);
    other.write("lake/_lavra/keys/1.json", own.read("lake/_lavra/keys/1.json"));
    fails_closed(&other, 3, ANY_AWS, "wrap");
}

#[test]
fn an_aws_kms_that_is_cut_off_is_exit_4() {
    let kms = Kms::new();
    let proxy = Proxy::to(server("moto").address());
    let url = Kms::at(&format!("http://{}", proxy.address)).keys_url(&kms.create_key());
    let project = project(&url, None);
    proxy.cut_after(100);
    fails_closed(&project, 4, ANY_AWS, "no row passes");
    assert!(proxy.is_cut(), "the run was on its way");
    proxy.mend();
    run(&project, ANY_AWS).exits(0);
    is_whole(&project, 1, ANY_AWS);
}
