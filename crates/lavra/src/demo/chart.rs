//! Charts for a terminal, as text. Nothing is ever wider than asked, for a broken line is worse than a coarse one.

const RESET: &str = "\x1b[0m";
const CYAN: &str = "\x1b[36m";
const EIGHTHS_RIGHT: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const EIGHTHS_UP: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// From pale to dark green in the palette of 256; black is readable on the first three, white on the others.
const GREENS: [(u8, u8); 5] = [(194, 16), (151, 16), (108, 16), (29, 231), (22, 231)];
/// Braille dots of one column of a cell from the bottom up: left, right (Unicode 2800–28FF).
const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
/// A heat cell: two shades, a percentage of four, a space.
const CELL: usize = 7;

pub struct Chart {
    /// Columns of the terminal that may be used.
    pub width: usize,
    /// Whether ANSI colours are understood.
    pub colour: bool,
}

impl Chart {
    /// One horizontal bar a line: label, bar, value. A unit that ends in `$` stands before its number.
    pub fn bars(&self, labels: &[String], values: &[f64], unit: &str) -> String {
        let numbers: Vec<String> = values.iter().map(|value| with_unit(*value, unit)).collect();
        let number_width = widest(&numbers);
        let label_width = widest(labels).min(self.width / 3);
        let room = self.width.saturating_sub(label_width + number_width + 2);
        let most = highest(values);
        let mut out = String::new();
        for ((label, value), number) in labels.iter().zip(values).zip(&numbers) {
            let bar = self.paint(&bar(*value / most, room));
            let line = format!("{} {bar} {number}", padded(label, label_width));
            // So narrow that not even the numbers fit: the label and the number are cut, the bar is none.
            out.push_str(&if room == 0 { cut(&line, self.width) } else { line });
            out.push('\n');
        }
        out
    }

    /// A filled curve over `height` lines and an axis with those labels that find room; empty labels are left out.
    /// One block a value where they fit, else Braille with two values a column, else averages.
    pub fn area(&self, values: &[f64], height: usize, labels: &[String]) -> String {
        let (height, most) = (height.max(1), highest(values));
        let top = compact(most);
        let margin = top.chars().count().max(1) + 2;
        let room = self.width.saturating_sub(margin);
        if room == 0 || values.is_empty() {
            return String::new();
        }
        let dense = values.len() > room;
        let points = if dense { averaged(values, room * 2) } else { values.to_vec() };
        let repeat = if dense { 1 } else { room / points.len() };
        let shares: Vec<f64> = points.iter().map(|value| clean(value / most)).collect();
        let mut out = String::new();
        for line in 0..height {
            let below = height - 1 - line;
            let cells = if dense { braille(&shares, below, height) } else { blocks(&shares, below, height, repeat) };
            let scale = match line {
                0 => top.as_str(),
                _ if below == 0 => "0",
                _ => "",
            };
            out.push_str(&format!("{scale:>width$} ┤", width = margin - 2));
            out.push_str(&self.paint(cells.trim_end()));
            out.push('\n');
        }
        let columns = if dense { points.len().div_ceil(2) } else { points.len() * repeat };
        out.push_str(&axis(labels, values.len(), columns, margin));
        out
    }

