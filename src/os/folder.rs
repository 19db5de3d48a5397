//! Files looked at from a folder that is open, so that the way to it is walked once and not for every file.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::libc;
use nix::sys::stat::fstatat;

/// What the system tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Size, bytes.
    pub size: u64,
    /// When its content last changed, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When anything about it last changed, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Its number on its device.
    pub inode: u64,
    /// Its device.
    pub device: u64,
    /// How many names it has.
    pub links: u64,
}

/// Nanoseconds since 1970 fit until the year 2262; beyond, they only have to stay the same.
fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(rest)
}

impl From<&Metadata> for FileFacts {
    fn from(meta: &Metadata) -> Self {
        Self {
            size: meta.size(),
            mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
            links: meta.nlink(),
        }
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// Opens a folder, if it is there.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(|folder| Some(Self(folder))),
        }
    }

    /// What a path below it leads to, links followed; `None` if that cannot be told.
    pub fn look(&self, below: &Path) -> Option<FileFacts> {
        let stat = fstatat(&self.0, below, AtFlags::empty()).ok()?;
        // 32 bits wide on some architectures.
        #[allow(clippy::unnecessary_cast)]
        let links = stat.st_nlink as u64;
        Some(FileFacts {
            size: u64::try_from(stat.st_size).ok()?,
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            device: stat.st_dev,
            links,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_metadata_tells() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deeper")).unwrap();
        let path = dir.path().join("deeper/file");
        std::fs::write(&path, b"content").unwrap();
        std::fs::hard_link(&path, dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink("deeper/file", dir.path().join("link")).unwrap();
        let folder = Folder::open(dir.path()).unwrap().unwrap();
        let facts = FileFacts::from(&std::fs::metadata(&path).unwrap());
        assert_eq!((facts.size, facts.links), (7, 2));
        for name in ["deeper/file", "again", "link"] {
            assert_eq!(folder.look(Path::new(name)), Some(facts), "{name}");
        }
        assert_eq!(folder.look(Path::new("none")), None);
        assert!(Folder::open(&dir.path().join("none")).unwrap().is_none());
        assert!(Folder::open(&path).is_err(), "no folder");
    }
}
