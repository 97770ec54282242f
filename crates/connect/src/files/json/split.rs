//! Splits blocks of JSON into objects.

use super::parse::{self, Bad};
use super::table::Table;
use crate::files::mark::Mark;
use crate::files::text::{Region, bad_bytes};
use kernel::gate::Malformed;

/// How objects are put into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// To be told from its start.
    Unknown,
    /// One per line: a bad line is one bad record.
    Lines,
    /// One after another over any lines.
    Sequence,
    /// In one array.
    Array,
    /// Behind the array's end.
    Closed,
}

pub struct Split {
    pub table: Table,
    /// Line (or place in the array) of each row.
    pub lines: Vec<i64>,
    pub malformed: Vec<Malformed>,
    /// Line or place of the next record.
    pub number: i64,
    layout: Layout,
    limits: Limits,
    /// Inside a line that is too long: its rest is passed over.
    discarding: bool,
    /// Whether a line that the file ends in, without a line end, was left.
    held: bool,
    /// Of lines with what is between them, of other records without.
    mark: Mark,
}

const LONG_LINE: &str = "the line is longer than `line_bytes_max`";

#[derive(Clone, Copy)]
pub struct Limits {
    /// Records up to and with this one are passed over.
    pub behind: i64,
    pub record_bytes_max: usize,
    /// Rows of a batch.
    pub rows_max: usize,
    /// Values of a batch: the more columns, the fewer rows.
    pub cells_max: usize,
    /// Whether a line that the file ends in, without a line end, is left: it may go on.
    pub hold: bool,
}

impl Split {
    pub fn new(layout: Layout, table: Table, limits: Limits) -> Self {
        let (lines, malformed) = (Vec::new(), Vec::new());
        let mark = Mark::behind(u64::try_from(limits.behind).unwrap_or_default());
        Self { table, lines, malformed, number: 1, layout, limits, discarding: false, held: false, mark }
    }

    fn is_full(&self) -> bool {
        let rows = self.table.rows;
        rows >= self.limits.rows_max || rows > 0 && (rows + 1) * self.table.columns.len() > self.limits.cells_max
    }

    pub fn clear(&mut self) {
        self.table.clear();
        self.lines.clear();
        self.malformed.clear();
    }

    /// Line or place of the last record that was taken or passed over.
    pub fn upto(&self) -> u64 {
        u64::try_from(self.number - 1).unwrap_or_default()
    }

    /// Whether a last line was left: nothing is to be split any more.
    pub fn has_held(&self) -> bool {
        self.held
    }

    /// The mark of what was taken or passed over; none inside a line.
    pub fn mark(&self) -> Option<u64> {
        (!self.discarding).then(|| self.mark.so_far())
    }

    /// True once: when all that was taken before is passed.
    pub fn crosses(&mut self) -> bool {
        self.mark.crosses(self.upto())
    }

    pub fn has_any(&self) -> bool {
        !self.lines.is_empty() || !self.malformed.is_empty()
    }

    /// Reads whole records from `at` on, as many as a batch takes, and returns where the next one starts. An error is one
    /// after which no next record can be found.
    pub fn split(&mut self, region: Region, mut at: usize) -> Result<usize, String> {
        if self.layout == Layout::Unknown {
            at = self.find_layout(region, at);
        }
        match self.layout {
            Layout::Unknown => Ok(at),
            Layout::Lines => Ok(self.lines(region, at)),
            _ => self.sequence(region, at),
        }
    }

    /// `[` opens an array; a first line that is an object by its brackets is one of many; else objects follow.
    fn find_layout(&mut self, region: Region, at: usize) -> usize {
        let text = &region.text[..region.used];
        let first = parse::blank(text, at);
        if first == region.used {
            return if region.last { first } else { at };
        }
        if text[first] == b'[' {
            self.layout = Layout::Array;
            return first + 1;
        }
        let line_end = memchr::memchr(b'\n', &text[first..]).map(|length| first + length);
        let line = match line_end {
            Some(end) => &text[first..end],
            None if region.last || region.used - first > self.limits.record_bytes_max => &text[first..],
            None => return at,
        };
        let whole = line.starts_with(b"{") && line.trim_ascii_end().ends_with(b"}") && line.trim_ascii_end().len() > 1;
        self.layout = if whole || !line.starts_with(b"{") { Layout::Lines } else { Layout::Sequence };
        at
    }

