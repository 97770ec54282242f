//! A ZIP file, as far as an export needs one: files below 4 GiB, deflated (APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16).

use flate2::Crc;
use flate2::write::DeflateEncoder;
use std::io::{Error, ErrorKind, Result, Write};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 2.0: deflate.
const VERSION: u16 = 20;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day there is: when a file was written says nothing here, the manifest does.
const DAY: u16 = 0x21;

pub struct Zip<W> {
    out: W,
    at: u64,
    central: Vec<u8>,
    files: u16,
}

impl<W: Write> Zip<W> {
    pub fn new(out: W) -> Self {
        Self { out, at: 0, central: Vec::new(), files: 0 }
    }

    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut deflated = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflated.write_all(content)?;
        let deflated = deflated.finish()?;
        let mut crc = Crc::new();
        crc.update(content);
        let start = four(self.at)?;
        let mut about = Vec::new();
        for two in [VERSION, UTF8, DEFLATED, 0, DAY] {
            about.extend(two.to_le_bytes());
        }
        about.extend(crc.sum().to_le_bytes());
        about.extend(four(deflated.len() as u64)?.to_le_bytes());
        about.extend(four(content.len() as u64)?.to_le_bytes());
        about.extend(two(name.len())?.to_le_bytes());
        about.extend([0; 2]);
        self.put(&[&LOCAL.to_le_bytes(), &about, name.as_bytes(), &deflated])?;
        self.central.extend(CENTRAL.to_le_bytes());
        // Made by UNIX, for the rights below: the owner's file alone.
        self.central.extend((VERSION | 3 << 8).to_le_bytes());
        self.central.extend(about);
        self.central.extend([0; 6]);
        self.central.extend((0o100_600_u32 << 16).to_le_bytes());
        self.central.extend(start.to_le_bytes());
        self.central.extend(name.as_bytes());
        self.files = self.files.checked_add(1).ok_or_else(too_large)?;
        Ok(())
    }

    pub fn finish(mut self) -> Result<W> {
        let (start, central) = (four(self.at)?, std::mem::take(&mut self.central));
        let mut end = [END.to_le_bytes(), [0; 4]].concat();
        end.extend([self.files.to_le_bytes(); 2].concat());
        end.extend(four(central.len() as u64)?.to_le_bytes());
        end.extend(start.to_le_bytes());
        end.extend([0; 2]);
        self.put(&[&central, &end])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<()> {
        for part in parts {
            self.out.write_all(part)?;
            self.at += part.len() as u64;
        }
        Ok(())
    }
}

fn four(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| too_large())
}

fn two(number: usize) -> Result<u16> {
    u16::try_from(number).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::new(ErrorKind::FileTooLarge, "a ZIP file takes 4 GiB and 65,535 files; export into a folder")
}
