//! What each command prints with `--format json`. These keys stay what they are; further ones may come.

/// The shape in a sentence, and each key with its meaning.
pub struct Document {
    pub shape: &'static str,
    pub keys: &'static [(&'static str, &'static str)],
}

/// Printed by every command that fails.
pub const ERROR: Document = Document {
    shape: "One object, when a command fails. For a project with faults it has `kind` and `faults` alone.",
    keys: &[
        ("kind", "the kind of error, named as its page under [Errors](../errors.md)"),
        ("error", "the whole sentence: `what` and `detail`"),
        ("what", "what was tried, or what is wrong"),
        ("detail", "why, and what may help"),
        ("advice", "what to do about errors of this kind"),
        ("faults", "the faults of the project: `file`, `message`, the place in it and `help`"),
    ],
};

/// The document of a command; none for those that print the answer of a query or nothing.
pub fn document(command: &str) -> Option<Document> {
    let (shape, keys): (_, &[_]) = match command {
        "init" => {
            ("One object.", &[("project", "its name"), ("folder", "where it is"), ("keys", "its key file, to be kept")])
        }
        "check" => (
            "One object.",
            &[
                ("faults", "empty, for faults are an error"),
                ("warnings", "what its author should know: `file`, `message` and `help`"),
                ("sources, models, tests", "how many there are"),
            ],
        ),
        "plan" => ("An array with an object for each table.", PLAN),
        "run" => ("One object. Events go to stderr meanwhile, one JSON object a line, named by `event`.", RUN),
        "maintain" => ("One object, as that of `run`; with `--dry-run`, what would be done.", RUN),
        "up" | "worker" => {
            ("One object, when it has ended. Events go to stderr meanwhile, as those of `run`.", PROCESS)
        }
        "status" => ("One object: `processes`, an array with an object for each that is at work.", PROCESS),
        "doctor" => ("One object: `exit`, and `findings`, an array with an object for each.", DOCTOR),
        "query" | "shell" => ("An array with an object for each row; nulls are written.", &[]),
        "scan" | "discover" => ("An array with an object for each column.", SCAN),
        "history" => ("An array with an object for each version, the newest first.", HISTORY),
        "lineage" => (
            "An array with an object for each pair of columns.",
            &[
                ("table, column", "the column that is made"),
                ("from", "`layer.table.column`; empty for a constant"),
                ("via", "`copied`, `derived` or `aggregated`; null for a constant"),
            ],
        ),
        "quarantine" => (
            "`list` prints an array of rows, `replay` one object.",
            &[
                ("table, source, column, rule, reason, rows", "`list`: how many rows a rule set aside"),
                ("partition, offset, column, rule, reason, row", "`list TABLE`: a row, masked, and where it came from"),
                ("table, rows_read, rows_passed, rows_staying", "`replay`: what became of the rows"),
            ],
        ),
        "test" => (
            "An array with an object for each test.",
            &[
                ("test, model", "the file and the model"),
                ("passed", "whether it did"),
                ("missing, unexpected", "rows that did not come, and rows that came"),
                ("error", "why the query did not run, or null"),
            ],
        ),
        "connectors" => (
            "An array with an object for each connector; one object for a named one.",
            &[
                ("name, summary", "the connector"),
                ("options, example", "of a named one: the JSON Schema of its options, and a whole file"),
            ],
        ),
        "schema" => ("One object: the JSON Schema of each kind of file, by its name.", &[]),
        "demo" => ("One object: that of `lavra run`, and these.", DEMO),
        _ => return of_governance(command),
    };
    Some(Document { shape, keys })
}

