//! CSV files as columns of text, untouched: the gate parses.

mod mask;
mod scan;
mod sniff;

#[cfg(test)]
mod tests;

use super::mark::Mark;
use super::rows::{Job, Piece, Rows};
use super::text::{Block, Blocks, Region};
use super::views::{Span, Texts};
use arrow::array::Int64Array;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use kernel::{Error, Result};
use scan::{Records, Scanner};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Reads a CSV file.
pub struct CsvRows {
    job: Job,
    blocks: Blocks,
    body: Option<Body>,
    records: Records,
    mark: Mark,
    /// Whether a last line without an end is left.
    hold: bool,
}

/// What is behind the header.
struct Body {
    scanner: Scanner,
    schema: SchemaRef,
    width: usize,
    rows_max: usize,
    /// The present block; views point into it.
    text: Buffer,
    used: usize,
    last: bool,
    clean: bool,
    /// Where the next record starts.
    at: usize,
}

impl Body {
    fn upto(&self) -> u64 {
        u64::try_from(self.scanner.line() - 1).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.last && (self.at >= self.used || self.scanner.has_held())
    }
}

impl CsvRows {
    pub fn new(job: Job) -> Result<Self> {
        let (input, hold) = job.text()?;
        let blocks = Blocks::new(input, job.options.encoding, block_bytes(job.bytes_max));
        let mark = Mark::behind(job.behind);
        Ok(Self { job, blocks, body: None, records: Records::default(), mark, hold })
    }

    /// Reads up to the end of the header, or answers for a file that has no record at all, or not yet a whole one.
    fn open(&mut self) -> Result<ControlFlow<Piece, Body>> {
        let block = self.first_block()?;
        let text = &block.data[..block.used];
        if self.hold && self.job.behind == 0 && !sniff::has_record(text, self.job.options.quote.0) {
            let held = !text.trim_ascii().is_empty();
            return Ok(ControlFlow::Break(Piece { held, ..self.empty()? }));
        }
        let layout = sniff::layout(text, &self.job.options, &self.job.entity).map_err(|e| self.job.error(e))?;
        let Some(layout) = layout else { return self.empty().map(ControlFlow::Break) };
        let fields = layout.names.iter().map(|name| Field::new(name, DataType::Utf8View, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let width = layout.names.len();
        let line_bytes_max = self.job.options.line_bytes_max;
        let behind = i64::try_from(self.job.behind).unwrap_or(i64::MAX);
        self.mark.add(&text[..layout.body]);
        let scanner = Scanner::new(layout.dialect, width, layout.line, behind, line_bytes_max);
        Ok(ControlFlow::Continue(Body {
            scanner: if self.hold { scanner.holding() } else { scanner },
            schema,
            width,
            rows_max: self.job.options.batch_rows_max.min(self.job.bytes_max / (32 * width) + 1),
            used: block.used,
            last: block.last,
            clean: block.clean,
            text: Buffer::from_vec(block.data),
            at: layout.body,
        }))
    }

    /// A block with at least the first record in it.
    fn first_block(&mut self) -> Result<Block> {
        let mut block = self.next_block(&[])?;
        while !block.last && !sniff::has_record(&block.data[..block.used], self.job.options.quote.0) {
            if block.used > self.job.options.line_bytes_max {
                return Err(self.job.error("its first line is longer than `line_bytes_max`; is it a CSV file?"));
            }
            block = self.next_block(&block.data[..block.used])?;
        }
        Ok(block)
    }

    fn next_block(&mut self, rest: &[u8]) -> Result<Block> {
        self.blocks.next(rest).map_err(|e| self.job.opened.error(e))
    }

    fn piece(&mut self, body: &Body) -> Result<Piece> {
        let texts = Texts::new(body.text.clone(), std::mem::take(&mut self.records.side));
        let spans = self.records.spans_mut(body.width);
        nulls(spans, &self.job.options.null_values, &body.text);
        let columns = texts.columns(spans, body.width);
        let batch = RecordBatch::try_new(body.schema.clone(), columns)
            .map_err(|e| Error::internal(&self.job.opened.partition, e))?;
        Ok(Piece {
            batch,
            offsets: Int64Array::from(std::mem::take(&mut self.records.lines)),
            malformed: std::mem::take(&mut self.records.malformed),
            upto: body.upto(),
            last: body.is_at_end(),
            held: body.scanner.has_held(),
            mark: (body.is_at_end() || body.scanner.is_at_record()).then(|| self.mark.so_far()),
        })
    }

    /// Whether all that was taken before is passed, just now.
    fn crosses(&mut self, body: &Body) -> bool {
        body.scanner.is_at_record() && self.mark.crosses(body.upto())
    }

    /// A file without any record: the contract's columns without a row.
    fn empty(&self) -> Result<Piece> {
        let fields = self.job.entity.properties.iter().map(|p| Field::new(&p.name, DataType::Utf8View, true));
        Piece::empty(Arc::new(Schema::new(fields.collect::<Vec<_>>())), 0)
    }
}

impl Rows for CsvRows {
    fn next(&mut self) -> Result<Piece> {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => match self.open()? {
                ControlFlow::Continue(body) => body,
                ControlFlow::Break(piece) => return Ok(piece),
            },
        };
        self.records.clear();
        // Of a file that had nothing but its header, all that was taken is passed already.
        let mut crossed = self.crosses(&body);
        while !crossed {
            let region = Region { text: &body.text, used: body.used, last: body.last, clean: body.clean };
            let at = std::mem::replace(&mut body.at, 0);
            body.at = body.scanner.scan(region, at, body.rows_max, &mut self.records);
            self.mark.add(&body.text[at..body.at]);
            crossed = self.crosses(&body);
            if crossed || body.is_at_end() || !self.records.lines.is_empty() || !self.records.malformed.is_empty() {
                break;
            }
            let block = self.next_block(&body.text[body.at..body.used])?;
            (body.used, body.last, body.clean, body.at) = (block.used, block.last, block.clean, 0);
            body.text = Buffer::from_vec(block.data);
        }
        let piece = self.piece(&body)?;
        self.body = Some(body);
        Ok(piece)
    }
}

/// Text takes about a third of a batch: a view has 16 bytes for a field of eight.
fn block_bytes(bytes_max: usize) -> usize {
    (bytes_max / 3).clamp(64 << 10, 64 << 20)
}

/// Makes null what stands for null. That the empty field does is in the spans already.
fn nulls(spans: &mut [Span], null_values: &[String], text: &[u8]) {
    let empty_is_null = null_values.iter().any(String::is_empty);
    let words: Vec<&[u8]> = null_values.iter().filter(|word| !word.is_empty()).map(|word| word.as_bytes()).collect();
    if empty_is_null && words.is_empty() {
        return;
    }
    for span in spans.iter_mut().filter(|span| !span.is_present()) {
        let field = &text[span.start()..span.start() + span.len()];
        if span.is_null() {
            *span = if empty_is_null { Span::NULL } else { Span::present(0, 0) };
        } else if words.contains(&field) {
            *span = Span::NULL;
        }
    }
}
