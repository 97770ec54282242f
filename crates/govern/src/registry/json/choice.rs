//! Schemas made of schemas: `allOf`, `anyOf`, `oneOf`, and the demands that stand side by side in one.

use super::compare::Pair;
use super::shape::{Of, Part, Shape};

impl Pair {
    /// A single schema that becomes one of several, or several that become one. Whether that settles it.
    pub fn through_a_choice(&mut self, old: &Shape<'_>, new: &Shape<'_>, at: &str) -> bool {
        match (old, new) {
            (Shape::Choice(..), Shape::Choice(..)) => false,
            (_, Shape::Choice(of, parts)) if parts.len() == 1 || *of != Of::All => {
                parts.iter().any(|part| self.fits(|inner| inner.shapes(old, &part.shape(), at)))
            }
            (Shape::Choice(of, parts), _) if parts.len() == 1 || *of == Of::All => {
                parts.iter().any(|part| self.fits(|inner| inner.shapes(&part.shape(), new, at)))
            }
            _ => false,
        }
    }

    pub fn choices(&mut self, (of, old): (Of, &[Part<'_>]), (wanted, new): (Of, &[Part<'_>]), at: &str) {
        let is_widened = of == wanted
            || wanted == Of::Any
            || (old.len() == 1 && (new.len() == 1 || wanted == Of::One))
            || (new.len() == 1 && of == Of::All);
        if !is_widened {
            return self.say("COMBINED_TYPE_CHANGED", at);
        }
        let (old, new) = (distinct(old), distinct(new));
        if old.len() < new.len() && wanted == Of::All {
            self.say("PRODUCT_TYPE_EXTENDED", at);
        }
        if old.len() > new.len() && of != Of::All {
            self.say("SUM_TYPE_NARROWED", at);
        }
        let mut fits = vec![vec![false; new.len()]; old.len()];
        for (one, old) in old.iter().enumerate() {
            for (other, new) in new.iter().enumerate() {
                let at = format!("{at}/{}/{one}", of.keyword());
                fits[one][other] = self.fits(|inner| inner.parts(old, new, &at));
            }
        }
        if matched(&fits, new.len()) < old.len().min(new.len()) {
            self.say("COMBINED_TYPE_SUBSCHEMAS_CHANGED", at);
        }
    }

    fn parts(&mut self, old: &Part<'_>, new: &Part<'_>, at: &str) {
        match (old, new) {
            (Part::Schema(old), Part::Schema(new)) => self.nodes(*old, *new, at),
            _ => self.shapes(&old.shape(), &new.shape(), at),
        }
    }
}

/// Schemas that are written twice count once.
fn distinct<'p, 'a>(parts: &'p [Part<'a>]) -> Vec<&'p Part<'a>> {
    let mut kept: Vec<&Part<'a>> = Vec::new();
    for part in parts {
        let is_known = |other: &&Part<'a>| match (part, other) {
            (Part::Schema(one), Part::Schema(other)) => one.value == other.value,
            _ => false,
        };
        if !kept.iter().any(is_known) {
            kept.push(part);
        }
    }
    kept
}

/// How many can be paired, each with one of its own: a maximum matching, grown along paths that swap partners.
fn matched(fits: &[Vec<bool>], width: usize) -> usize {
    let mut partner: Vec<Option<usize>> = vec![None; width];
    (0..fits.len()).filter(|one| pair_up(*one, fits, &mut partner, &mut vec![false; width])).count()
}

fn pair_up(one: usize, fits: &[Vec<bool>], partner: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for other in 0..partner.len() {
        if !fits[one][other] || tried[other] {
            continue;
        }
        tried[other] = true;
        let is_free = match partner[other] {
            None => true,
            Some(holder) => pair_up(holder, fits, partner, tried),
        };
        if is_free {
            partner[other] = Some(one);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::matched;

    #[test]
    fn as_many_are_paired_as_can_be() {
        let (yes, no) = (true, false);
        assert_eq!(matched(&[vec![yes, yes], vec![yes, no]], 2), 2, "the first gives way to the second");
        assert_eq!(matched(&[vec![yes, no], vec![yes, no]], 2), 1);
        assert_eq!(matched(&[], 2), 0);
    }
}
