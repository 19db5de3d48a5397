//! A process group that cannot outlive this process.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use crate::os;

/// The guard: waits until its input ends, then kills the group, itself included. That is when the guard is
/// dropped, or when this process is gone, even by SIGKILL.
///
/// It leads the group that programs join. While it has not been waited for, the system cannot give its
/// number to another group, so no signal can hit a stranger.
const GUARD: &str = "trap '' TERM INT HUP QUIT\nread -r _\nkill -s KILL 0";

#[derive(Debug)]
struct Guard {
    process: Child,
    /// Held for its end only.
    input: Option<ChildStdin>,
}

impl Guard {
    fn start() -> io::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", GUARD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = process.stdin.take();
        Ok(Self { process, input })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// The guard of a process that runs one program after another, between two of them.
static IDLE: Mutex<Option<Guard>> = Mutex::new(None);

fn idle() -> std::sync::MutexGuard<'static, Option<Guard>> {
    IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn idle_guard(sole: bool) -> Option<Guard> {
    if sole { idle().take() } else { None }
}

/// A process group; dropping it kills all of its processes.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` once the group was killed.
    guard: Option<Guard>,
    sole: bool,
}

impl Group {
    /// Makes a group without programs. `sole` says that this process runs one program at a time and has no
    /// other children: then the guard is used again, and whatever a program leaves behind is found even if
    /// it has left the group.
    pub fn new(sole: bool) -> io::Result<Self> {
        // A program can have killed its own guard.
        let standing = idle_guard(sole).and_then(|mut guard| guard.is_alive().then_some(guard));
        Ok(Self { guard: Some(standing.map_or_else(Guard::start, Ok)?), sole })
    }

    /// Starts a program in the group.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let Some(guard) = &self.guard else { return Err(io::Error::other("the group was ended")) };
        // Numbers of processes fit: the system's own type is i32.
        command.process_group(guard.process.id() as i32).spawn()
    }

    /// Asks all programs of the group to end (SIGTERM).
    pub fn terminate(&self) {
        if let Some(guard) = &self.guard {
            os::terminate_group(guard.process.id());
        }
    }

    /// Kills all programs of the group (SIGKILL) and returns when the signals are sent.
    pub fn kill(&mut self) {
        drop(self.guard.take());
    }

    /// Ends what the program left behind. The program itself must have been waited for.
    pub fn clear(&mut self) {
        let spared = self.guard.as_ref().map_or(0, |g| g.process.id());
        if self.sole && os::end_children(spared) {
            *idle() = self.guard.take();
        }
        self.kill();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
