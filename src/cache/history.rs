//! The last fingerprint and duration of every task of a study: what "why will this run" compares with, and
//! what estimates of time come from.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};

#[derive(Serialize, Deserialize)]
struct Line<T> {
    task: T,
    fingerprint: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    fingerprint: Digest,
    seconds: Option<f64>,
}

/// Task → last fingerprint and duration, in an append-only file; the last line for a task counts.
#[derive(Debug)]
pub struct History {
    file: Appender,
    last: BTreeMap<Box<str>, Last>,
}

impl History {
    /// Loads the history; a missing file is an empty one, a torn or damaged line is passed over.
    pub fn load(file: &Path) -> io::Result<Self> {
        let bytes = lines::load(file)?;
        let mut last: BTreeMap<Box<str>, Last> = BTreeMap::new();
        for line in lines::whole(&bytes) {
            let Ok(line) = serde_json::from_slice::<Line<Box<str>>>(line) else { continue };
            let seconds = line.seconds.or_else(|| last.get(&line.task).and_then(|l| l.seconds));
            last.insert(line.task, Last { fingerprint: line.fingerprint, seconds });
        }
        Ok(Self { file: Appender::new(file), last })
    }

    /// The last fingerprint of a task.
    pub fn last(&self, task: &str) -> Option<&Digest> {
        self.last.get(task).map(|l| &l.fingerprint)
    }

    /// Wall time of a task when it last ran, seconds.
    pub fn seconds(&self, task: &str) -> Option<f64> {
        self.last.get(task)?.seconds
    }

    /// Records a task's fingerprint, and its duration if it ran; written with the next
    /// [`flush`](Self::flush).
    pub fn record(&mut self, task: &str, fingerprint: Digest, seconds: Option<f64>) -> io::Result<()> {
        match self.last.get_mut(task) {
            Some(last) if seconds.is_none() && last.fingerprint == fingerprint => return Ok(()),
            Some(last) => *last = Last { fingerprint, seconds: seconds.or(last.seconds) },
            None => {
                self.last.insert(task.into(), Last { fingerprint, seconds });
            }
        }
        self.file.push(&Line { task, fingerprint, seconds })
    }

    /// Writes what was recorded.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_a_hit_keeps_the_duration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.jsonl");
        let mut history = History::load(&file).unwrap();
        history.record("a", Digest::of(b"1"), Some(2.0)).unwrap();
        history.record("a", Digest::of(b"2"), None).unwrap();
        history.record("b", Digest::of(b"3"), None).unwrap();
        history.flush().unwrap();
        let length = std::fs::metadata(&file).unwrap().len();
        let mut again = History::load(&file).unwrap();
        assert_eq!((again.last("a"), again.seconds("a")), (Some(&Digest::of(b"2")), Some(2.0)));
        assert_eq!(again.seconds("b"), None);
        // Nothing new, nothing written.
        again.record("b", Digest::of(b"3"), None).unwrap();
        again.flush().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), length);
    }
}
