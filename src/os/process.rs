//! Processes: groups, signals, waiting.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{Pid, dup2_stderr, gethostname};

/// Name of this machine, for journals and locks.
pub fn host() -> String {
    gethostname().map_or_else(|_| "localhost".to_owned(), |n| n.to_string_lossy().into_owned())
}

fn pid(number: u32) -> Pid {
    // The system's own type is i32, so every number of a process fits.
    Pid::from_raw(number as i32)
}

/// Asks all processes of a group to end. The caller must know that the group's leader was not reaped yet,
/// or the number may be another group's by now.
pub fn terminate_group(leader: u32) {
    // ESRCH: all have ended already.
    let _ = killpg(pid(leader), Signal::SIGTERM);
}

/// Ends all processes of a group now; see [`terminate_group`].
pub fn kill_group(leader: u32) {
    let _ = killpg(pid(leader), Signal::SIGKILL);
}

/// Ends this process and its group.
pub fn end_own_group() {
    // 0 means the caller's own group.
    let _ = kill(Pid::from_raw(0), Signal::SIGKILL);
}

/// Waits until a child has ended, without reaping it: until that is done its number cannot be given to
/// another process.
pub fn wait_unreaped(child: u32) {
    while waitid(Id::Pid(pid(child)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// Waits for a child; also tells its peak resident memory in bytes, and that of the children it waited for.
pub fn wait_with_peak(child: &mut Child) -> io::Result<(ExitStatus, Option<u64>)> {
    let number = pid(child.id()).as_raw();
    let mut status = 0;
    // SAFETY: `rusage` is plain integers, for which all zeros is a valid value.
    let mut usage: nix::libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4(2) asks for.
        let ended = unsafe { nix::libc::wait4(number, &mut status, 0, &mut usage) };
        match Errno::result(ended) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            // Reaped already, through the handle itself.
            Err(Errno::ECHILD) => return child.wait().map(|status| (status, None)),
            Err(error) => return Err(error.into()),
        }
    }
    // Linux counts in KiB.
    let peak = u64::try_from(usage.ru_maxrss).ok().filter(|kib| *kib > 0).map(|kib| kib * 1024);
    Ok((ExitStatus::from_raw(status), peak))
}

/// Makes this process the parent of its descendants' orphans, so that [`end_children`] finds every process
/// that a program left behind, even one that made itself a daemon.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    // Since Linux 3.4; without it, only a program's own group is ended.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Ends all children of this process but `spared`, and theirs, and reaps them. Says whether that is known
/// to have worked.
pub fn end_children(spared: u32) -> bool {
    // Each round ends one generation: its children become ours.
    for _ in 0..1000 {
        let Some(children) = children() else { return false };
        let others: Vec<u32> = children.into_iter().filter(|c| *c != spared).collect();
        if others.is_empty() {
            return true;
        }
        for child in others {
            let _ = kill(pid(child), Signal::SIGKILL);
            while waitpid(pid(child), None) == Err(Errno::EINTR) {}
        }
    }
    false
}

/// Children of this process, whichever thread started them.
fn children() -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        // A thread may end between being listed and being read; it has no children then.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("children")) else { continue };
        found.extend(text.split_ascii_whitespace().filter_map(|n| n.parse::<u32>().ok()));
    }
    // Where the kernel does not list children there is no such file at all.
    std::fs::exists("/proc/thread-self/children").unwrap_or(false).then_some(found)
}

/// Whether a process was started by this one, directly or not. `None` where the numbers that others tell of
/// processes may not be those of this process's own view, as in a container.
pub fn is_descendant(mut number: u32) -> Option<bool> {
    // proc(5): of the initial namespace this number is fixed.
    let view = std::fs::read_link("/proc/self/ns/pid").ok()?;
    if view.as_os_str() != "pid:[4026531836]" {
        return None;
    }
    let own = std::process::id();
    // No process has more ancestors than there are numbers; a chain that changes meanwhile ends.
    for _ in 0..1000 {
        if number == own {
            return Some(true);
        }
        match parent(number) {
            Some(parent) if parent > 1 => number = parent,
            _ => return Some(false),
        }
    }
    Some(false)
}

/// The parent of a process.
fn parent(number: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// From now on, what this process writes to standard error goes to `file`.
pub fn redirect_stderr(file: &File) -> io::Result<()> {
    dup2_stderr(file).map_err(Into::into)
}

/// `SIGKILL`, or the number where it has no name.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| number.to_string(), |s| s.to_string())
}

/// Ends every process of this user whose environment has `name=value`, and says how many there were. Finds
/// what is left of a run that was killed together with its workers, even if it has left their groups.
pub fn end_marked(name: &str, value: &OsStr) -> usize {
    let mark = [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let marked = processes.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        // Those of other users cannot be read, and are none of ours.
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        environment.split(|b| *b == 0).any(|one| one == mark).then_some(number)
    });
    marked.filter(|number| kill(pid(*number), Signal::SIGKILL).is_ok()).count()
}
