//! Looks for raw values in a lake as a thief would: every byte of every file, and every value of every Parquet column,
//! also inside structs and lists.
//!
//! The loops over bytes are plain on purpose: a demo's build is not optimised, and there are hundreds of megabytes.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use kernel::error::{Error, Result, io};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Searched {
    pub files: usize,
    /// As stored and as unpacked.
    pub bytes: u64,
    /// Values looked at.
    pub values: u64,
    pub cpfs: usize,
    pub emails: usize,
    pub phones: usize,
}

impl Searched {
    pub fn hits(&self) -> usize {
        self.cpfs + self.emails + self.phones
    }

    fn add(&mut self, other: &Searched) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.values += other.values;
        self.cpfs += other.cpfs;
        self.emails += other.emails;
        self.phones += other.phones;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Cpf,
    Phone,
}

/// What is looked for.
pub struct Wanted {
    /// Eleven digits: a CPF, or a phone without its country.
    numbers: HashMap<u64, Number>,
    emails: HashSet<Vec<u8>>,
}

/// Eleven digits are a number below this.
const ELEVEN_DIGITS: u64 = 100_000_000_000;

impl Wanted {
    pub fn new(cpfs: &[String], emails: &[String], phones: &[String]) -> Self {
        let number = |text: &String| text.get(text.len().saturating_sub(11)..)?.parse::<u64>().ok();
        let phones = phones.iter().filter_map(|phone| Some((number(phone)?, Number::Phone)));
        let cpfs = cpfs.iter().filter_map(|cpf| Some((number(cpf)?, Number::Cpf)));
        let emails = emails.iter().map(|email| email.to_lowercase().into_bytes()).collect();
        Self { numbers: phones.chain(cpfs).collect(), emails }
    }

