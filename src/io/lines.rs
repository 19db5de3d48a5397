//! Append-only files of JSON lines, each with a checksum.
//!
//! A line is eight hexadecimal digits (the CRC-32 of the rest, as in gzip), a space, the record, a newline. A crash can tear only what was being appended, and a torn line cannot pass for a whole one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disk;

/// Bytes that are gathered before they are written without being asked.
const FULL: usize = 256 << 10;

/// One line with its checksum and newline.
pub fn encode(record: &impl Serialize, into: &mut Vec<u8>) -> io::Result<()> {
    let start = into.len();
    into.extend_from_slice(b"00000000 ");
    let body = into.len();
    serde_json::to_writer(&mut *into, record)?;
    let sum = checksum(&into[body..]);
    into[start..start + 8].copy_from_slice(&sum);
    into.push(b'\n');
    Ok(())
}

/// The JSON of a line without its newline; `None` if the line is torn or damaged.
pub fn decode(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    (line[8] == b' ' && sum == checksum(json)).then_some(json)
}

/// CRC-32 rather than a digest: it is there against accidents, and tens of thousands of lines are read at
/// the start of every run.
fn checksum(json: &[u8]) -> [u8; 8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let sum = crc32fast::hash(json).to_be_bytes();
    let mut text = [0; 8];
    for (pair, byte) in text.chunks_exact_mut(2).zip(sum) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    text
}

/// Calls `take` for the JSON of every whole line of such a file; the others are passed over, and their number
/// is returned. There need not be a file. Not read as a whole: such files have tens of megabytes where there
/// are many tasks.
pub fn each(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => BufReader::with_capacity(FULL, file?),
    };
    let mut line = Vec::new();
    let mut damaged = 0;
    while file.read_until(b'\n', &mut line)? > 0 {
        let end = if line.ends_with(b"\n") { line.len() - 1 } else { line.len() };
        match decode(&line[..end]) {
            Some(json) => take(json),
            // Empty where a writer began a new line after a torn one.
            None => damaged += usize::from(end > 0),
        }
        line.clear();
    }
    Ok(damaged)
}

/// The whole file; empty if there is none.
pub fn load(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes,
    }
}

/// Appends lines. Several processes may append to one file: whole lines are written at a time, and the
/// first write after a torn tail begins on a new line.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: Option<File>,
    pending: Vec<u8>,
}

impl Appender {
    /// Nothing is opened or made before the first line is written.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, pending: Vec::new() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, to be written with the next [`flush`](Self::flush).
    pub fn push(&mut self, record: &impl Serialize) -> io::Result<()> {
        encode(record, &mut self.pending)?;
        if self.pending.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Writes what was added.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let (file, torn) = open(&self.path)?;
                if torn {
                    self.pending.insert(0, b'\n');
                }
                self.file.insert(file)
            }
        };
        let pending = std::mem::take(&mut self.pending);
        // What a failed write leaves is a torn line, and the next writer begins a new one.
        disk::append(file, &pending).inspect_err(|_| self.file = None)
    }

    /// Writes what was added and makes it durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.as_ref().map_or(Ok(()), disk::sync)
    }
}

/// Opens a file for appending; says whether it ends in the middle of a line.
fn open(path: &Path) -> io::Result<(File, bool)> {
    use std::os::unix::fs::FileExt;
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok((file, last != [b'\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_costs_its_own_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut all = Vec::new();
        (0..4).for_each(|i| encode(&format!("record {i}"), &mut all).unwrap());
        for cut in 0..=all.len() {
            std::fs::write(&path, &all[..cut]).unwrap();
            let read = || {
                let mut lines = Vec::new();
                each(&path, |line| lines.push(line.to_vec())).unwrap();
                lines
            };
            let before = read().len();
            let mut appender = Appender::new(&path);
            appender.push(&"new").unwrap();
            appender.sync().unwrap();
            assert_eq!(read().len(), before + 1, "cut at {cut}");
            assert_eq!(read().last(), Some(&b"\"new\"".to_vec()));
        }
    }

    #[test]
    fn no_single_bit_flip_passes() {
        let mut line = Vec::new();
        encode(&"some record", &mut line).unwrap();
        line.pop();
        assert!(decode(&line).is_some());
        for bit in 0..line.len() * 8 {
            let mut bad = line.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
    }
}
