//! Changes of one key, one after another, to the rows that they leave. No value is looked at: what comes out says from
//! which rows each column is taken.

use kernel::gate::Op;

/// A row of the change log: its file, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: usize,
    pub row: u64,
}

/// Where a change stands among all of its table. Rows of the first read are before all others; else the order is that of a
/// partition, and of partitions by their names, in which files of one log are put.
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
    pub to: Option<i64>,
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub key: Box<[u8]>,
    /// The log was read from its start for this key: what the table has of it goes.
    pub is_whole: bool,
    /// When the row that the table has now ended.
    pub ended: i64,
    pub versions: Vec<Version>,
}

impl Fate {
    /// Says whether the table has a row of the key now.
    pub fn meet(&mut self, is_held: bool) {
        if is_held && !self.is_whole {
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
    ended: Option<i64>,
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
            self.end(emptied.at);
        }
        match change.op {
            Op::Read | Op::Create | Op::Update => {
                let mut chain = self.state.take().unwrap_or_else(|| Chain::of(Base::Nothing));
                chain.push(change);
                self.close(change.at);
                if self.keeps_history {
                    self.versions.push(Version { chain: chain.clone(), from: change.at, to: None });
                }
                (self.state, self.has_open) = (Some(chain), true);
            }
            Op::Delete | Op::Truncate => self.end(change.at),
        }
    }

    fn end(&mut self, at: i64) {
        self.close(at);
        (self.state, self.has_open) = (None, false);
    }

    /// Ends the version that holds. One that held for no time is none, and neither is one that would have ended before it
    /// began: a clock of the source's went back.
    fn close(&mut self, at: i64) {
        self.ended.get_or_insert(at);
        if !self.has_open || !self.keeps_history {
            return;
        }
        match self.versions.last_mut() {
            Some(open) if open.from >= at => drop(self.versions.pop()),
            Some(open) => open.to = Some(at),
            None => {}
        }
    }

    pub fn finish(mut self, key: Box<[u8]>) -> Fate {
        while let Some(emptied) = self.emptied.pop() {
            self.end(emptied.at);
        }
        if !self.keeps_history {
            let at = self.ended.unwrap_or_default();
            self.versions = self.state.map(|chain| Version { chain, from: at, to: None }).into_iter().collect();
        }
        Fate { key, is_whole: self.is_whole, ended: self.ended.unwrap_or_default(), versions: self.versions }
    }
}