    fn lines(&mut self, region: Region, at: usize) -> usize {
        let end = self.whole_lines(region, at);
        self.mark.add(&region.text[at..end]);
        end
    }

    fn whole_lines(&mut self, region: Region, mut at: usize) -> usize {
        while at < region.used && !self.is_full() {
            let found = memchr::memchr(b'\n', &region.text[at..region.used]).map(|length| at + length);
            let (end, next) = match found {
                Some(end) => (end, end + 1),
                None if region.last && self.limits.hold && self.number > self.limits.behind => {
                    self.held = true;
                    return at;
                }
                None if region.last => (region.used, region.used),
                None if !self.discarding && region.used - at <= self.limits.record_bytes_max => break,
                None => {
                    self.discarding = true;
                    return region.used;
                }
            };
            if std::mem::take(&mut self.discarding) || end - at > self.limits.record_bytes_max {
                self.malformed(LONG_LINE);
            } else {
                self.line(region, at, end);
            }
            self.number += 1;
            at = next;
            // Once, behind the last line that is passed over.
            if self.number == self.limits.behind + 1 {
                break;
            }
        }
        if region.last && at == region.used && std::mem::take(&mut self.discarding) {
            self.malformed(LONG_LINE);
            self.number += 1;
        }
        at
    }

    fn line(&mut self, region: Region, at: usize, end: usize) {
        let at = parse::blank(&region.text[..end], at);
        if at == end || self.number <= self.limits.behind {
            return;
        }
        if let Some(bad) = (!region.clean).then(|| bad_bytes(&region.text[at..end])).flatten() {
            return self.malformed(bad);
        }
        let rows = self.table.rows;
        match self.table.read(region.text, at, end) {
            Ok(stop) if parse::blank(&region.text[..end], stop) == end => self.lines.push(self.number),
            Ok(_) => {
                self.table.undo(rows);
                self.malformed("something follows the object on its line");
            }
            Err(Bad::End) => self.malformed("the object breaks off"),
            Err(Bad::Because(reason)) => self.malformed(reason),
        }
    }

    fn malformed(&mut self, reason: &str) {
        if self.number > self.limits.behind {
            self.malformed.push(Malformed { offset: self.number, reason: reason.into() });
        }
    }

    fn sequence(&mut self, region: Region, mut at: usize) -> Result<usize, String> {
        let text = &region.text[..region.used];
        while !self.is_full() {
            at = parse::blank(text, at);
            match (text.get(at), self.layout) {
                (None, Layout::Array) if region.last => {
                    return Err("the array is not closed: the file breaks off".into());
                }
                (None, _) => return Ok(at),
                (Some(_), Layout::Closed) => return Err("something follows the array".into()),
                (Some(b','), Layout::Array) => at += 1,
                (Some(b']'), Layout::Array) => (self.layout, at) = (Layout::Closed, at + 1),
                (Some(_), _) => match self.element(region, at)? {
                    Some(next) => {
                        self.mark.add(&text[at..next]);
                        at = next;
                        // Once, behind the last record that is passed over.
                        if self.number == self.limits.behind + 1 {
                            return Ok(at);
                        }
                    }
                    None => return Ok(at),
                },
            }
        }
        Ok(at)
    }

    /// Reads one value of a sequence. `None` when it goes on behind the block.
    fn element(&mut self, region: Region, at: usize) -> Result<Option<usize>, String> {
        let text = &region.text[..region.used];
        let number = self.number;
        let end = match parse::balanced_value(text, at) {
            Ok(end) => end,
            Err(_) if !region.last && region.used - at <= self.limits.record_bytes_max => return Ok(None),
            Err(_) if !region.last => return Err(format!("record {number} is longer than `line_bytes_max`")),
            Err(Bad::End) => return Err(format!("record {number} breaks off: the file is not whole")),
            Err(Bad::Because(reason)) => return Err(format!("record {number}: {reason}")),
        };
        let bad = (!region.clean).then(|| bad_bytes(&text[at..end])).flatten();
        if number <= self.limits.behind {
        } else if end - at > self.limits.record_bytes_max {
            self.malformed("the record is longer than `line_bytes_max`");
        } else if let Some(bad) = bad {
            self.malformed(bad);
        } else {
            match self.table.read(region.text, at, end) {
                Ok(_) => self.lines.push(number),
                Err(Bad::End) => self.malformed("the object breaks off"),
                Err(Bad::Because(reason)) => self.malformed(reason),
            }
        }
        self.number += 1;
        Ok(Some(end))
    }
}
