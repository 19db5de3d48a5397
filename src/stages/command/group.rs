//! A process group that cannot outlive this process.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// The guard: passes on signals that it is told to, and kills the group, itself included, when its input
/// ends. That is when the [`Group`] is dropped, or when this process is gone, even by SIGKILL.
///
/// It leads the group that programs join. While it has not been waited for, the system cannot give its
/// number to another group, so no signal can hit a stranger.
const GUARD: &str = "trap '' TERM INT HUP QUIT\n\
                     while read -r signal; do kill -s \"$signal\" 0; done\n\
                     kill -s KILL 0";

/// A process group; dropping it kills all of its processes.
#[derive(Debug)]
pub(super) struct Group {
    guard: Child,
    /// `None` once the guard was told to kill.
    orders: Option<ChildStdin>,
}

impl Group {
    /// Makes a group without programs.
    pub fn new() -> io::Result<Self> {
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let orders = guard.stdin.take();
        Ok(Self { guard, orders })
    }

    /// Starts a program in the group.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        // Process numbers fit: the system's own type is i32.
        command.process_group(self.guard.id() as i32).spawn()
    }

    /// Asks all programs of the group to end (SIGTERM).
    pub fn terminate(&mut self) {
        if let Some(orders) = &mut self.orders {
            // A guard that is gone was killed with its group.
            let _ = orders.write_all(b"TERM\n");
        }
    }

    /// Kills all programs of the group (SIGKILL) and returns when the signals are sent.
    pub fn kill(&mut self) {
        if self.orders.take().is_some() {
            let _ = self.guard.wait();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
