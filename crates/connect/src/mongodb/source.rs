//! A collection once, in the order of `_id`. MongoDB shows each document as it is when it is reached: a document that is
//! written meanwhile may be told in its old or its new state, and never twice.

use super::client::{beginning, database, fault, soon};
use super::id::Id;
use super::objects::Objects;
use super::options::Options;
use super::text;
use crate::marks::{mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use kernel::source::{Pulled, Source};
use kernel::{Entity, Error, Point, Positions, Result};
use mongodb::Cursor;
use mongodb::bson::{Document, RawBsonRef, RawDocumentBuf, doc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Token {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Id>,
}

pub struct MongoDb {
    opening: Opening,
    options: Options,
    partition: Arc<str>,
    cursor: Option<Cursor<RawDocumentBuf>>,
    /// Documents to pass over.
    skip: u64,
    objects: Objects,
    taken: u64,
    token: Token,
    handed: Token,
    /// Whether the last `_id` could be written down so far.
    whole: bool,
    done: bool,
    lost: bool,
}

impl MongoDb {
    pub fn open(opening: Opening, options: Options) -> Result<Self> {
        let partition = partition(&options);
        let (taken, token, done) = match mark(&opening.from, &partition) {
            Some((rows, token, done)) => (rows, read_token(&partition, token)?, done),
            None => (0, Token::default(), false),
        };
        let objects = Objects::new(Arc::new(opening.entity.clone()));
        let whole = !is_hidden(&opening.entity);
        Ok(Self {
            opening,
            options,
            partition,
            cursor: None,
            skip: 0,
            objects,
            taken,
            handed: token.clone(),
            token,
            whole,
            done,
            lost: false,
        })
    }

    async fn start(&mut self) -> Result<(Cursor<RawDocumentBuf>, u64)> {
        let what = format!("read the collection {}", self.partition);
        let (database, table) = database(&self.opening.source, &self.options).await?;
        let wrong = || {
            Error::data(&what, "its position can't be read; move the folder of the bronze table away, and run again")
        };
        let (filter, skip) = match &self.token.behind {
            Some(id) => (id.behind().ok_or_else(wrong)?, 0),
            None => (Document::new(), self.taken),
        };
        let collection = database.collection::<RawDocumentBuf>(&table);
        let cursor = collection.find(filter).sort(doc! { "_id": 1 }).await.map_err(|e| fault(&what, &e))?;
        Ok((cursor, skip))
    }

    async fn pull(&mut self, bytes_max: usize) -> Result<Pulled> {
        let what = format!("read the collection {}", self.partition);
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            None => {
                let (cursor, skip) = beginning(self.options.timeout_ms, &what, self.start()).await?;
                self.objects.clear();
                self.skip = skip;
                self.cursor.insert(cursor)
            }
        };
        while self.objects.rows() == 0
            || (self.objects.rows() < self.options.batch_rows_max && self.objects.bytes() < bytes_max)
        {
            // What is there needs no clock.
            let next = match cursor.next().now_or_never() {
                Some(next) => next,
                None => soon(self.options.timeout_ms, &what, cursor.next()).await?,
            };
            let Some(found) = next else {
                self.done = true;
                break;
            };
            let found = found.map_err(|e| fault(&what, &e))?;
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            let id = found.get("_id").ok().flatten();
            self.token.behind = place(&self.opening.entity, id).filter(|_| self.whole);
            self.whole = self.token.behind.is_some();
            let named = match (self.whole, id) {
                (true, Some(RawBsonRef::ObjectId(id))) => format!(" (_id {id})"),
                _ => String::new(),
            };
            let broken = |text::Broken| format!("its bytes are no BSON, or a text in it is no UTF-8{named}");
            self.objects.push(|to| text::document(to, &found).map_err(broken));
        }
        self.handed = self.token.clone();
        let first = self.taken as i64 + 1;
        self.taken += self.objects.rows() as u64;
        let rows = self.objects.finish(first, self.partition.clone())?;
        let mut upto = Positions::new();
        upto.set(
            &*self.partition,
            Point::Mark { rows: self.taken, token: write_token(&self.handed)?, done: self.done },
        );
        Ok(Pulled { rows: rows.into(), upto, whole: self.whole || self.done })
    }
}

/// Whether no `_id` may be written down.
fn is_hidden(entity: &Entity) -> bool {
    let hides = |class: &kernel::Classification| class.is_personal();
    entity.property("_id").is_some_and(|p| p.mask.is_some() || p.classification.as_ref().is_some_and(hides))
}

/// An `_id` that may be written down: of MongoDB's own making unless it is hidden, else when the contract knows it. A document
/// without one (such as those of a view that leaves it out) has no place among the others.
fn place(entity: &Entity, id: Option<RawBsonRef<'_>>) -> Option<Id> {
    let id = id.filter(|_| !is_hidden(entity))?;
    let is_known = matches!(id, RawBsonRef::ObjectId(_)) || entity.property("_id").is_some();
    Id::of(id).filter(|_| is_known)
}

/// The name of what is read: another `refresh` is another one.
pub fn partition(options: &Options) -> Arc<str> {
    match &options.refresh {
        Some(refresh) => format!("{}@{refresh}", options.table).into(),
        None => options.table.as_str().into(),
    }
}

#[async_trait]
impl Source for MongoDb {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.done {
            return Ok(None);
        }
        if self.lost {
            let detail = "the read broke off, and with an `_id` that may not be written down it can't be gone on with: open the source again";
            return Err(Error::new(kernel::Kind::Unreachable, format!("read {}", self.partition), detail));
        }
        match self.pull(bytes_max).await {
            Ok(pulled) => Ok(Some(pulled)),
            Err(error) => {
                (self.cursor, self.token) = (None, self.handed.clone());
                self.lost = !self.whole && self.taken > 0;
                Err(error)
            }
        }
    }

    /// Nothing to forget: a collection stays where it is.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;
    use kernel::contract::MaskSpec;
    use mongodb::bson::oid::ObjectId;

    #[test]
    fn a_place_to_go_on_from_is_an_id_that_may_be_written_down() {
        let (known, unknown) = (entity(&["_id", "name"]), entity(&["name"]));
        let mut hidden = entity(&["_id"]);
        hidden.properties[0].mask = Some(MaskSpec::parse("redact").expect("a mask"));
        let object = ObjectId::new();
        let own = Some(Id::Object(object.to_hex()));
        for (entity, expected) in [(&known, own.clone()), (&unknown, own), (&hidden, None)] {
            assert_eq!(place(entity, Some(RawBsonRef::ObjectId(object))), expected);
            assert_eq!(place(entity, None), None, "a document without one has no place");
        }
        assert_eq!(place(&known, Some(RawBsonRef::Int32(7))), Some(Id::Int(7)));
        assert_eq!(place(&unknown, Some(RawBsonRef::Int32(7))), None);
        assert_eq!(place(&known, Some(RawBsonRef::Null)), None);
    }
}
