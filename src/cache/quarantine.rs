//! Where damaged files of the store go: out of reach of every run, but not gone, so that someone can look
//! into what happened.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{StoreError, layout};
use crate::io::disk;

/// Moves a damaged file aside under a name of its own; says where it is now, or nothing if it was gone.
pub(super) fn put_aside(root: &Path, path: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    let folder = layout::quarantine(root);
    disk::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let aside = folder.join(name);
    match disk::rename(path, &aside) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        moved => moved.map_err(StoreError::io("move aside", path))?,
    }
    // A result may still show the damaged file. Its stamp must not be one that vouches for the content any
    // more, even if the damage came without changing it. The owner may do this to a read-only file; where
    // that fails, the rename has changed the ctime on every file system that is likely to be met.
    let _ = File::open(&aside).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Some(aside))
}
