//! NPZ: a ZIP archive of NPY arrays, one member `KEY.npy` for each key. Only this and `io::archive` know `zip`.

mod grow;
mod reader;
mod writer;

pub use grow::GrowingNpz;
pub use reader::NpzReader;
pub use writer::NpzWriter;

/// What can go wrong with an NPZ file.
pub use super::FileError as NpzError;

#[cfg(test)]
mod tests;
