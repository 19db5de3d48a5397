//! What is wrong with an array file: one error naming file, key, what was found and what was expected.

use std::io;
use std::path::{Path, PathBuf};

use super::npy::NpyError;
use crate::diag::{FailureClass, StageError};

/// A fault with its place: the file, and the key inside it.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {fault}", path.display(), key.as_ref().map(|k| format!(", key `{k}`")).unwrap_or_default())]
pub struct FileError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The key of the array at fault; none if the whole file is.
    pub key: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The operating system could not read or write the file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not a readable ZIP archive.
    #[error("not a readable NPZ archive: {0}")]
    Archive(String),
    /// The file is not a readable HDF5 file.
    #[error("not a readable HDF5 file: {0}")]
    Container(String),
    /// A dataset of an HDF5 file cannot be read: cut off, checksum wrong, unknown filter, absurd size.
    #[error("cannot be read: {0}")]
    Stored(String),
    /// A dataset of an HDF5 file is stored in a way that came with HDF5 2.
    #[error("cannot be read: {0}")]
    TooNew(String),
    /// The member could not be unpacked: cut off, checksum wrong, unsupported compression.
    #[error("cannot be unpacked: {0}")]
    Member(String),
    /// The key is not there.
    #[error("missing; the file holds {}", list(present))]
    Missing {
        /// The keys that are there.
        present: Vec<String>,
        /// The one that may have been meant.
        near: Option<String>,
    },
    /// The bytes are not a sound array.
    #[error("{0}")]
    Npy(NpyError),
    /// The array has the wrong shape.
    #[error("found shape {}, expected {expected}", shape_text(found))]
    Shape {
        /// The shape in the file.
        found: Vec<usize>,
        /// What would have been right.
        expected: String,
    },
    /// The array has values that cannot be used.
    #[error("{0}")]
    Value(String),
}

impl From<NpyError> for Fault {
    fn from(error: NpyError) -> Self {
        match error {
            NpyError::Io(e) => e.into(),
            e => Self::Npy(e),
        }
    }
}

impl FileError {
    /// A fault of a whole file.
    pub fn new(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { path: path.to_owned(), key: None, fault: fault.into() }
    }

    /// A fault of one key.
    pub fn at(path: &Path, key: &str, fault: impl Into<Fault>) -> Self {
        Self { path: path.to_owned(), key: Some(key.to_owned()), fault: fault.into() }
    }
}

impl From<FileError> for StageError {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error.fault {
            Fault::Io(e) => Self { message, ..e.into() },
            Fault::Missing { near: Some(near), .. } => {
                Self::input(message).hint(format!("did you mean `{near}`?"))
            }
            Fault::TooNew(_) => Self::input(message).hint(
                "only programs of HDF5 2 read this; write it with h5py's `libver=(\"earliest\", \"v114\")`",
            ),
            Fault::Npy(NpyError::Memory(_)) => Self::new(FailureClass::OutOfMemory, message),
            Fault::Npy(NpyError::Object) => Self::input(message).hint(
                "save it without Python objects: NumPy pickles them, and pickles are never opened here",
            ),
            _ => Self::input(message),
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "no arrays".to_owned(),
        _ => names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
    }
}

/// A shape as NumPy prints it: `()`, `(3,)`, `(3, 4)`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        many => format!("({})", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}
