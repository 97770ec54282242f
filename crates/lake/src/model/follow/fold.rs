//! Changes of one key, one after another, to the rows that they leave. No value is looked at: what comes out says from
//! which rows each column is taken.

use kernel::gate::Op;

/// A row of the change log: its file, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: usize,
    pub row: u64,
}

/// Where a change stands among all of its table. Rows of the first read are before all others, also where their partition
/// is another one than that of the changes; else the order is that of a partition, and of partitions by their names, in
/// which files of one log are put. Rows that are read behind a truncate of their partition are a read that began anew:
/// they stand where they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    pub is_change: bool,
    pub partition: String,
    pub offset: i64,
}

#[derive(Debug, Clone)]
pub struct Change {
    pub order: Order,
    pub op: Op,
    /// In microseconds since 1970.
    pub at: i64,
    /// The source says when it was; else it was at the latest when it came.
    pub is_timed: bool,
    /// Columns of the table whose value was not sent, in order.
    pub unchanged: Vec<usize>,
    pub place: Place,
}

/// The table was emptied.
#[derive(Debug, Clone)]
pub struct Emptied {
    pub order: Order,
    pub at: i64,
    pub is_new: bool,
}

/// Where the columns come from that later changes did not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nobody told them.
    Nothing,
    /// The row that the table has now.
    Held,
    Row(Place),
}

/// A change that tells some of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pub place: Place,
    pub unchanged: Vec<usize>,
}

/// A row as changes made it: the base, and over it each patch, the newest last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub base: Base,
    pub over: Vec<Patch>,
}

impl Chain {
    fn of(base: Base) -> Self {
        Self { base, over: Vec::new() }
    }

    /// The change that it is after, and what that did not tell.
    pub fn newest(&self) -> Option<(Place, &[usize])> {
        match (self.over.last(), self.base) {
            (Some(patch), _) => Some((patch.place, &patch.unchanged)),
            (None, Base::Row(place)) => Some((place, &[])),
            (None, Base::Held | Base::Nothing) => None,
        }
    }

    /// Older patches stay as long as they tell a column that no younger one does.
    fn push(&mut self, change: &Change) {
        if change.unchanged.is_empty() {
            *self = Self::of(Base::Row(change.place));
            return;
        }
        let mut untold = change.unchanged.clone();
        let mut over = vec![Patch { place: change.place, unchanged: change.unchanged.clone() }];
        for patch in std::mem::take(&mut self.over).into_iter().rev() {
            let before = untold.len();
            let rest: Vec<usize> = untold.iter().filter(|column| patch.unchanged.contains(column)).copied().collect();
            if rest.len() < before {
                untold = rest;
                over.push(patch);
            }
        }
        if untold.is_empty() {
            self.base = Base::Nothing;
        }
        over.reverse();
        self.over = over;
    }
}

/// A row that the table gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub chain: Chain,
    /// When it held, in microseconds since 1970. Of a table of current rows nobody asks.
    pub from: i64,
    pub to: Option<End>,
    pub is_timed: bool,
    /// It holds since another time than that of the change that made it.
    pub is_moved: bool,
    /// Nothing is between it and the version before, which of the first is the table's: no delete, no emptied table.
    pub follows: bool,
}

impl Version {
    fn of(chain: Chain, change: &Change, follows: bool) -> Self {
        Self { chain, from: change.at, to: None, is_timed: change.is_timed, is_moved: false, follows }
    }
}

/// The end of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub at: i64,
    /// By a change of its own key, not by one of the whole table.
    pub is_own: bool,
}

/// The times of one key's versions, which never go back: a source's clock may have, or have ticked in seconds. Versions of
/// one tick hold for no time, in their order.
#[derive(Debug)]
pub struct Times {
    /// When the last version ended.
    floor: i64,
}

impl Times {
    pub fn behind(floor: i64) -> Self {
        Self { floor }
    }

    /// Ends a version that holds since `from`; gives since when and until when it held. One of which the source does not
    /// say when it began did so before the change that ended it. What ends all rows at once is not known to each.
    pub fn end(&mut self, from: i64, is_timed: bool, end: End) -> (i64, i64) {
        let at = end.at.max(self.floor);
        let from = if !is_timed && end.is_own { from.min(at) } else { from };
        self.floor = at.max(from);
        (from, self.floor)
    }
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub key: Box<[u8]>,
    /// The log was read from its start for this key: what the table has of it goes.
    pub is_whole: bool,
    /// When the row that the table has now ended; it goes on where nothing but the same row came.
    pub ended: Option<End>,
    /// When that row held.
    pub held: Option<(i64, i64)>,
    pub versions: Vec<Version>,
}

