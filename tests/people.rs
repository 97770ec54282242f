//! Invented people: documents that are valid in form and belong to nobody.

/// A valid CPF made of a number, eleven digits.
pub fn cpf(number: u64) -> String {
    let mut digits: Vec<u32> =
        format!("{:09}", number % 1_000_000_000).chars().filter_map(|c| c.to_digit(10)).collect();
    for _ in 0..2 {
        let weight = digits.len() as u32 + 1;
        let sum: u32 = digits.iter().zip(0..).map(|(digit, at)| digit * (weight - at)).sum();
        digits.push(match sum * 10 % 11 {
            10 => 0,
            digit => digit,
        });
    }
    digits.iter().map(u32::to_string).collect()
}

/// The same with its dots.
pub fn dotted(cpf: &str) -> String {
    format!("{}.{}.{}-{}", &cpf[..3], &cpf[3..6], &cpf[6..9], &cpf[9..])
}

#[test]
fn the_check_digits_are_those_of_the_revenue_service() {
    assert_eq!(cpf(111_444_777), "11144477735");
    assert_eq!(dotted(&cpf(529_982_247)), "529.982.247-25");
}
