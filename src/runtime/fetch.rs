//! Fetching the pinned library into phasegraph's cache.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::error::RuntimeError;
use super::library::{self, Found};
use super::pins::{self, Pin};
use super::pip::Pip;
use super::search::{self, Search};
use crate::io::{archive, atomic};

/// Prefix of unfinished folders in the cache.
const UNFINISHED: &str = ".fetching-";

/// What a fetch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchStep {
    /// Another process is fetching; waiting for it.
    Waiting,
    /// The wheel is being downloaded.
    Downloading {
        /// Its file name.
        wheel: &'static str,
        /// Its size, bytes.
        bytes: u64,
        /// The command that downloads, for example `/usr/bin/python3 -m pip`.
        with: String,
    },
    /// The wheel's SHA-256 is being checked.
    Checking,
    /// The library is being unpacked.
    Unpacking {
        /// Bytes written.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The library is in the cache.
    Done(Found),
}

/// Fetches the pinned library, unless it is in the cache already. Of several processes, one fetches and
/// the others wait.
pub fn fetch(search: &Search, on_step: &mut dyn FnMut(FetchStep)) -> Result<Found, RuntimeError> {
    if let Some(found) = search::in_cache(search)? {
        return Ok(found);
    }
    if search.offline {
        return Err(RuntimeError::Offline);
    }
    let pin = pins::pin().ok_or(RuntimeError::Unsupported)?;
    let folder = search.folder().ok_or(RuntimeError::NoCacheFolder)?;
    fs::create_dir_all(&folder).map_err(RuntimeError::io("creating", &folder))?;
    let _lock = lock(&folder, on_step)?;
    // Somebody else may have fetched it in the meantime.
    let found = match search::in_cache(search)? {
        Some(found) => found,
        None => {
            fetch_into(&folder, pin, search, on_step)?;
            search::in_cache(search)?.ok_or_else(|| {
                let torn = std::io::Error::other("the library is not there after it was unpacked");
                RuntimeError::io("reading", &folder)(torn)
            })?
        }
    };
    on_step(FetchStep::Done(found.clone()));
    Ok(found)
}

/// Takes the cache's lock, which the system releases when this process ends, however it ends.
fn lock(folder: &Path, on_step: &mut dyn FnMut(FetchStep)) -> Result<File, RuntimeError> {
    let path = folder.join("lock");
    let file =
        File::options().create(true).append(true).open(&path).map_err(RuntimeError::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            on_step(FetchStep::Waiting);
            file.lock().map_err(RuntimeError::io("locking", &path))?;
        }
        Err(TryLockError::Error(error)) => return Err(RuntimeError::io("locking", &path)(error)),
    }
    Ok(file)
}

/// Downloads, checks and unpacks in a folder beside the final one, which then appears by one rename.
fn fetch_into(
    folder: &Path,
    pin: &'static Pin,
    search: &Search,
    on_step: &mut dyn FnMut(FetchStep),
) -> Result<(), RuntimeError> {
    remove_unfinished(folder);
    let pip = Pip::find(search)?;
    let temporary = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(folder)
        .map_err(RuntimeError::io("creating a folder in", folder))?;
    on_step(FetchStep::Downloading { wheel: pin.wheel, bytes: pin.size, with: pip.name() });
    let wheel = pip.download(pin, temporary.path())?;
    on_step(FetchStep::Checking);
    let actual = library::sha256(&wheel).map_err(RuntimeError::io("reading", &wheel))?;
    if actual != pin.sha256 {
        let (file, expected) = (pin.wheel.to_owned(), pin.sha256.to_owned());
        return Err(RuntimeError::Digest { file, expected, actual });
    }
    let unpacked = temporary.path().join("unpacked");
    fs::create_dir(&unpacked).map_err(RuntimeError::io("creating", &unpacked))?;
    let unpack = |member: &str, name: &str, on_bytes: &mut dyn FnMut(u64, u64)| {
        let to = unpacked.join(name);
        archive::unpack(&wheel, member, &to, on_bytes).map_err(RuntimeError::io("unpacking", to))
    };
    for name in pin.companions {
        unpack(&format!("{}/{name}", pins::LIBRARY_FOLDER), name, &mut |_, _| {})?;
    }
    unpack(pins::LICENCE, "LICENSE", &mut |_, _| {})?;
    unpack(&format!("{}/{}", pins::LIBRARY_FOLDER, pin.library), pin.library, &mut |done, total| {
        on_step(FetchStep::Unpacking { done, total });
    })?;
    publish(&unpacked, &search::cached(folder, pin))
}

/// Moves a finished folder to its final name and makes that durable.
fn publish(unpacked: &Path, target: &Path) -> Result<(), RuntimeError> {
    // What is there was found incomplete; a library that a process has loaded lives on until it ends.
    if target.exists() {
        fs::remove_dir_all(target).map_err(RuntimeError::io("removing", target))?;
    }
    atomic::publish(unpacked, target).map_err(RuntimeError::io("creating", target))
}

/// Removes what killed processes left. The lock is held, so nobody works there.
fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // Left-overs only take space: the fetch itself can go on.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
