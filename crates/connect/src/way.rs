//! Rows that were read in one way are not gone on with in another: what a cursor, a snapshot or a stream of changes has
//! reached says nothing to the others. Which way it was stands beside the positions.

use crate::spec::{Finding, Grade, Opening, Pending, Spec};
use async_trait::async_trait;
use kernel::source::{Pulled, Source};
use kernel::{Error, Point, Positions, Result};
use serde_json::Value;

/// Where positions keep it: no partition of a connector has this name.
const PLACE: &str = "#way";

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
        let (opening, new) = self.same_way(&opening)?;
        let source = (self.open)(opening).await?;
        Ok(match new {
            Some(way) => Box::new(Told { source, way: Some(way) }),
            None => source,
        })
    }

    /// What a run would read now. Takes nothing.
    pub async fn pending(&self, opening: &Opening) -> Result<Vec<Pending>> {
        (self.pending)(&self.same_way(opening)?.0).await
    }

    /// Looks whether a run would work, for `lavra doctor`. Changes nothing outside. Of a system that can't be reached it says
    /// just that.
    pub async fn probe(&self, opening: &Opening) -> Vec<Finding> {
        match self.same_way(opening) {
            Ok((opening, _)) => (self.probe)(&opening).await,
            Err(error) => {
                let remedy = Some("set the options back, or move the bronze table's folder away".into());
                vec![Finding { subject: "progress", grade: Grade::Bad, found: error.to_string(), remedy }]
            }
        }
    }

    /// The opening without what stands beside its positions, and what is to stand there from now on.
    fn same_way(&self, opening: &Opening) -> Result<(Opening, Option<Positions>)> {
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
            let what = format!("go on with source `{}`", opening.source);
            let why = format!(
                "the lake has its rows by `{then}`, and now it says `{now}`: how far one of them is says nothing to the other, \
                 so that rows would be missing or come twice. Set it back, or read under another name into a table of its own. If \
                 this table is to be read anew: move the folder of the bronze table away, and run again"
            );
            return Err(Error::project(what, why));
        }
        let new = now.filter(|_| then.is_none()).map(|way| {
            let mut beside = Positions::new();
            beside.set(PLACE, Point::Mark { rows: 0, token: way, done: false });
            beside
        });
        Ok((Opening { from, ..opening.clone() }, new))
    }
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

    async fn awake(&mut self) {
        self.source.awake().await
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        self.source.settled(upto).await
    }
}
