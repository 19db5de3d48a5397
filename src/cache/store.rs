//! The store: objects by content, manifests by fingerprint. Everything in it is written once, whole.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::index::{Content, Contents, Index};
use super::layout;
use super::quarantine::put_aside;
use super::stat::{Hashed, Stamp};
use super::{Manifest, Results, Shelf, StatIndex, ToHash};
use crate::io::digest::Digest;
use crate::io::{atomic, disk};
use crate::os::FileFacts;

/// A store that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} {path}: {message}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        message: String,
        /// Whether the disk or the quota is full.
        full: bool,
    },
    /// Others count on the store, or someone is cleaning it.
    #[error("the store is in use by {by}")]
    Busy {
        /// `process 123 on host, which …`
        by: String,
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
        move |e| {
            let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            Self::Io { action, path, message: e.to_string(), full }
        }
    }
}

/// Where an output of a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// In the store and in the task's results folder.
    Shown,
    /// In the store only.
    Hidden,
    /// Nowhere, or damaged.
    Lost,
    /// This object has changed its stamp and must be hashed before it can be trusted.
    Unsure(PathBuf),
}

/// A folder of objects and manifests.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    stat: StatIndex,
    index: Index,
    /// Objects found damaged since the store was opened.
    damaged: BTreeSet<Digest>,
}

impl Store {
    /// Format of the folder as a whole.
    pub const FORMAT: u32 = 2;

    /// Opens a store; nothing is created until something is put into it. `afresh` trusts no record of what
    /// was hashed in the past.
    pub fn open(root: impl Into<PathBuf>, afresh: bool) -> Result<Self, StoreError> {
        let root = root.into();
        check_format(&root)?;
        let (stat, index) = (layout::stat(&root), layout::index(&root));
        let (loaded_stat, loaded_index) =
            rayon::join(|| StatIndex::load(&stat, afresh), || Index::load(&index));
        Ok(Self {
            stat: loaded_stat.map_err(StoreError::io("read", &stat))?,
            index: loaded_index.map_err(StoreError::io("read", &index))?,
            root,
            damaged: BTreeSet::new(),
        })
    }

    /// Makes the folder, and says its format, before something is put into it.
    pub fn prepare(&self) -> Result<(), StoreError> {
        disk::create_dir_all(&self.root).map_err(StoreError::io("create", &self.root))?;
        let path = layout::format(&self.root);
        if path.exists() {
            return Ok(());
        }
        atomic::write(&path, format!("{}\n", Self::FORMAT).as_bytes()).map_err(StoreError::io("write", &path))
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of an object.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        layout::object(&self.root, digest)
    }

    /// Digest of a file outside the store, unless it must be hashed first.
    pub fn input(&self, path: &Path) -> Result<Option<Digest>, StoreError> {
        self.stat.input(path).map_err(StoreError::io("read input", path))
    }

    /// Takes note of what a file turned out to hold; a damaged object is moved aside, never served.
    pub fn learn(&mut self, file: &ToHash, hashed: Hashed) -> Result<(), StoreError> {
        match file {
            ToHash::Input(path) => self.stat.record_input(path, hashed),
            ToHash::Object(_, expected) if hashed.digest != *expected => return self.condemn(expected),
            ToHash::Object(..) => self.stat.record_object(hashed),
        }
        Ok(())
    }

    /// Moves a damaged object aside.
    pub fn condemn(&mut self, digest: &Digest) -> Result<(), StoreError> {
        self.damaged.insert(*digest);
        put_aside(&self.root, &self.object(digest), &digest.to_string()).map(drop)
    }

    /// Contents of the outputs under a fingerprint, in the order of their names, and whether it took opening
    /// the manifest: then the index should learn them.
    pub fn lookup(&self, fingerprint: &Digest) -> Result<Option<(Contents, bool)>, StoreError> {
        if let Some(contents) = self.index.get(fingerprint) {
            return Ok(Some((contents.clone(), false)));
        }
        Ok(self.manifest(fingerprint)?.map(|manifest| (contents(&manifest), true)))
    }

    /// Takes note of what a manifest said, so that it need not be opened again.
    pub fn learn_manifest(&mut self, fingerprint: Digest, outputs: Contents) {
        self.index.insert(fingerprint, outputs);
    }

    /// The manifest of a fingerprint, if there is one that can be read. A damaged manifest counts as
    /// missing: the task then runs again.
    pub fn manifest(&self, fingerprint: &Digest) -> Result<Option<Manifest>, StoreError> {
        Ok(Shelf::at(&self.root).manifest(fingerprint)?.ok())
    }

