//! HDF5: datasets at paths in a tree of groups. The only folder that knows the `hdf5-pure` crate.
//!
//! Keys are paths without a leading slash (`entry_1/data_1/data`; one may be given). Soft and external links are not followed: the crate
//! passes them over, so callers name every place where a program may have put the array itself.

mod datatype;
mod reader;
mod writer;

pub use reader::Hdf5Reader;
pub use writer::{Contents, Hdf5Writer, Number};

/// The bytes that an HDF5 file begins with (unless it has a user block).
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// Whether the file at `path` begins as HDF5 does. A file that cannot be read does not.
pub fn is_hdf5(path: &std::path::Path) -> bool {
    use std::io::Read;
    let mut start = [0; SIGNATURE.len()];
    let is_file = path.metadata().is_ok_and(|about| about.is_file());
    is_file
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *SIGNATURE
}

#[cfg(test)]
mod tests;
