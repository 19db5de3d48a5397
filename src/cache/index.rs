//! Fingerprint → contents of the outputs, in one small file, so that a run over ten thousand finished tasks
//! need not open ten thousand manifests. Only a shortcut: what is not in it is looked up in the manifests,
//! and losing the file loses nothing.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};
use crate::table::{Few, Table};

/// Content of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Digest.
    pub digest: Digest,
    /// Size, bytes.
    pub size: u64,
}

/// Contents in the order of the outputs' names. The fingerprint holds the names.
pub type Contents = Few<Content, 1>;

#[derive(Serialize, Deserialize)]
struct Line<C> {
    fingerprint: Digest,
    outputs: C,
}

/// The index, loaded.
#[derive(Debug)]
pub(super) struct Index {
    file: Appender,
    known: Table<Digest, Contents>,
}

impl Index {
    pub(super) fn load(file: impl Into<PathBuf>) -> io::Result<Self> {
        let file = Appender::new(file);
        let mut known = Table::default();
        lines::each(file.path(), |line| {
            if let Ok(line) = serde_json::from_slice::<Line<Contents>>(line) {
                known.insert(line.fingerprint, line.outputs);
            }
        })?;
        Ok(Self { file, known })
    }

    pub(super) fn get(&self, fingerprint: &Digest) -> Option<&Contents> {
        self.known.get(fingerprint)
    }

    /// All fingerprints that it answers for.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = &Digest> {
        self.known.keys()
    }

    /// Adds an entry. One that cannot be written only costs time later.
    pub(super) fn insert(&mut self, fingerprint: Digest, outputs: Contents) {
        let _ = self.file.push(&Line { fingerprint, outputs: &outputs });
        self.known.insert(fingerprint, outputs);
    }

    pub(super) fn flush(&mut self) {
        let _ = self.file.flush();
    }
}