    /// Looks through a folder with as many threads as there are cores.
    pub fn search(&self, folder: &Path, threads: usize) -> Result<Searched> {
        let mut files = Vec::new();
        list(folder, &mut files)?;
        let todo = Mutex::new(files);
        let next = || todo.lock().ok().and_then(|mut files| files.pop());
        let work = || {
            let mut searched = Searched::default();
            while let Some(file) = next() {
                self.file(&file, &mut searched)?;
            }
            Ok(searched)
        };
        let parts: Vec<Result<Searched>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            let broken = || Error::internal("search the lake", "a thread broke off");
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(broken()))).collect()
        });
        let mut searched = Searched::default();
        for part in parts {
            searched.add(&part?);
        }
        Ok(searched)
    }

    fn file(&self, path: &Path, searched: &mut Searched) -> Result<()> {
        let bytes = std::fs::read(path).map_err(|e| io(format!("search {}", path.display()), e))?;
        searched.files += 1;
        self.bytes(&bytes, searched);
        if path.extension().is_some_and(|e| e == "parquet") {
            self.parquet(path, searched)?;
        }
        Ok(())
    }

    fn parquet(&self, path: &Path, searched: &mut Searched) -> Result<()> {
        let fault = |e: &dyn std::fmt::Display| Error::data(format!("search {}", path.display()), e);
        let file = File::open(path).map_err(|e| fault(&e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| fault(&e))?;
        for batch in reader.with_batch_size(32 << 10).build().map_err(|e| fault(&e))? {
            for column in batch.map_err(|e| fault(&e))?.columns() {
                self.column(column, searched).map_err(|e| fault(&e))?;
            }
        }
        Ok(())
    }

    /// Every value of a column, whatever it lies in.
    fn column(&self, column: &ArrayRef, searched: &mut Searched) -> Result<(), arrow::error::ArrowError> {
        match column.data_type() {
            DataType::Struct(_) => {
                for field in column.as_struct().columns() {
                    self.column(field, searched)?;
                }
            }
            DataType::List(_) => self.column(column.as_list::<i32>().values(), searched)?,
            DataType::LargeList(_) => self.column(column.as_list::<i64>().values(), searched)?,
            DataType::FixedSizeList(_, _) => self.column(column.as_fixed_size_list().values(), searched)?,
            DataType::Map(_, _) => {
                for field in column.as_map().entries().columns() {
                    self.column(field, searched)?;
                }
            }
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(_, _) => {
                self.texts(&arrow::compute::cast(column, &DataType::LargeBinary)?, searched);
            }
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
                self.texts(&arrow::compute::cast(column, &DataType::LargeBinary)?, searched);
            }
            DataType::Int64 | DataType::UInt64 => {
                let numbers = arrow::compute::cast(column, &DataType::Int64)?;
                searched.values += numbers.len() as u64;
                for &number in numbers.as_primitive::<Int64Type>().values() {
                    // One of fewer digits than this is no number of a person.
                    if number >= 1_000_000 {
                        self.number(number.unsigned_abs(), searched);
                    }
                }
            }
            _ => {} // what holds no eleven digits, or counts and measures
        }
        Ok(())
    }

    fn texts(&self, column: &ArrayRef, searched: &mut Searched) {
        let column = column.as_binary::<i64>();
        let (offsets, bytes) = (column.value_offsets(), column.value_data());
        let mut row = 1;
        while row < offsets.len() {
            self.bytes(&bytes[offsets[row - 1] as usize..offsets[row] as usize], searched);
            row += 1;
        }
        searched.values += column.len() as u64;
    }

    /// Eleven digits in a row, with or without what people write between them; and what stands around an `@`.
    fn bytes(&self, bytes: &[u8], searched: &mut Searched) {
        searched.bytes += bytes.len() as u64;
        let (mut at, mut digits, mut number) = (0, 0u32, 0u64);
        while at < bytes.len() {
            match bytes[at] {
                digit @ b'0'..=b'9' => {
                    digits += 1;
                    number = number * 10 % ELEVEN_DIGITS + (digit - b'0') as u64;
                    if digits >= 11 {
                        self.number(number, searched);
                    }
                }
                b'.' | b'-' | b' ' | b'(' | b')' => {}
                other => {
                    (digits, number) = (0, 0);
                    if other == b'@' && self.is_email(bytes, at) {
                        searched.emails += 1;
                    }
                }
            }
            at += 1;
        }
    }

    fn number(&self, number: u64, searched: &mut Searched) {
        match self.numbers.get(&number) {
            Some(Number::Cpf) => searched.cpfs += 1,
            Some(Number::Phone) => searched.phones += 1,
            None => {}
        }
    }

    fn is_email(&self, bytes: &[u8], at: usize) -> bool {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%');
        let start = at - bytes[..at].iter().rev().take_while(|byte| fits(byte)).count();
        let end = at + 1 + bytes[at + 1..].iter().take_while(|byte| fits(byte)).count();
        let found = bytes[start..end].to_ascii_lowercase();
        // A sentence may end behind it.
        self.emails.contains(&found) || self.emails.contains(found.strip_suffix(b".").unwrap_or(&found))
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let what = || format!("search {}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(|e| io(what(), e))? {
        let path = entry.map_err(|e| io(what(), e))?.path();
        match path.is_dir() {
            true => list(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListArray, RecordBatch, StringArray, StructArray};
    use arrow::datatypes::{Field, Int32Type};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    fn wanted() -> Wanted {
        let text = |text: &str| vec![text.to_owned()];
        Wanted::new(&text("12345678909"), &text("Ana.Souza1@exemplo.com.br"), &text("+5511987654321"))
    }

    fn found(text: &str) -> (usize, usize, usize) {
        let mut searched = Searched::default();
        wanted().bytes(text.as_bytes(), &mut searched);
        (searched.cpfs, searched.emails, searched.phones)
    }

    #[test]
    fn people_are_found_however_they_are_written_and_inside_longer_text() {
        for text in ["12345678909", "cpf 123.456.789-09.", "{\"a\":\"12345678909\"}", "0012345678909"] {
            assert_eq!(found(text), (1, 0, 0), "{text}");
        }
        for text in ["+5511987654321", "+55 (11) 98765-4321", "tel. 11 98765-4321"] {
            assert_eq!(found(text), (0, 0, 1), "{text}");
        }
        for text in ["ana.souza1@exemplo.com.br", "<ANA.SOUZA1@exemplo.com.br>", "to ana.souza1@exemplo.com.br."] {
            assert_eq!(found(text), (0, 1, 0), "{text}");
        }
        assert_eq!(found("12345678x909 1234567890 ana.souza@exemplo.com.br x@"), (0, 0, 0));
    }

    #[test]
    fn a_file_is_searched_also_inside_structs_and_lists_and_numbers() {
        let folder = std::env::temp_dir().join(format!("lavra-search-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("deep")).expect("a folder");
        let people: ArrayRef = Arc::new(StringArray::from(vec!["123.456.789-09", "nobody"]));
        let inner = StructArray::from(vec![(Arc::new(Field::new("cpf", DataType::Utf8, true)), people)]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]);
        let numbers = Int64Array::from(vec![Some(12_345_678_909), None]);
        let batch = RecordBatch::try_from_iter([
            ("person", Arc::new(inner) as ArrayRef),
            ("list", Arc::new(list) as _),
            ("number", Arc::new(numbers) as _),
        ])
        .expect("a batch");
        let file = File::create(folder.join("deep/a.parquet")).expect("a file");
        // Without statistics, which would show the values in the footer.
        let plain = parquet::file::properties::WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
            .build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(plain)).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a file");
        std::fs::write(folder.join("log.json"), "{\"min\":\"11987654321\"}").expect("a log");
        let searched = wanted().search(&folder, 2).expect("searched");
        let _ = std::fs::remove_dir_all(&folder);
        assert!(searched.cpfs >= 2, "{searched:?}");
        assert_eq!((searched.phones, searched.emails, searched.files), (1, 0, 2));
    }
}