/// Of commands about schemas, people, keys and who opened what.
fn of_governance(command: &str) -> Option<Document> {
    let (shape, keys): (_, &[_]) = match command {
        "registry" => (
            "`list` and `check` print an array of objects, `show` and `level` one object; `serve` prints none.",
            &[
                ("subject, version, id, versions", "`list`: the last version of each, and how many there are"),
                ("subject, version, id, type, schema, references, level", "`show`: one schema, as a text of its type"),
                ("table, subject, change", "`check`: `new`, `same`, `changed` or `incompatible`"),
                ("version, id, level, why", "`check`: of the version that it was held against"),
                ("subject, level", "`level`: which changes it allows"),
            ],
        ),
        "subject" => ("One object; `purge` prints an array of certificates.", SUBJECT),
        "privacy" => ("One object.", PRIVACY),
        "keys" => ("One object.", KEYS),
        "audit" => ("`list` prints an array of records, `verify` one object.", AUDIT),
        "public-key" => {
            ("One object.", &[("scope", "whose key it is"), ("public_key", "for `public_keys` of lavra.yaml")])
        }
        _ => return None,
    };
    Some(Document { shape, keys })
}

const DOCTOR: &[(&str, &str)] = &[
    ("about", "`project`, or a source"),
    ("subject", "what was looked at"),
    ("grade", "`good`, `warning` or `bad`"),
    ("found", "what was found"),
    ("remedy", "what to do about it; null when all is well"),
];

const PROCESS: &[(&str, &str)] = &[
    ("project, environment, id, pid, since, command", "which process it is"),
    ("state", "`running`, `draining`, `paused`, `stopped`, or `dead` for one that ended without a word"),
    ("updated_at", "when this was written; times are microseconds since 1970"),
    ("address", "where it is served"),
    ("sources", "one object for each source, with these keys"),
    ("source, schedule, system", "its name, when it is taken in, and the outside system whose breaker it shares"),
    ("state", "`starting`, `running`, `idle`, `waiting`, `retrying`, `failed`, `elsewhere` or `stopped`"),
    ("lag, lag_at", "`partitions` and `bytes` that wait to be read, and when that was counted"),
    ("rows_per_second", "over the last ten seconds"),
    ("rows_read, bytes_read, rows_committed, rows_quarantined, commits, failures", "since the process started"),
    ("version, committed_at", "of the bronze table"),
    ("last_failure", "`at`, `error`, `kind` and `remedy`"),
    ("next_at", "when it is opened next; null while it is open"),
    ("holder", "who has it when it is elsewhere"),
    (
        "breakers",
        "by outside system: `state`, `failure_rate`, `slow_call_rate`, `buffered_calls`, `failed_calls`, `slow_calls`, `not_permitted_calls`, `retry_at`",
    ),
    ("models", "`model`, `status`, `version`, `made_at`, `looked_at`, `elapsed_ms`, `last_failure`"),
];

const PLAN: &[(&str, &str)] = &[
    ("table", "`layer.table`"),
    ("change", "`new`, `changed`, `same` or `removed`"),
    ("why", "a sentence"),
    ("files_to_read, bytes_to_read, rows_to_read", "what a run would read; null where that is not known"),
    ("columns_added, columns_gone", "names"),
    (
        "exposure",
        "columns that will say more or less about people: `column`, `now`, `then`, and the `reason` that its model states, or null",
    ),
    ("warnings", "what must be known before the run: columns whose older rows were masked otherwise"),
];

const RUN: &[(&str, &str)] = &[
    ("run_id", "stands in every commit of the run"),
    ("seconds", "how long it took"),
    ("exit", "the program's exit code"),
    ("warnings", "what the project's author should know"),
    ("nodes[].node", "a source's name, or a model's table"),
    ("nodes[].status", "`done`, `up_to_date`, `failed`, `skipped` or `cancelled`"),
    ("nodes[].attempts, elapsed_ms, seconds", "how often it was tried, and how long it took"),
    ("nodes[].error, kind, advice", "of a failed one"),
    ("nodes[].because", "of a skipped one the failed node, of a cancelled one a sentence"),
    ("nodes[].report", "what was committed; null for a node that was not started"),
    ("report.table, version", "the table, and its version after the run"),
    ("report.rows_read", "of a source its rows, good and bad; of a model the rows that its inputs hold"),
    ("report.rows_written, rows_quarantined, values_dropped", "what became of them"),
    ("report.rows_forgotten", "rows of people who asked to be forgotten: they were let go"),
    ("report.rows_repeated", "rows that came before, of a source that may give a row again: they were let go"),
    ("report.values_masked", "masked values by kind of personal data"),
    ("report.quarantined_because", "quarantined rows by `column: rule`"),
    ("report.bytes_written, files_removed, checks_passed", "numbers"),
    ("report.inputs", "of a model: the versions of the tables that it read"),
];

