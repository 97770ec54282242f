//! Brazilian numbers with right check digits: CPF, CNPJ in both forms, and card numbers.

/// Digits that the new CNPJ may carry; the letters that read like others are not given out.
pub const CNPJ_ALPHABET: &[u8] = b"0123456789ABCDEGHJKLMNPRSTVWXYZ";

/// Eleven ASCII digits from the first nine; modulus 11, weights 10..2 and 11..2 (Receita Federal).
pub fn cpf(first_nine: u32) -> [u8; 11] {
    let mut number = [0u8; 11];
    let mut rest = first_nine;
    for place in (0..9).rev() {
        number[place] = (rest % 10) as u8;
        rest /= 10;
    }
    for end in [9, 10] {
        let sum: usize = (0..end).map(|i| usize::from(number[i]) * (end + 1 - i)).sum();
        number[end] = (sum * 10 % 11 % 10) as u8;
    }
    number.map(|digit| digit + b'0')
}

/// `000.000.000-00`
pub fn cpf_dotted(cpf: &str) -> String {
    format!("{}.{}.{}-{}", &cpf[..3], &cpf[3..6], &cpf[6..9], &cpf[9..])
}

/// The same CPF with a wrong last digit.
pub fn cpf_broken(cpf: &[u8; 11]) -> [u8; 11] {
    let mut broken = *cpf;
    broken[10] = b'0' + (broken[10] - b'0' + 1) % 10;
    broken
}

/// Fourteen characters from the first twelve, digits or capitals: modulus 11 over ASCII − 48, weights 2..9 from the
/// right (IN RFB 2.229/2024). For digits only this is the old rule.
pub fn cnpj(first_twelve: [u8; 12]) -> String {
    let mut number = first_twelve.to_vec();
    for _ in 0..2 {
        let weighted = number.iter().rev().zip((2..=9).cycle());
        let sum: u32 = weighted.map(|(character, weight)| u32::from(character - 48) * weight).sum();
        let digit = match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        };
        number.push(b'0' + digit as u8);
    }
    number.into_iter().map(char::from).collect()
}

/// `00.000.000/0000-00`
pub fn cnpj_dotted(cnpj: &str) -> String {
    format!("{}.{}.{}/{}-{}", &cnpj[..2], &cnpj[2..5], &cnpj[5..8], &cnpj[8..12], &cnpj[12..])
}

/// A card number of sixteen digits: `bin`, then `account`, then the Luhn digit (ISO/IEC 7812-1).
pub fn card(bin: u32, account: u32) -> [u8; 16] {
    let mut number = [0u8; 16];
    let mut rest = u64::from(bin) * 1_000_000_000 + u64::from(account);
    for place in (0..15).rev() {
        number[place] = (rest % 10) as u8;
        rest /= 10;
    }
    let luhn = |place: usize| match number[place] * (2 - place as u8 % 2) {
        doubled @ 10.. => doubled - 9,
        digit => digit,
    };
    let sum: u8 = (0..15).map(luhn).sum();
    number[15] = (10 - sum % 10) % 10;
    number.map(|digit| digit + b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_cpfs() {
        assert_eq!(&cpf(111_444_777), b"11144477735");
        assert_eq!(&cpf(529_982_247), b"52998224725");
        assert_eq!(&cpf(1), b"00000000191");
        assert_eq!(cpf_dotted("52998224725"), "529.982.247-25");
        assert_eq!(&cpf_broken(b"00000000199"), b"00000000190");
    }

    #[test]
    fn known_cnpjs() {
        assert_eq!(cnpj(*b"000000000001"), "00000000000191"); // Banco do Brasil
        assert_eq!(cnpj(*b"330001670001"), "33000167000101"); // Petrobras
        assert_eq!(cnpj(*b"12ABC34501DE"), "12ABC34501DE35"); // the example of the Receita Federal
        assert_eq!(cnpj_dotted("12ABC34501DE35"), "12.ABC.345/01DE-35");
    }

    #[test]
    fn known_cards() {
        assert_eq!(&card(411_111, 111_111_111), b"4111111111111111");
        assert_eq!(&card(555_555, 555_555_444), b"5555555555554444");
    }
}
