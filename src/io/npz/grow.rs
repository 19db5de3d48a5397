//! An NPZ file whose first array is written piece by piece, and which outlives the process that writes it.
//!
//! It grows under another name and has the same bytes in the end, however often it was left and taken up
//! again: what is there already runs through the archive writer once more (for its checksum), only that it
//! is not written again.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::write::ZipWriter;

use super::NpzError;
use super::writer::{fault, options};
use crate::io::npy::{self, Element};
use crate::io::{Fault, disk};

/// Bytes read at a time when what is there is looked at again.
const STEP: usize = 1 << 20;

/// An NPZ file being written; see the module.
pub struct GrowingNpz {
    path: PathBuf,
    part: PathBuf,
    /// Before `zip`, so that it is dropped first.
    known: Known,
    zip: ZipWriter<Growing>,
    /// A handle of its own, to read and to flush by.
    file: File,
    /// Byte at which the array's values begin.
    start: u64,
    /// Bytes of values so far.
    written: u64,
    /// Bytes of values in the end.
    total: u64,
    /// CRC-32 of what was appended since it was last asked for.
    sum: crc32fast::Hasher,
}

impl GrowingNpz {
    /// Begins or continues the file that will be called `path`; its first key is `name`, an array of NumPy's
    /// type `descr` and of that shape, whose values take `total` bytes.
    pub fn open(path: &Path, name: &str, descr: &str, shape: &[usize], total: u64) -> Result<Self, NpzError> {
        let part = path.with_added_extension("part");
        let begin = || -> Result<_, Fault> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part)?;
            let known = Known::default();
            let growing = Growing { file: file.try_clone()?, at: 0, known: Arc::clone(&known.0) };
            let mut zip = ZipWriter::new(growing);
            zip.start_file(format!("{name}.npy"), options(total)).map_err(fault)?;
            zip.write_all(&npy::header_bytes(descr, shape))?;
            let start = known.0.at.load(Ordering::Relaxed);
            Ok((file, zip, known, start))
        };
        let (file, zip, known, start) = begin().map_err(|e| NpzError::at(path, name, e))?;
        Ok(Self {
            path: path.to_owned(),
            part,
            known,
            zip,
            file,
            start,
            written: 0,
            total,
            sum: crc32fast::Hasher::new(),
        })
    }

    /// The file as it is called until it is complete.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// CRC-32 of the values at bytes `from..to` as they are in the file now; `None` if it does not reach so far.
    pub fn checksum(&self, from: u64, to: u64) -> io::Result<Option<u32>> {
        if self.file.metadata()?.len() < self.start + to {
            return Ok(None);
        }
        let mut hasher = crc32fast::Hasher::new();
        self.pieces(from, to, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(Some(hasher.finalize()))
    }

    /// Keeps the first `bytes` bytes of values that are there, and drops what follows. To be called first.
    pub fn keep(&mut self, bytes: u64) -> Result<(), NpzError> {
        let end = self.start + bytes;
        let again = |this: &mut Self| -> io::Result<()> {
            this.file.set_len(end)?;
            this.known.0.there.store(end, Ordering::Relaxed);
            let mut at = 0;
            let mut buffer = vec![0; STEP];
            while at < bytes {
                let piece = &mut buffer[..STEP.min((bytes - at) as usize)];
                this.file.read_exact_at(piece, this.start + at)?;
                this.zip.write_all(piece)?;
                at += piece.len() as u64;
            }
            Ok(())
        };
        again(self).map_err(|e| NpzError::new(&self.path, e))?;
        self.written = bytes;
        Ok(())
    }

    /// Appends values.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), NpzError> {
        disk::write(&mut self.zip, bytes).map_err(|e| NpzError::new(&self.path, e))?;
        self.written += bytes.len() as u64;
        self.sum.update(bytes);
        Ok(())
    }

    /// CRC-32 of the values appended since this was last asked, to hold [`checksum`](Self::checksum) against.
    pub fn take_checksum(&mut self) -> u32 {
        std::mem::take(&mut self.sum).finalize()
    }

    /// Adds a vector behind the first array, which must be complete.
    pub fn vector<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), NpzError> {
        let place = |f: Fault| NpzError::at(&self.path, name, f);
        if self.written != self.total {
            let (written, total) = (self.written, self.total);
            return Err(place(Fault::Value(format!("comes after {written} of {total} bytes of values"))));
        }
        self.zip
            .start_file(format!("{name}.npy"), options(size_of_val(values) as u64))
            .map_err(|e| place(fault(e)))?;
        npy::write(&mut self.zip, &ndarray::ArrayView1::from(values)).map_err(|e| place(e.into()))
    }

    /// Completes the archive, makes it durable and gives it its name.
    pub fn finish(self) -> Result<(), NpzError> {
        let place = |e: Fault| NpzError::new(&self.path, e);
        drop(self.zip.finish().map_err(|e| place(fault(e)))?);
        disk::sync(&self.file).map_err(|e| place(e.into()))?;
        disk::rename(&self.part, &self.path).map_err(|e| place(e.into()))?;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk::sync_dir(folder).map_err(|e| place(e.into()))
    }

    /// Removes the unfinished file.
    pub fn discard(self) -> Result<(), NpzError> {
        disk::remove_file(&self.part).map_err(|e| NpzError::new(&self.path, e))
    }

    fn pieces(&self, from: u64, to: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut at = from;
        let mut buffer = vec![0; STEP];
        while at < to {
            let piece = &mut buffer[..STEP.min((to - at) as usize)];
            self.file.read_exact_at(piece, self.start + at)?;
            take(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// What is known of the file: shared with the archive writer, which has the file itself.
#[derive(Default)]
struct Known(Arc<Marks>);

#[derive(Default)]
struct Marks {
    /// Where the archive writer is.
    at: AtomicU64,
    /// Bytes below this are right already.
    there: AtomicU64,
}

impl Drop for Known {
    /// An archive writer that is dropped completes its archive, which nobody wants of one left half-way.
    fn drop(&mut self) {
        self.0.there.store(u64::MAX, Ordering::Relaxed);
    }
}

/// The file as the archive writer sees it.
struct Growing {
    file: File,
    at: u64,
    known: Arc<Marks>,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let there = self.known.there.load(Ordering::Relaxed);
        let known = there.saturating_sub(self.at).min(bytes.len() as u64) as usize;
        let wrote = if known > 0 { known } else { self.file.write_at(bytes, self.at)? };
        self.at += wrote as u64;
        self.known.at.store(self.at, Ordering::Relaxed);
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Growing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if place != self.at && self.known.there.load(Ordering::Relaxed) != u64::MAX {
            // Going back means that a header is completed: from here on everything counts.
            self.known.there.store(0, Ordering::Relaxed);
        }
        self.at = place;
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::npz::NpzWriter;
    use ndarray::Array3;
    use num_complex::Complex32;

    #[test]
    fn taken_up_again_it_has_the_bytes_of_a_file_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, path) = (dir.path().join("whole.npz"), dir.path().join("grown.npz"));
        let array = Array3::from_shape_fn((9, 8, 8), |(p, r, c)| Complex32::new((p * r) as f32, c as f32));
        let mut writer = NpzWriter::create(&whole).unwrap();
        writer.array("patches", &array).unwrap();
        writer.vector("xcoords", &[1.0f64, 2.5]).unwrap();
        writer.finish().unwrap();
        let bytes: Vec<u8> =
            array.iter().flat_map(|v| [v.re.to_le_bytes(), v.im.to_le_bytes()].concat()).collect();
        let open = || GrowingNpz::open(&path, "patches", "<c8", &[9, 8, 8], bytes.len() as u64).unwrap();

        let mut first = open();
        first.append(&bytes[..1024]).unwrap();
        first.append(&bytes[1024..1500]).unwrap();
        assert!(first.vector("xcoords", &[1.0f64]).is_err(), "not complete");
        // As kill -9 does it: nothing is tidied up.
        std::mem::forget(first);

        let mut second = open();
        assert_eq!(second.checksum(0, 1024).unwrap(), Some(crc32fast::hash(&bytes[..1024])));
        assert_eq!(second.checksum(0, 1501).unwrap(), None);
        second.keep(1024).unwrap();
        second.append(&bytes[1024..]).unwrap();
        drop(second);

        let mut third = open();
        third.keep(bytes.len() as u64).unwrap();
        third.vector("xcoords", &[1.0f64, 2.5]).unwrap();
        third.finish().unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap());
        assert!(!path.with_added_extension("part").exists());
    }
}
