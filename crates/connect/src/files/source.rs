//! The files connector as a source: lists, decides what is left to take, reads file after file.

use super::bytes::Opened;
use super::changes;
use super::list::list;
use super::options::{OnReplaced, Options};
use super::place::Place;
use super::reading::{Answer, Reading};
use super::rows::{Job, Piece};
use super::take::{Step, Todo, is_young, note_ignored, to_read};
use super::trouble::Troubles;
use crate::spec::{Opening, Pending, Progress};
use async_trait::async_trait;
use kernel::clock::{Clock, Timestamp};
use kernel::gate::Raw;
use kernel::source::{Pulled, Source};
use kernel::{Entity, Error, Positions, Result};
use std::collections::VecDeque;
use std::sync::Arc;

/// Files, in the order of their names.
///
/// A batch's position covers what the batch holds and nothing more. A file is `done` with the batch that reaches its
/// end, after its state was found to be the one it was opened in. Compressed files are checked as they are read: when
/// one breaks off, the batches before are good, the position stays behind the last of them, and the error names the
/// file. When it comes back whole and begins with what was taken, it is taken on from there; so is a file that was
/// written on after its end, for a file with another etag is compared before it counts as replaced.
///
/// A file that can't be read does not stop the others: what is wrong is told behind the last of them, as one error.
pub struct Files {
    places: Vec<Arc<Place>>,
    options: Arc<Options>,
    entity: Arc<Entity>,
    clock: Arc<dyn Clock>,
    /// What was committed or handed on.
    taken: Positions,
    /// Files to read. `None` before the listing and after the last file.
    todo: Option<VecDeque<Todo>>,
    reading: Option<Reading>,
    /// What is wrong with files of this listing.
    troubles: Troubles,
}

impl Files {
    pub fn open(opening: Opening) -> Result<Self> {
        let options = Options::read(&opening.source, &opening.options)?;
        Ok(Self {
            places: places(&opening, &options)?,
            options: Arc::new(options),
            entity: Arc::new(opening.entity),
            clock: opening.clock,
            taken: opening.from,
            todo: None,
            reading: None,
            troubles: Troubles::default(),
        })
    }

    /// Starts the next file. `None` when there is none; the next call lists again.
    async fn start(&mut self, bytes_max: usize) -> Result<Option<()>> {
        if self.todo.is_none() {
            let listed = list(&self.places).await?;
            self.troubles = Troubles::default();
            let now = self.clock.now();
            self.todo = Some(to_read(listed, &self.taken, &self.options, now, &mut self.troubles)?.into());
        }
        loop {
            let Some(todo) = self.todo.as_ref().and_then(VecDeque::front).cloned() else {
                self.todo = None;
                return self.troubles.tell().map_or(Ok(None), Err);
            };
            let opened = Opened::open(&todo.found).await;
            // No waiting from here on: what is taken off the list is being read.
            self.todo.as_mut().and_then(VecDeque::pop_front);
            let opened = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    self.troubles.keep(error)?;
                    continue;
                }
            };
            if let Some((todo, opened)) = self.decide(todo, opened)? {
                let job = job(&todo, opened, &self.options, &self.entity, self.clock.now(), bytes_max);
                self.reading = Some(Reading::start(todo, job));
                return Ok(Some(()));
            }
        }
    }

    /// A file can be gone, or another one, since it was listed.
    fn decide(&mut self, mut todo: Todo, opened: Option<Opened>) -> Result<Option<(Todo, Opened)>> {
        let Some(opened) = opened else {
            tracing::info!(file = todo.found.partition, "gone since it was listed");
            return Ok(None);
        };
        if opened.etag == todo.found.etag {
            return Ok(Some((todo, opened)));
        }
        todo.found.etag.clone_from(&opened.etag);
        let now = self.clock.now();
        let again = to_read([todo.found], &self.taken, &self.options, now, &mut self.troubles)?;
        Ok(again.into_iter().next().map(|todo| (todo, opened)))
    }

    /// The file being read does not begin with what was taken of it.
    fn replaced(&mut self, reading: Reading) {
        match self.options.on_replaced {
            OnReplaced::Error => self.troubles.add_replaced(&*reading.partition),
            OnReplaced::NewVersion => {
                self.todo.get_or_insert_default().push_front(Todo::whole(reading.todo.found));
            }
            OnReplaced::Ignore => note_ignored(&reading.partition),
        }
    }

    fn answer(&mut self, reading: Reading, answer: Result<Answer>) -> Result<Option<Pulled>> {
        match answer {
            Ok(Answer::Passed) => self.reading = Some(reading),
            Ok(Answer::Left) => {}
            Ok(Answer::Replaced) => self.replaced(reading),
            Ok(Answer::Piece(piece, point)) => {
                let last = piece.last;
                let rows = match raw(*piece, &reading.partition, &self.options) {
                    Ok(rows) => rows,
                    Err(error) => return self.troubles.keep(error).map(|()| None),
                };
                let mut upto = Positions::new();
                upto.set(&*reading.partition, point);
                self.taken.advance(&upto);
                self.reading = (!last).then_some(reading);
                return Ok(Some(Pulled { rows: rows.into(), upto, whole: true }));
            }
            // Listed again, the file goes on behind its last batch.
            Err(error) => self.troubles.keep(error)?,
        }
        Ok(None)
    }

    /// One step: a batch of the file being read, or on to the next file.
    async fn pull(&mut self, bytes_max: usize) -> Result<Ahead> {
        let Some(reading) = &mut self.reading else {
            return Ok(self.start(bytes_max).await?.map_or(Ahead::Nothing, |()| Ahead::More));
        };
        let answer = reading.next().await;
        // From here on nothing waits, so nothing is lost when this call is dropped.
        let Some(reading) = self.reading.take() else { return Ok(Ahead::More) };
        Ok(self.answer(reading, answer)?.map_or(Ahead::More, |pulled| Ahead::Batch(Box::new(pulled))))
    }
}

