//! VAT numbers of the European Union (directive 2006/112/EC, art. 214; the structures are VIES', the check digits those of
//! the states' tax offices as VIES' validation routines list them).

use super::europe::{is_es_dni, is_pt_nif};
use super::{digits, luhn, mod_11_10, number, weighted};

/// What is known of a VAT number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vat {
    /// The state's check digits are right.
    Checked,
    /// It has the state's form, and its check digits are not looked at here.
    Formed,
    Wrong,
}

/// Judges a number with its country's code before it, in capitals and without separators.
pub fn vat(text: &[u8]) -> Vat {
    let Some((country, rest)) = text.split_at_checked(2) else { return Vat::Wrong };
    let checked = |holds: bool| if holds { Vat::Checked } else { Vat::Wrong };
    let formed = |holds: bool| if holds { Vat::Formed } else { Vat::Wrong };
    let length = |lengths: &[usize]| lengths.contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit);
    match country {
        b"AT" => checked(rest.strip_prefix(b"U").is_some_and(austria)),
        b"BE" => checked(belgium(rest)),
        b"DE" => checked(digits::<9>(rest).is_some_and(|v| v[0] > 0 && mod_11_10(&v))),
        b"DK" => checked(digits::<8>(rest).is_some_and(|v| v[0] > 0 && by_11(&v, &[2, 7, 6, 5, 4, 3, 2, 1]) == 0)),
        b"EL" | b"GR" => checked(greece(rest)),
        b"ES" => spain(rest),
        b"FI" => checked(digits::<8>(rest).is_some_and(|v| by_11(&v, &[7, 9, 10, 5, 8, 4, 2, 1]) == 0)),
        b"FR" => france(rest),
        b"HR" => checked(digits::<11>(rest).is_some_and(|v| mod_11_10(&v))),
        b"HU" => checked(digits::<8>(rest).is_some_and(|v| weighted(&v, [9, 7, 3, 1, 9, 7, 3, 1]).is_multiple_of(10))),
        b"IE" => ireland(rest),
        b"IT" => checked(digits::<11>(rest).is_some_and(|v| number(&v) > 0 && luhn(&v))),
        b"LU" => checked(digits::<8>(rest).is_some_and(|v| number(&v[..6]) % 89 == number(&v[6..]))),
        b"NL" => netherlands(rest),
        b"PL" => checked(digits::<10>(rest).is_some_and(|v| by_11(&v[..9], &[6, 5, 7, 2, 3, 4, 5, 6, 7]) == v[9])),
        b"PT" => checked(is_pt_nif(rest)),
        b"SE" => checked(rest.strip_suffix(b"01").and_then(digits::<10>).is_some_and(|v| luhn(&v))),
        b"SI" => checked(slovenia(rest)),
        b"SK" => checked(digits::<10>(rest).is_some_and(|v| number(&v).is_multiple_of(11))),
        b"BG" => formed(length(&[9, 10])),
        b"CY" => {
            formed(rest.split_last().is_some_and(|(c, body)| c.is_ascii_uppercase() && digits::<8>(body).is_some()))
        }
        b"CZ" => formed(length(&[8, 9, 10])),
        b"EE" => formed(length(&[9])),
        b"LT" => formed(length(&[9, 12])),
        b"LV" => formed(length(&[11])),
        b"MT" => formed(length(&[8])),
        b"RO" => formed((2..=10).contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit)),
        _ => Vat::Wrong,
    }
}

fn by_11(v: &[u32], weights: &[u32]) -> u32 {
    weighted(v, weights.iter().copied()) % 11
}

fn austria(rest: &[u8]) -> bool {
    let Some(v) = digits::<8>(rest) else { return false };
    let sum: u32 =
        v[..7].iter().enumerate().map(|(at, d)| if at % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d }).sum();
    (96 - sum) % 10 == v[7]
}

fn belgium(rest: &[u8]) -> bool {
    digits::<10>(rest).is_some_and(|v| v[0] <= 1 && number(&v) > 0 && 97 - number(&v[..8]) % 97 == number(&v[8..]))
}

fn greece(rest: &[u8]) -> bool {
    let Some(v) = digits::<9>(rest) else { return false };
    let sum: u32 = v[..8].iter().enumerate().map(|(at, d)| d << (8 - at)).sum();
    number(&v) > 0 && sum % 11 % 10 == v[8]
}

/// A person's number is the DNI or NIE; of a company's CIF only the form is held to.
fn spain(rest: &[u8]) -> Vat {
    let is_cif = || match rest {
        [b'A'..=b'H' | b'J' | b'N' | b'P'..=b'S' | b'U'..=b'W', body @ .., last] => {
            body.len() == 7 && body.iter().all(u8::is_ascii_digit) && last.is_ascii_alphanumeric()
        }
        _ => false,
    };
    match is_es_dni(rest) {
        true => Vat::Checked,
        false if is_cif() => Vat::Formed,
        false => Vat::Wrong,
    }
}

