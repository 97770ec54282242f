//! The rest connector as a source: passes over pages, one question at a time.

use super::hidden;
use super::http::{Answer, Ask, Http};
use super::options::{Mode, Options};
use super::page::{Records, broken};
use super::pages::Next;
use super::parents;
use super::place::Place;
use super::plan::{Plan, SINCE, Values};
use super::trail::Trail;
use super::urls::fill;
use crate::files::rows::Piece;
use crate::spec::{Opening, Pending, Progress};
use arrow::array::{Array, ArrayRef, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::error::{Error, Result};
use kernel::gate::{Changes, Op, Raw};
use kernel::source::{Pulled, Source};
use kernel::{Entity, Point, Positions};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Pages in the order in which they lead to each other; with parents, those of one parent after those of another.
///
/// A page is taken whole or not at all, and a batch is a page. A commit may end behind a page that leads on by a cursor or
/// a link of the server's, and else at the end of the pass only (`whole`). A pass that found nothing moves nothing.
pub struct Rest {
    plan: Arc<Plan>,
    entity: Arc<Entity>,
    http: Http,
    clock: Arc<dyn Clock>,
    /// What was committed or handed on.
    taken: Positions,
    /// Partitions of this pass. `None` before it and behind it.
    todo: Option<VecDeque<Unit>>,
    walk: Option<Walk>,
}

/// A partition, and the values that its paths are asked with, one after another.
struct Unit {
    partition: Arc<str>,
    walks: Vec<Values>,
}

/// A partition that is being read.
struct Walk {
    unit: Unit,
    place: Place,
    rows: u64,
    /// Whether the first question is one that an earlier run left.
    is_resumed: bool,
    /// Whether a position was handed on that is not the end of the pass.
    is_open: bool,
    /// Of the parent that is read.
    trail: Trail,
}

impl Rest {
    pub fn open(opening: &Opening) -> Result<Self> {
        let options = Options::read(&opening.source, &opening.options)?;
        let plan = Plan::compile(opening, &options)?;
        Ok(Self {
            http: plan.http(opening, &options)?,
            plan: Arc::new(plan),
            entity: Arc::new(opening.entity.clone()),
            clock: opening.clock.clone(),
            taken: opening.from.clone(),
            todo: None,
            walk: None,
        })
    }

    async fn units(&mut self) -> Result<VecDeque<Unit>> {
        let plan = self.plan.clone();
        let walks = parents::list(&plan, &mut self.http).await?;
        let path = &plan.resource.path;
        if !plan.is_parted {
            let unit = Unit { partition: path.as_str().into(), walks };
            return Ok([unit].into_iter().filter(|unit| !unit.walks.is_empty()).collect());
        }
        let mut known = BTreeSet::new();
        let units = walks.into_iter().map(|walk| Unit { partition: fill(path, &walk, true).into(), walks: vec![walk] });
        Ok(units.filter(|unit| known.insert(unit.partition.clone())).collect())
    }

    /// Where a partition goes on; `None` when nothing of it is to be asked now.
    fn begin(&self, unit: Unit) -> Result<Option<Walk>> {
        let now = self.clock.now().0;
        let since = |high: Option<&str>| self.plan.since.as_ref().and_then(|since| since.begin(high));
        let start = |first, high: Option<String>| Place {
            began: now,
            first,
            since: since(high.as_deref()),
            high,
            walk: 0,
            at: Some(Next::First),
        };
        let taken = Place::of(&self.taken, &unit.partition)?;
        let is_open = taken.as_ref().is_some_and(|(_, place)| place.at.is_some());
        let (rows, place, is_resumed) = match taken {
            None => (0, start(true, None), false),
            Some((rows, place)) => match &place.at {
                Some(at) if self.plan.resource.pages.knows(at) => (rows, place, true),
                Some(_) if self.plan.may_restart(&self.entity) => {
                    (rows, Place { at: Some(Next::First), walk: 0, ..place }, false)
                }
                Some(_) => return Err(other_pagination(&unit.partition)),
                None if self.plan.mode == Mode::Once => return Ok(None),
                None if now < place.began.saturating_add(self.plan.pause_micros) => return Ok(None),
                None => (rows, start(false, place.high), false),
            },
        };
        Ok(Some(Walk { unit, place, rows, is_resumed, is_open, trail: Trail::default() }))
    }

    fn ask(&self, walk: &Walk) -> Result<Option<(Ask, Next)>> {
        let (Some(next), Some(values)) = (walk.place.at.clone(), walk.unit.walks.get(walk.place.walk)) else {
            return Ok(None);
        };
        let mut values = values.clone();
        values.extend(walk.place.since.clone().map(|since| (SINCE.to_owned(), since)));
        Ok(Some((self.plan.resource.ask(&self.plan.home, &next, &values)?, next)))
    }

    /// Takes an answer, and gives its rows if it has any. Nothing is moved by an error.
    fn take(&mut self, walk: &mut Walk, ask: &Ask, asked: &Next, answer: Answer) -> Result<Option<Pulled>> {
        let plan = self.plan.clone();
        let resource = &plan.resource;
        let shown = &*resource.shown;
        if !answer.is_good() {
            return self.refused(walk, asked, &answer);
        }
        let records = Records::find(&answer, &resource.records, shown)?;
        let last = || records.last(&answer.body)?.map_or(Ok(None), |record| resource.pages.cursor_of(record));
        let told = resource.pages.told(&answer, last).map_err(|bad| broken(shown, bad))?;
        if told.is_silent && *asked == Next::First {
            tracing::info!(ask = shown, "nothing is where `pagination.next` leads to: taken for the only page");
        }
        let mark = records.mark(&answer.body);
        let first = i64::try_from(walk.rows + 1).unwrap_or(i64::MAX);
        let piece = records.read(answer.body, first, &self.entity, shown)?;
        let count = (piece.batch.num_rows() + piece.malformed.len()) as u64;
        let way = plan.way(shown);
        let next = resource.pages.after(asked, &ask.url, told, count, &way)?;
        walk.trail.step(asked, &ask.url, next.as_ref(), (count > 0).then_some(mark), &way)?;
        walk.is_resumed = false;
        let mut place = walk.place.clone();
        if let Some(since) = &plan.since {
            place.high = since.highest(&piece.batch, place.high.take());
        }
        self.lead_on(walk, &mut place, next);
        if count == 0 && (place.at.is_some() || !walk.is_open) {
            walk.place = place;
            return Ok(None);
        }
        self.give(walk, piece, place, count).map(Some)
    }

    /// To the next page, or the next parent, or the end.
    fn lead_on(&self, walk: &mut Walk, place: &mut Place, next: Option<Next>) {
        place.at = next;
        if place.at.is_none() && place.walk + 1 < walk.unit.walks.len() {
            (place.walk, place.at) = (place.walk + 1, Some(Next::First));
            walk.trail = Trail::default();
        }
    }

    fn give(&mut self, walk: &mut Walk, piece: Piece, place: Place, count: u64) -> Result<Pulled> {
        let rows = walk.rows + count;
        let whole = match &place.at {
            None => true,
            Some(at) => {
                walk.unit.walks.len() == 1 && self.plan.resource.pages.leads_on(at) && !self.tells(at, &piece.batch)
            }
        };
        let values = walk.unit.walks.get(walk.place.walk).map_or(&[][..], Vec::as_slice);
        let batch = with_parents(piece.batch, values)?;
        let raw = self.raw(batch, &walk.unit.partition, piece.offsets, place.first)?.with_malformed(piece.malformed);
        let mut upto = Positions::new();
        upto.set(&*walk.unit.partition, place.point(rows, self.plan.mode == Mode::Once)?);
        self.taken.advance(&upto);
        (walk.rows, walk.place, walk.is_open) = (rows, place, true);
        Ok(Pulled { rows: raw.into(), upto, whole })
    }

    /// Whether what leads on holds a value that is hidden.
    fn tells(&self, at: &Next, rows: &RecordBatch) -> bool {
        match at {
            Next::Cursor(text) | Next::Url(text) => hidden::tells(text, rows, &self.entity),
            Next::First | Next::Page(_) | Next::Offset(_) => false,
        }
    }

    fn raw(&self, batch: RecordBatch, partition: &Arc<str>, offsets: Int64Array, first: bool) -> Result<Raw> {
        let op = if first { Op::Read } else { Op::Update };
        let times = match &self.plan.since {
            Some(since) => since.times(&batch),
            None => vec![None; batch.num_rows()],
        };
        let raw = Raw::new(batch, partition.clone(), offsets)?;
        match self.plan.mode {
            Mode::Changes => {
                let mut changes = Changes::default();
                times.into_iter().for_each(|at| changes.push(op, at, Vec::new()));
                raw.with_changes(changes)
            }
            Mode::Append if self.plan.may_repeat() => Ok(raw.may_repeat()),
            Mode::Append | Mode::Once => Ok(raw),
        }
    }

    /// An answer that is not good: the end of something, a cursor that is too old, or an error.
    fn refused(&mut self, walk: &mut Walk, asked: &Next, answer: &Answer) -> Result<Option<Pulled>> {
        let plan = self.plan.clone();
        let resource = &plan.resource;
        let is_gone = matches!(answer.status, 404 | 410) && !self.plan.parents.is_empty() && *asked == Next::First;
        if is_gone || answer.status == 404 && resource.pages.may_be_beyond(asked) {
            let mut place = walk.place.clone();
            self.lead_on(walk, &mut place, None);
            if place.at.is_some() || !walk.is_open {
                walk.place = place;
                return Ok(None);
            }
            let schema = Arc::new(Schema::empty());
            return self.give(walk, Piece::empty(schema, 0)?, place, 0).map(Some);
        }
        let error = answer.failure(&resource.shown);
        if !walk.is_resumed || !matches!(answer.status, 400 | 404 | 410 | 422) {
            return Err(error);
        }
        let status = answer.status;
        if !self.plan.may_restart(&self.entity) {
            let why = format!(
                "it no longer takes the cursor that the last commit ended at (HTTP {status}), and without a primary key in the \
                 contract the pass can't begin again; take it into another table (`into`)"
            );
            return Err(Error::data(&*resource.shown, why));
        }
        tracing::warn!(
            ask = &*resource.shown,
            status,
            "the cursor of the last commit is too old: the pass begins again"
        );
        (walk.place.at, walk.is_resumed, walk.trail) = (Some(Next::First), false, Trail::default());
        Ok(None)
    }
}

/// Adds the keys of the parents, where the records do not have them.
fn with_parents(batch: RecordBatch, values: &[(String, String)]) -> Result<RecordBatch> {
    let fault = |e| Error::internal("add a parent's key", "its column does not fit").because(e);
    let mut batch = batch;
    for (name, value) in values {
        let column: ArrayRef =
            Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(value, batch.num_rows())));
        let place = batch.schema().index_of(name).ok();
        if place.is_some_and(|place| batch.column(place).null_count() < batch.num_rows()) {
            continue;
        }
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        let field = Arc::new(Field::new(name, DataType::Utf8View, true));
        match place {
            Some(place) => (fields[place], columns[place]) = (field, column),
            None => {
                fields.push(field);
                columns.push(column);
            }
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(fault)?;
    }
    Ok(batch)
}

