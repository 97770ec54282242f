//! The kinds of personal data that are known, and what each is worth as evidence.

use kernel::contract::MaskSpec;

/// A kind of personal data, by the stable name that contracts, reports and `scan --format json` use.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub(super) id: Id,
    /// Values whose form and check digits leave little doubt: `529.982.247-25`.
    pub(super) strong: Grade,
    /// Values that could be something else: `52998224725` may be any number of 11 digits.
    pub(super) weak: Grade,
    /// Column names that say it, each a run of whole words; with `=` before it, the whole name.
    pub(super) hints: &'static [&'static str],
}

/// What valid values are worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grade {
    /// How sure a column full of them makes us, without a look at its name.
    pub strength: f64,
    /// The share of values of this form that are valid by chance in a column of something else.
    pub chance: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Id {
    Cpf,
    Cnpj,
    Pis,
    Rg,
    Plate,
    Cep,
    PixKey,
    Phone,
    Email,
    Card,
    Iban,
    Ip,
    UsSsn,
    Jwt,
    BirthDate,
    PersonName,
    Address,
}

impl Kind {
    /// The class proposed for a column of this kind: `personal.cpf`.
    ///
    /// A CNPJ is counted as personal too: that of a sole trader (MEI) names one person.
    pub fn classification(&self) -> String {
        format!("personal.{}", self.name)
    }

    /// The mask proposed for it.
    pub fn mask(&self) -> Option<MaskSpec> {
        crate::mask::default_for(&kernel::Classification::new(self.classification()))
    }
}

/// Every kind that is found, in the order of their stable names' table.
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

const fn grade(strength: f64, chance: f64) -> Grade {
    Grade { strength, chance }
}

const NEVER: Grade = grade(0.0, 1.0);

pub(super) const COUNT: usize = 17;

