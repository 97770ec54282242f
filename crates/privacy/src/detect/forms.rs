//! The forms of values that tell of people, as one multi-pattern expression.

use super::finder::Finder;
use kernel::error::{Error, Result};
use std::sync::LazyLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    UrlCredentials,
    Email,
    Jwt,
    ApiKey,
    Uuid,
    CnpjWritten,
    CpfWritten,
    PisWritten,
    RgWritten,
    CardWritten,
    TituloWritten,
    Mac,
    SsnWritten,
    PhoneAbroad,
    PhoneHome,
    PhoneUs,
    PhoneFrench,
    PhoneLocal,
    NhsWritten,
    SteuerWritten,
    Coordinates,
    Ipv4,
    Ipv6,
    CepWritten,
    Account,
    AccountShort,
    CodiceFiscale,
    PassportZone,
    Nino,
    Dni,
    Nir,
    Icd10Named,
    Icd10,
    Plate,
    Iban,
    Vat,
    Passport,
    Compact,
}

/// Forms, most telling first: where two begin at the same place the earlier one is taken. Case is that of the data,
/// classes are ASCII. A form is written as several where no byte is in all of its spellings: by such a byte it is found.
pub(super) const FORMS: [(Form, &str); 54] = [
    (
        Form::UrlCredentials,
        r"\b[A-Za-z][0-9A-Za-z+.\-]{1,20}://[!$&-+\-.0-9;=A-Z_a-z~%]*:[!$&-+\-.0-:;=A-Z_a-z~%]+@[0-9A-Za-z.:\[\]\-]+",
    ),
    (Form::Email, r"[0-9A-Za-z][0-9A-Za-z._%+\-]*@[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*\.[A-Za-z]{2,24}\b"),
    (Form::Jwt, r"\beyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*"),
    // Keys as their makers document them: AWS, GitHub, GitLab, Slack, Stripe, Google, OpenAI and Anthropic, SendGrid, npm,
    // PyPI, Hugging Face, Vault; and the first line of private keys in PEM (RFC 7468).
    (Form::ApiKey, r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (Form::ApiKey, r"\bgh[pousr]_[0-9A-Za-z]{36,255}\b"),
    (Form::ApiKey, r"\bgithub_pat_[0-9A-Za-z_]{22,255}\b"),
    (Form::ApiKey, r"\bglpat-[0-9A-Za-z_\-]{20,}"),
    (Form::ApiKey, r"\bxox[abeoprs]-[0-9A-Za-z\-]{10,}"),
    (Form::ApiKey, r"\bxapp-[0-9]-[0-9A-Za-z\-]{10,}"),
    (Form::ApiKey, r"\b[srp]k_(?:live|test)_[0-9A-Za-z]{16,}"),
    (Form::ApiKey, r"\bAIza[0-9A-Za-z_\-]{35}"),
    (Form::ApiKey, r"\bsk-(?:proj-|svcacct-|ant-)?[0-9A-Za-z_\-]{20,}"),
    (Form::ApiKey, r"\bSG\.[0-9A-Za-z_\-]{16,}\.[0-9A-Za-z_\-]{16,}"),
    (Form::ApiKey, r"\bnpm_[0-9A-Za-z]{36}\b"),
    (Form::ApiKey, r"\bpypi-AgE[0-9A-Za-z_\-]{32,}"),
    (Form::ApiKey, r"\bhf_[0-9A-Za-z]{34}\b"),
    (Form::ApiKey, r"\bhv[sb]\.[A-Za-z_\-]{0,23}[0-9][0-9A-Za-z_\-]{10,}"),
    (Form::ApiKey, r"-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY-----"),
    (Form::Uuid, r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b"),
    (Form::CnpjWritten, r"\b[0-9A-Za-z]{2}\.[0-9A-Za-z]{3}\.[0-9A-Za-z]{3}/[0-9A-Za-z]{4}-[0-9]{2}\b"),
    (Form::CpfWritten, r"\b[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-[0-9]{2}\b"),
    (Form::PisWritten, r"\b[0-9]{3}\.[0-9]{5}\.[0-9]{2}-[0-9]\b"),
    (Form::RgWritten, r"\b[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Xx]\b"),
    (
        Form::CardWritten,
        r"\b[0-9]{4}[ \-][0-9]{4}[ \-][0-9]{4}[ \-][0-9]{1,7}\b|\b3[47][0-9]{2}[ \-][0-9]{6}[ \-][0-9]{5}\b",
    ),
    (Form::TituloWritten, r"\b[0-9]{4}[ .][0-9]{4}[ .][0-9]{4}\b"),
    (Form::Mac, r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b"),
    (Form::Mac, r"\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b"),
    (Form::Mac, r"\b[A-Fa-f]{0,3}[0-9][0-9A-Fa-f]{0,3}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b"),
    (Form::SsnWritten, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
    (Form::PhoneAbroad, r"\+[1-9][0-9 ().\-]{6,19}[0-9]\b"),
    (Form::PhoneHome, r"\(0?[1-9][0-9]\) ?9?[ .]?[0-9]{4}[ .\-]?[0-9]{4}\b|\b[1-9][0-9][ \-]9?[0-9]{4}[ \-][0-9]{4}\b"),
    (Form::PhoneUs, r"(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[\-.])[0-9]{3}[\-.][0-9]{4}(?:x[0-9]{1,6})?\b"),
    (Form::PhoneFrench, r"\b0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4})\b"),
    (Form::PhoneLocal, r"\b0[1-9][0-9]{1,4}[ /\-][0-9]{4,9}\b|\(0[1-9][0-9]{1,4}\) ?[0-9]{4,9}\b"),
    (Form::NhsWritten, r"\b[0-9]{3} [0-9]{3} [0-9]{4}\b"),
    (Form::SteuerWritten, r"\b[0-9]{2} [0-9]{3} [0-9]{3} [0-9]{3}\b"),
    (
        Form::Coordinates,
        r"(?:-|\b)[0-9]{1,2}\.[0-9]{3,15}(?: ?[,;] ?| )-?[0-9]{1,3}\.[0-9]{3,15}\b|\bPOINT ?\(-?[0-9]{1,3}\.[0-9]+ -?[0-9]{1,2}\.[0-9]+\)",
    ),
    (Form::Ipv4, r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b"),
    (Form::Ipv6, r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*"),
    (Form::CepWritten, r"\b[0-9]{2}\.?[0-9]{3}-[0-9]{3}\b"),
    (Form::Account, r"\b[0-9]{3,4}(?:-[0-9Xx])?(?: ?/ ?| )[0-9]{4,12}-[0-9Xx]\b"),
    (Form::AccountShort, r"\b[0-9]{4,12}-[0-9Xx]\b"),
    (Form::CodiceFiscale, r"\b[A-Za-z]{6}[0-9][0-9L-Vl-v][A-Ta-t][0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{3}[A-Za-z]\b"),
    (Form::PassportZone, r"\b[0-9A-Z<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[0-9A-Z<]{14}[0-9<][0-9]"),
    (Form::Nino, r"\b[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b"),
    (Form::Dni, r"\b(?:[0-9]{8}|[XYZxyz]-?[0-9]{7})-?[A-Za-z]\b"),
    (Form::Nir, r"\b[1-478] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b"),
    (Form::Icd10Named, r"\b(?:CID|ICD|CIE|cid|icd)(?:[ \-]?10)?[ :\-]{0,3}[A-TV-Z][0-9][0-9AB](?:\.[0-9A-Z]{1,4})?\b"),
    (Form::Icd10, r"\b[A-TV-Z][0-9][0-9AB](?:\.[0-9A-Z]{1,4})?\b"),
    (Form::Plate, r"\b[A-Za-z]{3}-?[0-9][0-9A-Za-z][0-9]{2}\b"),
    (Form::Iban, r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b"),
    (
        Form::Vat,
        r"\b(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK) ?(?:[0-9][0-9A-Z]{7,11}|[A-Z][0-9][0-9A-Z]{6,10}|[A-Z]{2}[0-9][0-9A-Z]{5,9}|[0-9A-Z]{2} [0-9]{9}|[01][0-9]{3}\.[0-9]{3}\.[0-9]{3}|[0-9]{3} [0-9]{3} [0-9]{3})\b",
    ),
    (Form::Passport, r"\b(?:[A-Z]{1,3}[0-9]{6,8}|[0-9]{2}[A-Z]{2}[0-9]{5})\b"),
    (Form::Compact, r"\b(?:[0-9A-Z]{12}[0-9]{2}|[0-9]{7,19})\b"),
];

static FINDER: LazyLock<Result<Finder>> = LazyLock::new(|| Finder::new(&FORMS.map(|(_, form)| form)));

/// What finds all forms.
pub(super) fn finder() -> Result<&'static Finder> {
    FINDER.as_ref().map_err(|e| Error::internal("build the detector", e))
}

/// The form of a pattern of the expression.
pub(super) fn of(pattern: usize) -> Form {
    FORMS[pattern].0
}
