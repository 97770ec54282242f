//! `partial(first: n, last: m)`: the ends of a value, for people who must recognise it.

use super::{Arg, Secrets, Spec, takes, text};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::{Mask, Promise};

pub(super) const SPEC: Spec = Spec {
    name: "partial",
    summary: "the first or last characters stay, each other one becomes `*`; values too short for that are hidden whole",
    args: &[
        Arg { name: "first", about: "how many characters stay at the start (0)" },
        Arg { name: "last", about: "how many characters stay at the end (0)" },
    ],
    example: "partial(first: 6, last: 4)",
    promise: Promise { joinable: false, reversible: false, keeps_type: false, random: false },
    build: partial,
};

/// PCI DSS 4.0, requirement 3.4.1: at most the first six and the last four of a card number may be shown.
const KEPT_MAX: usize = 10;

/// A CPF has nine free digits: with five shown 10,000 people are left, with six too few.
const KEPT_MAX_OF_PERSON_ID: usize = 5;

/// Letters and digits that stay hidden in every value; a value too short for that is hidden whole.
pub(super) const HIDDEN_MIN: usize = 3;

struct Partial {
    first: usize,
    last: usize,
}

fn partial(spec: &MaskSpec, kind: Option<&str>, _: &Secrets) -> Result<Box<dyn Mask>> {
    let count = |name: &str, place: usize| match spec.arg(name, place).map(str::parse::<usize>) {
        None => Ok(0),
        Some(Ok(count)) => Ok(count),
        Some(Err(_)) => {
            Err(Error::project(format!("`{spec}`"), format!("`{name}` is a number of characters, as in `{name}: 4`")))
        }
    };
    let (first, last) = (count("first", 0)?, count("last", 1)?);
    let (kept, max) = (first.saturating_add(last), kept_max(kind));
    if kept == 0 {
        return Err(Error::project(
            format!("`{spec}`"),
            "it keeps nothing: write `redact`, or what to keep, as in `partial(last: 4)`",
        ));
    }
    if kept > max {
        let of = kind.map_or(String::new(), |kind| format!(" of a {kind}"));
        let detail = format!("it keeps {kept} characters{of} and the rest can be guessed; at most {max} may be kept");
        return Err(Error::refused(format!("`{spec}`"), detail));
    }
    Ok(Box::new(Partial { first, last }))
}

/// How many characters of a value of this kind may stay readable.
pub(super) fn kept_max(kind: Option<&str>) -> usize {
    match kind {
        Some("cpf" | "pis" | "cnh" | "titulo_eleitor" | "rg" | "us_ssn") => KEPT_MAX_OF_PERSON_ID,
        _ => KEPT_MAX,
    }
}

impl Mask for Partial {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        takes(self.name(), input, text::has_canonical_text(input), "text, integers, decimals, dates and timestamps")?;
        Ok(Some(DataType::Utf8View))
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        text::map(column, |value, out| self.write(value, out))
    }
}

impl Partial {
    fn write(&self, value: &str, out: &mut String) {
        let length = value.chars().count();
        let enough = length >= self.first + self.last + HIDDEN_MIN;
        let middle = self.first..length.saturating_sub(self.last);
        let hidden = value.chars().enumerate().filter(|(at, c)| middle.contains(at) && c.is_alphanumeric()).count();
        let shown = enough && hidden >= HIDDEN_MIN;
        for (at, c) in value.chars().enumerate() {
            out.push(if shown && !middle.contains(&at) { c } else { '*' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, mask, one, samples_with_text};
    use kernel::Kind;
    use kernel::laws::mask::obeys;

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("partial(first: 2, last: 2)"), &samples_with_text());
    }

    #[test]
    fn the_ends_stay_and_short_values_go() {
        let card = mask("partial(first: 6, last: 4)");
        assert_eq!(one(&*card, "4111111111111111"), "411111******1111");
        assert_eq!(one(&*card, "411111111111"), "************");
        assert_eq!(one(&*mask("partial(last: 2)"), "João-ção"), "******ão");
        assert_eq!(one(&*mask("partial(2)"), "Conceição"), "Co*******");
        // Separators hide nothing: three letters or digits must stay hidden.
        assert_eq!(one(&*mask("partial(first: 2, last: 2)"), "12---34"), "*******");
        assert_eq!(one(&*card, ""), "");
    }

    #[test]
    fn what_keeps_too_much_is_refused() {
        let refused = |text: &str, class: Option<&str>| build(text, class).err().map(|e| e.kind);
        assert_eq!(refused("partial(first: 6, last: 5)", None), Some(Kind::Refused));
        assert_eq!(refused("partial(first: 4, last: 2)", Some("personal.cpf")), Some(Kind::Refused));
        assert_eq!(refused("partial(first: 3, last: 2)", Some("personal.cpf")), None);
        assert_eq!(refused("partial(first: 18446744073709551615, last: 1)", None), Some(Kind::Refused));
        for wrong in ["partial", "partial(first: x)", "partial(first: -1)", "partial(0, 0)", "partial(1, 2, 3)"] {
            assert_eq!(refused(wrong, None), Some(Kind::Project), "{wrong}");
        }
    }
}