const PRIVACY: &[(&str, &str)] = &[
    ("project, environment, made_at, lavra", "what the report is of, and when it was made"),
    ("controller, operator, dpo, measures", "as `privacy` of lavra.yaml states them, or null"),
    ("lake, keys, upkeep, group_floor", "where things are, and the settings with their defaults put in"),
    ("activities", "an object for each contract with personal data: its facts, or null, and its `columns`"),
    ("flows", "tables made from others that carry personal data: `columns` with `carries`, `nearness` and `reason`"),
    (
        "retention",
        "an object for each table: `last_byte_days`, `deadline_days`, `retention_days`, `oldest_days`, `complies`, …",
    ),
    ("missing", "facts that nobody stated: `what`, `file`, `key`"),
    ("refused", "what `lavra check` refuses, as its faults"),
    ("complies", "whether all tables keep to their deadlines; else the exit code is 3"),
];

const SCAN: &[(&str, &str)] = &[
    ("table, column", "the column"),
    ("kind", "the kind of personal data that was found, or null"),
    ("confidence, share", "how sure that is, and how many values it fits, from 0 to 1"),
    ("examples", "shapes of values, never values"),
    ("classification, mask", "what is proposed, or null"),
];

const SUBJECT: &[(&str, &str)] = &[
    ("pseudonym, kind", "who it is about; never the value"),
    ("found[].table, version, rows, columns", "`locate`: rows of the latest version, and how many each column tells"),
    (
        "found[].files",
        "every file with such a row: `path`, `bytes`, `rows`, and the versions `since` and `until` which",
    ),
    ("blind[].table, column", "columns of the kind by which nobody can be told"),
    (
        "plan[].action",
        "`forget --dry-run`: `erase`, `purge` (only old versions hold rows) or `hold`; the rest as `found`",
    ),
    ("folder, tables", "`export`: where the copy is, and what of each table is in it"),
    ("certificate, file", "`forget`: what was erased, and where the signed certificate is"),
    ("is_valid, certificate", "`verify`: an error where it is not"),
    ("readmitted", "`readmit`: whether the person had been forgotten"),
];

const HISTORY: &[(&str, &str)] = &[
    ("version", "from 0"),
    ("at", "when it was committed, RFC 3339 in UTC"),
    ("at_micros", "the same in microseconds since 1970"),
    ("operation", "what was done"),
    ("run_id", "the run that made it; null for another program's commit"),
    ("made_from", "the source with its count, or the inputs with their versions"),
    ("rows_written, files_added, files_removed", "numbers, or null"),
];

const DEMO: &[(&str, &str)] = &[
    ("raw_cpfs_searched, raw_emails_searched, raw_phones_searched", "how many were looked for in the lake"),
    ("raw_cpfs_found, raw_emails_found, raw_phones_found", "how many were found"),
    ("files_searched", "files of the lake"),
    ("answers", "`revenue`, `fraud_bursts` and `retention`"),
];

const KEYS: &[(&str, &str)] = &[
    ("keys, available, problem", "`status`: where the keys are, whether they can be had now, and why not"),
    ("carried, begun", "the version that masks use; the one that a rotation was cut off on the way to"),
    ("versions", "`status`: `version, made_at, state, columns` of each; `columns` are `table, column, values`"),
    ("version, made", "`rotate`: the version, and whether it was made now"),
    ("rewritten", "`rotate`: the tables that carried an older version"),
    ("computed", "`rotate`: columns computed from tokens, which a full refresh makes anew"),
];

const AUDIT: &[(&str, &str)] = &[
    ("number, at, event, previous, seal", "`list`: a record, and the seals that chain it to the one before"),
    ("user, reason, sql, grants", "`list`: of an `opened` record; the query is without its literals"),
    ("of, rows, whole", "`list`: of an `ended` record: which one, how many rows it gave, and whether to its end"),
    ("records, last_seal", "`verify`: how many there are, and the last seal, to be kept elsewhere"),
    ("broken", "`verify`: `number, why` of each that is not as it was written"),
];
