//! Splits blocks of CSV (RFC 4180, and what programs write instead of it) into records and fields.
//!
//! A quote opens a quoted field only at the field's start; inside, two quotes are one; what follows the closing quote
//! belongs to the field; anywhere else a quote is a character like others. `\n` or `\r\n` ends a record, blank lines
//! are none. The `csv` crate reads the same fields, which a property test holds this to.

use super::mask::Needles;
use crate::files::text::{Region, bad_bytes};
use crate::files::views::Span;
use kernel::gate::Malformed;

/// How fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
}

/// Records split so far.
#[derive(Default)]
pub struct Records {
    /// `width` for each row, and room for one more row.
    spans: Vec<Span>,
    /// Line on which each row starts.
    pub lines: Vec<i64>,
    /// Text that is not in the block as it is.
    pub side: Vec<u8>,
    pub malformed: Vec<Malformed>,
}

impl Records {
    pub fn spans_mut(&mut self, width: usize) -> &mut [Span] {
        &mut self.spans[..self.lines.len() * width]
    }

    pub fn clear(&mut self) {
        self.lines.clear();
        self.side.clear();
        self.malformed.clear();
    }
}

pub struct Scanner {
    dialect: Dialect,
    needles: Needles,
    /// Fields of a record.
    width: usize,
    /// Line of the next record.
    line: i64,
    /// Records up to and with this line are passed over.
    behind: i64,
    record_bytes_max: usize,
    /// Inside a line that is too long: its rest is passed over.
    discarding: bool,
    /// Whether a record that the file ends in, without a line end, is left; and whether one was.
    hold: bool,
    held: bool,
}

/// The record being split.
struct Record {
    start: usize,
    /// Where its spans go.
    slot: usize,
    fields: usize,
    /// Line ends inside quotes.
    breaks: i64,
    /// Where its text in the side buffer starts.
    side: usize,
    field: Field,
}

/// The field being split.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    state: State,
    /// Where its last quote is: the closing one in the end.
    close: usize,
    doubled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Quoted,
    /// Behind the closing quote.
    Closed,
}

impl Field {
    fn at(start: usize) -> Self {
        Self { start, state: State::Plain, close: 0, doubled: false }
    }
}

impl Record {
    fn at(start: usize, records: &Records, width: usize) -> Self {
        let (slot, side) = (records.lines.len() * width, records.side.len());
        Self { start, slot, fields: 0, breaks: 0, side, field: Field::at(start) }
    }
}

impl Scanner {
    /// Splits records of `width` fields; the first is on `line`.
    pub fn new(dialect: Dialect, width: usize, line: i64, behind: i64, record_bytes_max: usize) -> Self {
        let needles = Needles::new(dialect.delimiter, dialect.quote);
        let (discarding, hold, held) = (false, false, false);
        Self { dialect, needles, width, line, behind, record_bytes_max, discarding, hold, held }
    }

    /// Leaves a record that the file ends in without a line end: it may go on.
    #[must_use]
    pub fn holding(self) -> Self {
        Self { hold: true, ..self }
    }

    /// Whether such a record was met: nothing is to be split any more.
    pub fn has_held(&self) -> bool {
        self.held
    }

    /// The line of the next record.
    pub fn line(&self) -> i64 {
        self.line
    }

    /// Splits whole records from `at` on until there are `rows_max` in `records`, or no whole one is left, or the last
    /// one to be passed over was, and returns where the next one starts.
    pub fn scan(&mut self, region: Region, mut at: usize, rows_max: usize, records: &mut Records) -> usize {
        records.spans.resize(rows_max.saturating_add(1) * self.width, Span::NULL);
        if self.discarding {
            let Some(end) = memchr::memchr(b'\n', &region.text[at..region.used]) else { return region.used };
            (self.discarding, at) = (false, at + end + 1);
            if self.line == self.behind + 1 {
                return at;
            }
        }
        while at < region.used && records.lines.len() < rows_max {
            let before = self.line;
            match self.run(region, at, rows_max, records) {
                Next::Record(next) => at = next,
                Next::Cut(start) if !region.last => return start,
                Next::Cut(start) if self.hold && self.line > self.behind => {
                    self.held = true;
                    return start;
                }
                Next::Cut(start) => at = self.finish_file(region, start, records),
                Next::Broken(start) => at = self.give_up(region, start, records),
            }
            if self.crosses(before) {
                return at;
            }
        }
        at
    }

    /// Whether the line up to which records are passed over was reached since the given one.
    fn crosses(&self, before: i64) -> bool {
        before <= self.behind && self.line > self.behind
    }

    /// Whether the next record starts where the block's text does: not inside a line that is passed over.
    pub fn is_at_record(&self) -> bool {
        !self.discarding
    }

    /// Passes over the first line of a record that is too long or whose quote never closes, and returns where the next
    /// line starts: one stray quote must not cost the lines behind it.
    fn give_up(&mut self, region: Region, start: usize, records: &mut Records) -> usize {
        let line_end = memchr::memchr(b'\n', &region.text[start..region.used]);
        let length = line_end.unwrap_or(region.used - start);
        let long = length > self.record_bytes_max;
        let reason = if long { "the line is longer than `line_bytes_max`" } else { "a quote is opened and not closed" };
        if self.line > self.behind {
            records.malformed.push(Malformed { offset: self.line, reason: reason.into() });
        }
        self.line += 1;
        self.discarding = line_end.is_none() && !region.last;
        line_end.map_or(region.used, |length| start + length + 1)
    }

