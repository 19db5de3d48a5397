//! The folder of leases and its files. They appear whole, with their modes: a process that is killed on the
//! way leaves at most a temporary name that nobody reads.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::os;

/// The folder, made if it is not there, with a lock that keeps systemd-tmpfiles from tidying it by age.
pub(super) fn folder(dir: &Path) -> io::Result<File> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    if !dir.is_dir() {
        make_folder(dir).map_err(told)?;
    }
    let folder = File::open(dir).map_err(told)?;
    // Shared: that program asks for an exclusive lock and passes over the folder if it does not get it.
    // Where there is no such lock, there is no such program.
    let _ = folder.try_lock_shared();
    Ok(folder)
}

fn make_folder(dir: &Path) -> io::Result<()> {
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    fs::set_permissions(new.path(), Permissions::from_mode(0o1777))?;
    match fs::rename(new.path(), dir) {
        Ok(()) => {
            // It has its name now and is no longer temporary.
            let _ = new.keep();
            Ok(())
        }
        // Another process was faster.
        Err(_) if dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The name of a GPU's file.
pub(super) fn name(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("gpu{}.lease", id.chars().map(plain).collect::<String>())
}

/// Opens a file for locking; makes it if it is not there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    loop {
        match os::open_no_link(path) {
            Ok(file) if file.metadata()?.is_file() => return Ok(file),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    new.as_file().set_permissions(Permissions::from_mode(0o666))?;
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Whether `path` still names this file: a lock on one that was deleted binds nobody.
pub(super) fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
