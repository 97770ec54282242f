//! The mask a class of data gets when its contract names none.

use kernel::Classification;
use kernel::contract::MaskSpec;

/// The default mask of a class; `None` for what is not about people.
///
/// What is joined on becomes a pseudonym, in a scope that says with whom; what is grouped by becomes coarser; the rest,
/// and every class that nobody thought of, is redacted.
pub fn default_for(class: &Classification) -> Option<MaskSpec> {
    if !class.is_personal() {
        return None;
    }
    let (name, arg, value) = match class.kind().unwrap_or_default() {
        "cpf" | "pis" | "cnh" | "titulo_eleitor" | "rg" | "passport" | "us_ssn" | "us_itin" | "uk_nino" | "uk_nhs"
        | "eu_vat" | "pt_nif" | "es_dni" | "fr_nir" | "de_steuer_id" | "it_codice_fiscale" => {
            ("pseudonym", "", "person")
        }
        "cnpj" => ("pseudonym", "", "company"),
        "email" | "phone" => ("pseudonym", "", "contact"),
        "pix_key" => ("pseudonym", "", "pix"),
        "card" => ("pseudonym", "", "card"),
        "iban" | "bank_account" => ("pseudonym", "", "account"),
        "plate" | "renavam" => ("pseudonym", "", "vehicle"),
        "ip" | "mac" => ("pseudonym", "", "device"),
        "cep" => ("generalize", "digits", "5"),
        "birth_date" => ("generalize", "", "year"),
        // What opens a door, where somebody is and what ails them: nothing of it is worth keeping.
        "jwt" | "api_key" | "url_credentials" | "coordinates" | "icd10" | "person_name" | "address" => {
            return Some(redact());
        }
        _ => return Some(redact()),
    };
    Some(MaskSpec { name: name.into(), args: vec![(arg.into(), value.into())] })
}

fn redact() -> MaskSpec {
    MaskSpec { name: "redact".into(), args: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use super::*;

    #[test]
    fn people_are_masked_and_the_rest_is_not() {
        let default = |class: &str| default_for(&Classification::new(class)).map(|mask| mask.to_string());
        assert_eq!(default("personal.cpf").as_deref(), Some("pseudonym(person)"));
        assert_eq!(default("personal.cep").as_deref(), Some("generalize(digits: 5)"));
        assert_eq!(default("personal.something_new").as_deref(), Some("redact"));
        assert_eq!(default("sensitive.health").as_deref(), Some("redact"));
        assert_eq!(default("personal").as_deref(), Some("redact"));
        assert_eq!((default("public"), default("internal.cost")), (None, None));
    }

    #[test]
    fn every_default_can_be_built() {
        for kind in crate::detect::kinds() {
            let class = Classification::new(kind.classification());
            let mask = default_for(&class).unwrap();
            assert!(build(&mask.to_string(), Some(class.as_str())).is_ok(), "{}", kind.name);
        }
    }
}
