//! The last fingerprint of every task of a study: what "why will this run" compares with.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;

#[derive(Serialize, Deserialize)]
struct Line {
    task: String,
    fingerprint: Digest,
}

/// Task → last fingerprint, in an append-only file of JSON lines; the last line for a task counts.
#[derive(Debug, Default)]
pub struct History {
    file: PathBuf,
    last: BTreeMap<String, Digest>,
}

impl History {
    /// Loads the history; a missing file is an empty one, a torn line is ignored.
    pub fn load(file: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        let lines = bytes.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice::<Line>(l).ok());
        Ok(Self { file: file.to_owned(), last: lines.map(|l| (l.task, l.fingerprint)).collect() })
    }

    /// The last fingerprint of a task.
    pub fn last(&self, task: &str) -> Option<&Digest> {
        self.last.get(task)
    }

    /// Records a task's fingerprint, if it is another one than the last.
    pub fn record(&mut self, task: &str, fingerprint: Digest) -> io::Result<()> {
        if self.last.get(task) == Some(&fingerprint) {
            return Ok(());
        }
        let mut json = serde_json::to_vec(&Line { task: task.to_owned(), fingerprint })?;
        json.push(b'\n');
        OpenOptions::new().append(true).create(true).open(&self.file)?.write_all(&json)?;
        self.last.insert(task.to_owned(), fingerprint);
        Ok(())
    }
}