fn other_pagination(partition: &str) -> Error {
    let detail = "its last commit ended in the middle of a pass with another `pagination`; set that again until the pass is at \
                  its end, or take it into another table (`into`)";
    Error::project(format!("go on with {partition}"), detail)
}

#[async_trait]
impl Source for Rest {
    async fn next(&mut self, _bytes_max: usize) -> Result<Option<Pulled>> {
        loop {
            if self.todo.is_none() {
                self.todo = Some(self.units().await?);
            }
            let Some(walk) = &self.walk else {
                let Some(unit) = self.todo.as_mut().and_then(VecDeque::pop_front) else {
                    self.todo = None;
                    return Ok(None);
                };
                self.walk = self.begin(unit)?;
                continue;
            };
            let Some((ask, asked)) = self.ask(walk)? else {
                self.walk = None;
                continue;
            };
            let answer = self.http.ask(&ask).await?;
            // From here on nothing waits, so nothing is lost when this call is dropped.
            let Some(mut walk) = self.walk.take() else { continue };
            let taken = self.take(&mut walk, &ask, &asked, answer);
            self.walk = Some(walk);
            if let Some(pulled) = taken? {
                return Ok(Some(pulled));
            }
        }
    }

    /// A pass over parents without records is thousands of questions in one `next`.
    fn slowest_question(&mut self) -> Option<Duration> {
        Some(self.http.slowest())
    }

    /// Nothing to forget: the API keeps what it has.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

/// What a run would read, without asking.
pub fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let options = Options::read(&opening.source, &opening.options)?;
    Plan::compile(opening, &options)?;
    let taken = |point: &Point| match point {
        Point::Mark { rows, .. } => *rows,
        Point::Offset(_) | Point::File { .. } => 0,
    };
    let is_done = |point: &Point| matches!(point, Point::Mark { done: true, .. });
    if options.parent.is_none() && opening.from.iter().any(|(_, point)| is_done(point)) {
        return Ok(Vec::new());
    }
    let rows = opening.from.iter().map(|(_, point)| taken(point)).sum();
    let progress = if opening.from.is_empty() { Progress::New } else { Progress::Partly(rows) };
    Ok(vec![Pending { partition: options.path, bytes: None, progress }])
}
