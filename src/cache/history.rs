//! The last fingerprint and duration of every task of a study: what "why will this run" compares with, and
//! what estimates of time come from.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};
use crate::io::scan::Scan;
use crate::plan::Past;
use crate::table::Table;

#[derive(Serialize, Deserialize)]
struct Line<T> {
    task: T,
    fingerprint: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak_memory: Option<u64>,
}

/// A line as it was written.
fn quick(line: &[u8]) -> Option<Line<Box<str>>> {
    let mut scan = Scan::new(line);
    scan.text("{\"task\":")?;
    let task = scan.string()?.into();
    scan.text(",\"fingerprint\":")?;
    let fingerprint = scan.digest()?;
    let seconds = if scan.has(",\"seconds\":") { Some(scan.float()?) } else { None };
    let peak_memory = if scan.has(",\"peak_memory\":") { Some(scan.integer()?) } else { None };
    scan.text("}")?;
    scan.end()?;
    Some(Line { task, fingerprint, seconds, peak_memory })
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    fingerprint: Digest,
    past: Past,
}

/// Task → last fingerprint and duration, in an append-only file; the last line for a task counts.
#[derive(Debug)]
pub struct History {
    file: Appender,
    last: Table<Box<str>, Last>,
    /// Lines that were passed over.
    unread: usize,
}

impl History {
    /// Loads the history; a missing file is an empty one, a torn or damaged line is passed over.
    pub fn load(file: &Path) -> io::Result<Self> {
        let mut last: Table<Box<str>, Last> = Table::default();
        let mut unread = 0;
        let damaged = lines::each(file, |line| {
            let line = quick(line).or_else(|| serde_json::from_slice::<Line<Box<str>>>(line).ok());
            let Some(line) = line else {
                unread += 1;
                return;
            };
            let before = last.get(&line.task).map(|l| l.past).unwrap_or_default();
            let past = Past {
                seconds: line.seconds.or(before.seconds),
                peak_memory: line.peak_memory.or(before.peak_memory),
            };
            last.insert(line.task, Last { fingerprint: line.fingerprint, past });
        })?;
        Ok(Self { file: Appender::new(file), last, unread: unread + damaged })
    }

    /// All tasks with their last fingerprints.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.last.iter().map(|(task, last)| (&**task, &last.fingerprint))
    }

    /// How many lines were passed over: tasks may have been recorded of which nothing is known here.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// The same history with one line for every task.
    pub(super) fn compacted(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (task, Last { fingerprint, past: Past { seconds, peak_memory } }) in &self.last {
            let (fingerprint, seconds, peak_memory) = (*fingerprint, *seconds, *peak_memory);
            lines::encode(&Line { task, fingerprint, seconds, peak_memory }, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The last fingerprint of a task.
    pub fn last(&self, task: &str) -> Option<&Digest> {
        self.last.get(task).map(|l| &l.fingerprint)
    }

    /// What a task took when it last ran.
    pub fn past(&self, task: &str) -> Past {
        self.last.get(task).map(|l| l.past).unwrap_or_default()
    }

    /// Records a task's fingerprint, and what it took if it ran; written with the next
    /// [`flush`](Self::flush).
    pub fn record(&mut self, task: &str, fingerprint: Digest, ran: Option<Past>) -> io::Result<()> {
        let before = self.last.get(task);
        if ran.is_none() && before.is_some_and(|last| last.fingerprint == fingerprint) {
            return Ok(());
        }
        let past = ran.or(before.map(|last| last.past)).unwrap_or_default();
        self.last.insert(task.into(), Last { fingerprint, past });
        let Past { seconds, peak_memory } = ran.unwrap_or_default();
        self.file.push(&Line { task, fingerprint, seconds, peak_memory })
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
    fn what_is_written_is_read_the_quick_way() {
        let line =
            |task, seconds, peak_memory| Line { task, fingerprint: Digest::of(b"1"), seconds, peak_memory };
        for (line, is_quick) in [
            (line("train@dose=1e6", Some(0.25), Some(7)), true),
            (line("a", None, Some(u64::MAX)), true),
            (line("ä", Some(1e-9), None), true),
            (line("b", None, None), true),
            (line("with \" in it", None, None), false),
        ] {
            let text = serde_json::to_vec(&line).unwrap();
            assert_eq!(quick(&text).is_some(), is_quick, "{}", line.task);
            let slow: Line<Box<str>> = serde_json::from_slice(&text).unwrap();
            let read = quick(&text).unwrap_or(slow);
            assert_eq!((&*read.task, read.fingerprint), (line.task, line.fingerprint));
            assert_eq!((read.seconds, read.peak_memory), (line.seconds, line.peak_memory));
        }
    }

    #[test]
    fn the_last_line_counts_and_a_hit_keeps_the_duration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.jsonl");
        let mut history = History::load(&file).unwrap();
        let ran = Past { seconds: Some(2.0), peak_memory: Some(7) };
        history.record("a", Digest::of(b"1"), Some(ran)).unwrap();
        history.record("a", Digest::of(b"2"), None).unwrap();
        history.record("b", Digest::of(b"3"), None).unwrap();
        history.flush().unwrap();
        let length = std::fs::metadata(&file).unwrap().len();
        let mut again = History::load(&file).unwrap();
        assert_eq!((again.last("a"), again.past("a")), (Some(&Digest::of(b"2")), ran));
        assert_eq!(again.past("b"), Past::default());
        // Nothing new, nothing written.
        again.record("b", Digest::of(b"3"), None).unwrap();
        again.flush().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), length);
    }
}
