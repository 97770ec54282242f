//! From counts to one answer: which kind of personal data a column holds, and how sure that is.

use super::column_name::ColumnName;
use super::kinds::{Grade, Id, NEVER, Set, kinds};
use super::look::{Eye, Seen};
use super::own;

/// Below this a kind is not reported.
pub(super) const CONFIDENCE_MIN: f64 = 0.5;
/// What a name is worth when all values have the form it speaks of.
const NAME_STRENGTH: f64 = 0.9;
/// What a name is worth when there are no values.
const NAME_ALONE: f64 = 0.5;
/// A name is believed when this share of the values has the form.
const FIT_MIN: f64 = 0.3;
/// Values of the form that are not valid count this much for the name: test data rarely has check digits.
const SHAPED_WORTH: f64 = 0.8;
/// A kind found in fewer values than this, among others, may be an accident.
const VALUES_MIN: f64 = 3.0;
/// What the name of a thing (`product_name`) leaves of the evidence for a person's name.
const THING_DISCOUNT: f64 = 0.4;

/// How many values were seen with each kind.
#[derive(Debug)]
pub(super) struct Counts {
    pub values: u64,
    of: Vec<OfKind>,
}

#[derive(Debug, Clone, Copy, Default)]
struct OfKind {
    strong: u64,
    weak: u64,
    shaped: u64,
    inside: u64,
}

/// The kind a column holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    pub place: usize,
    pub confidence: f64,
    /// The share of values that are of this kind; those that only have its form are counted when the name says it.
    pub share: f64,
    /// Most values of the kind stand in longer text.
    pub in_text: bool,
}

impl Counts {
    pub fn new(places: usize) -> Self {
        Self { values: 0, of: vec![OfKind::default(); places] }
    }

    /// Takes in what was seen in a value that occurs `times`.
    pub fn add(&mut self, seen: Seen, times: u64) {
        self.values += times;
        seen.strong.places().for_each(|at| self.of[at].strong += times);
        seen.weak.places().for_each(|at| self.of[at].weak += times);
        seen.shaped.places().for_each(|at| self.of[at].shaped += times);
        seen.inside.places().for_each(|at| self.of[at].inside += times);
    }

    /// The kind that explains the column best, if one is sure enough. `hints` are the kinds that its name speaks of.
    pub fn verdict(&self, name: &ColumnName, hints: Set) -> Option<Verdict> {
        let of_a_thing = name.is_of_a_thing();
        let all = (0..self.of.len()).map(|place| self.weigh(place, hints, of_a_thing));
        let likely = all.filter(|verdict| verdict.confidence >= CONFIDENCE_MIN);
        // A kind that explains every value is better than one that is surer of a few: a column of PIX keys has e-mails.
        let worth = |verdict: &Verdict| verdict.confidence * verdict.share.max(0.05).sqrt();
        likely.max_by(|a, b| worth(a).total_cmp(&worth(b)))
    }

    /// Of the kinds whose strong values are so telling, the one that has most of them.
    pub fn most_telling(&self, is_telling: impl Fn(usize) -> bool) -> Option<usize> {
        let told = (0..self.of.len()).filter(|place| self.of[*place].strong > 0 && is_telling(*place));
        told.max_by_key(|place| self.of[*place].strong)
    }

    fn weigh(&self, place: usize, hints: Set, of_a_thing: bool) -> Verdict {
        let hinted = hints.has(place);
        if self.values == 0 {
            return Verdict { place, confidence: if hinted { NAME_ALONE } else { 0.0 }, share: 0.0, in_text: false };
        }
        let (of, values) = (&self.of[place], self.values as f64);
        let (if_strong, if_weak) = kinds().get(place).map_or((own::GRADE, NEVER), |kind| (kind.strong, kind.weak));
        let (strong, any) = (of.strong as f64, (of.strong + of.weak) as f64);
        let shaped = (of.shaped as f64 + any).min(values) / values;
        let mut by_value = by_value(if_strong, strong, values).max(by_value(if_weak, any, values));
        if place == Id::PersonName.place() && of_a_thing {
            by_value *= THING_DISCOUNT;
        }
        let share = any.min(values) / values;
        let fit = share.max(SHAPED_WORTH * shaped);
        let by_name = if hinted && fit >= FIT_MIN { NAME_STRENGTH * fit.sqrt() } else { 0.0 };
        let share = if by_name > by_value { fit.max(share) } else { share };
        let in_text = of.inside * 2 > of.strong + of.weak;
        Verdict { place, confidence: 1.0 - (1.0 - by_value) * (1.0 - by_name), share, in_text }
    }
}

impl Eye {
    /// The kinds that a column's name speaks of.
    pub fn hints(&self, name: &ColumnName) -> Set {
        name.hints(self.all_own())
    }
}

/// How sure the values alone make us: the share of valid ones held against the share that chance would give.
fn by_value(grade: Grade, valid: f64, values: f64) -> f64 {
    let share = valid / values;
    let few = if share >= 0.5 { 1.0 } else { (valid / VALUES_MIN).min(1.0) };
    grade.strength * few * share / (share + 5.0 * grade.chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, values: &[&str]) -> Option<Verdict> {
        let eye = Eye::new([].into()).unwrap();
        let mut counts = Counts::new(eye.places());
        values.iter().for_each(|value| counts.add(eye.look(value), 1));
        let name = ColumnName::new(name);
        counts.verdict(&name, eye.hints(&name))
    }

    fn kind(name: &str, values: &[&str]) -> Option<&'static str> {
        verdict(name, values).map(|verdict| kinds()[verdict.place].name)
    }

    #[test]
    fn the_name_decides_between_numbers_of_one_form() {
        let phones = ["11987654321", "21998765432", "1132654321"];
        assert_eq!(kind("celular", &phones), Some("phone"));
        assert_eq!(kind("order_ref", &["12345678901", "12345678902", "12345678903"]), None);
        assert_eq!(
            kind("cpf", &["12345678901", "12345678902", "12345678903"]),
            Some("cpf"),
            "wrong digits, right name"
        );
        assert_eq!(kind("cpf", &["p1_mzxw6ytboi", "p1_aaaaaaaaaa"]), None, "masked already");
        assert_eq!(kind("cpf", &[]), Some("cpf"));
        assert_eq!(kind("x", &[]), None);
    }

    #[test]
    fn a_mixed_column_is_what_explains_all_of_it() {
        let keys = ["529.982.247-25", "ana@example.com", "+5511987654321", "123e4567-e89b-42d3-a456-426614174000"];
        assert_eq!(kind("chave_pix", &keys), Some("pix_key"));
        assert_eq!(kind("id", &["123e4567-e89b-42d3-a456-426614174000"]), None, "any UUID could be a key");
    }

    #[test]
    fn a_few_sure_values_in_free_text_are_enough() {
        let mut notes = vec!["nothing to see here at all"; 97];
        notes.extend(["mail to ana@example.com"; 3]);
        let found = verdict("notes", &notes).unwrap();
        assert_eq!((kinds()[found.place].name, found.share, found.in_text), ("email", 0.03, true));
        notes[98] = "ok";
        notes[99] = "ok";
        assert_eq!(kind("notes", &notes), None, "one may be an accident");
    }

    #[test]
    fn a_thing_is_not_a_person() {
        let names = ["Maria Mole", "Rosa Azul", "Caneta Preta", "Lapis Verde", "Borracha Branca"];
        assert_eq!(kind("product_name", &names), None);
        assert_eq!(kind("nome", &["Maria Souza", "João Lima", "Pedro Rocha"]), Some("person_name"));
    }
}
