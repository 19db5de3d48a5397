//! Writing: stored members, fixed timestamps, one order, so that equal content gives equal bytes.

use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

use super::NpzError;
use crate::io::Fault;
use crate::io::atomic::AtomicFile;
use crate::io::npy::{self, Element, NpyError};

/// Sizes from here on need ZIP64 records; a little less than 4 GiB leaves room for the NPY header.
const LARGE: u64 = u32::MAX as u64 - (1 << 20);

/// An NPZ file being written. It appears under its name only on [`finish`](Self::finish).
///
/// Members are stored: diffraction data hardly shrink, and reading them back is then a copy.
pub struct NpzWriter {
    path: PathBuf,
    zip: ZipWriter<AtomicFile>,
}

impl NpzWriter {
    /// Begins a file. Its folder must exist.
    pub fn create(path: &Path) -> Result<Self, NpzError> {
        let file = AtomicFile::create(path).map_err(|e| NpzError::new(path, e))?;
        Ok(Self { path: path.to_owned(), zip: ZipWriter::new(file) })
    }

    /// Writes an array, in C order.
    pub fn array<T, S, D>(&mut self, name: &str, array: &ArrayBase<S, D>) -> Result<(), NpzError>
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let bytes = (array.len() * size_of::<T>()) as u64;
        self.member(name, bytes, |zip| npy::write(zip, array))
    }

    /// Begins an array of NumPy's type `descr` and of that shape, whose values take `bytes` bytes: what is
    /// [appended](Self::append) next, before any other member.
    pub fn begin(&mut self, name: &str, descr: &str, shape: &[usize], bytes: u64) -> Result<(), NpzError> {
        self.member(name, bytes, |zip| Ok(zip.write_all(&npy::header_bytes(descr, shape))?))
    }

    /// Appends values, little-endian and in C order, to the array that was begun.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), NpzError> {
        self.zip.write_all(bytes).map_err(|e| NpzError::new(&self.path, e))
    }

    /// Writes a vector as an array of rank 1.
    pub fn vector<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), NpzError> {
        self.array(name, &ndarray::ArrayView1::from(values))
    }

    /// Writes a zero-dimensional `f64`.
    pub fn scalar_f64(&mut self, name: &str, value: f64) -> Result<(), NpzError> {
        self.array(name, &ArrayD::from_elem(IxDyn(&[]), value))
    }

    /// Writes text as a zero-dimensional `<U` array: no pickle, so any NumPy reads it.
    pub fn text(&mut self, name: &str, text: &str) -> Result<(), NpzError> {
        self.member(name, 4 * text.len() as u64, |zip| npy::write_text(zip, text))
    }

    /// Completes the archive, makes it durable and gives it its name.
    pub fn finish(self) -> Result<(), NpzError> {
        let file = self.zip.finish().map_err(|e| NpzError::new(&self.path, fault(e)))?;
        file.commit().map_err(|e| NpzError::new(&self.path, e))
    }

    fn member(
        &mut self,
        name: &str,
        bytes: u64,
        write: impl FnOnce(&mut ZipWriter<AtomicFile>) -> Result<(), NpyError>,
    ) -> Result<(), NpzError> {
        let place = |f: Fault| NpzError::at(&self.path, name, f);
        self.zip.start_file(format!("{name}.npy"), options(bytes)).map_err(|e| place(fault(e)))?;
        write(&mut self.zip).map_err(|e| place(e.into()))
    }
}

/// How members are written: the same for equal content.
pub(super) fn options(bytes: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // The clock would make equal data differ; 1980-01-01 is what NumPy writes as well.
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o644)
        .large_file(bytes >= LARGE)
}

pub(super) fn fault(error: zip::result::ZipError) -> Fault {
    match error {
        zip::result::ZipError::Io(e) => Fault::Io(e),
        e => Fault::Archive(e.to_string()),
    }
}
