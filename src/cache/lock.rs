//! One lock for the whole store. Everyone who counts on what is in it shares the lock, runs for as long as
//! they last; whoever removes things has it alone. It is the kernel's, so it ends with its process.

use std::path::Path;

use super::{Layout, StoreError, layout};
use crate::io::disk;
use crate::os::{FileLock, Refused};

/// A share in the store's lock, or the whole of it, until dropped.
#[derive(Debug)]
pub struct StoreLock {
    _lock: FileLock,
}

impl StoreLock {
    /// Shares the store with others who count on it, or says who is cleaning it. Makes the folder.
    pub fn share(store: &Path) -> Result<Self, StoreError> {
        disk::create_dir_all(store).map_err(StoreError::io("create", store))?;
        let path = layout::store_lock(store);
        FileLock::share(&path).map(|lock| Self { _lock: lock }).map_err(|refused| cleaned(refused, &path))
    }

    /// The same, if there is a store that can be locked: where nothing can be written, nothing is removed
    /// either.
    pub fn share_if_there(store: &Path) -> Result<Option<Self>, StoreError> {
        let path = layout::store_lock(store);
        let lock = FileLock::share_if_there(&path).map_err(|refused| cleaned(refused, &path))?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }

    /// Has the store in `root` alone, or says who is using it.
    pub fn own(root: &Path, host: &str) -> Result<Self, StoreError> {
        let path = layout::store_lock(&Layout::store_in(root));
        FileLock::own(&path, host).map(|lock| Self { _lock: lock }).map_err(|refused| match refused {
            Refused::Held => StoreError::Busy { by: users(root, &path) },
            Refused::Io(error) => StoreError::io("lock", &path)(error),
        })
    }
}

/// A share was refused: someone has the store alone.
fn cleaned(refused: Refused, path: &Path) -> StoreError {
    match refused {
        Refused::Held => StoreError::Busy { by: cleaner(FileLock::owner(path).unwrap_or_default()) },
        Refused::Io(error) => StoreError::io("lock", path)(error),
    }
}

fn cleaner(name: String) -> String {
    let name = if name.is_empty() { "another process" } else { &name };
    format!("{name}, which is cleaning it")
}

/// Who keeps the lock from being had alone: runs, by the locks of their studies; else someone who cleans or
/// only reads.
fn users(root: &Path, lock: &Path) -> String {
    let runs = running(root);
    if !runs.is_empty() {
        let named = runs.into_iter().map(|(study, by)| format!("{by}, which runs `{study}`"));
        return named.collect::<Vec<_>>().join("; ");
    }
    FileLock::owner(lock).map_or_else(|| "another phasegraph, which reads it".to_owned(), cleaner)
}

/// Studies that are being run now, and by whom.
pub(super) fn running(root: &Path) -> Vec<(String, String)> {
    let owner = |study: &Layout| {
        let by = FileLock::owner(&study.lock())?;
        Some((study.study().to_owned(), if by.is_empty() { "a process".to_owned() } else { by }))
    };
    Layout::all(root).unwrap_or_default().iter().filter_map(owner).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
