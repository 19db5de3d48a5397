//! Limits on the memory of a process.
//!
//! The limit is RLIMIT_DATA: what a process has of private, writable memory, touched or not. RLIMIT_AS would
//! count every mapping, too: models and libraries that are mapped from files, which can be given back at any
//! time, and the hundreds of gigabytes of addresses that CUDA reserves without using them. RLIMIT_RSS, which
//! one would want, is not enforced by Linux.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use super::cgroup::Group;

/// A limit on this process, until dropped.
#[derive(Debug)]
pub struct DataLimit {
    before: (rlim_t, rlim_t),
}

impl DataLimit {
    /// Lets this process have `bytes` more of private memory than it has now; what it has may be left from
    /// earlier work. Allocations beyond that fail.
    pub fn set(bytes: u64) -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_DATA)?;
        // Only the soft limit: the hard one could not be raised again.
        let wanted = super::data_memory().unwrap_or(0).saturating_add(bytes).min(hard);
        setrlimit(Resource::RLIMIT_DATA, wanted, hard)?;
        Ok(Self { before: (soft, hard) })
    }
}

impl Drop for DataLimit {
    fn drop(&mut self) {
        // Raising a soft limit to where it was, below the hard one, is always allowed.
        let _ = setrlimit(Resource::RLIMIT_DATA, self.before.0, self.before.1);
    }
}

/// Limits the program that `command` starts, and, each by itself, every process that it starts: a limit
/// cannot be raised again. With a control group, which it joins before it runs, they are also limited
/// together.
pub fn limit_program(command: &mut Command, bytes: u64, group: Option<&Group>) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // Opened now, because between fork and exec nothing may be allocated.
    let join = group.map(Group::door).transpose()?;
    let before_exec = move || {
        if let Some(door) = &join {
            // SAFETY: the descriptor is open, for this closure owns the file; "0" names the writer itself.
            let joined = unsafe { libc::write(door.as_raw_fd(), b"0".as_ptr().cast(), 1) };
            if joined != 1 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: the pointer is to a live `rlimit`.
        match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } {
            0 => Ok(()),
            // A harder limit is there already, and holds.
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure calls write(2) and setrlimit(2) only, which are async-signal-safe, and allocates
    // nothing: errors made from numbers are no allocation.
    unsafe { command.pre_exec(before_exec) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_what_it_starts_are_limited() {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -d; ulimit -H -d; sh -c 'ulimit -d; ulimit -d unlimited || echo no'"]);
        limit_program(&mut command, 512 << 20, None).unwrap();
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        // Root may raise it again; nobody else.
        assert_eq!(&told.lines().collect::<Vec<_>>()[..3], ["524288"; 3], "KiB");
    }

    #[test]
    fn a_limit_holds_until_it_is_dropped() {
        let try_to_have = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        let before = getrlimit(Resource::RLIMIT_DATA).unwrap();
        // Generous: other tests run in this process.
        let limit = DataLimit::set(4 << 30).unwrap();
        assert!(!try_to_have(8 << 30));
        assert!(try_to_have(1 << 30));
        drop(limit);
        assert_eq!(getrlimit(Resource::RLIMIT_DATA).unwrap(), before);
        assert!(try_to_have(8 << 30));
    }
}
