//! `scrub`: what is personal inside of a text goes, the rest of the text stays.

use super::{Arg, Secrets, Spec, takes, text};
use crate::detect::Spotter;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::{Mask, Promise};

pub(super) const SPEC: Spec = Spec {
    name: "scrub",
    summary: "in free text each piece of personal data that is found becomes a marker such as `<cpf>`, and the other words stay; what the detector does not know (a nickname, a number without check digits) stays with them",
    args: &[Arg {
        name: "kinds",
        about: "the kinds to look for, with a blank between them: `kinds: cpf email`; by default all, with those of the project's `privacy.yaml`",
    }],
    example: "scrub",
    promise: Promise { joinable: false, reversible: false, keeps_type: true, random: false },
    build: scrub,
};

struct Scrub {
    spotter: Spotter,
}

fn scrub(spec: &MaskSpec, _: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let wanted: Vec<&str> = spec.arg("kinds", 0).unwrap_or_default().split_whitespace().collect();
    if wanted.is_empty() && !spec.args.is_empty() {
        return Err(Error::project(
            format!("`{spec}`"),
            "it names no kind: write `scrub`, or `scrub(kinds: cpf email)`",
        ));
    }
    Ok(Box::new(Scrub { spotter: Spotter::new(secrets.kinds.clone(), &wanted)? }))
}

impl Mask for Scrub {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        takes(self.name(), input, text::is_text(input), "text")?;
        Ok(Some(DataType::Utf8View))
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        text::map(column, |value, out| {
            let mut from = 0;
            for span in self.spotter.spans(value) {
                out.push_str(&value[from..span.start]);
                out.push('<');
                out.push_str(span.kind);
                out.push('>');
                from = span.end;
            }
            out.push_str(&value[from..]);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Masks;
    use super::super::tests::{build, mask, one};
    use crate::detect::{OwnKind, Pattern, Rule};
    use crate::keys::FixedKeys;
    use kernel::contract::MaskSpec;
    use kernel::laws::mask::{obeys, text_sample};
    use kernel::mask::MaskFactory;
    use kernel::{Classification, Kind};
    use std::sync::Arc;

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("scrub"), &[text_sample()]);
    }

    #[test]
    fn what_is_personal_goes_and_the_rest_stays() {
        let all = mask("scrub");
        for (text, scrubbed) in [
            ("CPF 529.982.247-25 e 11144477735, tel (11) 98765-4321.", "CPF <cpf> e <cpf>, tel <phone>."),
            ("Maria da Silva <maria@example.com> ligou", "<person_name> <<email>> ligou"),
            ("mora na Rua das Flores, 12 desde 2019", "mora na <address> desde 2019"),
            ("nascida em 17/05/1980; pedido de 03/02/2025", "nascida em <birth_date>; pedido de 03/02/2025"),
            ("529.982.247-24 é um CPF com erro", "<cpf> é um CPF com erro"),
            ("ção", "ção"),
            ("", ""),
            ("3 caixas, R$ 10,00", "3 caixas, R$ 10,00"),
        ] {
            assert_eq!(one(&*all, text), scrubbed);
        }
    }

    #[test]
    fn only_the_kinds_that_are_named_go() {
        let text = "529.982.247-25 ana@example.com (11) 98765-4321";
        assert_eq!(one(&*mask("scrub(kinds: cpf email)"), text), "<cpf> <email> (11) 98765-4321");
        assert_eq!(one(&*mask("scrub(email)"), text), "529.982.247-25 <email> (11) 98765-4321");
        let refused = |text: &str| build(text, None).err().map(|e| (e.kind, e.detail));
        assert!(
            refused("scrub(kinds: cpff)").is_some_and(|(kind, why)| kind == Kind::Project && why.contains("`cpf`"))
        );
        assert!(refused("scrub(kinds:)").is_some(), "no kind");
    }

    #[test]
    fn the_projects_own_kinds_go_too() {
        let kind = OwnKind {
            name: "employee_id".into(),
            names: Vec::new(),
            classification: Classification::new("personal.employee_id"),
            mask: MaskSpec::parse("redact").unwrap(),
            rule: Rule::Pattern(Pattern::new("E[0-9]{6}", None).unwrap()),
        };
        let masks = Masks::new(Arc::new(FixedKeys::new(&[7]))).with_kinds(Arc::new([kind]));
        let build = |text: &str| masks.build(&MaskSpec::parse(text).unwrap(), None).unwrap();
        let text = "E123456 ligou de (11) 98765-4321";
        assert_eq!(one(&*build("scrub"), text), "<employee_id> ligou de <phone>");
        assert_eq!(one(&*build("scrub(kinds: employee_id)"), text), "<employee_id> ligou de (11) 98765-4321");
        assert_eq!(one(&*mask("scrub"), text), "E123456 ligou de <phone>");
    }

    /// A text that was scrubbed has nothing more to scrub.
    #[test]
    fn scrubbing_twice_is_scrubbing_once() {
        let scrub = mask("scrub");
        let once = one(&*scrub, "João Lima, 529.982.247-25, joao@example.com, +55 11 98765-4321, 01310-100, Rua A, 1");
        assert_eq!(one(&*scrub, &once), once);
    }
}
