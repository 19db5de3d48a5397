//! The store: objects by content, manifests by fingerprint. Everything in it is written once, whole.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::layout;
use super::{Manifest, StatIndex};
use crate::events::OutputRecord;
use crate::io::atomic;
use crate::io::digest::Digest;

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a newer phasegraph.
    #[error("{path} was written by a newer phasegraph (format {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
}

impl StoreError {
    /// Wraps what the system said.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A folder of objects and manifests.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    stat: StatIndex,
}

impl Store {
    /// Opens a store; nothing is created until something is put into it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let file = root.join("stat.jsonl");
        let stat = StatIndex::load(&file).map_err(StoreError::io("read", &file))?;
        Ok(Self { root, stat })
    }

    /// Digest of a file outside the store.
    pub fn digest(&mut self, path: &Path) -> Result<Digest, StoreError> {
        self.stat.digest(path).map_err(StoreError::io("read input", path))
    }

    /// Path of an object.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        layout::object(&self.root, digest)
    }

    /// The manifest of a fingerprint, if there is one that can be read. A damaged manifest counts as
    /// missing: the task then runs again.
    pub fn manifest(&self, fingerprint: &Digest) -> Result<Option<Manifest>, StoreError> {
        let path = layout::action(&self.root, fingerprint);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(StoreError::io("read", &path))?,
        };
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        match serde_json::from_slice::<Head>(&bytes) {
            Ok(head) if head.format > Manifest::FORMAT => {
                Err(StoreError::Newer { path, found: head.format, known: Manifest::FORMAT })
            }
            // The fingerprint inside must be the one asked for, or the file is not what its name says.
            _ => Ok(serde_json::from_slice::<Manifest>(&bytes)
                .ok()
                .filter(|m| m.fingerprint.digest() == *fingerprint)),
        }
    }

    /// Whether every object of a manifest is there with its right content; otherwise the name of the
    /// first output that is not. A damaged object is moved aside, never served.
    pub fn missing_output(&mut self, manifest: &Manifest) -> Result<Option<String>, StoreError> {
        for (name, record) in &manifest.outputs {
            let path = self.object(&record.digest);
            match self.stat.object_is(&path, &record.digest) {
                Ok(true) => {}
                Ok(false) => {
                    self.quarantine(&path)?;
                    return Ok(Some(name.clone()));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(name.clone())),
                Err(e) => return Err(StoreError::io("read", &path)(e)),
            }
        }
        Ok(None)
    }

    fn quarantine(&self, path: &Path) -> Result<(), StoreError> {
        let folder = self.root.join("quarantine");
        std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let name = path.file_name().unwrap_or_default();
        std::fs::rename(path, folder.join(name)).map_err(StoreError::io("move aside", path))
    }

    /// Takes a finished file into the store. The file is moved; if the object is there already, removed.
    pub fn take(&mut self, staged: &Path, digest: &Digest) -> Result<(), StoreError> {
        let path = self.object(digest);
        if self.stat.object_is(&path, digest).unwrap_or(false) {
            return std::fs::remove_file(staged).map_err(StoreError::io("remove", staged));
        }
        create_parent(&path)?;
        // Read-only, so that editing a result in place fails instead of spoiling the object it links to.
        std::fs::set_permissions(staged, Permissions::from_mode(0o444))
            .map_err(StoreError::io("protect", staged))?;
        atomic::publish(staged, &path).map_err(StoreError::io("publish", &path))?;
        self.stat.vouch(&path, *digest).map_err(StoreError::io("read", &path))
    }

    /// Writes a manifest. All its objects must be in the store already.
    pub fn commit(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = layout::action(&self.root, &manifest.fingerprint.digest());
        create_parent(&path)?;
        let json = serde_json::to_vec_pretty(manifest)
            .map_err(|e| StoreError::io("write", &path)(io::Error::other(e)))?;
        atomic::write(&path, &json).map_err(StoreError::io("write", &path))
    }

    /// Makes a task's outputs appear in its results folder.
    pub fn show<'a>(
        &self,
        folder: &Path,
        outputs: impl IntoIterator<Item = &'a OutputRecord>,
    ) -> Result<(), StoreError> {
        for record in outputs {
            let (object, target) = (self.object(&record.digest), folder.join(&record.file));
            if same_file(&object, &target) {
                continue;
            }
            create_parent(&target)?;
            atomic::link_or_copy(&object, &target).map_err(StoreError::io("write", &target))?;
        }
        Ok(())
    }
}

/// Whether two names lead to one file, or (where links are not possible) to a copy that looks unchanged.
fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

fn create_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder)),
        None => Ok(()),
    }
}
