//! The journal of a run: append-only, one checksummed JSON record a line.
//!
//! Lines are those of `io::lines`. A crash can tear only the last line; the reader stops there. A bad line
//! with good lines after it is damage, and an error.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::Record;
use crate::io::lines::{self, Appender};

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("cannot read journal {path}: {source}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line in the middle is damaged.
    #[error("journal {path} is damaged at line {line}; the lines after it cannot be trusted")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
}

/// A journal being written.
pub struct Journal {
    lines: Appender,
}

impl Journal {
    /// Makes a new journal; the file must not exist.
    pub fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { lines: Appender::new(path) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// Appends an event with its time, unless it is [`Event::Progress`](super::Event::Progress).
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        if record.event.is_kept() { self.lines.push(record) } else { Ok(()) }
    }

    /// Writes what was appended to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    /// Makes what was appended durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.lines.sync()
    }
}

/// Reads a journal up to its end or its torn tail.
pub fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
    let bytes = std::fs::read(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let mut records = Vec::new();
    let mut torn = None;
    for (index, raw) in bytes.split(|b| *b == b'\n').enumerate() {
        if raw.is_empty() {
            continue;
        }
        match parse(raw) {
            Some(_) if torn.is_some() => {
                return Err(JournalError::Damaged { path: path.to_owned(), line: torn.unwrap_or(index) });
            }
            Some(record) => records.push(record),
            None => torn = torn.or(Some(index + 1)),
        }
    }
    Ok(records)
}

fn parse(raw: &[u8]) -> Option<Record> {
    serde_json::from_slice(lines::decode(raw)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    fn line(record: &Record) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        lines::encode(record, &mut bytes)?;
        Ok(bytes)
    }

    fn sample(n: usize) -> Vec<Record> {
        (0..n)
            .map(|i| Record {
                time: i as f64,
                event: Event::TaskCancelled { task: format!("stage@dose={i}") },
            })
            .collect()
    }

    #[test]
    fn reopens_cut_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let records = sample(5);
        let whole: Vec<u8> = records.iter().flat_map(|r| line(r).unwrap()).collect();
        let path = dir.path().join("journal.jsonl");
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let read = read(&path).unwrap();
            assert_eq!(read, records[..read.len()]);
            let full_lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            assert!(read.len() >= full_lines, "cut at {cut} lost a whole line");
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut whole: Vec<u8> = sample(3).iter().flat_map(|r| line(r).unwrap()).collect();
        let middle = whole.len() / 2;
        whole[middle] ^= 1;
        let path = dir.path().join("journal.jsonl");
        std::fs::write(&path, &whole).unwrap();
        assert!(matches!(read(&path), Err(JournalError::Damaged { line: 2, .. })));
    }

    #[test]
    fn progress_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        let progress =
            Event::Progress { task: "a".into(), done: 1, total: 2, unit: "epochs".into(), note: None };
        journal.append(&Record { time: 0.0, event: progress }).unwrap();
        journal.append(&sample(1)[0]).unwrap();
        journal.flush().unwrap();
        assert_eq!(read(&path).unwrap(), sample(1));
    }
}
