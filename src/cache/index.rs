//! Fingerprint → contents of the outputs, in one small file, so that a run over ten thousand finished tasks
//! need not open ten thousand manifests. Only a shortcut: what is not in it is looked up in the manifests,
//! and losing the file loses nothing.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};
use crate::io::scan::Scan;
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

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line<C> {
    fingerprint: Digest,
    outputs: C,
}

/// A line as it was written.
fn quick(line: &[u8]) -> Option<Line<Contents>> {
    let mut scan = Scan::new(line);
    scan.text("{\"fingerprint\":")?;
    let fingerprint = scan.digest()?;
    scan.text(",\"outputs\":[")?;
    let mut outputs = Contents::new();
    while !scan.has("]") {
        if !outputs.is_empty() {
            scan.text(",")?;
        }
        scan.text("{\"digest\":")?;
        let digest = scan.digest()?;
        scan.text(",\"size\":")?;
        outputs.push(Content { digest, size: scan.integer()? });
        scan.text("}")?;
    }
    scan.text("}")?;
    scan.end()?;
    Some(Line { fingerprint, outputs })
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
            let line = quick(line).or_else(|| serde_json::from_slice::<Line<Contents>>(line).ok());
            if let Some(Line { fingerprint, outputs }) = line {
                known.insert(fingerprint, outputs);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_the_quick_way() {
        let content = |text: &[u8]| Content { digest: Digest::of(text), size: text.len() as u64 };
        for outputs in [vec![], vec![content(b"a")], vec![content(b"a"), content(b"bc")]] {
            let line = Line { fingerprint: Digest::of(b"task"), outputs: Contents::from_vec(outputs) };
            let text = serde_json::to_vec(&line).unwrap();
            assert_eq!(quick(&text).as_ref(), Some(&line));
            assert_eq!(serde_json::from_slice::<Line<Contents>>(&text).unwrap(), line);
            (0..text.len()).for_each(|cut| assert_eq!(quick(&text[..cut]), None));
        }
    }
}
