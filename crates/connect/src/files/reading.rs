//! A file that is being read by a thread of its own, one batch ahead of who pulls.

use super::bytes::Opened;
use super::mark::put_behind;
use super::rows::{Job, Piece, Rows};
use super::take::Todo;
use kernel::{Error, Point, Result};
use std::sync::Arc;
use tokio::sync::mpsc;

pub struct Reading {
    pub todo: Todo,
    pub partition: Arc<str>,
    etag: String,
    pieces: mpsc::Receiver<Result<Piece>>,
}

/// What a reading thread answers.
pub enum Answer {
    /// Rows, or the end of the file, and the position behind them.
    Piece(Box<Piece>, Point),
    /// It passed what was taken before, and that is still the same.
    Passed,
    /// The file ends in a line that may go on, and has nothing else.
    Left,
    /// What was taken before is not what the file begins with.
    Replaced,
}

impl Reading {
    pub fn start(todo: Todo, job: Job) -> Self {
        let (partition, etag) = (Arc::from(job.opened.partition.as_str()), job.opened.etag.clone());
        let (sender, pieces) = mpsc::channel(1);
        let handle = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let opened = job.opened.clone();
            let mut rows = None;
            let mut job = Some(job);
            // A place in the channel comes first, so that at most one batch waits.
            while let Ok(place) = handle.block_on(sender.reserve()) {
                let piece = next(&mut rows, &mut job, &opened);
                let more = piece.as_ref().is_ok_and(|piece| !piece.last);
                place.send(piece);
                if !more {
                    return;
                }
            }
        });
        Self { todo, partition, etag, pieces }
    }

    /// The next answer. Who drops this call has taken nothing.
    pub async fn next(&mut self) -> Result<Answer> {
        let gone = || Error::internal(&*self.partition, "the reading thread is gone");
        let piece = self.pieces.recv().await.ok_or_else(gone)??;
        let passed = piece.upto <= self.todo.behind;
        if let Some(mark) = self.todo.mark.take()
            && (piece.mark != Some(mark) || piece.upto != self.todo.behind)
        {
            return Ok(Answer::Replaced);
        }
        if passed && !piece.last {
            return Ok(Answer::Passed);
        }
        if piece.held {
            tracing::info!(file = &*self.partition, "its last line has no end yet; left for a later run");
        }
        if piece.held && !piece.has_any() {
            return Ok(Answer::Left);
        }
        let etag = put_behind(&self.etag, piece.mark);
        let point = Point::File { etag, row: piece.upto, done: piece.last && !piece.held };
        Ok(Answer::Piece(Box::new(piece), point))
    }
}

/// The next piece of a file, which is opened by the first call. The last counts only if the file stayed as it was;
/// and when it did not, that is the reason why it could not be read.
fn next(rows: &mut Option<Box<dyn Rows>>, job: &mut Option<Job>, opened: &Opened) -> Result<Piece> {
    if let Some(job) = job.take() {
        *rows = Some(job.rows().or_else(|e| opened.unchanged().and(Err(e)))?);
    }
    let Some(rows) = rows else { return Err(Error::internal(&opened.partition, "read on behind an error")) };
    let piece = rows.next();
    if piece.as_ref().map_or(true, |piece| piece.last) {
        opened.unchanged()?;
    }
    piece
}