    /// Shares of one (1.0 is 100 %) in a table, darker where higher. Columns that don't fit are left out, and `…` says so.
    pub fn heat(&self, rows: &[String], columns: &[String], values: &[Vec<Option<f64>>]) -> String {
        let label_width = widest(rows).min(self.width / 3);
        let fit = self.width.saturating_sub(label_width + 1) / CELL;
        let shown = columns.len().min(fit);
        let mut head = " ".repeat(label_width + 1);
        for column in &columns[..shown] {
            head.push_str(&format!("{:>6} ", cut(column, 6)));
        }
        let mut out = head.trim_end().to_owned();
        // The last cell's own space makes room for the mark.
        if shown < columns.len() && shown > 0 {
            out.push('…');
        }
        out.push('\n');
        for (row, cells) in rows.iter().zip(values) {
            let mut line = padded(row, label_width);
            line.push(' ');
            for cell in cells.iter().take(shown) {
                line.push_str(&self.cell(*cell));
                line.push(' ');
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn cell(&self, share: Option<f64>) -> String {
        let Some(share) = share.map(clean) else { return "     ·".into() };
        let percent = format!("{:.0}%", share * 100.0);
        let level = ((share * 5.0) as usize).min(4);
        if self.colour {
            let (ground, ink) = GREENS[level];
            format!("\x1b[48;5;{ground};38;5;{ink}m{percent:>6}{RESET}")
        } else {
            let shade = SHADES[level];
            format!("{shade}{shade}{percent:>4}")
        }
    }

    fn paint(&self, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{CYAN}{text}{RESET}") } else { text.to_owned() }
    }
}

/// A number as short as it stays useful: `950`, `12.3k`, `4.57M`.
pub fn compact(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 999_500_000.0 => (value / 1e9, "G"),
        size if size >= 999_500.0 => (value / 1e6, "M"),
        size if size >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = match scaled.abs() {
        _ if suffix.is_empty() && value.fract() == 0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{suffix}")
}

fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" => compact(value),
        before if before.ends_with('$') => format!("{before} {}", compact(value)),
        after => format!("{} {after}", compact(value)),
    }
}

/// The highest value, or one where none is above zero: it is divided by.
fn highest(values: &[f64]) -> f64 {
    let most = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

/// What can't be drawn is drawn as nothing or as all.
fn clean(share: f64) -> f64 {
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).max().unwrap_or(0)
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { kept } else { kept + "…" }
}

fn padded(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

fn bar(share: f64, room: usize) -> String {
    let eighths = (clean(share) * room as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS_RIGHT[eighths % 8]);
    }
    bar
}

/// As many means as `most`, each of neighbours; fewer values stay as they are.
fn averaged(values: &[f64], most: usize) -> Vec<f64> {
    let count = values.len().min(most);
    let start = |place: usize| place * values.len() / count;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (0..count).map(|place| mean(&values[start(place)..start(place + 1)])).collect()
}

/// The line `below` other lines of an area of `height` lines.
fn blocks(shares: &[f64], below: usize, height: usize, repeat: usize) -> String {
    let mut line = String::new();
    for share in shares {
        let eighths = (share * (height * 8) as f64).round() as usize;
        let block = EIGHTHS_UP[eighths.saturating_sub(below * 8).min(8)];
        line.extend(std::iter::repeat_n(block, repeat));
    }
    line
}

fn braille(shares: &[f64], below: usize, height: usize) -> String {
    let dots = |share: &f64, side: usize| -> u32 {
        let count = ((share * (height * 4) as f64).round() as usize).saturating_sub(below * 4).min(4);
        DOTS[side][..count].iter().sum()
    };
    let cell = |pair: &[f64]| {
        let right = pair.get(1).map_or(0, |share| dots(share, 1));
        match dots(&pair[0], 0) + right {
            0 => ' ',
            pattern => char::from_u32(0x2800 + pattern).unwrap_or(' '),
        }
    };
    shares.chunks(2).map(cell).collect()
}

/// The baseline and, under it, labels that don't touch; each begins under its value.
fn axis(labels: &[String], values: usize, columns: usize, margin: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (number, label) in labels.iter().enumerate().take(values).filter(|(_, label)| !label.is_empty()) {
        let (at, width) = (number * columns / values, label.chars().count());
        let free = used == 0 || at >= used + 2;
        if free && at + width <= columns {
            line.push_str(&" ".repeat(at - used));
            line.push_str(label);
            used = at + width;
        }
    }
    let base = format!("{}└{}\n", " ".repeat(margin - 1), "─".repeat(columns));
    if line.is_empty() { base } else { format!("{base}{}{line}\n", " ".repeat(margin)) }
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
