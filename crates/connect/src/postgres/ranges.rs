//! How a table is cut for reading: ranges of its blocks, each with how far it is taken.
//!
//! A range's position is a place in the table's file (block and item), which says nothing of anybody. In another file the
//! same rows are at other places: a table that was written anew in the middle is read again.

use super::client::quoted;
use super::table::{ANEW, Heap, Table};
use kernel::error::{Error, Result};
use kernel::{Point, Positions};
use serde::{Deserialize, Serialize};

/// A row's place: block and item.
pub type Place = (u32, u16);

/// A range of a table's blocks.
#[derive(Debug, Clone)]
pub struct Range {
    pub partition: String,
    /// For SQL; the whole relation where rows have no places.
    pub relation: String,
    /// The table whose rows are there.
    pub heap: String,
    pub has_places: bool,
    /// Blocks; without an end, to the table's end at the time of reading.
    pub from: u32,
    pub to: Option<u32>,
    of: u32,
    /// The file that the places are in; `None` where nobody may write the table anew meanwhile, or nothing is known of it.
    pub file: Option<u32>,
    /// The last row that was taken.
    pub after: Option<Place>,
    pub rows: u64,
    pub done: bool,
}

#[derive(Serialize, Deserialize)]
struct Token {
    blocks: u32,
    after: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<u32>,
}

/// Fewer blocks than these are not worth a connection of their own: 8 MiB.
const BLOCKS_MIN: u32 = 1024;

impl Range {
    pub fn point(&self) -> Result<Point> {
        let token = serde_json::to_string(&Token { blocks: self.of, after: self.after, file: self.file });
        let token = token.map_err(|e| Error::internal("write a position", &e))?;
        Ok(Point::Mark { rows: self.rows, token, done: self.done })
    }

    /// Of the whole table, when it was cut.
    pub fn blocks(&self) -> u32 {
        self.of
    }

    /// The query's condition for what is left, or for those of its blocks before `to`.
    pub fn condition(&self, to: Option<u32>) -> String {
        let begin = match self.after {
            Some((block, item)) => format!("ctid > '({block},{item})'::tid"),
            None => format!("ctid >= '({},0)'::tid", self.from),
        };
        match to {
            Some(to) => format!("{begin} AND ctid < '({to},0)'::tid"),
            None => begin,
        }
    }
}

/// Cuts a table, as it was cut before where it was.
pub fn cut(table: &Table, heaps: &[Heap], parallel: usize, refresh: u32, taken: &Positions) -> Result<Vec<Range>> {
    let again = numbered(refresh);
    let partition = format!("{}{again} 1/1", table.shown());
    if is_whole(table, heaps, &partition, &again, taken)? {
        let whole = Range {
            partition,
            relation: table.quoted(),
            heap: table.quoted(),
            has_places: false,
            from: 0,
            to: None,
            of: 0,
            file: None,
            after: None,
            rows: 0,
            done: false,
        };
        return Ok(vec![known(whole, taken)?]);
    }
    let mut all = Vec::new();
    for heap in heaps {
        let name = reading(heap, refresh, taken)?;
        let (blocks, count) = match cut_before(&name, taken)? {
            Some(cut) => cut,
            None => (heap.blocks, (heap.blocks / BLOCKS_MIN).clamp(1, parallel as u32)),
        };
        let at = |part: u32| (u64::from(blocks) * u64::from(part) / u64::from(count)) as u32;
        for part in 0..count {
            let range = Range {
                partition: format!("{name} {}/{count}", part + 1),
                relation: format!("ONLY {}.{}", quoted(&heap.schema), quoted(&heap.name)),
                heap: format!("{}.{}", quoted(&heap.schema), quoted(&heap.name)),
                has_places: true,
                from: at(part),
                // Rows may have come behind the last block meanwhile.
                to: (part + 1 < count).then(|| at(part + 1)),
                of: blocks,
                file: Some(heap.file),
                after: None,
                rows: 0,
                done: false,
            };
            all.push(known(range, taken)?);
        }
    }
    Ok(all)
}

