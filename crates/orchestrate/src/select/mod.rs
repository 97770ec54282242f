//! Which nodes to run, in dbt's language: `silver.*`, `tag:finance`, `+gold.revenue`, `2+x`, `changed:main+`.
//! Several selectors are a union; a comma inside one is an intersection.

mod apply;
mod parse;
mod pattern;

use crate::dag::Dag;
use kernel::Result;
use std::collections::BTreeSet;

/// Answers `changed:<rev>` with the names of the nodes that differ from that revision. Names that are no longer in
/// the graph are ignored.
pub type Changed<'a> = &'a dyn Fn(&str) -> Result<BTreeSet<String>>;

/// What was asked for. Parsing needs no project; applying it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    include: Vec<parse::Intersection>,
    exclude: Vec<parse::Intersection>,
}

impl Selector {
    /// Reads what follows the command and `--exclude`; blanks separate selectors also within one argument. Without
    /// any, everything is selected.
    pub fn parse(include: &[impl AsRef<str>], exclude: &[impl AsRef<str>]) -> Result<Self> {
        Ok(Self { include: parse::all(include)?, exclude: parse::all(exclude)? })
    }

    /// The selected nodes' names. A selector that knows no node is an error, since what was meant is then not run, or
    /// not left out; an intersection, or a revision without changes, may be empty.
    pub fn apply(&self, dag: &Dag, changed: Changed<'_>) -> Result<BTreeSet<String>> {
        let mut ranks: BTreeSet<usize> = match self.include.as_slice() {
            [] => (0..dag.len()).collect(),
            include => apply::union(include, dag, changed)?,
        };
        for rank in apply::union(&self.exclude, dag, changed)? {
            ranks.remove(&rank);
        }
        Ok(ranks.into_iter().map(|rank| dag.nodes()[rank].name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::tests::node;
    use kernel::{Error, Kind};

    /// orders, people → silver → gold, and a source whose name a model shares.
    fn shop() -> Dag {
        let tagged = |name: &str, upstream: &[&str], tag: &str| {
            let mut node = node(name, upstream);
            node.tags.push(tag.into());
            node
        };
        Dag::new(vec![
            node("orders", &[]),
            node("card_payments", &[]),
            node("silver.orders", &["orders"]),
            tagged("silver.payments", &["card_payments"], "finance"),
            tagged("silver.matched", &["silver.orders", "silver.payments"], "finance"),
            tagged("gold.revenue", &["silver.matched"], "finance"),
            tagged("gold.bursts", &["silver.payments"], "fraud"),
        ])
        .expect("a good graph")
    }

    fn try_select(include: &[&str], exclude: &[&str]) -> Result<Vec<String>> {
        let changed = |rev: &str| match rev {
            "main" => Ok(BTreeSet::from(["silver.orders".to_string(), "gold.removed".to_string()])),
            "HEAD" => Ok(BTreeSet::new()),
            _ => Err(Error::project("select `changed`", "no such revision")),
        };
        Ok(Selector::parse(include, exclude)?.apply(&shop(), &changed)?.into_iter().collect())
    }

    fn select(include: &str, exclude: &str) -> String {
        let words = |text| str::split_whitespace(text).collect::<Vec<_>>();
        try_select(&words(include), &words(exclude)).map_or_else(|e| e.to_string(), |names| names.join(" "))
    }

    #[test]
    fn nodes_are_selected_by_name_and_glob() {
        assert_eq!(select("silver.payments", ""), "silver.payments");
        assert_eq!(select("revenue", ""), "gold.revenue");
        assert_eq!(select("silver.*", ""), "silver.matched silver.orders silver.payments");
        assert_eq!(select("*payments", ""), "card_payments silver.payments");
        assert_eq!(select("bronze.orders", ""), "orders");
        assert_eq!(select("*.?e*", ""), "gold.revenue");
        assert_eq!(select("", "").split(' ').count(), 7);
    }

    #[test]
    fn nodes_are_selected_by_what_they_are() {
        assert_eq!(select("layer:gold", ""), "gold.bursts gold.revenue");
        assert_eq!(select("tag:fraud", ""), "gold.bursts");
        assert_eq!(select("tag:f*", "tag:fraud"), "gold.revenue silver.matched silver.payments");
        assert_eq!(select("source:card_payments", ""), "card_payments");
        assert_eq!(select("changed:main", ""), "silver.orders");
        assert_eq!(select("changed:main+", ""), "gold.revenue silver.matched silver.orders");
        assert_eq!(select("changed:HEAD", ""), "");
    }

    #[test]
    fn a_plus_takes_relatives_along() {
        assert_eq!(select("+gold.bursts", ""), "card_payments gold.bursts silver.payments");
        assert_eq!(select("1+gold.revenue", ""), "gold.revenue silver.matched");
        assert_eq!(select("0+gold.revenue", ""), "gold.revenue");
        assert_eq!(select("2+gold.revenue", ""), "gold.revenue silver.matched silver.orders silver.payments");
        assert_eq!(select("source:orders+", ""), "gold.revenue orders silver.matched silver.orders");
        assert_eq!(select("source:orders+1", ""), "orders silver.orders");
        assert_eq!(select("1+silver.payments+1", ""), "card_payments gold.bursts silver.matched silver.payments");
        assert_eq!(select("+silver.matched+", "").split(' ').count(), 6);
    }

    #[test]
    fn selectors_unite_and_commas_intersect() {
        assert_eq!(select("gold.bursts source:orders", ""), "gold.bursts orders");
        assert_eq!(select("tag:finance,layer:gold", ""), "gold.revenue");
        assert_eq!(select("+gold.revenue,layer:silver", "tag:finance,+gold.bursts"), "silver.matched silver.orders");
        assert_eq!(select("tag:fraud,layer:silver", ""), "");
        let one_argument = try_select(&["gold.bursts  gold.revenue"], &[]).expect("two selectors");
        assert_eq!(one_argument, ["gold.bursts", "gold.revenue"]);
    }

    #[test]
    fn a_name_that_means_two_nodes_is_refused_with_both() {
        let told = select("orders", "");
        assert_eq!(
            told,
            "select `orders`: two or more nodes have this name; write one of: source:orders, silver.orders"
        );
    }

    #[test]
    fn what_nothing_is_called_is_an_error_with_a_suggestion() {
        for (wrong, hint) in [
            ("silver.paymnets", "did you mean `silver.payments`?"),
            ("sliver.*", "did you mean `silver.*`?"),
            ("revenu", "did you mean `revenue`?"),
            ("tag:finanse", "did you mean `finance`?"),
            ("layer:golden", "did you mean `gold`?"),
            ("source:card_payment", "did you mean `card_payments`?"),
            ("tags:finance", "did you mean `tag`?"),
            ("+", "has no name"),
            ("a,,b", "has no name"),
            ("changed:nowhere", "no such revision"),
        ] {
            for (include, exclude) in [(vec![wrong], vec![]), (vec![], vec![wrong])] {
                let error = try_select(&include, &exclude).expect_err(wrong);
                assert_eq!(error.kind, Kind::Project);
                assert!(error.to_string().contains(hint), "{wrong}: {error}");
            }
        }
    }
}
