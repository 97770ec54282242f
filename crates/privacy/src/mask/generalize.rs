//! `generalize`: a coarser value of the same type. Dates go back to the start of a period, numbers down to the bottom
//! of a bin, codes such as a CEP keep their first characters.

use super::bins::Bin;
use super::partial::{HIDDEN_MIN, kept_max};
use super::periods::Period;
use super::{Arg, Secrets, Spec, refused, takes, text};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::gate::HIDDEN;
use kernel::mask::{Mask, Promise};

pub(super) const SPEC: Spec = Spec {
    name: "generalize",
    summary: "a coarser value of the same type: the start of a period, the bottom of a bin, the first digits of a code",
    args: &[
        Arg { name: "to", about: "day, week, month, quarter or year, for dates and timestamps (in UTC)" },
        Arg { name: "bin", about: "width of a bin, for numbers" },
        Arg { name: "digits", about: "how many letters and digits stay, for text" },
    ],
    example: "generalize(month)",
    promise: Promise { joinable: false, reversible: false, keeps_type: true, random: false },
    build: generalize,
};

enum Generalize {
    To(Period),
    Bin(Bin),
    /// How many of a text's first letters and digits stay.
    Digits(usize),
}

fn generalize(spec: &MaskSpec, kind: Option<&str>, _: &Secrets) -> Result<Box<dyn Mask>> {
    let mask = match (spec.arg("to", 0), spec.arg("bin", 1), spec.arg("digits", 2)) {
        (Some(period), None, None) => Generalize::To(parse_period(period, kind)?),
        (None, Some(bin), None) => Generalize::Bin(parse_bin(bin, kind)?),
        (None, None, Some(digits)) => Generalize::Digits(parse_digits(digits, kind)?),
        _ => {
            let detail = "write one of `generalize(month)`, `generalize(bin: 10)` and `generalize(digits: 5)`";
            return Err(Error::project(format!("`{spec}`"), detail));
        }
    };
    Ok(Box::new(mask))
}

/// A moment of birth is a date with a time that nobody knows: its day is the whole of it.
fn parse_period(text: &str, kind: Option<&str>) -> Result<Period> {
    let period = Period::parse(text)?;
    if period == Period::Day && kind == Some("birth_date") {
        let detail = "a date of birth is a day already; write `generalize(month)` or `generalize(year)`";
        return Err(Error::refused("generalize to `day`", detail));
    }
    Ok(period)
}

/// Whatever its width, a bin of an identifier leaves few candidates, and check digits or a directory pick the one.
fn parse_bin(text: &str, kind: Option<&str>) -> Result<Bin> {
    let bin = Bin::parse(text)?;
    match kind.filter(|_| refused::identifies(kind)) {
        None => Ok(bin),
        Some(kind) => {
            let detail =
                format!("a {kind} identifies, and the bin's few others can be ruled out; write `pseudonym(scope)`");
            Err(Error::refused(format!("`bin: {text}`"), detail))
        }
    }
}

fn parse_digits(text: &str, kind: Option<&str>) -> Result<usize> {
    let what = || format!("`digits: {text}`");
    let count = text.parse().ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| Error::project(what(), "it is how many characters stay, as in `digits: 5`"))?;
    let max = kept_max(kind);
    if count > max {
        let detail = format!("it keeps {count} characters and the rest can be guessed; at most {max} may be kept");
        return Err(Error::refused(what(), detail));
    }
    Ok(count)
}

impl Mask for Generalize {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        let plain = text::plain_type(input);
        match self {
            Self::To(period) => period.check(&plain)?,
            Self::Bin(bin) => bin.check(&plain)?,
            Self::Digits(_) => takes("generalize(digits)", input, plain == DataType::Utf8View, "text")?,
        }
        Ok(Some(plain))
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::To(period) => text::per_distinct(column, |values| period.apply(values)),
            Self::Bin(bin) => text::per_distinct(column, |values| bin.apply(values)),
            Self::Digits(count) => text::map(column, |value, out| first(value, *count, out)),
        }
    }
}

/// The first `count` letters and digits, without separators; a value that would be kept whole, or almost, is hidden.
fn first(value: &str, count: usize, out: &mut String) {
    let coded = || value.chars().filter(|c| c.is_alphanumeric());
    if coded().count() < count + HIDDEN_MIN {
        out.push_str(HIDDEN);
    } else {
        out.extend(coded().take(count));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, mask, one};
    use kernel::Kind;
    use kernel::laws::mask::{obeys, text_sample};

    #[test]
    fn digits_obey_the_laws() {
        obeys(&|| mask("generalize(digits: 5)"), &[text_sample()]);
    }

    #[test]
    fn a_cep_keeps_its_region() {
        let cep = mask("generalize(digits: 5)");
        assert_eq!(one(&*cep, "01310-100"), "01310");
        assert_eq!(one(&*cep, "01310100"), "01310");
        assert_eq!(one(&*cep, "01310"), "***");
        assert_eq!(one(&*cep, "----------"), "***");
    }

    #[test]
    fn one_way_at_a_time_and_not_too_fine() {
        let kind = |text: &str, class: Option<&str>| build(text, class).err().map(|e| e.kind);
        for wrong in ["generalize", "generalize(fortnight)", "generalize(month, bin: 10)", "generalize(bin: 0)"] {
            assert_eq!(kind(wrong, None), Some(Kind::Project), "{wrong}");
        }
        assert_eq!(kind("generalize(digits: 0)", None), Some(Kind::Project));
        assert_eq!(kind("generalize(digits: 11)", None), Some(Kind::Refused));
        assert_eq!(kind("generalize(digits: 6)", Some("personal.cpf")), Some(Kind::Refused));
        assert_eq!(kind("generalize(digits: 6)", Some("Personal.CPF.payer")), Some(Kind::Refused));
        assert!(build("generalize(mont)", None).is_err_and(|e| e.detail.contains("did you mean `month`?")));
    }

    #[test]
    fn an_identifier_is_in_no_bin() {
        let kind = |text: &str, class: &str| build(text, Some(class)).err().map(|e| e.kind);
        for class in ["cpf", "cnpj", "pis", "cnh", "card", "phone", "rg", "us_ssn"] {
            let class = format!("personal.{class}");
            assert_eq!(kind("generalize(bin: 10)", &class), Some(Kind::Refused), "{class}");
            assert_eq!(kind("generalize(bin: 1000000)", &class), Some(Kind::Refused), "{class}");
        }
        assert_eq!(kind("generalize(bin: 1000)", "personal.income"), None);
        assert_eq!(kind("generalize(day)", "personal.birth_date"), Some(Kind::Refused));
        assert_eq!(kind("generalize(month)", "personal.birth_date"), None);
    }
}
