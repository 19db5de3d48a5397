//! Append-only files of lines, rewritten with the lines that still count. The new file takes the place of
//! the old one in one step, so that a reader finds either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{History, StoreError, layout};
use crate::io::digest::Digest;
use crate::io::{atomic, lines};

/// A file as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The file.
    pub path: PathBuf,
    /// Its size, bytes.
    pub before: u64,
    /// Its content to be.
    after: Vec<u8>,
}

impl Compaction {
    /// Bytes that it saves.
    pub fn saved(&self) -> u64 {
        self.before.saturating_sub(self.after.len() as u64)
    }

    /// Rewrites the file, if that saves anything.
    pub fn write(&self) -> Result<(), StoreError> {
        if self.saved() == 0 {
            return Ok(());
        }
        atomic::write(&self.path, &self.after).map_err(StoreError::io("write", &self.path))
    }
}

/// Keeps the last line for every key, in the order of those lines; lines without a key are dropped.
fn last_lines<K: Ord>(path: PathBuf, key: impl Fn(&[u8]) -> Option<K>) -> Result<Compaction, StoreError> {
    let bytes = lines::load(&path).map_err(StoreError::io("read", &path))?;
    let mut last: BTreeMap<K, usize> = BTreeMap::new();
    let raw: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    for (place, line) in raw.iter().enumerate() {
        if let Some(key) = lines::decode(line).and_then(&key) {
            last.insert(key, place);
        }
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_unstable();
    let mut after = Vec::with_capacity(bytes.len());
    for place in places {
        after.extend_from_slice(raw[place]);
        after.push(b'\n');
    }
    Ok(Compaction { path, before: bytes.len() as u64, after })
}

/// The index with the entries of these fingerprints only.
pub(super) fn index(store: &Path, keep: &dyn Fn(&Digest) -> bool) -> Result<Compaction, StoreError> {
    #[derive(Deserialize)]
    struct Line {
        fingerprint: Digest,
    }
    last_lines(layout::index(store), |line| {
        let Line { fingerprint } = serde_json::from_slice(line).ok()?;
        keep(&fingerprint).then_some(fingerprint)
    })
}

/// The stamps of these objects, and of files outside the store that are still there.
pub(super) fn stat(store: &Path, keep: &dyn Fn(&Digest) -> bool) -> Result<Compaction, StoreError> {
    #[derive(Deserialize)]
    struct Line {
        path: Option<PathBuf>,
        digest: Digest,
    }
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Key {
        Object(Digest),
        File(PathBuf),
    }
    last_lines(layout::stat(store), |line| match serde_json::from_slice(line).ok()? {
        Line { path: Some(path), .. } => path.exists().then_some(Key::File(path)),
        Line { path: None, digest } => keep(&digest).then_some(Key::Object(digest)),
    })
}

/// A history with one line for every task.
pub(super) fn history(path: &Path, history: &History) -> Result<Compaction, StoreError> {
    let before = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let after = history.compacted().map_err(StoreError::io("write", path))?;
    Ok(Compaction { path: path.to_owned(), before, after })
}
