//! Numbers that are not one country's.

/// The second line of a passport's machine-readable zone: number, birth date and expiry each with a check digit by the
/// weights 7 3 1 (ICAO Doc 9303-4, 4.2.2, and 9303-3, 4.9).
pub fn is_passport_zone(line: &[u8]) -> bool {
    let check = |from: usize, to: usize| -> Option<u32> {
        let worth = |c: &u8| match c {
            b'0'..=b'9' => Some(u32::from(c - b'0')),
            b'A'..=b'Z' => Some(u32::from(c - b'A') + 10),
            b'<' => Some(0),
            _ => None,
        };
        let weights = [7, 3, 1].into_iter().cycle();
        line[from..to]
            .iter()
            .zip(weights)
            .try_fold(0, |sum, (c, weight)| Some(sum + worth(c)? * weight))
            .map(|sum| sum % 10)
    };
    let holds =
        |from: usize, to: usize| check(from, to).is_some_and(|sum| u32::from(line[to]) == sum + u32::from(b'0'));
    line.len() == 44 && holds(0, 9) && holds(13, 19) && holds(21, 27)
}

/// Degrees of latitude and longitude (WGS 84), written with so many decimals that they are a place and not an amount.
pub fn is_coordinate_pair(latitude: &str, longitude: &str) -> bool {
    let within = |text: &str, most: f64| text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most);
    within(latitude, 90.0) && within(longitude, 180.0)
}

/// One coordinate of a column that has one: at most 180 degrees, at least three decimals (about a hundred metres).
pub fn is_coordinate(text: &str) -> bool {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (3..=15).contains(&decimals) && is_coordinate_pair("0", text)
}

/// US individual taxpayer number: an area of 9xx and a group of 50-65, 70-88, 90-92 or 94-99 (IRS, Publication 1915).
pub fn is_us_itin(digits: &[u8]) -> bool {
    let Some(v) = super::digits::<9>(digits) else { return false };
    v[0] == 9 && matches!(v[3] * 10 + v[4], 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passports_zone_has_three_checks() {
        // The specimen of ICAO Doc 9303-4.
        assert!(is_passport_zone(b"L898902C36UTO7408122F1204159ZE184226B<<<<<10"));
        assert!(!is_passport_zone(b"L898902C46UTO7408122F1204159ZE184226B<<<<<10"));
        assert!(!is_passport_zone(b"L898902C36UTO7408122F1204159ZE184226B<<<<<"));
    }

    #[test]
    fn taxpayers_have_groups_in_use_and_places_are_on_earth() {
        assert!(is_us_itin(b"900700000") && is_us_itin(b"912939999") == is_us_itin(b"912930000"));
        assert!(!is_us_itin(b"900660000") && !is_us_itin(b"912930000") && !is_us_itin(b"123700000"));
        assert!(is_coordinate_pair("-23.5505", "-46.6333") && !is_coordinate_pair("91.0", "0.0"));
        assert!(is_coordinate("-46.6333") && !is_coordinate("12.50") && !is_coordinate("181.1234"));
    }
}
