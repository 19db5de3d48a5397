//! Digests of files that have not changed since they were last hashed.
//!
//! A record of size, mtime, ctime and inode vouches for a file's content. A file that changed within
//! [`GRAIN`] of the moment of hashing is not recorded: a later write could fall into the same tick of the
//! clock and leave the record looking right. Objects of the store are recorded at once: they are written
//! by phasegraph alone and read-only from then on.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};
use crate::io::scan::Scan;
use crate::os::FileFacts;
use crate::table::Table;

/// Coarsest clock of a file system that is likely to be met.
const GRAIN: Duration = Duration::from_secs(2);
/// Times that a file which changes while it is read is read again.
const TRIES: usize = 3;

/// What the file system says about a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    inode: u64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    pub fn of(meta: &Metadata) -> Self {
        Self::from(&FileFacts::from(meta))
    }

    /// Whether nothing but the names of the file has changed: a link changes the ctime.
    fn is_relinked(&self, now: &Self) -> bool {
        Self { ctime_ns: now.ctime_ns, ..*self } == *now
    }

    /// Whether the clock has moved on since the last change, so that another one would show.
    fn settled(&self) -> bool {
        let changed = self.mtime_ns.max(self.ctime_ns);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        now.saturating_sub(u128::try_from(changed).unwrap_or(0)) > GRAIN.as_nanos()
    }
}

impl From<&FileFacts> for Stamp {
    fn from(facts: &FileFacts) -> Self {
        let FileFacts { size, mtime_ns, ctime_ns, inode, .. } = *facts;
        Self { size, mtime_ns, ctime_ns, inode }
    }
}

/// A file, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// Its stamp, the same before and after.
    pub stamp: Stamp,
    /// Its digest.
    pub digest: Digest,
}

/// Hashes a file. Takes time, so it is done on other threads than the one that decides.
pub fn hash(path: &Path) -> io::Result<Hashed> {
    let stat = || {
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, expected a file"));
        }
        Ok(Stamp::of(&meta))
    };
    let mut stamp = stat()?;
    for _ in 0..TRIES {
        let digest = Digest::of_file(path)?;
        let after = stat()?;
        if after == stamp {
            return Ok(Hashed { stamp, digest });
        }
        stamp = after;
    }
    Err(io::Error::other("changes while it is being read"))
}

#[derive(Serialize, Deserialize)]
struct Line<P> {
    /// None for an object of the store, whose path follows from its digest.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    path: Option<P>,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    inode: u64,
    digest: Digest,
}

fn none<P>() -> Option<P> {
    None
}

/// A line about an object, as it was written.
fn quick(line: &[u8]) -> Option<Hashed> {
    let mut scan = Scan::new(line);
    scan.text("{\"size\":")?;
    let size = scan.integer()?;
    scan.text(",\"mtime_ns\":")?;
    let mtime_ns = scan.integer()?;
    scan.text(",\"ctime_ns\":")?;
    let ctime_ns = scan.integer()?;
    scan.text(",\"inode\":")?;
    let inode = scan.integer()?;
    scan.text(",\"digest\":")?;
    let digest = scan.digest()?;
    scan.text("}")?;
    scan.end()?;
    Some(Hashed { stamp: Stamp { size, mtime_ns, ctime_ns, inode }, digest })
}

/// The records, kept in an append-only file; the last line for a file counts.
#[derive(Debug)]
pub struct StatIndex {
    file: Appender,
    inputs: Table<PathBuf, Hashed>,
    objects: Table<Digest, Stamp>,
}

impl StatIndex {
    /// Loads the records; a missing file is an empty index. Lines that cannot be read are passed over: the
    /// worst they cost is hashing a file again. `afresh` trusts no record of the past.
    pub fn load(file: impl Into<PathBuf>, afresh: bool) -> io::Result<Self> {
        let file = Appender::new(file);
        let (mut inputs, mut objects) = (Table::default(), Table::default());
        let take = |line: &[u8]| {
            if let Some(Hashed { stamp, digest }) = quick(line) {
                objects.insert(digest, stamp);
                return;
            }
            let Ok(line) = serde_json::from_slice::<Line<PathBuf>>(line) else { return };
            let Line { path, size, mtime_ns, ctime_ns, inode, digest } = line;
            let stamp = Stamp { size, mtime_ns, ctime_ns, inode };
            match path {
                Some(path) => drop(inputs.insert(path, Hashed { stamp, digest })),
                None => drop(objects.insert(digest, stamp)),
            }
        };
        if !afresh {
            lines::each(file.path(), take)?;
        }
        Ok(Self { file, inputs, objects })
    }

    /// Digest of a file that anyone may change, if it has not changed since it was hashed.
    pub fn input(&self, path: &Path) -> io::Result<Option<Digest>> {
        let meta = std::fs::metadata(path)?;
        let known = self.inputs.get(path).filter(|k| k.stamp == Stamp::of(&meta));
        Ok(known.map(|k| k.digest))
    }

