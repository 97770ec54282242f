//! Forms that a contract can ask of a text by name: `logicalTypeOptions: { format: cpf }`.

use super::digits;

/// A text's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Cpf,
    Cnpj,
    Email,
    Uuid,
}

impl Form {
    /// The form of this name, if there is one that is checked.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "cpf" => Some(Self::Cpf),
            "cnpj" => Some(Self::Cnpj),
            "email" => Some(Self::Email),
            "uuid" => Some(Self::Uuid),
            _ => None,
        }
    }

    /// What a value had to be, for whoever reads the quarantine.
    pub fn expectation(self) -> &'static str {
        match self {
            Self::Cpf => "not a CPF with right check digits",
            Self::Cnpj => "not a CNPJ with right check digits",
            Self::Email => "not an e-mail address",
            Self::Uuid => "not a UUID",
        }
    }

    pub fn holds(self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Self::Cpf => digits::is_cpf(&code(text)),
            Self::Cnpj => digits::is_cnpj(&code(text)),
            Self::Email => is_email(text),
            Self::Uuid => is_uuid(text),
        }
    }
}

/// Letters and digits without the separators that people write between them; anything else stays and fails the check.
fn code(text: &str) -> Vec<u8> {
    text.bytes().filter(|c| !matches!(c, b'.' | b'-' | b'/' | b' ')).map(|c| c.to_ascii_uppercase()).collect()
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !",;:<>()[]@\\\"".contains(c);
    !name.is_empty()
        && name.chars().all(plain)
        && host.contains('.')
        && host.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == b'-',
            _ => c.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_checked() {
        let cases = [
            (Form::Cpf, "529.982.247-25", true),
            (Form::Cpf, "52998224725", true),
            (Form::Cpf, "529.982.247-26", false),
            (Form::Cpf, "529.982.24A-25", false),
            (Form::Cnpj, "12.ABC.345/01DE-35", true),
            (Form::Cnpj, "11.222.333/0001-82", false),
            (Form::Email, "ana.souza@exemplo.com.br", true),
            (Form::Email, "ana@exemplo", false),
            (Form::Email, "ana souza@exemplo.com", false),
            (Form::Uuid, "123e4567-e89b-12d3-a456-426614174000", true),
            (Form::Uuid, "123e4567e89b12d3a456426614174000", false),
        ];
        for (form, text, holds) in cases {
            assert_eq!(form.holds(text), holds, "{form:?} {text}");
        }
    }
}
