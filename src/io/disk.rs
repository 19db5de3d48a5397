//! The few calls that change the disk. Everything that must survive a crash goes through here, which makes
//! it the one place where tests let the disk fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes a file's content durable.
pub fn sync(file: &File) -> io::Result<()> {
    fault("sync")?;
    file.sync_all()
}

/// Makes the names in a folder durable.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    fault("sync_dir")?;
    File::open(folder)?.sync_all()
}

/// Gives a file another name in one step, replacing any file of that name.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fault("rename")?;
    fs::rename(from, to)
}

/// Appends bytes, in a single call where the system takes them at once.
pub fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if let Err(error) = fault("append") {
        // As a full disk does it: some of the bytes arrive.
        file.write_all(&bytes[..bytes.len() / 2])?;
        return Err(error);
    }
    file.write_all(bytes)
}

/// Writes bytes to a file that nobody reads yet.
pub fn write(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    fault("write")?;
    file.write_all(bytes)
}

/// Makes a folder and those above it.
pub fn create_dir_all(folder: &Path) -> io::Result<()> {
    fault("create_dir")?;
    fs::create_dir_all(folder)
}

/// Gives a file a second name.
pub fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    fault("link")?;
    fs::hard_link(from, to)
}

/// Removes a file.
pub fn remove_file(path: &Path) -> io::Result<()> {
    fault("remove")?;
    fs::remove_file(path)
}

/// Removes a folder with everything in it.
pub fn remove_dir_all(folder: &Path) -> io::Result<()> {
    fault("remove")?;
    fs::remove_dir_all(folder)
}

#[cfg(not(debug_assertions))]
fn fault(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
use faults::fault;

/// Failures on demand, for tests of what a failing disk does. Not in release builds.
#[cfg(debug_assertions)]
pub mod faults {
    use std::io;
    use std::sync::Mutex;

    struct Armed {
        operation: String,
        /// Calls that still succeed.
        left: usize,
        code: i32,
    }

    static ARMED: Mutex<Vec<Armed>> = Mutex::new(Vec::new());

    /// Lets operations fail from now on: `OPERATION:N:ERRNO`, separated by commas, where the first N calls
    /// still succeed. Operations are the functions of this module.
    pub fn arm(specification: &str) -> Result<(), String> {
        let armed: Option<Vec<Armed>> = specification
            .split(',')
            .map(|one| {
                let mut parts = one.split(':');
                let operation = parts.next()?.to_owned();
                let left = parts.next()?.parse().ok()?;
                Some(Armed { operation, left, code: parts.next()?.parse().ok()? })
            })
            .collect();
        let armed = armed.ok_or_else(|| format!("`{specification}`: expected OPERATION:N:ERRNO"))?;
        *ARMED.lock().unwrap_or_else(|e| e.into_inner()) = armed;
        Ok(())
    }

    pub(super) fn fault(operation: &str) -> io::Result<()> {
        let mut armed = ARMED.lock().unwrap_or_else(|e| e.into_inner());
        for one in armed.iter_mut().filter(|a| a.operation == operation) {
            if one.left == 0 {
                return Err(io::Error::from_raw_os_error(one.code));
            }
            one.left -= 1;
        }
        Ok(())
    }
}
