//! The store as it lies on disk: for walking, checking and cleaning. Unlike [`Store`](super::Store), it
//! believes no record of the past.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::manifest::Unreadable;
use super::{Manifest, Stamp, StatIndex, StoreError, layout};
use crate::io::digest::Digest;

/// Why a manifest cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoManifest {
    /// There is none.
    Gone,
    /// Its content is not what was written, or belongs to another fingerprint.
    Damaged,
    /// Of an older format, which counts as missing.
    Older,
}

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// Its size, bytes.
    pub size: u64,
    /// How many names it has; a result that shows it is one.
    pub links: u64,
    /// When its content was written.
    pub written: SystemTime,
}

impl Kept {
    pub(super) fn of(path: PathBuf, meta: &Metadata) -> Self {
        let since = Duration::new(u64::try_from(meta.mtime()).unwrap_or(0), 0);
        Self { path, size: meta.size(), links: meta.nlink(), written: SystemTime::UNIX_EPOCH + since }
    }
}

/// What one kind of folder holds: files named by a digest, and others, which a write that was cut short
/// has left.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// By the digest in their name, in its order.
    pub named: Vec<(Digest, Kept)>,
    /// Temporary files.
    pub leftovers: Vec<Kept>,
}

/// A store, read plainly.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// The store in a folder, which need not be there.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of an object.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        layout::object(&self.root, digest)
    }

    /// Path of a manifest.
    pub fn action(&self, fingerprint: &Digest) -> PathBuf {
        layout::action(&self.root, fingerprint)
    }

    /// The manifest of a fingerprint, or why it cannot be had.
    pub fn manifest(&self, fingerprint: &Digest) -> Result<Result<Manifest, NoManifest>, StoreError> {
        Ok(match read_manifest(&self.action(fingerprint))? {
            // The fingerprint inside must be the one asked for, or the file is not what its name says.
            Ok(manifest) if manifest.fingerprint.digest() != *fingerprint => Err(NoManifest::Damaged),
            read => read,
        })
    }

    /// Lets the next run trust objects that were given new links just after their content was found to be
    /// right: it would otherwise read them all again. A note that cannot be made costs only that.
    pub fn relinked<'a>(&self, objects: impl IntoIterator<Item = &'a Digest>) {
        let Ok(mut stat) = StatIndex::load(layout::stat(&self.root), false) else { return };
        for digest in objects {
            if let Ok(meta) = std::fs::metadata(self.object(digest)) {
                stat.record_relinked(*digest, Stamp::of(&meta));
            }
        }
        stat.flush();
    }

    /// All objects.
    pub fn objects(&self) -> Result<Stock, StoreError> {
        stock(&layout::objects(&self.root), "")
    }

    /// All manifests.
    pub fn actions(&self) -> Result<Stock, StoreError> {
        stock(&layout::actions(&self.root), layout::ACTION)
    }
}

/// The manifest in a file, wherever it lies.
pub fn read_manifest(path: &Path) -> Result<Result<Manifest, NoManifest>, StoreError> {
    let bytes = match std::fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(NoManifest::Gone)),
        bytes => bytes.map_err(StoreError::io("read", path))?,
    };
    match Manifest::open(&bytes) {
        Ok(manifest) => Ok(Ok(manifest)),
        Err(Unreadable::Damaged) => Ok(Err(NoManifest::Damaged)),
        Err(Unreadable::Older) => Ok(Err(NoManifest::Older)),
        Err(Unreadable::Newer(found)) => {
            Err(StoreError::Newer { path: path.to_owned(), found, known: Manifest::FORMAT })
        }
    }
}

/// The files of a folder, or none if there is no folder.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, Kept)>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StoreError::io("read", folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", folder))?;
        let path = entry.path();
        match entry.metadata() {
            Ok(meta) if meta.is_file() => {
                files.push((entry.file_name().to_string_lossy().into_owned(), Kept::of(path, &meta)));
            }
            Ok(_) => {}
            // Gone since it was listed: a run beside us has published it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io("read", &path)(e)),
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// Two levels of folders, as `layout` makes them: `ab/cdef…SUFFIX`.
fn stock(folder: &Path, suffix: &str) -> Result<Stock, StoreError> {
    let mut found = Stock::default();
    for shard in 0..=u8::MAX {
        let shard = format!("{shard:02x}");
        for (name, kept) in files(&folder.join(&shard))? {
            let digest = name.strip_suffix(suffix).map(|rest| format!("{shard}{rest}"));
            match digest.and_then(|hex| Digest::try_from(hex).ok()) {
                Some(digest) => found.named.push((digest, kept)),
                None if is_leftover(&name) => found.leftovers.push(kept),
                // Somebody else's: neither served nor touched.
                None => {}
            }
        }
    }
    Ok(found)
}

/// Names that phasegraph gives to files that are not finished yet.
pub(super) fn is_leftover(name: &str) -> bool {
    name.ends_with(".tmp") || name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_digest_and_tells_leftovers_from_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(dir.path());
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        for path in [shelf.object(&a), shelf.action(&b)] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            std::fs::write(path.with_extension("77.tmp"), "half").unwrap();
            std::fs::write(path.with_file_name("README"), "a stranger").unwrap();
        }
        let objects = shelf.objects().unwrap();
        assert_eq!(objects.named.iter().map(|n| n.0).collect::<Vec<_>>(), [a]);
        assert_eq!((objects.leftovers.len(), objects.leftovers[0].size), (1, 4));
        assert_eq!(shelf.actions().unwrap().named[0].0, b);
        assert_eq!(Shelf::at(dir.path().join("none")).actions().unwrap().named, []);
    }

    #[test]
    fn says_why_there_is_no_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(dir.path());
        let manifest = crate::cache::manifest::tests::sample(crate::cache::explain::tests::sample());
        let fingerprint = manifest.fingerprint.digest();
        assert_eq!(shelf.manifest(&fingerprint).unwrap(), Err(NoManifest::Gone));
        let put = |name: &Digest, bytes: &[u8]| {
            std::fs::create_dir_all(shelf.action(name).parent().unwrap()).unwrap();
            std::fs::write(shelf.action(name), bytes).unwrap();
        };
        put(&fingerprint, &manifest.seal().unwrap());
        assert_eq!(shelf.manifest(&fingerprint).unwrap(), Ok(manifest.clone()));
        // Whole, but under a name that is not its own.
        put(&Digest::of(b"other"), &manifest.seal().unwrap());
        assert_eq!(shelf.manifest(&Digest::of(b"other")).unwrap(), Err(NoManifest::Damaged));
        put(&fingerprint, b"{");
        assert_eq!(shelf.manifest(&fingerprint).unwrap(), Err(NoManifest::Damaged));
        put(&fingerprint, br#"{"format": 1}"#);
        assert_eq!(shelf.manifest(&fingerprint).unwrap(), Err(NoManifest::Older));
        put(&fingerprint, br#"{"format": 9}"#);
        assert!(matches!(shelf.manifest(&fingerprint), Err(StoreError::Newer { found: 9, .. })));
    }
}