    /// Where an output is; `shown` is its path below the results folder.
    ///
    /// Mostly one look at `shown` is enough: it is a second name of the object, so if its stamp is the one
    /// recorded for the object, nobody has changed the object either.
    pub fn presence(
        &self,
        content: &Content,
        results: &Results,
        shown: &Path,
    ) -> Result<Presence, StoreError> {
        if self.damaged.contains(&content.digest) {
            return Ok(Presence::Lost);
        }
        let vouched = self.stat.object(&content.digest);
        let seen = results.look(shown);
        if let (Some(vouched), Some(seen)) = (vouched, &seen)
            && seen.links > 1
            && *vouched == Stamp::from(seen)
        {
            return Ok(Presence::Shown);
        }
        let path = self.object(&content.digest);
        let meta = match std::fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Presence::Lost),
            meta => meta.map_err(StoreError::io("read", &path))?,
        };
        let object = FileFacts::from(&meta);
        match vouched {
            Some(vouched) if *vouched == Stamp::from(&object) => {
                let same = |seen: &FileFacts| {
                    let linked = (seen.inode, seen.device) == (object.inode, object.device);
                    linked || self.stat.vouches(&results.path(shown), Stamp::from(seen), &content.digest)
                };
                Ok(if seen.as_ref().is_some_and(same) { Presence::Shown } else { Presence::Hidden })
            }
            _ => Ok(Presence::Unsure(path)),
        }
    }

    /// Whether an object is in the store and vouched for.
    pub fn holds(&self, digest: &Digest) -> bool {
        let stamp = || Some(Stamp::of(&std::fs::metadata(self.object(digest)).ok()?));
        !self.damaged.contains(digest) && self.stat.object(digest).is_some_and(|v| stamp() == Some(*v))
    }

    /// Takes note of a finished task whose manifest and objects are in their places.
    pub fn learn_action(&mut self, fingerprint: Digest, outputs: Contents, shown: Vec<Shown>) {
        for one in shown {
            self.damaged.remove(&one.object.digest);
            self.learn_shown(one);
        }
        self.index.insert(fingerprint, outputs);
    }

    fn learn_shown(&mut self, shown: Shown) {
        self.stat.record_object(shown.object);
        if let Some((path, copy)) = shown.copy {
            self.stat.record_copy(&path, copy);
        }
    }

    /// Makes outputs appear in a results folder, beside the record of how they were made.
    pub fn show(
        &mut self,
        folder: &Path,
        fingerprint: &Digest,
        outputs: &[(&Content, &str)],
    ) -> Result<(), StoreError> {
        for (content, file) in outputs {
            let target = folder.join(file);
            let shown = show(&self.root, &content.digest, &target)?;
            self.learn_shown(shown);
        }
        // Gone if someone deleted it from the store; the outputs are good all the same.
        let _ = atomic::link_or_copy(&layout::action(&self.root, fingerprint), &layout::provenance(folder));
        Ok(())
    }

    /// Writes what was learned about files. Failing to costs only time later.
    pub fn flush(&mut self) {
        self.stat.flush();
        self.index.flush();
    }
}

/// Contents of a manifest's outputs in the order of their names.
pub(super) fn contents(manifest: &Manifest) -> Contents {
    manifest.outputs.values().map(|o| Content { digest: o.digest, size: o.size }).collect()
}

/// An object that was made to appear in a results folder.
#[derive(Debug)]
pub struct Shown {
    /// Its stamp afterwards: a new link changes the ctime.
    pub(super) object: Hashed,
    /// The copy, where links are not possible.
    pub(super) copy: Option<(PathBuf, Hashed)>,
}

/// Makes an object appear as `target`.
pub(super) fn show(root: &Path, digest: &Digest, target: &Path) -> Result<Shown, StoreError> {
    let object = layout::object(root, digest);
    // Mostly the folder is there already.
    if atomic::link_or_copy(&object, target).is_err() {
        create_parent(target)?;
        atomic::link_or_copy(&object, target).map_err(StoreError::io("write", target))?;
    }
    let stamp = |path: &Path| {
        let meta = std::fs::metadata(path).map_err(StoreError::io("read", path))?;
        Ok(Hashed { stamp: Stamp::of(&meta), digest: *digest })
    };
    let (linked, object) = (stamp(target)?, stamp(&object)?);
    Ok(Shown { object, copy: (linked != object).then(|| (target.to_owned(), linked)) })
}

pub(super) fn create_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) => disk::create_dir_all(folder).map_err(StoreError::io("create", folder)),
        None => Ok(()),
    }
}

pub(super) fn check_format(root: &Path) -> Result<(), StoreError> {
    let path = layout::format(root);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    match text.trim().parse() {
        Ok(found) if found > Store::FORMAT => Err(StoreError::Newer { path, found, known: Store::FORMAT }),
        _ => Ok(()),
    }
}
