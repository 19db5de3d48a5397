//! Files that appear whole or not at all. Order everywhere: write under another name in the same folder,
//! fsync the file, rename, fsync the folder. After a crash the old file, the new file or no file is
//! there, never half of one.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::disk;

/// A file being written that takes its name only on [`commit`](Self::commit); dropped before, it vanishes.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    // Buffered here so that no caller forgets it.
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins a file that will be called `target`. Its folder must exist.
    pub fn create(target: &Path) -> io::Result<Self> {
        let file = temporary(target)?;
        Ok(Self { target: target.to_owned(), file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Makes the file durable and gives it its name, replacing any file of that name.
    pub fn commit(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        disk::sync(file.as_file())?;
        // If the rename fails, dropping the path removes the temporary file.
        let path = file.into_temp_path();
        disk::rename(&path, &self.target)?;
        let _ = path.keep();
        disk::sync_dir(folder(&self.target))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        disk::write(&mut self.file, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Writes a whole file atomically and durably.
pub fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(target)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Moves a finished file to its place on the same file system: fsync, rename, fsync of the target's folder.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    disk::sync(&File::open(from)?)?;
    disk::rename(from, to)?;
    disk::sync_dir(folder(to))
}

/// Makes `to` a hard link to `from`, or a copy where the file system cannot link. Replaces an existing
/// `to` in one step, so a reader of `to` always finds a whole file. A link lost in a crash is made again by
/// the next run, so its folder is not made durable.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // Mostly there is no file of that name yet, and one call does.
    if disk::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let prefix = hidden_prefix(to);
    let linked = Builder::new().prefix(&prefix).make_in(folder(to), |name| disk::hard_link(from, name));
    match linked {
        Ok(link) => {
            // If `to` already is this very file, POSIX rename does nothing and leaves the temporary
            // name; `TempPath` then removes it on drop, because persisting is done by hand here.
            disk::rename(link.path(), to)?;
            drop(link);
            Ok(())
        }
        // Other file system, too many links, or links unsupported. A missing `from` fails again below,
        // with its own message.
        Err(_) => {
            let mut source = File::open(from)?;
            let mut copy = AtomicFile::create(to)?;
            io::copy(&mut source, &mut copy)?;
            copy.commit()
        }
    }
}

/// Removes what writers of `target` have left that were killed. Nobody may be writing it now.
pub fn clear_unfinished(target: &Path) {
    let prefix = hidden_prefix(target);
    for entry in std::fs::read_dir(folder(target)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // What cannot be removed costs room and nothing else.
            let _ = disk::remove_file(&entry.path());
        }
    }
}

/// The folder a file lies in; `.` for a bare name.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn hidden_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or(OsStr::new("file"));
    format!(".{}.", name.to_string_lossy())
}

/// A temporary file beside `target`, with the permissions an ordinary new file would have: the umask
/// still applies, whereas `tempfile`'s own default hides the file from everyone else.
fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    Builder::new()
        .prefix(&hidden_prefix(target))
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.bin");
        write(&target, b"whole").unwrap();
        write(&dir.path().join("a.bin.other"), b"another").unwrap();
        // As kill -9 leaves it: never dropped.
        std::mem::forget(AtomicFile::create(&target).unwrap());
        assert_eq!(names(dir.path()).len(), 3);
        clear_unfinished(&target);
        assert_eq!(names(dir.path()), ["a.bin", "a.bin.other"]);
    }

    #[test]
    fn nothing_appears_before_commit_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.bin");
        write(&target, b"old").unwrap();

        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        drop(file);
        assert_eq!(names(dir.path()), ["a.bin"]);

        write(&target, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.bin"]);
    }

    #[test]
    fn permissions_are_those_of_an_ordinary_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().mode(), fs::metadata(&plain).unwrap().mode());
    }

    #[test]
    fn publish_moves_and_link_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(&at("staged"), b"content").unwrap();
        publish(&at("staged"), &at("object")).unwrap();
        write(&at("seen"), b"previous").unwrap();
        link_or_copy(&at("object"), &at("seen")).unwrap();
        // Once more onto itself: the case in which rename leaves the temporary name behind.
        link_or_copy(&at("object"), &at("seen")).unwrap();
        assert_eq!(fs::read(at("seen")).unwrap(), b"content");
        assert_eq!(names(dir.path()), ["object", "seen"]);
    }

    #[test]
    fn a_missing_source_is_an_error_and_leaves_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("seen");
        write(&target, b"previous").unwrap();
        assert_eq!(
            link_or_copy(&dir.path().join("nowhere"), &target).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(fs::read(&target).unwrap(), b"previous");
        assert_eq!(names(dir.path()), ["seen"]);
    }
}
