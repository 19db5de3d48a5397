//! Reading, with every claimed size held against the bytes that are there.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use num_complex::Complex32;
use zip::CompressionMethod;
use zip::result::ZipError;

use super::NpzError;
use crate::diag::nearest;
use crate::io::npy::{self, Element, Header, NpyError};
use crate::io::{Arrays, Fault};

/// Deflate cannot expand by more than this factor (258 bytes for 2 bits).
const DEFLATE_MOST: u64 = 1032;

/// An open NPZ file. Members may be stored or deflated, with or without ZIP64 records; they are read
/// only when asked for, so keys that nobody needs cost nothing and cannot fail.
pub struct NpzReader {
    path: PathBuf,
    archive: zip::ZipArchive<BufReader<File>>,
    length: u64,
    keys: Vec<Key>,
}

/// A member that may be an array.
struct Key {
    name: String,
    index: usize,
    /// Its values were asked for, so it is not a misspelling of something else.
    wanted: bool,
}

impl NpzReader {
    /// Opens a file and reads its directory of members.
    pub fn open(path: &Path) -> Result<Self, NpzError> {
        let fault = |f: Fault| NpzError::new(path, f);
        let file = File::open(path).map_err(|e| fault(e.into()))?;
        let about = file.metadata().map_err(|e| fault(e.into()))?;
        if !about.is_file() {
            return Err(fault(Fault::Archive("it is not a regular file".to_owned())));
        }
        if about.len() == 0 {
            return Err(fault(Fault::Archive("it is empty".to_owned())));
        }
        let archive = zip::ZipArchive::new(BufReader::new(file))
            .map_err(|_| fault(Fault::Archive(why_not_zip(path))))?;
        if archive.has_duplicate_names() {
            // Readers disagree about which of the two counts, so neither does.
            return Err(fault(Fault::Archive("two of its members have the same name".to_owned())));
        }
        let keys = (0..archive.len())
            .filter_map(|i| {
                let name = archive.name_for_index(i)?.ok()?;
                Some(Key { name: name.strip_suffix(".npy")?.to_owned(), index: i, wanted: false })
            })
            .collect();
        Ok(Self { path: path.to_owned(), archive, length: about.len(), keys })
    }

