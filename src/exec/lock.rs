//! One run at a time per study. The lock is the kernel's: it ends with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often, and how far apart, the lock is tried before it counts as held.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(15);

/// The lock of a study, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// The lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else runs this study.
    #[error("this study is being run by {holder}")]
    Held {
        /// `process 123 on host`, as its lock says.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RunLock {
    /// Takes the lock or says who holds it.
    pub fn take(path: &Path, host: &str) -> Result<Self, LockError> {
        let wrap = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(wrap)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match file.try_lock() {
                Ok(()) => break,
                // `status` has it for an instant while it looks whether anyone has.
                Err(TryLockError::WouldBlock) if tries < TRIES => std::thread::sleep(BETWEEN),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(wrap)?;
                    return Err(LockError::Held { holder: holder.trim().to_owned() });
                }
                Err(TryLockError::Error(e)) => return Err(wrap(e)),
            }
        }
        let text = format!("process {} on {host}\n", std::process::id());
        file.set_len(0).map_err(wrap)?;
        file.seek(SeekFrom::Start(0)).map_err(wrap)?;
        file.write_all(text.as_bytes()).map_err(wrap)?;
        Ok(Self { _file: file })
    }

    /// Whether some process holds the lock now.
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_look_does_not_refuse_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let looking = File::create(&path).unwrap();
        looking.try_lock_shared().unwrap();
        let look = std::thread::spawn(move || {
            std::thread::sleep(BETWEEN);
            drop(looking);
        });
        RunLock::take(&path, "here").unwrap();
        look.join().unwrap();
    }

    #[test]
    fn second_is_told_who_holds_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = RunLock::take(&path, "here").unwrap();
        assert!(RunLock::is_held(&path));
        let refused = RunLock::take(&path, "here").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} on here", std::process::id())), "{refused}");
        drop(first);
        assert!(!RunLock::is_held(&path));
        RunLock::take(&path, "here").unwrap();
    }
}