    /// Remembers a file that anyone may change. For good only once it has settled.
    pub fn record_input(&mut self, path: &Path, hashed: Hashed) {
        if hashed.stamp.settled() {
            self.push(Some(path), hashed);
        }
        self.inputs.insert(path.to_owned(), hashed);
    }

    /// Remembers a copy of an object that phasegraph itself just made.
    pub fn record_copy(&mut self, path: &Path, hashed: Hashed) {
        self.push(Some(path), hashed);
        self.inputs.insert(path.to_owned(), hashed);
    }

    /// Whether a file with this stamp is known to have this digest.
    pub fn vouches(&self, path: &Path, stamp: Stamp, digest: &Digest) -> bool {
        self.inputs.get(path) == Some(&Hashed { stamp, digest: *digest })
    }

    /// The stamp that vouches for an object of the store.
    pub fn object(&self, digest: &Digest) -> Option<&Stamp> {
        self.objects.get(digest)
    }

    /// Remembers an object of the store.
    pub fn record_object(&mut self, hashed: Hashed) {
        if self.objects.insert(hashed.digest, hashed.stamp) != Some(hashed.stamp) {
            self.push(None, hashed);
        }
    }

    /// Takes note of new links to an object whose content was just found to be right.
    pub fn record_relinked(&mut self, digest: Digest, now: Stamp) {
        if self.objects.get(&digest).is_some_and(|before| before.is_relinked(&now)) {
            self.record_object(Hashed { stamp: now, digest });
        }
    }

    /// Writes what was recorded. A record that cannot be written (read-only folder) only costs time later.
    pub fn flush(&mut self) {
        let _ = self.file.flush();
    }

    fn push(&mut self, path: Option<&Path>, hashed: Hashed) {
        let Stamp { size, mtime_ns, ctime_ns, inode } = hashed.stamp;
        let line = Line { path, size, mtime_ns, ctime_ns, inode, digest: hashed.digest };
        let _ = self.file.push(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    fn learn(index: &mut StatIndex, path: &Path) -> Digest {
        let hashed = hash(path).unwrap();
        index.record_input(path, hashed);
        hashed.digest
    }

    #[test]
    fn touch_is_rehashed_to_the_same_digest_and_edits_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input");
        std::fs::write(&path, b"one").unwrap();
        let mut index = StatIndex::load(dir.path().join("stat.jsonl"), false).unwrap();
        assert_eq!(index.input(&path).unwrap(), None);
        let first = learn(&mut index, &path);
        assert_eq!(index.input(&path).unwrap(), Some(first));
        age(&path, 50);
        assert_eq!(index.input(&path).unwrap(), None, "touched");
        assert_eq!(learn(&mut index, &path), first);
        // Same size, same mtime, other content: only the ctime tells.
        let mtime = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&path, b"two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        assert_eq!(index.input(&path).unwrap(), None, "edited");
    }

    #[test]
    fn remembers_across_loads_but_not_what_is_too_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("old"), b"old").unwrap();
        std::thread::sleep(GRAIN + Duration::from_millis(50));
        std::fs::write(at("fresh"), b"fresh").unwrap();
        let mut index = StatIndex::load(at("stat.jsonl"), false).unwrap();
        let old = learn(&mut index, &at("old"));
        learn(&mut index, &at("fresh"));
        index.record_object(hash(&at("fresh")).unwrap());
        index.flush();
        let again = StatIndex::load(at("stat.jsonl"), false).unwrap();
        assert_eq!(again.input(&at("old")).unwrap(), Some(old));
        assert_eq!(again.input(&at("fresh")).unwrap(), None);
        assert!(again.object(&Digest::of(b"fresh")).is_some());
        let verifying = StatIndex::load(at("stat.jsonl"), true).unwrap();
        assert_eq!(verifying.input(&at("old")).unwrap(), None);
    }

    #[test]
    fn what_is_written_is_read_the_quick_way() {
        let stamp = Stamp { size: 1, mtime_ns: -5, ctime_ns: i64::MAX, inode: u64::MAX };
        let hashed = Hashed { stamp, digest: Digest::of(b"a") };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stat.jsonl");
        let mut index = StatIndex::load(&file, false).unwrap();
        index.record_object(hashed);
        index.flush();
        let mut seen = Vec::new();
        lines::each(&file, |line| seen.push(quick(line))).unwrap();
        assert_eq!(seen, [Some(hashed)]);
    }

    #[test]
    fn a_torn_or_foreign_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stat.jsonl");
        std::fs::write(&file, b"{\"path\":\"/x\",\"si\n\xff\xfe\n").unwrap();
        let index = StatIndex::load(&file, false).unwrap();
        assert!(index.inputs.is_empty() && index.objects.is_empty());
    }
}
