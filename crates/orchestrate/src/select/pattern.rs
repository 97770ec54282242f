//! Globs over names: `*` is any run of characters, `?` is one.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_glob(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Going back to the last `*` only is enough, so the time is at most the product of the two lengths.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.0.chars().collect(), name.chars().collect());
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&c) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
                _ => {
                    let Some((at, taken)) = star else { return false };
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_a_question_mark_is_one() {
        for (pattern, name, is) in [
            ("silver.*", "silver.a", true),
            ("silver.*", "gold.a", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*ab*b", "aabxabb", true),
            ("*ab", "aba", false),
            ("a*b*c", "a__b__b_c", true),
            ("ação*", "ação_2", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), is, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_cruel_pattern_takes_no_time() {
        assert!(!Pattern::new(&"*a".repeat(500)).matches(&format!("{}b", "a".repeat(2_000))));
    }
}
