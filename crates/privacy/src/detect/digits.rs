//! Check digits and number ranges: pure functions on ASCII bytes without separators.

/// CPF: two mod-11 digits over nine (Receita Federal, IN RFB 2.172/2024). Eleven equal digits pass and are nobody's.
pub(crate) fn is_cpf(digits: &[u8]) -> bool {
    let Some(values) = values::<11>(digits, |c| c.is_ascii_digit()) else { return false };
    values.iter().any(|v| *v != values[0])
        && check(&values[..9], 11) == values[9]
        && check(&values[..10], 11) == values[10]
}

/// CNPJ, numeric and alphanumeric: two mod-11 digits over twelve, each letter worth its ASCII code less 48 (IN RFB
/// 2.229/2024).
pub(crate) fn is_cnpj(text: &[u8]) -> bool {
    let Some(values) = values::<14>(text, |c| c.is_ascii_digit() || c.is_ascii_uppercase()) else { return false };
    values.iter().any(|v| *v != values[0])
        && check(&values[..12], 9) == values[12]
        && check(&values[..13], 9) == values[13]
}

/// The right check digits of a CPF's first nine digits, as a number below 100.
pub(crate) fn cpf_check(base: &[u8]) -> Option<u8> {
    check_digits(&values::<9>(base, |c| c.is_ascii_digit())?, 11)
}

/// The right check digits of a CNPJ's first twelve characters, as a number below 100.
pub(crate) fn cnpj_check(base: &[u8]) -> Option<u8> {
    check_digits(&values::<12>(base, |c| c.is_ascii_digit() || c.is_ascii_uppercase())?, 9)
}

fn check_digits(base: &[u32], weight_max: u32) -> Option<u8> {
    let first = check(base, weight_max);
    // Twelve of a CNPJ, and the first check digit.
    let mut longer = [0; 13];
    longer[..base.len()].copy_from_slice(base);
    longer[base.len()] = first;
    let second = check(&longer[..=base.len()], weight_max);
    u8::try_from(first * 10 + second).ok()
}

/// PIS/PASEP/NIS: one mod-11 digit over ten.
pub(super) fn is_pis(digits: &[u8]) -> bool {
    let Some(values) = values::<11>(digits, |c| c.is_ascii_digit()) else { return false };
    values.iter().any(|v| *v != values[0]) && check(&values[..10], 9) == values[10]
}

fn values<const N: usize>(text: &[u8], fits: impl Fn(u8) -> bool) -> Option<[u32; N]> {
    let text: &[u8; N] = text.try_into().ok()?;
    text.iter().all(|c| fits(*c)).then(|| text.map(|c| u32::from(c - b'0')))
}

