//! Rows that were read in one way are not gone on with in another: what a cursor, a snapshot or a stream of changes has
//! reached says nothing to the others. Which way it was stands beside the positions.

use crate::spec::{Finding, Grade, Opening, Pending, Spec};
use async_trait::async_trait;
use kernel::source::{Pulled, Source};
use kernel::{Error, Point, Positions, Result};
use serde_json::Value;
use std::time::Duration;

/// Where positions keep it: no partition of a connector has this name.
const PLACE: &str = "#way";

const REMEDY: &str = "set it back, or read under another name into a table of its own. If this table is to be read anew: move the \
                      folder of the bronze table away, and run again";

/// Of a table's rows: by `mode`, and by the cursor that they are followed by.
pub fn of_table(options: &Value) -> Option<String> {
    let text = |option: &str| options.get(option).and_then(Value::as_str);
    let mode = text("mode").unwrap_or("snapshot");
    let cursor = text("cursor").map(|cursor| format!(", cursor: {cursor}")).unwrap_or_default();
    Some(format!("mode: {mode}{cursor}"))
}

impl Spec {
    /// Opens the source behind `Opening::from`. It may list, but reads no row before the first `next`. An error where what was
    /// committed was read in another way.
    pub async fn open(&self, opening: Opening) -> Result<Box<dyn Source>> {
        let (opening, new) = self.same_way(&opening).map_err(|found| refused(&opening, &found))?;
        let source = (self.open)(opening).await?;
        Ok(match new {
            Some(way) => Box::new(Told { source, way: Some(way) }),
            None => source,
        })
    }

    /// What a run would read now. Takes nothing.
    pub async fn pending(&self, opening: &Opening) -> Result<Vec<Pending>> {
        let (opening, _) = self.same_way(opening).map_err(|found| refused(opening, &found))?;
        (self.pending)(&opening).await
    }

    /// Looks whether a run would work, for `lavra doctor`. Changes nothing outside. Of a system that can't be reached it says
    /// just that.
    pub async fn probe(&self, opening: &Opening) -> Vec<Finding> {
        match self.same_way(opening) {
            Ok((opening, _)) => (self.probe)(&opening).await,
            Err(found) => vec![Finding { subject: "progress", grade: Grade::Bad, found, remedy: Some(REMEDY.into()) }],
        }
    }

    /// The opening without what stands beside its positions, and what is to stand there from now on. What was found where the
    /// two differ.
    fn same_way(&self, opening: &Opening) -> std::result::Result<(Opening, Option<Positions>), String> {
        let (mut from, mut then) = (Positions::new(), None);
        for (partition, point) in opening.from.iter() {
            match point {
                Point::Mark { token, .. } if partition == PLACE => then = Some(token),
                _ => from.set(partition, point.clone()),
            }
        }
        let now = (self.way)(&opening.options);
        if let (Some(then), Some(now)) = (then, &now)
            && then != now
        {
            return Err(format!("the lake has its rows by `{then}`, and now it says `{now}`"));
        }
        let new = now.filter(|_| then.is_none()).map(|way| {
            let mut beside = Positions::new();
            beside.set(PLACE, Point::Mark { rows: 0, token: way, done: false });
            beside
        });
        Ok((Opening { from, ..opening.clone() }, new))
    }
}

fn refused(opening: &Opening, found: &str) -> Error {
    let why = "how far one of them is says nothing to the other, so that rows would be missing or come twice";
    Error::project(format!("go on with source `{}`", opening.source), format!("{found}: {why}. To go on: {REMEDY}"))
}

/// A source that tells with its first rows how they are read.
struct Told {
    source: Box<dyn Source>,
    way: Option<Positions>,
}

#[async_trait]
impl Source for Told {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let mut pulled = self.source.next(bytes_max).await?;
        if let Some(pulled) = &mut pulled
            && let Some(way) = self.way.take()
        {
            pulled.upto.advance(&way);
        }
        Ok(pulled)
    }

    fn slowest_question(&mut self) -> Option<Duration> {
        self.source.slowest_question()
    }

    async fn awake(&mut self) {
        self.source.awake().await
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        self.source.settled(upto).await
    }
}
