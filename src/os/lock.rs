//! Lock files. The lock is the kernel's, on the open file: it ends with its process, however that ends, and a
//! file without a lock means nothing. Whoever has one alone writes its name into it, for those who are refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// How often, and how far apart, a lock is tried before it counts as held: who only looks whether someone has
/// it has a share in it for an instant.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(15);

/// A lock, or a share in it, until dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Others have it.
    #[error("it is held")]
    Held,
    /// The file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Has the lock alone, under the name `process 123 on host`. Makes the file.
    pub fn own(path: &Path, host: &str) -> Result<Self, Refused> {
        let mut file = open(path)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => std::thread::sleep(BETWEEN),
                Err(TryLockError::WouldBlock) => return Err(Refused::Held),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        let text = format!("process {} on {host}\n", std::process::id());
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())?;
        Ok(Self { _file: file })
    }

    /// Shares the lock with others who do. Makes the file.
    pub fn share(path: &Path) -> Result<Self, Refused> {
        share(open(path)?)
    }

    /// The same where the file can be opened at all, if only for reading; `None` where not.
    pub fn share_if_there(path: &Path) -> Result<Option<Self>, Refused> {
        match open(path).or_else(|_| File::open(path)) {
            Ok(file) => share(file).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Who has the lock alone now; empty if it has not written its name yet.
    pub fn owner(path: &Path) -> Option<String> {
        let mut file = File::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut name = String::new();
                // One whose name cannot be read has the lock all the same.
                let _ = file.read_to_string(&mut name);
                Some(name.trim().to_owned())
            }
            _ => None,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn share(file: File) -> Result<FileLock, Refused> {
    match file.try_lock_shared() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Refused::Held),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_look_does_not_refuse_an_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let looking = File::create(&path).unwrap();
        looking.try_lock_shared().unwrap();
        let look = std::thread::spawn(move || {
            std::thread::sleep(BETWEEN);
            drop(looking);
        });
        FileLock::own(&path, "here").unwrap();
        look.join().unwrap();
    }

    #[test]
    fn one_has_it_or_many_share_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(FileLock::share_if_there(&dir.path().join("no/lock")).unwrap().is_none());
        assert_eq!(FileLock::owner(&path), None, "there is no file");
        let alone = FileLock::own(&path, "here").unwrap();
        assert_eq!(FileLock::owner(&path), Some(format!("process {} on here", std::process::id())));
        assert!(matches!(FileLock::own(&path, "here").unwrap_err(), Refused::Held));
        assert!(matches!(FileLock::share(&path).unwrap_err(), Refused::Held));
        assert!(matches!(FileLock::share_if_there(&path).unwrap_err(), Refused::Held));
        drop(alone);
        assert_eq!(FileLock::owner(&path), None, "the name is there, the lock is not");
        let shares = [FileLock::share(&path).unwrap(), FileLock::share(&path).unwrap()];
        assert!(matches!(FileLock::own(&path, "here").unwrap_err(), Refused::Held));
        assert_eq!(FileLock::owner(&path), None, "nobody has it alone");
        drop(shares);
        FileLock::own(&path, "here").unwrap();
    }
}
