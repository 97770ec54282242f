use super::*;

const PLAIN: Chart = Chart { width: 32, colour: false };

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn bars_have_eighths() {
    let chart = PLAIN.bars(&texts(&["card", "PIX", "boleto"]), &[1_250_000.0, 400_000.0, 0.0], "R$");
    let expected = "\
card   ████████████████ R$ 1.25M
PIX    █████▏ R$ 400k
boleto  R$ 0
";
    assert_eq!(chart, expected);
}

#[test]
fn bars_cut_long_labels_and_put_other_units_after() {
    let chart = PLAIN.bars(&texts(&["Rio Grande do Sul", "SP"]), &[3.0, 6.0], "rows");
    let expected = "\
Rio Grand… ███████ 3 rows
SP         ██████████████ 6 rows
";
    assert_eq!(chart, expected);
}

#[test]
fn area_of_few_values_is_blocks() {
    let chart = Chart { width: 20, colour: false }.area(&[0.0, 2.0, 4.0, 8.0], 2, &texts(&["jul", "", "", "out"]));
    let expected = "\
8 ┤            ████
0 ┤    ▄▄▄▄████████
  └────────────────
   jul         out
";
    assert_eq!(chart, expected);
}

#[test]
fn area_of_many_values_is_braille() {
    let values: Vec<f64> = (0..20).map(f64::from).collect();
    let chart = Chart { width: 14, colour: false }.area(&values, 2, &texts(&["a", "b", "c", "d"]));
    let expected = "\
19 ┤     ⢀⣀⣤⣶⣿
 0 ┤ ⣀⣤⣶⣾⣿⣿⣿⣿⣿
   └──────────
    a
";
    assert_eq!(chart, expected);
}

#[test]
fn heat_shades_percentages() {
    let values = [vec![Some(1.0), Some(0.78), Some(0.05)], vec![Some(1.0), Some(0.5), None]];
    let chart = PLAIN.heat(&texts(&["2026-07", "2026-08"]), &texts(&["+0", "+1", "+2"]), &values);
    let expected = ["            +0     +1     +2", "2026-07 ██100% ▓▓ 78%     5%", "2026-08 ██100% ▒▒ 50%      ·", ""];
    assert_eq!(chart, expected.join("\n"));
}

#[test]
fn heat_says_when_columns_are_left_out() {
    let chart = Chart { width: 17, colour: false };
    let text = chart.heat(&texts(&["a"]), &texts(&["0", "1", "2"]), &[vec![Some(0.2), Some(0.4), Some(0.6)]]);
    assert_eq!(text, "       0      1…\na ░░ 20% ▒▒ 40%\n");
}

#[test]
fn colour_only_when_asked() {
    let chart = Chart { width: 12, colour: true };
    assert_eq!(chart.bars(&texts(&["a"]), &[1.0], ""), "a \x1b[36m████████\x1b[0m 1\n");
    assert_eq!(
        chart.heat(&texts(&["a"]), &texts(&["0"]), &[vec![Some(0.3)]]),
        "       0\na \x1b[48;5;151;38;5;16m   30%\x1b[0m\n"
    );
    assert!(!PLAIN.area(&[1.0], 1, &[]).contains('\x1b'));
}

#[test]
fn nothing_is_wider_than_asked() {
    let values: Vec<f64> = (0..92).map(|day| f64::from(day * day * 1000)).collect();
    let labels: Vec<String> = (0..92).map(|day| format!("day number {day}")).collect();
    let shares: Vec<Vec<Option<f64>>> = vec![vec![Some(0.5); 92]; 92];
    for width in 0..140 {
        let chart = Chart { width, colour: false };
        let drawn = [
            chart.bars(&labels, &values, "R$"),
            chart.area(&values, 5, &labels),
            chart.heat(&labels, &labels, &shares),
        ];
        for line in drawn.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
    }
}

#[test]
fn odd_values_draw() {
    let odd = [f64::NAN, -1.0, f64::INFINITY, 2.0];
    assert_eq!(PLAIN.bars(&texts(&["a", "b", "c", "d"]), &odd, "").lines().count(), 4);
    assert!(PLAIN.area(&odd, 3, &[]).contains('█'));
    assert_eq!(PLAIN.area(&[], 3, &[]), "");
    assert!(PLAIN.area(&[0.0, 0.0], 1, &[]).starts_with("1 ┤"));
}

#[test]
fn numbers_are_short() {
    let short = |value| compact(value);
    assert_eq!(short(0.0), "0");
    assert_eq!(short(12.345), "12.3");
    assert_eq!(short(999.0), "999");
    assert_eq!(short(1000.0), "1.00k");
    assert_eq!(short(12_345.0), "12.3k");
    assert_eq!(short(999_600.0), "1.00M");
    assert_eq!(short(123_456_789.0), "123M");
    assert_eq!(short(-2_500_000_000.0), "-2.50G");
}