/// A piece's rows, with what happened to each where the file says so.
fn raw(piece: Piece, partition: &Arc<str>, options: &Options) -> Result<Raw> {
    let Piece { batch, offsets, mut malformed, .. } = piece;
    let Some(changes) = &options.changes else {
        return Ok(Raw::new(batch, partition.clone(), offsets)?.with_malformed(malformed));
    };
    let parted = changes::part(&batch, &offsets, changes).map_err(|e| Error::data(format!("read {partition}"), e))?;
    malformed.extend(parted.malformed);
    malformed.sort_by_key(|record| record.offset);
    Raw::new(parted.batch, partition.clone(), parted.offsets)?.with_malformed(malformed).with_changes(parted.changes)
}

/// What a step of pulling found.
enum Ahead {
    Batch(Box<Pulled>),
    More,
    Nothing,
}

fn job(
    todo: &Todo,
    opened: Opened,
    options: &Arc<Options>,
    entity: &Arc<Entity>,
    now: Timestamp,
    bytes_max: usize,
) -> Job {
    Job {
        behind: todo.behind,
        mark: todo.mark,
        young: is_young(opened.modified, now),
        opened: Arc::new(opened),
        options: options.clone(),
        entity: entity.clone(),
        bytes_max,
    }
}

#[async_trait]
impl Source for Files {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        loop {
            match self.pull(bytes_max).await {
                Ok(Ahead::Batch(pulled)) => return Ok(Some(*pulled)),
                Ok(Ahead::More) => {}
                Ok(Ahead::Nothing) => return Ok(None),
                Err(error) => {
                    // Listed again by the next call.
                    self.todo = None;
                    return Err(error);
                }
            }
        }
    }

    /// Nothing to forget: files stay where they are.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

fn places(opening: &Opening, options: &Options) -> Result<Vec<Arc<Place>>> {
    let place = |pattern: &String| Place::new(pattern, &opening.base, &opening.store).map(Arc::new);
    options.path.all().iter().map(place).collect()
}

/// What a run would read.
pub async fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let options = Arc::new(Options::read(&opening.source, &opening.options)?);
    let entity = Arc::new(opening.entity.clone());
    let now = opening.clock.now();
    let mut pending = Vec::new();
    for found in list(&places(opening, &options)?).await? {
        let (partition, bytes) = (found.partition.clone(), Some(found.bytes));
        let progress = match Step::of(&found, &opening.from, &options, now)? {
            Step::Take { behind, mark: Some(mark) } => {
                compared(Todo { found, behind, mark: Some(mark) }, &options, &entity, now).await?
            }
            step => step.progress(),
        };
        pending.extend(progress.map(|progress| Pending { partition, bytes, progress }));
    }
    Ok(pending)
}

/// What became of a file that has another etag than when it was taken. Reads as far as it was taken.
async fn compared(
    todo: Todo,
    options: &Arc<Options>,
    entity: &Arc<Entity>,
    now: Timestamp,
) -> Result<Option<Progress>> {
    let Some(opened) = Opened::open(&todo.found).await? else { return Ok(None) };
    let behind = todo.behind;
    let job = job(&todo, opened, options, entity, now, COMPARED_BYTES);
    let mut reading = Reading::start(todo, job);
    loop {
        return Ok(match reading.next().await {
            Ok(Answer::Passed) => continue,
            Ok(Answer::Replaced) => Some(Progress::Replaced),
            Ok(Answer::Left) => None,
            Ok(Answer::Piece(piece, _)) if !piece.has_any() => None,
            // What is wrong with it, the run tells.
            Ok(Answer::Piece(..)) | Err(_) => Some(Progress::Partly(behind)),
        });
    }
}

/// Of a batch that only tells whether there is one.
const COMPARED_BYTES: usize = 1 << 20;