// Chances: two check digits pass once in 100 (a mod-11 digit of 10 counts as 0, so slightly more), one once in 11; a
// Luhn digit once in 10 and an issuer's prefix once in 4; 67 of 90 area codes are in use, and a mobile number starts with
// 9. The others are judgements, held in place by the tests of `detect::tests`.
static KINDS: [Kind; COUNT] = [
    Kind {
        name: "cpf",
        id: Id::Cpf,
        strong: grade(0.99, 0.0005),
        weak: grade(0.95, 0.011),
        hints: &["cpf", "documento", "document", "document number", "taxpayer id"],
    },
    Kind {
        name: "cnpj",
        id: Id::Cnpj,
        strong: grade(0.99, 0.0005),
        weak: grade(0.97, 0.011),
        hints: &["cnpj", "documento", "document", "company id", "tax id"],
    },
    Kind {
        name: "pis",
        id: Id::Pis,
        strong: grade(0.97, 0.005),
        weak: grade(0.85, 0.091),
        hints: &["pis", "pasep", "nis", "nit", "pis pasep"],
    },
    Kind {
        name: "rg",
        id: Id::Rg,
        strong: grade(0.6, 0.3),
        weak: NEVER,
        hints: &["rg", "identidade", "registro geral", "numero rg", "id card"],
    },
    Kind {
        name: "plate",
        id: Id::Plate,
        strong: grade(0.8, 0.03),
        weak: grade(0.6, 0.06),
        hints: &["placa", "plate", "license plate", "matricula"],
    },
    Kind {
        name: "cep",
        id: Id::Cep,
        strong: grade(0.85, 0.05),
        weak: grade(0.3, 0.5),
        hints: &["cep", "codigo postal", "postal code", "postcode", "zip", "zip code", "zipcode", "plz"],
    },
    Kind {
        name: "pix_key",
        id: Id::PixKey,
        strong: NEVER,
        weak: grade(0.3, 0.5),
        hints: &["=pix", "chave pix", "pix key"],
    },
    Kind {
        name: "phone",
        id: Id::Phone,
        strong: grade(0.9, 0.01),
        weak: grade(0.6, 0.07),
        hints: &[
            "telefone",
            "celular",
            "fone",
            "tel",
            "phone",
            "mobile",
            "cell",
            "cellphone",
            "whatsapp",
            "telefono",
            "movil",
            "telefon",
            "handy",
            "msisdn",
        ],
    },
    Kind {
        name: "email",
        id: Id::Email,
        strong: grade(0.99, 0.0001),
        weak: NEVER,
        hints: &["email", "e mail", "mail", "correo", "courriel"],
    },
    Kind {
        name: "card",
        id: Id::Card,
        strong: grade(0.97, 0.01),
        weak: grade(0.97, 0.025),
        hints: &["card", "card number", "cartao", "numero cartao", "pan", "cc number", "credit card", "tarjeta"],
    },
    Kind { name: "iban", id: Id::Iban, strong: grade(0.99, 0.001), weak: NEVER, hints: &["iban"] },
    Kind {
        name: "ip",
        id: Id::Ip,
        strong: grade(0.92, 0.02),
        weak: NEVER,
        hints: &["ip", "ip address", "endereco ip", "ipv4", "ipv6", "remote addr", "client ip"],
    },
    Kind {
        name: "us_ssn",
        id: Id::UsSsn,
        strong: grade(0.85, 0.1),
        weak: grade(0.2, 0.5),
        hints: &["ssn", "social security", "social security number"],
    },
    Kind {
        name: "jwt",
        id: Id::Jwt,
        strong: grade(0.99, 0.0001),
        weak: NEVER,
        hints: &["jwt", "access token", "id token"],
    },
    Kind {
        name: "birth_date",
        id: Id::BirthDate,
        strong: NEVER,
        weak: grade(0.3, 1.0),
        hints: &[
            "nascimento",
            "nasc",
            "dt nasc",
            "birth",
            "dob",
            "birthday",
            "birthdate",
            "birth date",
            "aniversario",
            "nacimiento",
            "geburtsdatum",
            "naissance",
        ],
    },
    Kind {
        name: "person_name",
        id: Id::PersonName,
        strong: grade(0.92, 0.03),
        weak: grade(0.5, 0.3),
        hints: &[
            "nome completo",
            "full name",
            "first name",
            "last name",
            "given name",
            "family name",
            "middle name",
            "primeiro nome",
            "sobrenome",
            "surname",
            "nome cliente",
            "customer name",
            "client name",
            "nome mae",
            "nome pai",
            "mother name",
            "titular",
            "holder",
            "holder name",
            "payer name",
            "nome social",
            "beneficiario",
            "paciente",
            "patient name",
            "contact name",
            "nome contato",
            "employee name",
            "nombre completo",
            "apellido",
            "nachname",
            "vorname",
            "prenom",
            "nome pagador",
            "nome titular",
            "cardholder",
        ],
    },
    Kind {
        name: "address",
        id: Id::Address,
        strong: grade(0.92, 0.01),
        weak: NEVER,
        hints: &[
            "endereco",
            "logradouro",
            "rua",
            "address",
            "street",
            "street address",
            "direccion",
            "adresse",
            "anschrift",
        ],
    },
];

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set(u32);

impl Set {
    pub const fn of(ids: &[Id]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < ids.len() {
            bits |= 1 << ids[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub fn add(&mut self, id: Id) {
        self.0 |= 1 << id as u32;
    }

    pub fn has(self, id: Id) -> bool {
        self.0 & (1 << id as u32) != 0
    }

    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..COUNT).filter(move |at| self.0 & (1 << at) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_ids() {
        for (at, kind) in kinds().iter().enumerate() {
            assert_eq!(kind.id as usize, at, "{}", kind.name);
            assert!(
                kind.mask().is_some() && kind.hints.iter().all(|hint| *hint == hint.to_lowercase()),
                "{}",
                kind.name
            );
        }
        let mut set = Set::of(&[Id::Cpf, Id::Address]);
        set.add(Id::Phone);
        assert_eq!(set.places().collect::<Vec<_>>(), [0, 7, 16]);
    }
}