    /// Splits from `at` on through words of 64 bytes.
    fn run(&mut self, region: Region, at: usize, rows_max: usize, records: &mut Records) -> Next {
        let mut record = Record::at(at, records, self.width);
        let mut base = at;
        while base < region.used {
            let Some(word) = region.text.get(base..).and_then(|rest| rest.first_chunk::<64>()) else { break };
            let mut mask = self.needles.find(word);
            if region.used - base < 64 {
                mask &= (1 << (region.used - base)) - 1;
            }
            while mask != 0 {
                let place = base + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let byte = region.text[place];
                if byte == self.dialect.delimiter && record.field.state != State::Quoted {
                    self.end_field(region, &mut record, place, records);
                    record.field = Field::at(place + 1);
                } else if byte == b'\n' && record.field.state != State::Quoted {
                    if let Some(next) = self.end_record(region, &mut record, place, records) {
                        return next;
                    }
                    if records.lines.len() == rows_max {
                        return Next::Record(place + 1);
                    }
                    record = Record::at(place + 1, records, self.width);
                } else {
                    self.inside(&mut record, byte, place);
                }
            }
            base += 64;
            if base.saturating_sub(record.start) > self.record_bytes_max {
                records.side.truncate(record.side);
                return Next::Broken(record.start);
            }
        }
        records.side.truncate(record.side);
        if record.start < region.used { Next::Cut(record.start) } else { Next::Record(region.used) }
    }

    /// A quote, or any of the bytes inside quotes.
    #[inline]
    fn inside(&self, record: &mut Record, byte: u8, place: usize) {
        let field = &mut record.field;
        if byte == b'\n' {
            record.breaks += 1;
        } else if Some(byte) == self.dialect.quote {
            match field.state {
                State::Plain if place == field.start => field.state = State::Quoted,
                State::Quoted => (field.state, field.close) = (State::Closed, place),
                // Two quotes are one: the field goes on.
                State::Closed if place == field.close + 1 => (field.state, field.doubled) = (State::Quoted, true),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn end_field(&self, region: Region, record: &mut Record, end: usize, records: &mut Records) {
        let field = record.field;
        let span = match field.state {
            State::Plain => Span::new(field.start, end),
            _ if !field.doubled && field.close + 1 == end => Span::present(field.start + 1, field.close),
            _ => unquote(&region.text[..end], field, self.dialect.quote, &mut records.side),
        };
        if record.fields < self.width
            && let Some(place) = records.spans.get_mut(record.slot + record.fields)
        {
            *place = span;
        }
        record.fields += 1;
    }

    /// Ends a record at a line end or the file's; answers only when splitting can't just go on.
    #[inline(always)]
    fn end_record(&mut self, region: Region, record: &mut Record, end: usize, records: &mut Records) -> Option<Next> {
        if end - record.start > self.record_bytes_max {
            records.side.truncate(record.side);
            return Some(Next::Broken(record.start));
        }
        let cr = end > record.field.start && region.text[end - 1] == b'\r';
        let end = end - usize::from(cr);
        let line = self.line;
        self.line += 1 + record.breaks;
        if end > record.start {
            self.end_field(region, record, end, records);
            self.judge(region, record, line, end, records);
        }
        self.crosses(line).then_some(Next::Record((end + usize::from(cr) + 1).min(region.used)))
    }

    /// Takes the record as a row, or sets it aside, or passes over it.
    #[inline(always)]
    fn judge(&self, region: Region, record: &Record, line: i64, end: usize, records: &mut Records) {
        let reason = if line <= self.behind {
            None
        } else if record.fields != self.width {
            Some(ragged(record.fields, self.width))
        } else if let Some(bad) = (!region.clean).then(|| bad_bytes(&region.text[record.start..end])).flatten() {
            Some(bad.to_owned())
        } else {
            return records.lines.push(line);
        };
        records.side.truncate(record.side);
        records.malformed.extend(reason.map(|reason| Malformed { offset: line, reason }));
    }

    /// The last record of a file that doesn't end in a line end.
    fn finish_file(&mut self, region: Region, start: usize, records: &mut Records) -> usize {
        let mut record = Record::at(start, records, self.width);
        for place in start..region.used {
            let byte = region.text[place];
            if byte == self.dialect.delimiter && record.field.state != State::Quoted {
                self.end_field(region, &mut record, place, records);
                record.field = Field::at(place + 1);
            } else {
                self.inside(&mut record, byte, place);
            }
        }
        let broken = record.field.state == State::Quoted
            || matches!(self.end_record(region, &mut record, region.used, records), Some(Next::Broken(_)));
        if broken {
            records.side.truncate(record.side);
            return self.give_up(region, start, records);
        }
        region.used
    }
}

enum Next {
    /// Records are taken up to here.
    Record(usize),
    /// The block ends inside the record that starts here.
    Cut(usize),
    /// The record that starts here is too long.
    Broken(usize),
}

fn ragged(fields: usize, width: usize) -> String {
    let s = if fields == 1 { "" } else { "s" };
    format!("{fields} field{s} where the header has {width}")
}

/// Writes a quoted field that is not in the block as it is to the side: two quotes as one, and what follows the closing
/// quote.
#[cold]
fn unquote(text: &[u8], field: Field, quote: Option<u8>, side: &mut Vec<u8>) -> Span {
    let start = side.len();
    let mut inside = &text[field.start + 1..field.close];
    while let Some(at) = quote.and_then(|quote| memchr::memchr(quote, inside)) {
        side.extend_from_slice(&inside[..=at]);
        inside = inside.get(at + 2..).unwrap_or_default();
    }
    side.extend_from_slice(inside);
    side.extend_from_slice(&text[field.close + 1..]);
    Span::aside(start, side.len())
}
