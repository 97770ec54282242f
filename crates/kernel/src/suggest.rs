//! "did you mean …"

/// A longer list is not read.
const LISTED_MAX: usize = 24;

/// The candidate nearest to `wrong`, if one is near enough to be what was meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (score(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score > 0.72)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or the whole list when it is short, or nothing.
pub fn hint<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let all: Vec<&str> = candidates.into_iter().collect();
    match nearest(wrong, all.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if !all.is_empty() && all.len() <= LISTED_MAX => Some(format!("it can be: {}", all.join(", "))),
        None => None,
    }
}

/// How many letters were left out, put in, changed or swapped between two words.
pub fn slips(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

/// One slip is near also in a word so short that it is a third of it. A short word whose letters happen to stand in a longer
/// one (`id` in `cidade`) is not, unless that begins with it.
fn score(a: &str, b: &str) -> f64 {
    let (slips, a_len, b_len) = (slips(a, b), a.chars().count(), b.chars().count());
    let begins = a_len.min(b_len) >= 3 && (a.starts_with(b) || b.starts_with(a));
    if slips * 2 > a_len.max(b_len) && !begins {
        return 0.0;
    }
    let one_slip = a_len >= 3 && slips == 1;
    let floor = if one_slip { 0.73 } else { 0.0 };
    strsim::jaro_winkler(a, b).max(strsim::normalized_damerau_levenshtein(a, b)).max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_finds_its_word() {
        assert_eq!(nearest("amuont", ["id", "amount", "paid_at"]), Some("amount"));
        assert_eq!(nearest("cvs", ["parquet", "csv"]), Some("csv"));
        assert_eq!(nearest("zzz", ["id", "amount"]), None);
        assert_eq!(nearest("cust", ["id", "customer_id"]), Some("customer_id"));
    }

    #[test]
    fn letters_that_happen_to_stand_in_a_longer_word_make_none_near() {
        for word in ["cidade", "idade", "unidade", "validade"] {
            assert_eq!(nearest(word, ["id"]), None, "{word}");
        }
    }
}
