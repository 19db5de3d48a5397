//! One lock for the whole store. Everyone who counts on what is in it shares the lock, runs for as long as
//! they last; whoever removes things has it alone. It is the kernel's, so it ends with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Layout, StoreError, layout};
use crate::io::disk;

/// A share in the store's lock, or the whole of it, until dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Shares the store with others who count on it, or says who is cleaning it. Makes the folder.
    pub fn share(store: &Path) -> Result<Self, StoreError> {
        disk::create_dir_all(store).map_err(StoreError::io("create", store))?;
        let path = layout::store_lock(store);
        let file = open(&path).map_err(StoreError::io("lock", &path))?;
        share(file, &path)
    }

    /// The same, if there is a store that can be locked: where nothing can be written, nothing is removed
    /// either.
    pub fn share_if_there(store: &Path) -> Result<Option<Self>, StoreError> {
        let path = layout::store_lock(store);
        match open(&path).or_else(|_| File::open(&path)) {
            Ok(file) => share(file, &path).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Has the store in `root` alone, or says who is using it.
    pub fn own(root: &Path, host: &str) -> Result<Self, StoreError> {
        let store = Layout::store_in(root);
        let path = layout::store_lock(&store);
        let mut file = open(&path).map_err(StoreError::io("lock", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { by: users(root, &path) }),
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path)(e)),
        }
        // For those who are refused meanwhile.
        let text = format!("process {} on {host}\n", std::process::id());
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()));
        written.map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn share(mut file: File, path: &Path) -> Result<StoreLock, StoreError> {
    match file.try_lock_shared() {
        Ok(()) => Ok(StoreLock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(StoreError::io("read", path))?;
            let holder = Some(holder.trim()).filter(|h| !h.is_empty()).unwrap_or("another process");
            Err(StoreError::Busy { by: format!("{holder}, which is cleaning it") })
        }
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", path)(e)),
    }
}

/// Who keeps the lock from being had alone: runs, by the locks of their studies; else someone who cleans or
/// only reads.
fn users(root: &Path, lock: &Path) -> String {
    let runs = running(root);
    if !runs.is_empty() {
        return runs
            .into_iter()
            .map(|(study, by)| format!("{by}, which runs `{study}`"))
            .collect::<Vec<_>>()
            .join("; ");
    }
    match File::open(lock).map_err(StoreError::io("lock", lock)).and_then(|file| share(file, lock)) {
        Err(StoreError::Busy { by }) => by,
        _ => "another phasegraph, which reads it".to_owned(),
    }
}

/// Studies that are being run now, and by whom.
pub(super) fn running(root: &Path) -> Vec<(String, String)> {
    let mut running = Vec::new();
    for study in Layout::all(root).unwrap_or_default() {
        let Ok(mut file) = File::open(study.lock()) else { continue };
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            let mut by = String::new();
            // A holder that has not written its name yet is one all the same.
            let _ = file.read_to_string(&mut by);
            let by = Some(by.trim()).filter(|by| !by.is_empty()).unwrap_or("a process").to_owned();
            running.push((study.study().to_owned(), by));
        }
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_share_it_or_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), "s");
        assert!(StoreLock::share_if_there(&layout.store()).unwrap().is_none(), "there is no store");
        let shares = [StoreLock::share(&layout.store()).unwrap(), StoreLock::share(&layout.store()).unwrap()];
        let refused = StoreLock::own(dir.path(), "here").unwrap_err().to_string();
        assert!(refused.ends_with("in use by another phasegraph, which reads it"), "{refused}");
        // A run is named.
        std::fs::create_dir_all(layout.runs()).unwrap();
        std::fs::write(layout.lock(), "process 7 on there\n").unwrap();
        let run = File::open(layout.lock()).unwrap();
        run.lock().unwrap();
        let refused = StoreLock::own(dir.path(), "here").unwrap_err().to_string();
        assert!(refused.ends_with("in use by process 7 on there, which runs `s`"), "{refused}");
        drop((shares, run));
        let alone = StoreLock::own(dir.path(), "here").unwrap();
        for refused in [
            StoreLock::share(&layout.store()).unwrap_err(),
            StoreLock::share_if_there(&layout.store()).unwrap_err(),
            StoreLock::own(dir.path(), "here").unwrap_err(),
        ] {
            let me = format!("in use by process {} on here, which is cleaning it", std::process::id());
            assert!(refused.to_string().ends_with(&me), "{refused}");
        }
        drop(alone);
        StoreLock::share(&layout.store()).unwrap();
    }
}
