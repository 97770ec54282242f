//! National numbers of European countries.

use super::{digits, mod_11_10, number, weighted};

/// UK national insurance number: two letters that are in use, six digits, a suffix A to D (HMRC, NIM39110).
pub fn is_uk_nino(text: &[u8]) -> bool {
    let &[first, second, ref middle @ .., suffix] = text else { return false };
    let prefix = [first, second];
    middle.len() == 6
        && middle.iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(&suffix)
        && prefix.iter().all(u8::is_ascii_uppercase)
        && !b"DFIQUV".contains(&first)
        && !b"DFIQUVO".contains(&second)
        && ![*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&prefix)
}

/// NHS number: a mod-11 digit over nine with weights 10 to 2; a check of 10 is not issued (NHS Data Dictionary, NHS NUMBER).
pub fn is_uk_nhs(text: &[u8]) -> bool {
    let Some(v) = digits::<10>(text) else { return false };
    let check = (11 - weighted(&v[..9], (2..=10).rev()) % 11) % 11;
    check == v[9] && v[..9].iter().any(|digit| *digit != v[0])
}

/// Portugal's NIF: a first digit in use and a mod-11 digit over eight with weights 9 to 2 (Autoridade Tributária;
/// decree-law 14/2013).
pub fn is_pt_nif(text: &[u8]) -> bool {
    let Some(v) = digits::<9>(text) else { return false };
    let check = match weighted(&v[..8], (2..=9).rev()) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    !matches!(v[0], 0 | 4) && check == v[8] || v[0] == 4 && v[1] == 5 && check == v[8]
}

/// Spain's DNI (eight digits) and NIE (X, Y or Z for 0, 1 or 2, seven digits): the rest by 23 is a letter (Ministerio del
/// Interior, real decreto 1553/2005 and orden INT/2058/2008).
pub fn is_es_dni(text: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let &[ref body @ .., letter] = text else { return false };
    let Ok(mut body) = <[u8; 8]>::try_from(body) else { return false };
    if let Some(at) = b"XYZ".iter().position(|c| *c == body[0]) {
        body[0] = b'0' + at as u8;
    }
    digits::<8>(&body).is_some_and(|v| LETTERS[(number(&v) % 23) as usize] == letter && number(&v) > 0)
}

/// France's NIR: sex, year, month, department (2A and 2B count as 19 and 18), commune, order; the key is 97 less the rest
/// by 97 (INSEE, décret 82-103).
pub fn is_fr_nir(text: &[u8]) -> bool {
    let Ok(mut text) = <[u8; 15]>::try_from(text) else { return false };
    match &text[5..7] {
        b"2A" => text[5..7].copy_from_slice(b"19"),
        b"2B" => text[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let Some(v) = digits::<15>(&text) else { return false };
    let month = v[3] * 10 + v[4];
    let sex = matches!(v[0], 1..=4 | 7 | 8);
    let month = matches!(month, 1..=12 | 20..=42 | 50..=99);
    sex && month && 97 - number(&v[..13]) % 97 == number(&v[13..])
}

/// Germany's Steuer-ID: no zero first; of the first ten digits exactly one comes twice or three times; a digit by ISO/IEC
/// 7064 MOD 11,10 (BZSt, § 139b AO).
pub fn is_de_steuer_id(text: &[u8]) -> bool {
    let Some(v) = digits::<11>(text) else { return false };
    let mut times = [0; 10];
    v[..10].iter().for_each(|digit| times[*digit as usize] += 1);
    let repeated = times.iter().filter(|count| **count > 1).count();
    let most = times.iter().max().copied().unwrap_or_default();
    v[0] != 0 && repeated == 1 && most <= 3 && mod_11_10(&v)
}

/// Italy's codice fiscale: six letters, year, month letter, day (40 more for women), place; a letter over odd and even
/// places. Letters L to V may stand for digits where two people would share one (decreto 23 dicembre 1976).
pub fn is_it_codice_fiscale(text: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Ok(text) = <[u8; 16]>::try_from(text) else { return false };
    let is_digit = |c: &u8| c.is_ascii_digit() || b"LMNPQRSTUV".contains(c);
    let fits = text.iter().enumerate().all(|(at, c)| match at {
        6 | 7 | 9 | 10 | 12..=14 => is_digit(c),
        8 => b"ABCDEHLMPRST".contains(c),
        _ => c.is_ascii_uppercase(),
    });
    let value = |c: u8| u32::from(if c.is_ascii_digit() { c - b'0' } else { c - b'A' });
    let worth = |(at, c): (usize, &u8)| match at % 2 {
        0 => ODD[value(*c) as usize],
        _ => value(*c),
    };
    fits && text[..15].iter().enumerate().map(worth).sum::<u32>() % 26 == u32::from(text[15] - b'A')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(check: fn(&[u8]) -> bool, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(check(text.as_bytes()), "{text}");
        }
        for text in wrong {
            assert!(!check(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn british_numbers() {
        holds(is_uk_nino, &["AB123456C", "QQ123456C".replace("QQ", "JG").as_str()], &["QQ123456C", "BG123456A"]);
        holds(is_uk_nino, &[], &["AB123456E", "AO123456C", "AB12345C", "ab123456c", ""]);
        holds(is_uk_nhs, &["9434765919", "4010232137"], &["9434765918", "1111111111", "943476591"]);
    }

    #[test]
    fn iberian_numbers() {
        holds(is_pt_nif, &["501964843", "123456789", "451234561"], &["501964842", "000000000", "50196484"]);
        holds(
            is_es_dni,
            &["12345678Z", "54362315K", "X2482300W", "X5253868R"],
            &["54362315Z", "X2482300A", "00000000T"],
        );
    }

    #[test]
    fn french_german_and_italian_numbers() {
        holds(
            is_fr_nir,
            &["295109912611193", "269054958815780", "295012B12611102"],
            &["295109912611199", "595109912611193"],
        );
        holds(
            is_de_steuer_id,
            &["36574261809", "86095742719", "47036892816", "65929970489"],
            &["36574261890", "36554266806"],
        );
        holds(
            is_it_codice_fiscale,
            &["RCCMNL83S18D969H", "RSSMRA80A01H501U", "RSSMRA80A01HR01P"],
            &["RCCMNL83S18D969A"],
        );
        holds(is_it_codice_fiscale, &[], &["RCCMNL83S18D969", "RCCMNL83F18D969H", "1CCMNL83S18D969H"]);
    }
}
