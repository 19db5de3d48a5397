//! The folder of a study's results, opened to look at many files in it.

use std::path::{Path, PathBuf};

use super::StoreError;
use crate::os::{FileFacts, Folder};

/// The results folder, which need not be there.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    folder: Option<Folder>,
}

impl Results {
    /// Opens it, if it is there.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        let folder = Folder::open(&path).map_err(StoreError::io("open", &path))?;
        Ok(Self { path, folder })
    }

    /// What is to be told of a file below it.
    pub(super) fn look(&self, below: &Path) -> Option<FileFacts> {
        self.folder.as_ref()?.look(below)
    }

    /// The whole path of a file below it.
    pub(super) fn path(&self, below: &Path) -> PathBuf {
        self.path.join(below)
    }
}