/// A mod-11 digit with weights from 2 at the right end up to `weight_max`, then from 2 again; 10 and 11 count as 0.
fn check(values: &[u32], weight_max: u32) -> u32 {
    let weights = (2..=weight_max).cycle();
    let sum: u32 = values.iter().rev().zip(weights).map(|(value, weight)| value * weight).sum();
    match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// A payment card: an issuer's prefix and length, and a Luhn digit (ISO/IEC 7812-1).
pub(super) fn is_card(digits: &[u8]) -> bool {
    (13..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && has_issuer(digits) && luhn(digits)
}

/// Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Elo and Hipercard.
fn has_issuer(digits: &[u8]) -> bool {
    let prefix = |length: usize| digits[..length].iter().fold(0u32, |n, c| n * 10 + u32::from(c - b'0'));
    let (two, three, four, six) = (prefix(2), prefix(3), prefix(4), prefix(6));
    match digits.len() {
        13 => digits[0] == b'4',
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            digits[0] == b'4'
                || matches!(two, 51..=55 | 62 | 65)
                || matches!(three, 644..=649)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011 | 5041 | 5066 | 5067 | 5090)
                || matches!(six, 606_282 | 384_100 | 384_140 | 384_160 | 627_780 | 636_297 | 636_368)
        }
        19 => digits[0] == b'4' || two == 62,
        _ => two == 62,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, c)| match (at % 2, u32::from(c - b'0')) {
            (0, value) => value,
            (_, value) => value * 2 / 10 + value * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// IBAN: 97 divides it with its first four characters moved to the end and letters as 10 to 35, less 1 (ISO 13616).
pub(super) fn is_iban(text: &[u8]) -> bool {
    let country = text.len() >= 2 && text[..2].iter().all(u8::is_ascii_uppercase);
    if !country || !(15..=34).contains(&text.len()) || !text.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let rest = text[4..].iter().chain(&text[..4]).fold(0u32, |rest, c| match c.to_ascii_uppercase() {
        digit @ b'0'..=b'9' => (rest * 10 + u32::from(digit - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    rest == 1
}

/// A Brazilian number without its country code: an area code in use, then 8 digits of a landline or 9 of a mobile
/// (Anatel, resolution 749/2022).
pub(super) fn is_national_phone(digits: &[u8]) -> bool {
    let subscriber = match digits.len() {
        10 => (b'2'..=b'5').contains(&digits[2]),
        11 => digits[2] == b'9' && digits[3] >= b'4',
        _ => false,
    };
    subscriber && digits.iter().all(u8::is_ascii_digit) && has_area(digits)
}

fn has_area(digits: &[u8]) -> bool {
    match (digits[0], digits[1]) {
        (b'1' | b'4' | b'6' | b'8' | b'9', second) => second != b'0',
        (b'2', second) => matches!(second, b'1' | b'2' | b'4' | b'7' | b'8'),
        (b'3', second) => matches!(second, b'1'..=b'5' | b'7' | b'8'),
        (b'5', second) => matches!(second, b'1' | b'3' | b'4' | b'5'),
        (b'7', second) => matches!(second, b'1' | b'3' | b'4' | b'5' | b'7' | b'9'),
        _ => false,
    }
}

/// E.164: at most 15 digits; where the country code is Brazil's the rest must be a Brazilian number.
pub(super) fn is_international_phone(digits: &[u8]) -> bool {
    match digits {
        // A trunk `0` is dialled inside the country only, and written all the same: +55 (011) ….
        [b'5', b'5', b'0', rest @ ..] | [b'5', b'5', rest @ ..] => is_national_phone(rest),
        _ => (8..=15).contains(&digits.len()) && digits[0] != b'0',
    }
}

/// US social security number: no area 000, 666 or 9xx, no group 00, no serial 0000 (SSA, POMS RM 10201.035).
pub(super) fn is_us_ssn(digits: &[u8]) -> bool {
    let Some(v) = values::<9>(digits, |c| c.is_ascii_digit()) else { return false };
    let area = v[0] * 100 + v[1] * 10 + v[2];
    let (group, serial) = (v[3] * 10 + v[4], v[5..].iter().sum::<u32>());
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpf_and_cnpj_have_their_check_digits() {
        assert!(is_cpf(b"52998224725") && is_cpf(b"11144477735") && is_cpf(b"00000000191"));
        assert!(
            !is_cpf(b"52998224724") && !is_cpf(b"11111111111") && !is_cpf(b"5299822472") && !is_cpf(b"5299822472x")
        );
        assert!(is_cnpj(b"11222333000181") && is_cnpj(b"00000000000191"));
        // The Receita's own example of the alphanumeric form.
        assert!(is_cnpj(b"12ABC34501DE35"));
        assert!(!is_cnpj(b"12ABC34501DE36") && !is_cnpj(b"12abc34501de35") && !is_cnpj(b"00000000000000"));
        assert!(is_pis(b"12056412545") && !is_pis(b"12056412546"));
    }

    #[test]
    fn cards_have_an_issuer_and_a_luhn_digit() {
        for card in [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6062825624254001",
        ] {
            assert!(is_card(card.as_bytes()), "{card}");
        }
        assert!(!is_card(b"4111111111111112") && !is_card(b"1111111111111117") && !is_card(b"411111111111"));
    }

    #[test]
    fn numbers_of_other_countries() {
        assert!(is_iban(b"GB82WEST12345698765432") && is_iban(b"DE89370400440532013000"));
        assert!(is_iban(b"BR1800360305000010009795493C1"));
        assert!(!is_iban(b"GB82WEST12345698765433") && !is_iban(b"GB82") && !is_iban(b"0082WEST12345698765432"));
        assert!(
            is_us_ssn(b"219099999") && !is_us_ssn(b"666123456") && !is_us_ssn(b"900123456") && !is_us_ssn(b"219000000")
        );
    }

    #[test]
    fn phones_have_an_area_and_a_length() {
        assert!(is_national_phone(b"11987654321") && is_national_phone(b"1132654321"));
        assert!(
            !is_national_phone(b"20987654321")
                && !is_national_phone(b"11187654321")
                && !is_national_phone(b"1700000000")
        );
        assert!(is_international_phone(b"5511987654321") && is_international_phone(b"12125550100"));
        assert!(!is_international_phone(b"5520987654321") && !is_international_phone(b"0123456789"));
    }
}