fn numbered(again: u32) -> String {
    if again == 0 { String::new() } else { format!(" #{again}") }
}

/// What the ranges are called: those of a file that was written anew before it was read to its end are read once more, under
/// the next number.
fn reading(heap: &Heap, refresh: u32, taken: &Positions) -> Result<String> {
    let mut last = (refresh, Vec::new());
    for (partition, point) in taken.iter() {
        let Point::Mark { token: text, done, .. } = point else { continue };
        let rest = partition.strip_prefix(&named(heap, "")).and_then(|rest| rest.strip_prefix(' '));
        let Some((number, count)) = rest.and_then(part_of) else { continue };
        let Some(file) = token(partition, text)?.file else { continue };
        if number > last.0 {
            last = (number, Vec::new());
        }
        if number == last.0 {
            last.1.push((file, *done, count));
        }
    }
    let (number, parts) = last;
    let is_read = parts.first().is_some_and(|(.., count)| parts.iter().filter(|(_, done, _)| *done).count() == *count);
    let is_another = parts.iter().any(|(file, ..)| *file != heap.file);
    Ok(named(heap, &numbered(if is_another && !is_read { number + 1 } else { number })))
}

/// Of `#3 1/4`, or `1/4`, which reading it is, and how many parts it has.
fn part_of(text: &str) -> Option<(u32, usize)> {
    let (number, part) = match text.strip_prefix('#') {
        Some(rest) => rest.split_once(' ').map(|(number, part)| Some((number.parse().ok()?, part)))??,
        None => (0, text),
    };
    let (one, count) = part.split_once('/')?;
    one.parse::<u32>().ok()?;
    Some((number, count.parse().ok()?))
}

fn named(heap: &Heap, again: &str) -> String {
    format!("{}.{}{again}", heap.schema, heap.name)
}

/// Whether the rows are read through the table itself, in one range. As it was begun it goes on, whatever may be read now: rows
/// would come twice else.
fn is_whole(table: &Table, heaps: &[Heap], partition: &str, again: &str, taken: &Positions) -> Result<bool> {
    if heaps.is_empty() || table.kind != 'p' {
        return Ok(heaps.is_empty());
    }
    if taken.get(partition).is_some() {
        return Ok(true);
    }
    for heap in heaps {
        if cut_before(&named(heap, again), taken)?.is_some() {
            return Ok(false);
        }
    }
    Ok(heaps.iter().any(|heap| !heap.is_readable))
}

/// The table or the leaf whose ranges have this name; none for another kind of position.
pub fn read_before<'a>(partition: &'a str, point: &Point) -> Option<&'a str> {
    let Point::Mark { .. } = point else { return None };
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let (name, part) = partition.rsplit_once(' ')?;
    part.split_once('/').filter(|(one, all)| is_number(one) && is_number(all))?;
    let again = name.rsplit_once(" #").filter(|(_, number)| is_number(number));
    Some(again.map_or(name, |(name, _)| name))
}

/// Makes sure that what was read before was this table. Partitions of one may have come and gone, but not all of them.
pub fn check_same(table: &Table, heaps: &[Heap], taken: &Positions) -> Result<()> {
    let own: Vec<String> = heaps.iter().map(|heap| named(heap, "")).chain([table.shown()]).collect();
    let is_own = |name: &&str| own.iter().any(|own| own == name);
    let (ours, others): (Vec<&str>, Vec<&str>) =
        taken.iter().filter_map(|(partition, point)| read_before(partition, point)).partition(is_own);
    match others.first() {
        Some(other) if table.kind != 'p' || ours.is_empty() => Err(table.is_not(other, ANEW)),
        Some(_) | None => Ok(()),
    }
}

fn token(partition: &str, text: &str) -> Result<Token> {
    serde_json::from_str(text).map_err(|e| Error::data(format!("read the position of {partition}"), &e))
}

