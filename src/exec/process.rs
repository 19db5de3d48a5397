//! Worker processes: one per attempt at a task, each the leader of a process group of its own.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::inbox::Message;
use crate::diag::{FailureClass, StageError};
use crate::stages::{Job, Report};
use crate::worker::FromWorker;

/// A running worker, as the dispatcher sees it.
#[derive(Debug)]
pub(super) struct Worker {
    group: Pid,
}

impl Worker {
    /// Starts a worker for `job`. Its messages and its end arrive in `inbox` under `task`.
    pub(super) fn start(
        command: &[OsString],
        job: &Job,
        task: usize,
        log: &Path,
        inbox: Sender<Message>,
    ) -> io::Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no worker command"));
        };
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let log = OpenOptions::new().append(true).create(true).open(log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()?;
        let group = Pid::from_raw(child.id() as i32);
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a worker was started without pipes"));
        };
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        if let Err(error) = stdin.write_all(&line) {
            // It died at once: its end is told below like any other.
            if error.kind() != io::ErrorKind::BrokenPipe {
                return Err(error);
            }
        }
        std::thread::Builder::new()
            .name(format!("worker {}", job.task))
            .spawn(move || listen(child, stdin, stdout, log, task, &inbox))?;
        Ok(Self { group })
    }

    /// Asks the whole group to end.
    pub(super) fn terminate(&self) {
        // ESRCH: it has ended already.
        let _ = killpg(self.group, Signal::SIGTERM);
    }

    /// Ends the whole group now.
    pub(super) fn kill(&self) {
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// Passes on what the worker says until it ends, then takes down what it may have left behind.
fn listen(
    mut child: Child,
    stdin: ChildStdin,
    stdout: impl Read,
    mut log: File,
    task: usize,
    inbox: &Sender<Message>,
) {
    let mut last = None;
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        match serde_json::from_slice::<FromWorker>(&line) {
            Ok(FromWorker::Report { report: Report::Log { message } }) => {
                let _ = writeln!(log, "{message}");
            }
            Ok(FromWorker::Report { report }) => {
                if let Report::Warning { message } = &report {
                    let _ = writeln!(log, "warning: {message}");
                }
                let _ = inbox.send(Message::Report { task, report });
            }
            Ok(end) => last = Some(end),
            // Not ours: something printed by a library.
            Err(_) => {
                let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
            }
        }
    }
    let pid = Pid::from_raw(child.id() as i32);
    // Wait without reaping: until the worker is reaped its number cannot be given to another group, so
    // the kill below hits only what the worker left behind.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let _ = killpg(pid, Signal::SIGKILL);
    let status = child.wait();
    // The worker takes the end of its standard input as the death of the orchestrator.
    drop(stdin);
    let _ = inbox.send(Message::Exited { task, status: status.map_err(|e| e.to_string()), last });
}

/// A worker's end in words, when it said nothing itself.
fn describe(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the worker exited with code {code} without a result"),
        (None, Some(number)) => {
            let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |s| s.to_string());
            format!("the worker was ended by signal {name}")
        }
        (None, None) => "the worker ended without a result".to_owned(),
    }
}

/// A worker that ended without a last word.
pub(super) fn unexpected_end(
    timed_out: bool,
    status: Result<ExitStatus, String>,
    time_s: Option<f64>,
) -> StageError {
    if timed_out {
        let limit = time_s.unwrap_or_default();
        return StageError::new(FailureClass::Timeout, format!("did not end within {limit} s"))
            .hint("raise `resources.time` of the stage");
    }
    match status {
        Ok(status) => StageError::new(FailureClass::Signal, describe(&status)),
        Err(message) => StageError::new(FailureClass::Other, format!("the worker was lost: {message}")),
    }
}

/// Ends this process and its group when `stdin` ends, that is, when the orchestrator is gone. Called by
/// a worker once it has read its job.
pub fn end_with_parent(mut stdin: impl Read + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("watch orchestrator".to_owned()).spawn(move || {
        let mut byte = [0];
        while !matches!(stdin.read(&mut byte), Ok(0) | Err(_)) {}
        // 0 means the caller's own group: the worker and all that it started.
        let _ = kill(Pid::from_raw(0), Signal::SIGKILL);
    })?;
    Ok(())
}