/// What a table has of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Has {
    /// Since when its row holds, if it has one now, and whether the source said so.
    pub current: Option<(i64, bool)>,
    /// When the last of its former versions ended.
    pub floor: i64,
    /// Where that row is among the table's files, if the table is a history.
    pub row: Option<Place>,
}

impl Default for Has {
    fn default() -> Self {
        Self { current: None, floor: i64::MIN, row: None }
    }
}

impl Fate {
    /// Lets the version before go on where one says `again` what that is. The table is then as if that change was never
    /// there, so that it does not matter which changes were applied together.
    pub fn join(&mut self, again: &[bool]) {
        let mut versions: Vec<Version> = Vec::new();
        for (version, again) in std::mem::take(&mut self.versions).into_iter().zip(again) {
            match (again, versions.last_mut()) {
                (false, _) => versions.push(version),
                (true, Some(before)) => before.to = version.to,
                (true, None) => self.ended = version.to,
            }
        }
        self.versions = versions;
    }

    /// Says what the table has of the key now: its versions get their times behind those.
    pub fn meet(&mut self, has: Has) {
        let has = if self.is_whole { Has::default() } else { has };
        let mut times = Times::behind(has.floor);
        let ends = has.current.zip(self.ended);
        self.held = ends.map(|((from, is_timed), ended)| times.end(from, is_timed, ended));
        for version in &mut self.versions {
            let told = version.from;
            version.from = told.max(times.floor);
            if let Some(end) = &mut version.to {
                (version.from, end.at) = times.end(version.from, version.is_timed, *end);
            }
            version.is_moved = version.from != told;
        }
        if has.current.is_some() {
            return;
        }
        for version in self.versions.iter_mut().filter(|version| version.chain.base == Base::Held) {
            version.chain.base = Base::Nothing;
        }
    }
}

/// One key's changes being applied, in their order.
pub struct Fold<'e> {
    keeps_history: bool,
    is_whole: bool,
    /// What is left of the times at which the table was emptied.
    emptied: Vec<&'e Emptied>,
    state: Option<Chain>,
    ended: Option<End>,
    versions: Vec<Version>,
    has_open: bool,
}

impl<'e> Fold<'e> {
    /// `is_whole` says that all of the key's changes come, from the first on.
    pub fn new(keeps_history: bool, is_whole: bool, emptied: &'e [Emptied]) -> Self {
        let emptied = emptied.iter().filter(|emptied| is_whole || emptied.is_new).rev().collect();
        let state = (!is_whole).then(|| Chain::of(Base::Held));
        Self { keeps_history, is_whole, emptied, state, ended: None, versions: Vec::new(), has_open: false }
    }

    pub fn push(&mut self, change: &Change) {
        while let Some(emptied) = self.emptied.pop_if(|emptied| emptied.order < change.order) {
            self.end(End { at: emptied.at, is_own: false });
        }
        let end = End { at: change.at, is_own: true };
        match change.op {
            Op::Read | Op::Create | Op::Update => {
                let follows = self.state.is_some();
                let mut chain = self.state.take().unwrap_or_else(|| Chain::of(Base::Nothing));
                chain.push(change);
                self.close(end);
                if self.keeps_history {
                    self.versions.push(Version::of(chain.clone(), change, follows));
                }
                (self.state, self.has_open) = (Some(chain), true);
            }
            Op::Delete | Op::Truncate => self.end(end),
        }
    }

    fn end(&mut self, end: End) {
        self.close(end);
        (self.state, self.has_open) = (None, false);
    }

    /// Ends the version that holds.
    fn close(&mut self, end: End) {
        self.ended.get_or_insert(end);
        if self.has_open
            && self.keeps_history
            && let Some(open) = self.versions.last_mut()
        {
            open.to = Some(end);
        }
    }

    pub fn finish(mut self, key: Box<[u8]>) -> Fate {
        while let Some(emptied) = self.emptied.pop() {
            self.end(End { at: emptied.at, is_own: false });
        }
        let ended = self.ended.unwrap_or(End { at: 0, is_own: true });
        if !self.keeps_history {
            let current =
                |chain| Version { chain, from: ended.at, to: None, is_timed: true, is_moved: false, follows: false };
            self.versions = self.state.map(current).into_iter().collect();
        }
        Fate { key, is_whole: self.is_whole, ended: Some(ended), held: None, versions: self.versions }
    }
}