/// Into how many blocks and parts it was cut.
fn cut_before(name: &str, taken: &Positions) -> Result<Option<(u32, u32)>> {
    for (partition, point) in taken.iter() {
        let part = partition.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let part = part.and_then(|part| part.split_once('/')).filter(|(part, _)| part.parse::<u32>().is_ok());
        let count = part.and_then(|(_, count)| count.parse().ok());
        if let (Some(count), Point::Mark { token: text, .. }) = (count, point) {
            return Ok(Some((token(partition, text)?.blocks, count)));
        }
    }
    Ok(None)
}

fn known(mut range: Range, taken: &Positions) -> Result<Range> {
    if let Some(Point::Mark { rows, token: text, done }) = taken.get(&range.partition) {
        (range.rows, range.done) = (*rows, *done);
        range.after = token(&range.partition, text)?.after;
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::bare("t", 1)
    }

    fn heap(blocks: u32) -> Vec<Heap> {
        vec![Heap { schema: "s".into(), name: "t".into(), blocks, file: 7, is_readable: true }]
    }

    #[test]
    fn ranges_cover_every_block_once() {
        for blocks in [0, 1, 1023, 5000, 1 << 20] {
            let all = cut(&table(), &heap(blocks), 4, 0, &Positions::new()).expect("ranges");
            assert_eq!((all[0].from, all[all.len() - 1].to), (0, None));
            assert!(all.windows(2).all(|pair| pair[0].to == Some(pair[1].from)), "{all:?}");
        }
        let again = cut(&table(), &heap(1), 4, 2, &Positions::new()).expect("ranges");
        assert_eq!(again[0].partition, "s.t #2 1/1");
    }

    #[test]
    fn a_table_that_grew_is_cut_as_before() {
        let mut ranges = cut(&table(), &heap(4096), 2, 0, &Positions::new()).expect("ranges");
        (ranges[1].rows, ranges[1].after) = (7, Some((3000, 4)));
        let mut taken = Positions::new();
        taken.set(ranges[1].partition.clone(), ranges[1].point().expect("a point"));
        let after = cut(&table(), &heap(1 << 20), 8, 0, &taken).expect("ranges");
        assert_eq!((after.len(), after[0].to, after[1].rows), (2, Some(2048), 7));
        assert_eq!(after[1].condition(None), "ctid > '(3000,4)'::tid");
        assert_eq!(after[0].condition(Some(9)), "ctid >= '(0,0)'::tid AND ctid < '(9,0)'::tid");
        assert_eq!(cut(&table(), &heap(4096), 2, 1, &taken).expect("ranges")[1].rows, 0, "taken again when told so");
    }

    /// Names of the ranges, and whether they are done.
    fn names(heap: &Heap, taken: &Positions) -> Vec<(String, bool)> {
        let all = cut(&table(), std::slice::from_ref(heap), 2, 0, taken).expect("ranges");
        all.into_iter().map(|range| (range.partition, range.done)).collect()
    }

    #[test]
    fn a_file_that_was_written_anew_before_it_was_read_is_read_again() {
        let heaps: Vec<Heap> = (7..10).map(|file| Heap { file, ..heap(4096).remove(0) }).collect();
        let mut taken = Positions::new();
        let take = |taken: &mut Positions, heap: &Heap, done: &[bool]| {
            for (mut range, done) in
                cut(&table(), std::slice::from_ref(heap), 2, 0, taken).expect("ranges").into_iter().zip(done)
            {
                (range.rows, range.after, range.done) = (5, Some((9, 1)), *done);
                taken.set(range.partition.clone(), range.point().expect("a point"));
            }
        };
        take(&mut taken, &heaps[0], &[true]);
        let first = [("s.t 1/2".to_owned(), true), ("s.t 2/2".to_owned(), false)];
        assert_eq!(names(&heaps[0], &taken), first, "the same file is gone on with");
        let again = ["s.t #1 1/2", "s.t #1 2/2"];
        assert_eq!(
            names(&heaps[1], &taken),
            again.map(|name| (name.to_owned(), false)),
            "rows moved in front of what is read"
        );
        take(&mut taken, &heaps[1], &[false, false]);
        assert_eq!(names(&heaps[1], &taken), again.map(|name| (name.to_owned(), false)));
        assert_eq!(names(&heaps[2], &taken)[0].0, "s.t #2 1/2");
        take(&mut taken, &heaps[1], &[true, true]);
        assert_eq!(names(&heaps[2], &taken), again.map(|name| (name.to_owned(), true)), "what is read whole is read");
        let mut before = Positions::new();
        before.set("s.t 1/2", Point::Mark { rows: 1, token: "{\"blocks\":4096,\"after\":[3,4]}".into(), done: false });
        assert_eq!(names(&heaps[2], &before)[0].0, "s.t 1/2", "of positions of before nobody knows the file");
    }

    #[test]
    fn another_table_is_not_taken_for_one_that_is_new() {
        let taken = |names: &[&str]| {
            let mut taken = Positions::new();
            let point = || Point::Mark { rows: 1, token: "{}".into(), done: true };
            names.iter().for_each(|name| taken.set(*name, point()));
            taken
        };
        let check = |kind: char, names: &[&str]| check_same(&Table { kind, ..table() }, &heap(1), &taken(names));
        for good in [vec![], vec!["s.t 1/2", "s.t 2/2"], vec!["s.t #3 1/1"], vec!["s.t rows"]] {
            assert!(check('r', &good).is_ok(), "{good:?}");
        }
        for bad in ["s.u 1/1", "s.t 2 1/1", "s.u #7 1/1"] {
            assert!(check('r', &[bad]).is_err(), "{bad}");
            assert!(check('p', &[bad]).is_err(), "{bad}");
        }
        assert!(check('p', &["s.gone 1/1", "s.t 1/1"]).is_ok(), "a partition that was dropped");
        let told = check('r', &["s.u 1/1"]).expect_err("another table").to_string();
        assert!(told.contains("rows of s.u") && told.contains("source of its own"), "{told}");
    }

    #[test]
    fn partitions_that_may_not_be_read_are_read_through_their_table() {
        let parted = Table { kind: 'p', ..table() };
        let leaves = |is_readable: bool| {
            let leaf = |name: &str, is_readable| Heap {
                schema: "s".into(),
                name: name.into(),
                blocks: 1,
                file: 7,
                is_readable,
            };
            vec![leaf("t_a", is_readable), leaf("t_b", true)]
        };
        let names = |heaps: &[Heap], taken: &Positions| -> Vec<String> {
            let all = cut(&parted, heaps, 2, 0, taken).expect("ranges");
            all.into_iter().map(|range| range.partition).collect()
        };
        let nothing = Positions::new();
        assert_eq!(names(&leaves(true), &nothing), ["s.t_a 1/1", "s.t_b 1/1"]);
        assert_eq!(names(&leaves(false), &nothing), ["s.t 1/1"]);
        let taken = |heaps: &[Heap]| {
            let mut taken = Positions::new();
            for mut range in cut(&parted, heaps, 2, 0, &nothing).expect("ranges") {
                range.done = true;
                taken.set(range.partition.clone(), range.point().expect("a point"));
            }
            taken
        };
        let whole = cut(&parted, &leaves(true), 2, 0, &taken(&leaves(false))).expect("ranges");
        assert!(whole.len() == 1 && whole[0].done, "a right that came later takes nothing twice: {whole:?}");
        let parts = cut(&parted, &leaves(false), 2, 0, &taken(&leaves(true))).expect("ranges");
        assert!(parts.len() == 2 && parts.iter().all(|range| range.done), "nor one that went: {parts:?}");
    }
}
