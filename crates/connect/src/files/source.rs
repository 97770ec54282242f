//! The files connector as a source: lists, decides what is left to take, reads file after file.

use super::bytes::Opened;
use super::list::list;
use super::options::{OnReplaced, Options};
use super::place::Place;
use super::reading::{Answer, Reading};
use super::rows::Job;
use super::take::{Step, Todo, note_ignored, replaced_error, to_read};
use crate::spec::{Opening, Pending};
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::gate::Raw;
use kernel::source::{Pulled, Source};
use kernel::{Entity, Positions, Result};
use std::collections::VecDeque;
use std::sync::Arc;

/// Files, in the order of their names.
///
/// A batch's position covers what the batch holds and nothing more. A file is `done` with the batch that reaches its
/// end, after its state was found to be the one it was opened in. Compressed files are checked as they are read: when
/// one breaks off, the batches before are good, the position stays behind the last of them, and the error names the
/// file. When it comes back whole and begins with what was taken, it is taken on from there.
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
        })
    }

    /// Starts the next file. `None` when there is none; the next call lists again.
    async fn start(&mut self, bytes_max: usize) -> Result<Option<()>> {
        if self.todo.is_none() {
            let listed = list(&self.places).await?;
            self.todo = Some(to_read(listed, &self.taken, &self.options, self.clock.now())?.into());
        }
        loop {
            let Some(todo) = self.todo.as_ref().and_then(VecDeque::front).cloned() else {
                self.todo = None;
                return Ok(None);
            };
            let opened = Opened::open(&todo.found).await?;
            let again = self.decide(todo, opened)?;
            // No waiting from here on: what is taken off the list is being read.
            self.todo.as_mut().and_then(VecDeque::pop_front);
            if let Some((todo, opened)) = again {
                let (options, entity, behind) = (self.options.clone(), self.entity.clone(), todo.behind);
                let job = Job { opened: Arc::new(opened), options, entity, behind, bytes_max };
                self.reading = Some(Reading::start(todo, job));
                return Ok(Some(()));
            }
        }
    }

    /// A file can be gone, or another one, since it was listed.
    fn decide(&self, mut todo: Todo, opened: Option<Opened>) -> Result<Option<(Todo, Opened)>> {
        let Some(opened) = opened else {
            tracing::info!(file = todo.found.partition, "gone since it was listed");
            return Ok(None);
        };
        if opened.etag == todo.found.etag {
            return Ok(Some((todo, opened)));
        }
        todo.found.etag.clone_from(&opened.etag);
        let again = to_read([todo.found], &self.taken, &self.options, self.clock.now())?;
        Ok(again.into_iter().next().map(|todo| (todo, opened)))
    }

    /// The file being read does not begin with what was taken of it.
    fn replaced(&mut self, reading: Reading) -> Result<()> {
        match self.options.on_replaced {
            OnReplaced::Error => {
                self.todo = None;
                return Err(replaced_error(&[reading.todo.found.partition]));
            }
            OnReplaced::NewVersion => {
                self.todo.get_or_insert_default().push_front(Todo::whole(reading.todo.found));
            }
            OnReplaced::Ignore => note_ignored(&reading.partition),
        }
        Ok(())
    }
}

#[async_trait]
impl Source for Files {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        loop {
            let Some(reading) = &mut self.reading else {
                match self.start(bytes_max).await? {
                    Some(()) => continue,
                    None => return Ok(None),
                }
            };
            let answer = reading.next().await;
            // From here on nothing waits, so nothing is lost when this call is dropped.
            let Some(reading) = self.reading.take() else { continue };
            match answer {
                Ok(Answer::Passed) => self.reading = Some(reading),
                Ok(Answer::Replaced) => self.replaced(reading)?,
                Ok(Answer::Piece(piece, point)) => {
                    let mut upto = Positions::new();
                    upto.set(&*reading.partition, point);
                    self.taken.advance(&upto);
                    let rows = Raw::new(piece.batch, reading.partition.clone(), piece.offsets)?;
                    self.reading = (!piece.last).then_some(reading);
                    return Ok(Some(Pulled { rows: rows.with_malformed(piece.malformed), upto }));
                }
                Err(error) => {
                    // Listed again, the file goes on behind the last batch.
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
    let options = Options::read(&opening.source, &opening.options)?;
    let now = opening.clock.now();
    let mut pending = Vec::new();
    for found in list(&places(opening, &options)?).await? {
        if let Some(progress) = Step::of(&found, &opening.from, &options, now)?.progress() {
            pending.push(Pending { partition: found.partition, bytes: Some(found.bytes), progress });
        }
    }
    Ok(pending)
}
