//! Can somebody be found again in a table that names nobody? Four measures over groups of equal quasi-identifiers, the
//! columns by which an outsider may know a person (postcode, year of birth, sex).
//!
//! * k-anonymity: L. Sweeney, "k-anonymity: a model for protecting privacy", 2002.
//! * l-diversity: A. Machanavajjhala and others, "ℓ-diversity: privacy beyond k-anonymity", 2007.
//! * t-closeness: N. Li and others, "t-closeness: privacy beyond k-anonymity and ℓ-diversity", 2007, with the earth mover's
//!   distance of its section 5: ordered for numbers and times, equal for all else.
//!
//! Null is a value like others, of a quasi-identifier as of a sensitive column.

use super::super::header::Checks;
use super::super::run::quoted;
use arrow::datatypes::{DataType, Schema};
use schemars::JsonSchema;
use serde::Deserialize;

/// Distances and entropies are sums of fractions: what is off by less than this is equal.
const ROUNDING: f64 = 1e-9;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KAnonymity {
    /// The smallest group that is allowed.
    pub k: u64,
    /// The columns by which an outsider may know a person.
    pub quasi_identifiers: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LDiversity {
    /// How many values, or for `entropy` the number whose logarithm the entropy must reach.
    pub l: f64,
    /// The columns by which an outsider may know a person.
    pub quasi_identifiers: Vec<String>,
    /// The column that must not be found out.
    pub sensitive: String,
    #[serde(default)]
    pub kind: Diversity,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Diversity {
    /// Different values are counted.
    #[default]
    Distinct,
    /// Values that are rare in a group count for less: the entropy of each group is at least `log(l)`.
    Entropy,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TCloseness {
    /// The greatest distance that is allowed, between 0 and 1.
    pub t: f64,
    /// The columns by which an outsider may know a person.
    pub quasi_identifiers: Vec<String>,
    /// The column that must not be found out.
    pub sensitive: String,
    /// How far values are from each other. Default: `ordered` for numbers and times, `equal` for all else
    #[serde(default)]
    pub distance: Option<Distance>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// By how many values lie between them.
    Ordered,
    /// Each as far as any other.
    Equal,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniqueness {
    /// The greatest share of rows that may be alone in their group, from 0 to 1.
    pub max_share: f64,
    /// The columns by which an outsider may know a person.
    pub quasi_identifiers: Vec<String>,
}

/// A measure as it is asked: its name, where the header asks it, and a query that gives the groups that fall short and
/// their rows.
pub(super) struct Measure {
    pub name: String,
    pub key: &'static str,
    pub sql: String,
}

/// The columns that a check names.
struct Named<'a> {
    key: &'static str,
    quasi: &'a [String],
    sensitive: Option<&'a str>,
}

fn named(checks: &Checks) -> Vec<Named<'_>> {
    let k = checks.k_anonymity.as_ref().map(|c| ("k_anonymity", &c.quasi_identifiers, None));
    let l = checks.l_diversity.as_ref().map(|c| ("l_diversity", &c.quasi_identifiers, Some(c.sensitive.as_str())));
    let t = checks.t_closeness.as_ref().map(|c| ("t_closeness", &c.quasi_identifiers, Some(c.sensitive.as_str())));
    let unique = checks.uniqueness.as_ref().map(|c| ("uniqueness", &c.quasi_identifiers, None));
    let all = [k, l, t, unique].into_iter().flatten();
    all.map(|(key, quasi, sensitive)| Named { key, quasi, sensitive }).collect()
}

/// Every column that these checks name, with where the header does.
pub(in super::super) fn columns(checks: &Checks) -> Vec<(String, &str)> {
    let mut all = Vec::new();
    for check in named(checks) {
        let place = |at: usize| format!("checks.{}.quasi_identifiers[{at}]", check.key);
        all.extend(check.quasi.iter().enumerate().map(|(at, column)| (place(at), column.as_str())));
        all.extend(check.sensitive.map(|column| (format!("checks.{}.sensitive", check.key), column)));
    }
    all
}

/// Numbers and columns that no table could be held to, or any: where, what is wrong, and what to write.
pub(super) fn faults(checks: &Checks) -> Vec<(String, String, &'static str)> {
    let mut faults = Vec::new();
    let mut wrong = |is: bool, place: &str, message: String, help| {
        if is {
            faults.push((format!("checks.{place}"), message, help));
        }
    };
    for check in named(checks) {
        let place = format!("{}.quasi_identifiers", check.key);
        let help = "name the columns by which an outsider may know a person, such as a postcode and a year of birth";
        wrong(check.quasi.is_empty(), &place, "no column is named".into(), help);
        for (at, column) in check.quasi.iter().enumerate() {
            let place = format!("{place}[{at}]");
            wrong(check.quasi[..at].contains(column), &place, format!("`{column}` is named twice"), "take one away");
            let is_sensitive = check.sensitive == Some(column);
            let help = "what must not be found out is no column by which people are known: take it out of one of them";
            wrong(is_sensitive, &place, format!("`{column}` is the sensitive column too"), help);
        }
    }
    if let Some(check) = &checks.k_anonymity {
        let message = format!("k is {}, which every table fulfils", check.k);
        wrong(check.k < 2, "k_anonymity.k", message, "write 2 or more; 5 and 10 are usual");
    }
    if let Some(check) = &checks.l_diversity {
        let message = format!("l is {}, which every table fulfils", check.l);
        wrong(check.l.is_nan() || check.l <= 1.0, "l_diversity.l", message, "write 2 or more");
        let is_part = check.kind == Diversity::Distinct && check.l.fract() != 0.0;
        let message = format!("l is {}, but values are counted in whole numbers", check.l);
        wrong(is_part, "l_diversity.l", message, "write a whole number, or `kind: entropy`");
    }
    if let Some(check) = &checks.t_closeness {
        let message = format!("t is {}, but a distance is between 0 and 1", check.t);
        let is_outside = check.t.is_nan() || check.t <= 0.0 || check.t >= 1.0;
        wrong(is_outside, "t_closeness.t", message, "write a number between 0 and 1, such as 0.15");
    }
    if let Some(check) = &checks.uniqueness {
        let message =
            format!("max_share is {}, but a share that can be passed is from 0 to less than 1", check.max_share);
        let is_outside = !(0.0..1.0).contains(&check.max_share);
        wrong(is_outside, "uniqueness.max_share", message, "write a number such as 0.05; 0 allows no row to be alone");
    }
    faults
}

/// The queries over a table. `schema` tells numbers from categories.
pub(super) fn measures(checks: &Checks, table: &str, schema: &Schema) -> Vec<Measure> {
    let mut all = Vec::new();
    let mut add = |key, quasi: &[String], said: String, sql| {
        all.push(Measure { name: format!("{key} ({}; {said})", quasi.join(", ")), key, sql });
    };
    if let Some(check) = &checks.k_anonymity {
        let sql = format!("{} where n < {}", short(&sizes(&check.quasi_identifiers, table)), check.k);
        add("k_anonymity", &check.quasi_identifiers, format!("k {}", check.k), sql);
    }
    if let Some(check) = &checks.l_diversity {
        let kind = if check.kind == Diversity::Entropy { ", entropy" } else { "" };
        let said = format!("{} l {}{kind}", check.sensitive, check.l);
        add("l_diversity", &check.quasi_identifiers, said, diversity(check, table));
    }
    if let Some(check) = &checks.t_closeness {
        let said = format!("{} t {}", check.sensitive, check.t);
        add("t_closeness", &check.quasi_identifiers, said, closeness(check, table, schema));
    }
    if let Some(check) = &checks.uniqueness {
        let said = format!("max_share {}", check.max_share);
        add("uniqueness", &check.quasi_identifiers, said, alone(check, table));
    }
    all
}

/// `"zip" as q0, "age" as q1`: no name of a table's column can then be one of ours.
fn keys(quasi: &[String]) -> (String, String) {
    let named: Vec<String> = quasi.iter().enumerate().map(|(at, name)| format!("{} as q{at}", quoted(name))).collect();
    let bare: Vec<String> = (0..quasi.len()).map(|at| format!("q{at}")).collect();
    (named.join(", "), bare.join(", "))
}

/// The size of each group, as `n`.
fn sizes(quasi: &[String], table: &str) -> String {
    let (named, keys) = keys(quasi);
    format!("select {keys}, count(*) as n from (select {named} from {table}) group by {keys}")
}

/// How often each value of the sensitive column is in each group: the group's keys, `v` and `n`.
fn counted(quasi: &[String], sensitive: &str, table: &str) -> String {
    let (named, keys) = keys(quasi);
    let v = quoted(sensitive);
    format!("select {keys}, v, count(*) as n from (select {named}, {v} as v from {table}) group by {keys}, v")
}

/// The number of groups and of rows in them.
fn short(groups: &str) -> String {
    format!("select count(*), coalesce(sum(n), 0) from ({groups})")
}

fn diversity(check: &LDiversity, table: &str) -> String {
    let (_, keys) = keys(&check.quasi_identifiers);
    let counted = counted(&check.quasi_identifiers, &check.sensitive, table);
    // With p = n / N of each value, the entropy -Σ p ln p is ln N - Σ n ln n / N.
    let groups = format!(
        "select {keys}, sum(n) as n, count(*) as l, ln(cast(sum(n) as double)) - sum(n * ln(cast(n as double))) / sum(n) as h \
         from ({counted}) group by {keys}"
    );
    match check.kind {
        Diversity::Distinct => format!("{} where l < {}", short(&groups), check.l),
        Diversity::Entropy => format!("{} where h < {:?}", short(&groups), check.l.ln() - ROUNDING),
    }
}

/// Rows that are alone, if they are too many.
fn alone(check: &Uniqueness, table: &str) -> String {
    let groups = sizes(&check.quasi_identifiers, table);
    format!(
        "select alone as g, alone as n from (select coalesce(sum(case when n = 1 then 1 else 0 end), 0) as alone, \
         coalesce(sum(n), 0) as n from ({groups})) where alone > n * {:?}",
        check.max_share + ROUNDING
    )
}

fn closeness(check: &TCloseness, table: &str, schema: &Schema) -> String {
    let kind = schema.field_with_name(&check.sensitive).map(|field| field.data_type().clone());
    let is_ordered = match check.distance {
        Some(distance) => distance == Distance::Ordered,
        None => kind.is_ok_and(|kind| is_ordered(&kind)),
    };
    let (_, keys) = keys(&check.quasi_identifiers);
    let counted = counted(&check.quasi_identifiers, &check.sensitive, table);
    // r is the share of a value in a group less its share in the table. Where a group lacks a value, r is less than 0.
    let far = match is_ordered {
        // Σᵢ |Σⱼ≤ᵢ rⱼ| / (m - 1) over the m values of the table in their order.
        true => format!(
            "select {keys}, sum(n) as n, sum(abs(moved)) / greatest((select count(*) from whole) - 1, 1) as d from (
               select {keys}, n, sum(r) over (partition by {keys} order by v
                 rows between unbounded preceding and current row) as moved
               from (select {keys}, v, sum(n) as n, sum(r) as r from parts group by {keys}, v)
             ) group by {keys}"
        ),
        // Half of Σ |r|, which is the sum of what is more than 0.
        false => format!(
            "select {keys}, sum(n) as n, sum(greatest(r, 0)) as d
             from (select {keys}, v, sum(n) as n, sum(r) as r from parts group by {keys}, v) group by {keys}"
        ),
    };
    format!(
        "with counted as ({counted}),
         whole as (select v, cast(sum(n) as double) / sum(sum(n)) over () as q from counted group by v),
         parts as (
           select {keys}, v, n, cast(n as double) / sum(n) over (partition by {keys}) as r from counted
           union all
           select {keys}, v, 0, -q from (select distinct {keys} from counted) cross join whole
         )
         {} where d > {:?}",
        short(&far),
        check.t + ROUNDING
    )
}

fn is_ordered(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_temporal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::concat_batches;
    use datafusion::prelude::{SessionConfig, SessionContext};

    /// Groups and rows that fall short.
    async fn short_of(check: &str, table: &str) -> (i64, i64) {
        let checks: Checks = serde_json::from_str(check).expect("checks");
        assert!(faults(&checks).is_empty(), "{check}");
        let context = SessionContext::new_with_config(SessionConfig::new());
        context.sql(&format!("create table t as {table}")).await.expect("a query").collect().await.expect("a table");
        let schema = context.table("t").await.expect("a table").schema().as_arrow().clone();
        let measures = measures(&checks, "t", &schema);
        let [measure] = &measures[..] else { panic!("one check: {check}") };
        let frame = context.sql(&measure.sql).await.unwrap_or_else(|e| panic!("{}: {e}", measure.sql));
        let rows = frame.collect().await.unwrap_or_else(|e| panic!("{}: {e}", measure.sql));
        let Some(schema) = rows.first().map(|batch| batch.schema()) else { return (0, 0) };
        let rows = concat_batches(&schema, &rows).expect("rows");
        if rows.num_rows() == 0 {
            return (0, 0);
        }
        let number = |at: usize| {
            let column = arrow::compute::cast(rows.column(at), &DataType::Int64).expect("a number");
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column).value(0)
        };
        (number(0), number(1))
    }

    /// Figure 2 of Machanavajjhala and others: 4-anonymous inpatients, the last four of whom all have cancer.
    const FOUR_ANONYMOUS: &str = "select * from (values
        ('130**', '<30', 'heart'), ('130**', '<30', 'heart'), ('130**', '<30', 'viral'), ('130**', '<30', 'viral'),
        ('1485*', '>=40', 'cancer'), ('1485*', '>=40', 'heart'), ('1485*', '>=40', 'viral'), ('1485*', '>=40', 'viral'),
        ('130**', '3*', 'cancer'), ('130**', '3*', 'cancer'), ('130**', '3*', 'cancer'), ('130**', '3*', 'cancer')
        ) as t (zip, age, condition)";

    /// Figure 3 of the same: 3-diverse inpatients.
    const THREE_DIVERSE: &str = "select * from (values
        ('1305*', '<=40', 'heart'), ('1305*', '<=40', 'viral'), ('1305*', '<=40', 'cancer'), ('1305*', '<=40', 'cancer'),
        ('1485*', '>40', 'cancer'), ('1485*', '>40', 'heart'), ('1485*', '>40', 'viral'), ('1485*', '>40', 'viral'),
        ('1306*', '<=40', 'heart'), ('1306*', '<=40', 'viral'), ('1306*', '<=40', 'cancer'), ('1306*', '<=40', 'cancer')
        ) as t (zip, age, condition)";

    /// Table 3 of Li and others, grouped as its table 4: salaries of which the first group has the three lowest.
    const SALARIES: &str = "select * from (values
        ('476**', '2*', 3000, 'gastric ulcer'), ('476**', '2*', 4000, 'gastritis'), ('476**', '2*', 5000, 'stomach cancer'),
        ('4790*', '>=40', 6000, 'gastritis'), ('4790*', '>=40', 11000, 'flu'), ('4790*', '>=40', 8000, 'bronchitis'),
        ('476**', '3*', 7000, 'bronchitis'), ('476**', '3*', 9000, 'pneumonia'), ('476**', '3*', 10000, 'stomach cancer')
        ) as t (zip, age, salary, disease)";

    /// Table 5 of the same, which is 0.167-close in salaries.
    const CLOSE_SALARIES: &str = "select * from (values
        ('4767*', '<=40', 3000), ('4767*', '<=40', 5000), ('4767*', '<=40', 9000),
        ('4790*', '>=40', 6000), ('4790*', '>=40', 11000), ('4790*', '>=40', 8000),
        ('4760*', '<=40', 4000), ('4760*', '<=40', 7000), ('4760*', '<=40', 10000)
        ) as t (zip, age, salary)";

    fn check(name: &str, more: &str) -> String {
        format!(r#"{{ "{name}": {{ "quasi_identifiers": ["zip", "age"], {more} }} }}"#)
    }

    #[tokio::test]
    async fn groups_smaller_than_k_are_counted() {
        let k = |k: u64| check("k_anonymity", &format!(r#""k": {k}"#));
        assert_eq!(short_of(&k(4), FOUR_ANONYMOUS).await, (0, 0));
        assert_eq!(short_of(&k(5), FOUR_ANONYMOUS).await, (3, 12));
        let odd = format!("{FOUR_ANONYMOUS} union all select null, '<30', 'flu' union all select null, '<30', 'heart'");
        assert_eq!(short_of(&k(4), &odd).await, (1, 2), "null is a group of its own");
        assert_eq!(
            short_of(&k(2), "select 'a' as zip, 'b' as age where false").await,
            (0, 0),
            "an empty table shows nobody"
        );
    }

    #[tokio::test]
    async fn the_published_tables_are_as_diverse_as_published() {
        let l = |l: &str, kind: &str| {
            check("l_diversity", &format!(r#""l": {l}, "sensitive": "condition", "kind": "{kind}""#))
        };
        assert_eq!(
            short_of(&l("2", "distinct"), FOUR_ANONYMOUS).await,
            (1, 4),
            "everybody in the third group has cancer"
        );
        assert_eq!(short_of(&l("3", "distinct"), FOUR_ANONYMOUS).await, (2, 8));
        assert_eq!(short_of(&l("3", "distinct"), THREE_DIVERSE).await, (0, 0));
        // Half, a quarter, a quarter: e to the entropy is 2.828.
        assert_eq!(short_of(&l("2.8", "entropy"), THREE_DIVERSE).await, (0, 0));
        assert_eq!(short_of(&l("2.83", "entropy"), THREE_DIVERSE).await, (3, 12));
        // Two halves are exactly 2.
        assert_eq!(short_of(&l("2", "entropy"), FOUR_ANONYMOUS).await, (1, 4));
    }

    #[tokio::test]
    async fn salaries_are_as_far_as_published() {
        let t = |t: &str| check("t_closeness", &format!(r#""t": {t}, "sensitive": "salary""#));
        // {3k, 4k, 5k} is 0.375 and {6k, 8k, 11k} is 0.167 from the whole; the third group is 0.236 from it.
        assert_eq!(short_of(&t("0.376"), SALARIES).await, (0, 0));
        assert_eq!(short_of(&t("0.374"), SALARIES).await, (1, 3));
        assert_eq!(short_of(&t("0.168"), SALARIES).await, (2, 6));
        assert_eq!(short_of(&t("0.166"), SALARIES).await, (3, 9));
        assert_eq!(short_of(&t("0.167"), CLOSE_SALARIES).await, (0, 0));
        assert_eq!(short_of(&t("0.166"), CLOSE_SALARIES).await, (2, 6));
    }

    #[tokio::test]
    async fn categories_are_equally_far_from_each_other() {
        // Of 12: heart 3, viral 4, cancer 5. The third group is all cancer: 1 - 5/12.
        let t = |t: &str, more: &str| check("t_closeness", &format!(r#""t": {t}, "sensitive": "condition"{more}"#));
        let table = "select * from (values ('a', 'x', 1), ('a', 'x', 1), ('b', 'x', 2), ('b', 'x', 3)) as t (zip, age, condition)";
        let equal = r#", "distance": "equal""#;
        assert_eq!(short_of(&t("0.5833", ""), FOUR_ANONYMOUS).await, (1, 4));
        assert_eq!(short_of(&t("0.5834", ""), FOUR_ANONYMOUS).await, (0, 0));
        // Each group has half of the rows and no value of the other.
        assert_eq!(short_of(&t("0.5", equal), table).await, (0, 0));
        assert_eq!(short_of(&t("0.49", equal), table).await, (2, 4));
        // In order, the first moves 1/2 past one step and 1/4 past the next, of two steps.
        assert_eq!(short_of(&t("0.375", ""), table).await, (0, 0));
        assert_eq!(short_of(&t("0.374", ""), table).await, (2, 4));
    }

    #[tokio::test]
    async fn rows_that_are_alone_may_be_a_share() {
        let table = "select * from (values ('a', 'x'), ('a', 'x'), ('b', 'x'), ('c', 'x')) as t (zip, age)";
        let share = |share: &str| check("uniqueness", &format!(r#""max_share": {share}"#));
        assert_eq!(short_of(&share("0.5"), table).await, (0, 0));
        assert_eq!(short_of(&share("0.49"), table).await, (2, 2));
        assert_eq!(short_of(&share("0"), table).await, (2, 2));
    }

    #[test]
    fn what_no_table_or_any_fulfils_is_a_fault() {
        let told = |check: &str| {
            let checks: Checks = serde_json::from_str(check).expect("checks");
            faults(&checks)
                .iter()
                .map(|(place, message, _)| format!("{place}: {message}"))
                .collect::<Vec<_>>()
                .join("; ")
        };
        assert!(told(&check("k_anonymity", r#""k": 1"#)).starts_with("checks.k_anonymity.k: "));
        let l = |more: &str| told(&check("l_diversity", &format!(r#""sensitive": "s", {more}"#)));
        assert!(l(r#""l": 1"#).starts_with("checks.l_diversity.l: "));
        assert!(l(r#""l": 2.5"#).contains("whole numbers") && l(r#""l": 2.5, "kind": "entropy""#).is_empty());
        for t in ["0", "1", "-0.1", "7"] {
            assert!(
                told(&check("t_closeness", &format!(r#""t": {t}, "sensitive": "s""#))).contains("t_closeness.t"),
                "{t}"
            );
        }
        assert!(told(&check("uniqueness", r#""max_share": 1"#)).contains("max_share"));
        assert!(told(r#"{ "k_anonymity": { "k": 5, "quasi_identifiers": [] } }"#).contains("no column"));
        assert!(told(r#"{ "k_anonymity": { "k": 5, "quasi_identifiers": ["a", "a"] } }"#).contains("twice"));
        assert!(told(&check("t_closeness", r#""t": 0.2, "sensitive": "zip""#)).contains("sensitive column too"));
    }

    #[test]
    fn every_column_is_named_with_its_place() {
        let checks: Checks =
            serde_json::from_str(&check("l_diversity", r#""l": 2, "sensitive": "s""#)).expect("checks");
        let places: Vec<_> = columns(&checks);
        let expected = [
            ("checks.l_diversity.quasi_identifiers[0]".to_owned(), "zip"),
            ("checks.l_diversity.quasi_identifiers[1]".to_owned(), "age"),
            ("checks.l_diversity.sensitive".to_owned(), "s"),
        ];
        assert_eq!(places, expected);
    }
}
