//! Removing what was chosen, in an order that leaves a usable store wherever it is cut short.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::super::compact::Compaction;
use super::super::{StoreError, StoreLock};
use super::{Going, Sweep};
use crate::io::disk;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files and folders.
    pub files: usize,
    /// Their size, and what rewriting files of lines has saved, bytes.
    pub bytes: u64,
}

impl Sweep {
    /// Removes what was planned; whoever does so has the store alone.
    ///
    /// The index goes first, as it would answer for manifests that are gone; then manifests, then objects. So
    /// a manifest never outlives its objects: cut short at any point, what is left are tasks that are whole
    /// and objects that nobody names, which the next cleaning removes.
    pub fn carry_out(&self, _alone: &StoreLock) -> Result<Swept, StoreError> {
        self.index.write()?;
        remove(&self.manifests)?;
        // Before an object goes, the manifests that named it must be gone for good.
        let folders: BTreeSet<&Path> =
            self.manifests.iter().filter_map(|going| going.path.parent()).collect();
        for folder in folders {
            disk::sync_dir(folder).map_err(StoreError::io("make durable", folder))?;
        }
        remove(&self.objects)?;
        self.compactions.iter().try_for_each(Compaction::write)?;
        remove(&self.runs)?;
        remove(&self.leftovers)?;
        if self.quarantine_goes {
            remove(&self.quarantine)?;
        }
        Ok(Swept { files: self.going().count(), bytes: self.bytes() })
    }
}

fn remove(all: &[Going]) -> Result<(), StoreError> {
    for going in all {
        let path = &going.path;
        let removed = match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => disk::remove_dir_all(path),
            Ok(_) => disk::remove_file(path),
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(StoreError::io("remove", path))?,
        }
    }
    Ok(())
}
