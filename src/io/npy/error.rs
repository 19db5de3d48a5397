//! What can be wrong with an NPY array.

use std::io;

use crate::io::fault::shape_text;

/// What is wrong with an NPY array.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(io::Error),
    /// The bytes end before the array does.
    #[error("the array is cut off: the bytes end before it does")]
    Truncated,
    /// Something follows the array.
    #[error("bytes follow the end of the array, so its header does not describe it")]
    Trailing,
    /// The first six bytes are not NPY's.
    #[error("not an NPY array: it does not begin with \\x93NUMPY")]
    Magic,
    /// A version of the format that does not exist yet.
    #[error("NPY version {0}.{1}, expected 1.0, 2.0 or 3.0")]
    Version(u8, u8),
    /// The header claims an absurd length.
    #[error("the NPY header claims {0} bytes, more than the {max} allowed", max = super::header::MAX_HEADER)]
    HeaderLength(u64),
    /// The header is not the expected dictionary.
    #[error("the NPY header is malformed: {0}")]
    Header(String),
    /// The number of elements does not fit in memory at all.
    #[error("shape {} is absurd: more bytes than any memory has", shape_text(.0))]
    Overflow(Vec<usize>),
    /// The header's shape and type need another number of bytes than there are.
    #[error("shape {} of `{descr}` needs {need} bytes, but {have} are there", shape_text(shape))]
    Length {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Type in the header.
        descr: String,
        /// Bytes they need.
        need: u64,
        /// Bytes that are there.
        have: u64,
    },
    /// An array of pickled Python objects.
    #[error("holds pickled Python objects (`|O`), which are never opened; expected numbers")]
    Object,
    /// The stored type cannot stand for the wanted one.
    #[error("holds `{descr}`, expected {wanted}")]
    Type {
        /// Type in the header.
        descr: String,
        /// What would have been right.
        wanted: &'static str,
    },
    /// A single value was wanted.
    #[error("found shape {}, expected a single value", shape_text(.0))]
    NotScalar(Vec<usize>),
    /// A number that the wanted type cannot hold.
    #[error("{value} cannot be used as {wanted}")]
    Number {
        /// The number.
        value: String,
        /// What would have been right.
        wanted: &'static str,
    },
    /// Text with a code that is no character.
    #[error("the text holds the code {0:#x}, which is no character")]
    Text(u32),
    /// Memory for the array could not be had.
    #[error("no memory for an array of {0} bytes")]
    Memory(u64),
}

impl From<io::Error> for NpyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}