    /// The keys, in the order of the archive.
    pub fn names(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.name.as_str()).collect()
    }

    /// What the archive's directory says of its content: name, size and checksum of every member. Equal for equal
    /// content, and told without reading it.
    pub fn directory(&mut self) -> Result<String, NpzError> {
        let mut told = String::new();
        for index in 0..self.archive.len() {
            let member =
                self.archive.by_index_raw(index).map_err(|e| NpzError::new(&self.path, archive_fault(e)))?;
            let entry = member.entry();
            // Writing to a String cannot fail.
            let _ =
                write!(told, "{} {} {:08x};", entry.name().unwrap_or_default(), entry.size(), entry.crc32());
        }
        Ok(told)
    }

    /// A member of real numbers as `f32`.
    pub fn f32(&mut self, name: &str) -> Result<ArrayD<f32>, NpzError> {
        self.array(name)
    }

    /// A member of real numbers as `f64`.
    pub fn f64(&mut self, name: &str) -> Result<ArrayD<f64>, NpzError> {
        self.array(name)
    }

    /// A member of whole numbers as `i64`.
    pub fn i64(&mut self, name: &str) -> Result<ArrayD<i64>, NpzError> {
        self.array(name)
    }

    /// A member of numbers as single-precision complex ones.
    pub fn c32(&mut self, name: &str) -> Result<ArrayD<Complex32>, NpzError> {
        self.array(name)
    }

    /// Reads a member from front to back without holding it: `take` gets its elements in the order of the file.
    /// What `take` refuses ends the reading with that error; the checksum is verified at the end.
    pub fn stream<T: Element>(
        &mut self,
        name: &str,
        take: &mut dyn FnMut(&[T]) -> io::Result<()>,
    ) -> Result<Header, NpzError> {
        self.member(name, |mut reader, available| npy::stream(&mut reader, available, take))
    }

    /// Byte of the file at which a member's values begin, if they lie there as they are (stored, not deflated).
    pub fn values_at(&mut self, name: &str) -> Result<Option<u64>, NpzError> {
        let header = self.member(name, |mut reader, _| Header::read(&mut reader).map(|(_, used)| used))?;
        let Some(index) = self.keys.iter().find(|key| key.name == name).map(|key| key.index) else {
            return Err(self.missing(name));
        };
        let place = |fault: Fault| NpzError::at(&self.path, name, fault);
        let member = self.archive.by_index(index).map_err(|e| place(archive_fault(e)))?;
        let stored = member.entry().compression() == CompressionMethod::Stored;
        Ok(member.data_start().filter(|_| stored).map(|start| start + header))
    }

    /// Runs `read` on a member's bytes and the most bytes it can yield.
    fn member<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn Read, u64) -> Result<T, NpyError>,
    ) -> Result<T, NpzError> {
        let Some(key) = self.keys.iter_mut().find(|key| key.name == name) else {
            return Err(self.missing(name));
        };
        key.wanted = true;
        let index = key.index;
        let place = |fault: Fault| NpzError::at(&self.path, name, fault);
        let mut member = self.archive.by_index(index).map_err(|e| place(archive_fault(e)))?;
        let entry = member.entry();
        let packed = entry.compressed_size();
        let claimed = entry.size();
        let most = match entry.compression() {
            CompressionMethod::Stored => packed,
            _ => packed.saturating_mul(DEFLATE_MOST),
        };
        if packed > self.length || claimed > most {
            return Err(place(Fault::Member(format!(
                "it claims {claimed} bytes, packed into {packed}, in a file of {} bytes",
                self.length
            ))));
        }
        read(&mut member, claimed).map_err(|e| {
            place(match e {
                // The archive's own complaints (checksum, corrupt deflate stream) come as io errors
                // without an error number of the operating system.
                NpyError::Io(e) if e.raw_os_error().is_none() => Fault::Member(e.to_string()),
                e => e.into(),
            })
        })
    }
}

impl Arrays for NpzReader {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    fn header(&mut self, name: &str) -> Result<Header, NpzError> {
        self.member(name, |mut reader, _| Header::read(&mut reader).map(|(header, _)| header))
    }

    fn array<T: Element>(&mut self, name: &str) -> Result<ArrayD<T>, NpzError> {
        self.member(name, |mut reader, available| npy::read(&mut reader, available))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, NpzError> {
        self.member(name, |mut reader, available| npy::read_text(&mut reader, available))
    }

    /// NPZ keeps nothing beside an array.
    fn attribute(&self, _name: &str, _attribute: &str) -> Result<Option<f64>, NpzError> {
        Ok(None)
    }

    /// Names the nearest key that is there and was not asked for under its own name: without `ycoords`,
    /// nobody meant `xcoords`.
    fn missing(&self, name: &str) -> NpzError {
        let unused = self.keys.iter().filter(|key| !key.wanted).map(|key| key.name.as_str());
        let near = nearest(name, unused).map(str::to_owned);
        let present = self.keys.iter().map(|key| key.name.clone()).collect();
        self.fault(name, Fault::Missing { present, near })
    }
}

fn archive_fault(error: ZipError) -> Fault {
    match error {
        ZipError::Io(e) if e.raw_os_error().is_some() => Fault::Io(e),
        e => Fault::Member(e.to_string()),
    }
}

/// Why a file is no ZIP archive, in other words than "no central directory".
fn why_not_zip(path: &Path) -> String {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(6).read_to_end(&mut start));
    let what = match start.as_slice() {
        _ if read.is_err() => "it cannot be read",
        b"\x93NUMPY" => "it is a single NPY array",
        [b'B', b'Z', b'h', ..] => "it is compressed with bzip2; decompress it first",
        [0x1f, 0x8b, ..] => "it is compressed with gzip; decompress it first",
        b"\x89HDF\r\n" => "it is an HDF5 file",
        [b'P', b'K', ..] => "it begins as one, but its directory is missing or damaged; was it cut off?",
        _ => "it does not begin as one",
    };
    what.to_owned()
}
