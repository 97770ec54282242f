//! Brazil: driving licence, voter's card, vehicle registration. CPF, CNPJ and PIS stand in `digits.rs`.

use super::{all_same, digits, weighted};

/// CNH, the licence's registration number: two mod-11 digits over nine, with weights 9 to 1 and 1 to 9; where the first
/// would be 10 it is 0 and the second is less by 2 (Denatran, portaria 1.515/2018; Senatran, RENACH).
pub fn is_cnh(text: &[u8]) -> bool {
    let Some(v) = digits::<11>(text) else { return false };
    let first = weighted(&v[..9], (1..=9).rev()) % 11;
    let second = weighted(&v[..9], 1..=9) % 11;
    let (first, less) = if first == 10 { (0, 2) } else { (first, 0) };
    let second = match (second, less) {
        (10, _) => 0,
        (rest, less) if rest < less => (rest + 11 - less) % 10,
        (rest, less) => rest - less,
    };
    !all_same(&v) && (first, second) == (v[9], v[10])
}

/// Título de eleitor: eight digits of a sequence, the state (01 to 28), two mod-11 digits; in São Paulo (01) and Minas
/// Gerais (02) a rest of 0 is written 1 (TSE, resolution 23.659/2021, art. 35).
pub fn is_titulo_eleitor(text: &[u8]) -> bool {
    let Some(v) = digits::<12>(text) else { return false };
    let state = v[8] * 10 + v[9];
    let check = |sum: u32| match sum % 11 {
        10 => 0,
        0 if state <= 2 => 1,
        rest => rest,
    };
    let first = check(weighted(&v[..8], 2..=9));
    let second = check(v[8] * 7 + v[9] * 8 + first * 9);
    (1..=28).contains(&state) && !all_same(&v[..8]) && (first, second) == (v[10], v[11])
}

/// RENAVAM: a mod-11 digit over ten with weights 3 2 9 8 7 6 5 4 3 2; before 2013 the number had nine digits, which are
/// written with zeros in front (Denatran, portaria 27/2013). It is the sum of PIS: only name and profile tell them apart.
pub fn is_renavam(text: &[u8]) -> bool {
    let Some(v) = digits::<11>(text) else { return false };
    let rest = weighted(&v[..10], [3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11;
    !all_same(&v) && rest % 10 == v[10]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_voters_and_vehicles_have_their_check_digits() {
        for cnh in ["62472927637", "69044271146", "58316794534"] {
            assert!(is_cnh(cnh.as_bytes()), "{cnh}");
        }
        for wrong in ["62472927638", "69044271147", "22222222222", "6247292763", "6247292763x"] {
            assert!(!is_cnh(wrong.as_bytes()), "{wrong}");
        }
        for voter in ["690847092828", "163204010922", "102385010671"] {
            assert!(is_titulo_eleitor(voter.as_bytes()), "{voter}");
        }
        for wrong in ["690847092829", "123456789012", "690847099928", "000000000000", "69084709282"] {
            assert!(!is_titulo_eleitor(wrong.as_bytes()), "{wrong}");
        }
        assert!(is_renavam(b"00639884962") && is_renavam(b"13824652268"));
        assert!(!is_renavam(b"00639884963") && !is_renavam(b"00000000000") && !is_renavam(b"639884962"));
    }
}
