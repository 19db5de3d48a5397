//! Files: digests, atomic publication, NPY, NPZ, HDF5, PNG and TIFF. The one place that touches the disk for data.

pub mod archive;
mod arrays;
pub mod atomic;
pub mod digest;
pub mod disk;
mod fault;
pub mod hdf5;
pub mod lines;
pub mod npy;
pub mod npz;
pub mod png;
pub(crate) mod scan;
pub mod tiff;

pub use arrays::{ArrayFile, Arrays};
pub use fault::{Fault, FileError};
