//! Digests of files that have not changed since they were last hashed.
//!
//! A record of size, mtime, ctime and inode vouches for a file's content. A file whose mtime lies within
//! [`GRAIN`] of the moment of hashing is hashed but not recorded: a later write could fall into the same
//! tick of the clock and leave the record looking right.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::io::digest::Digest;

/// Coarsest clock of a file system that is likely to be met.
const GRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    #[serde(flatten)]
    stamp: Stamp,
    digest: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    mtime_ns: i64,
    /// Absent for objects of the store: linking them changes their ctime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ctime_ns: Option<i64>,
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata, with_ctime: bool) -> Self {
        // Nanoseconds since 1970 fit until the year 2262; beyond, a stamp only has to stay the same.
        let ns = |s: i64, n: i64| s.wrapping_mul(1_000_000_000).wrapping_add(n);
        Self {
            size: meta.size(),
            mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: with_ctime.then(|| ns(meta.ctime(), meta.ctime_nsec())),
            inode: meta.ino(),
        }
    }
}

/// The records, kept in an append-only file of JSON lines; the last line for a path counts.
#[derive(Debug)]
pub struct StatIndex {
    file: PathBuf,
    known: BTreeMap<PathBuf, (Stamp, Digest)>,
}

impl StatIndex {
    /// Loads the records; a missing file is an empty index. Lines that cannot be read are ignored: the
    /// worst they cost is hashing a file again.
    pub fn load(file: impl Into<PathBuf>) -> io::Result<Self> {
        let file = file.into();
        let mut known = BTreeMap::new();
        match File::open(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
            Ok(open) => {
                for line in BufReader::new(open).split(b'\n') {
                    if let Ok(line) = serde_json::from_slice::<Line>(&line?) {
                        known.insert(line.path, (line.stamp, line.digest));
                    }
                }
            }
        }
        Ok(Self { file, known })
    }

    /// Digest of a file that anyone may change.
    pub fn digest(&mut self, path: &Path) -> io::Result<Digest> {
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, expected a file"));
        }
        let stamp = Stamp::of(&meta, true);
        if let Some((known, digest)) = self.known.get(path)
            && *known == stamp
        {
            return Ok(*digest);
        }
        let digest = Digest::of_file(path)?;
        let settled = meta
            .modified()
            .ok()
            .is_some_and(|m| SystemTime::now().duration_since(m).is_ok_and(|age| age > GRAIN));
        // A file that changed while it was read must not be vouched for either.
        if settled && Stamp::of(&std::fs::metadata(path)?, true) == stamp {
            self.record(path, stamp, digest);
        }
        Ok(digest)
    }

    /// Whether an object of the store still has the content of its name; hashes it only if its stamp is
    /// unknown or has changed.
    pub fn object_is(&mut self, path: &Path, expected: &Digest) -> io::Result<bool> {
        let stamp = Stamp::of(&std::fs::metadata(path)?, false);
        if self.known.get(path) == Some(&(stamp, *expected)) {
            return Ok(true);
        }
        if Digest::of_file(path)? != *expected {
            return Ok(false);
        }
        self.record(path, stamp, *expected);
        Ok(true)
    }

    /// Records an object that was just hashed and made read-only.
    pub fn vouch(&mut self, path: &Path, digest: Digest) -> io::Result<()> {
        let stamp = Stamp::of(&std::fs::metadata(path)?, false);
        self.record(path, stamp, digest);
        Ok(())
    }

    /// Remembers a stamp. A record that cannot be written (read-only folder) only costs time later.
    fn record(&mut self, path: &Path, stamp: Stamp, digest: Digest) {
        let line = Line { path: path.to_owned(), stamp, digest };
        if let Ok(mut json) = serde_json::to_vec(&line) {
            json.push(b'\n');
            let _ = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.file)
                .and_then(|mut f| f.write_all(&json));
        }
        self.known.insert(line.path, (stamp, digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn touch_rehashes_to_the_same_digest_and_edits_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input");
        std::fs::write(&path, b"one").unwrap();
        age(&path, 100);
        let mut index = StatIndex::load(dir.path().join("stat.jsonl")).unwrap();
        let first = index.digest(&path).unwrap();
        age(&path, 50);
        assert_eq!(index.digest(&path).unwrap(), first);
        // Same size, same mtime, other content: only the ctime tells.
        let mtime = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&path, b"two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        assert_eq!(index.digest(&path).unwrap(), Digest::of(b"two"));
    }

    #[test]
    fn remembers_across_loads_but_not_what_is_too_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let (file, old, fresh) =
            (dir.path().join("stat.jsonl"), dir.path().join("old"), dir.path().join("fresh"));
        std::fs::write(&old, b"old").unwrap();
        std::fs::write(&fresh, b"fresh").unwrap();
        age(&old, 100);
        let mut index = StatIndex::load(&file).unwrap();
        index.digest(&old).unwrap();
        index.digest(&fresh).unwrap();
        let again = StatIndex::load(&file).unwrap();
        assert_eq!(again.known.keys().collect::<Vec<_>>(), [&old]);
    }

    #[test]
    fn a_torn_or_foreign_line_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stat.jsonl");
        std::fs::write(&file, b"{\"path\":\"/x\",\"si\n\xff\xfe\n").unwrap();
        assert!(StatIndex::load(&file).unwrap().known.is_empty());
    }
}
