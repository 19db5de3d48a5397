//! Files: digests, atomic publication, NPY and NPZ, PNG. The one place that touches the disk for data.

pub mod archive;
pub mod atomic;
pub mod digest;
pub mod disk;
mod fault;
pub mod lines;
pub mod npy;
pub mod npz;
pub mod png;
pub(crate) mod scan;

pub use fault::{Fault, FileError};