/// A SIREN has a Luhn digit; the key before it, where it is a number, is 12 more than three times its rest by 97.
fn france(rest: &[u8]) -> Vat {
    let Some((key, siren)) = rest.split_at_checked(2) else { return Vat::Wrong };
    let Some(siren) = digits::<9>(siren).filter(|v| luhn(v) && number(v) > 0) else { return Vat::Wrong };
    match digits::<2>(key) {
        Some(key) if number(&key) == (12 + 3 * (number(&siren) % 97)) % 97 => Vat::Checked,
        None if key.iter().all(u8::is_ascii_alphanumeric) => Vat::Formed,
        _ => Vat::Wrong,
    }
}

fn ireland(rest: &[u8]) -> Vat {
    const LETTERS: &[u8; 23] = b"WABCDEFGHIJKLMNOPQRSTUV";
    let Some((number, letters)) = rest.split_at_checked(7) else { return Vat::Wrong };
    let Some(v) = digits::<7>(number) else {
        // Older numbers have a letter or a sign in the second place.
        let old = rest.len() == 8 && rest[0].is_ascii_digit() && rest[2..7].iter().all(u8::is_ascii_digit);
        return if old && rest[7].is_ascii_uppercase() { Vat::Formed } else { Vat::Wrong };
    };
    let extra = match letters {
        [_] => 0,
        [_, second @ b'A'..=b'I'] => u32::from(second - b'A' + 1),
        [_, b'W'] => 0,
        _ => return Vat::Wrong,
    };
    let sum = weighted(&v, (2..=8).rev()) + 9 * extra;
    if LETTERS[(sum % 23) as usize] == letters[0] { Vat::Checked } else { Vat::Wrong }
}

/// Companies have a mod-11 digit; since 2020 persons have numbers by mod 97 over `NL` and all of it.
fn netherlands(rest: &[u8]) -> Vat {
    let is_form = rest.len() == 12 && rest[9] == b'B' && rest[10..].iter().all(u8::is_ascii_digit);
    let Some(v) = digits::<9>(&rest[..rest.len().min(9)]).filter(|_| is_form) else { return Vat::Wrong };
    let of_company = by_11(&v[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) == v[8] && number(&v) > 0;
    let of_person = b"NL".iter().chain(rest).fold(0u32, |left, c| match c {
        b'0'..=b'9' => (left * 10 + u32::from(c - b'0')) % 97,
        letter => (left * 100 + u32::from(letter - b'A') + 10) % 97,
    }) == 1;
    if of_company || of_person { Vat::Checked } else { Vat::Wrong }
}

fn slovenia(rest: &[u8]) -> bool {
    digits::<8>(rest).is_some_and(|v| v[0] > 0 && (11 - weighted(&v[..7], (2..=8).rev()) % 11) % 10 == v[7])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_own_check() {
        for text in VALID {
            assert_eq!(vat(text.as_bytes()), Vat::Checked, "{text}");
            // One digit off.
            let mut wrong = text.as_bytes().to_vec();
            let at = wrong[..10].iter().rposition(|c| (b'0'..=b'8').contains(c)).unwrap_or_default();
            wrong[at] += 1;
            assert_eq!(vat(&wrong), Vat::Wrong, "{text} with another digit");
        }
    }

    #[test]
    fn some_have_only_a_form() {
        for text in
            ["BG175074752", "CY10259033P", "CZ25123891", "EE100931558", "LV40003521600", "MT11679112", "ESB58378431"]
        {
            assert_eq!(vat(text.as_bytes()), Vat::Formed, "{text}");
        }
        for text in ["", "D", "XX123456789", "DE12345678", "GB123456789", "NL004495445", "FR4030326504", "IE433435"] {
            assert_eq!(vat(text.as_bytes()), Vat::Wrong, "{text}");
        }
    }

    /// As in the doctests of python-stdnum, which takes them from the states' own pages.
    const VALID: [&str; 22] = [
        "ATU13585627",
        "BE0403019261",
        "DE136695976",
        "DK13585628",
        "EL094259216",
        "ES54362315K",
        "ESX5253868R",
        "FI20774740",
        "FR40303265045",
        "HR33392005961",
        "HU12892312",
        "IE6433435F",
        "IE6433435OA",
        "IT00743110157",
        "LU15027442",
        "NL004495445B01",
        "NL123456789B13",
        "PL8567346215",
        "PT501964843",
        "SE556188840401",
        "SI50223054",
        "SK2022749619",
    ];
}
