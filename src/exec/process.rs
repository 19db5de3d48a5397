//! Worker processes: each does one job after another, and leads a process group of its own.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;

use super::inbox::Message;
use crate::os;
use crate::worker::{FromWorker, ToWorker};

/// A running worker, as the dispatcher sees it.
#[derive(Debug)]
pub(super) struct Worker {
    number: u32,
    /// `None` once it was dismissed.
    input: Option<ChildStdin>,
}

/// Environment variable that workers, and all that they start, have; its value is the folder of the study's
/// runs. What is left of a run that was killed is found by it.
pub(super) const LEASH: &str = "PHASEGRAPH_LEASH";

impl Worker {
    /// Starts a worker. Its messages and its end arrive in `inbox` under `name`.
    pub(super) fn start(
        command: &[OsString],
        leash: &Path,
        name: u64,
        inbox: Sender<Message>,
    ) -> io::Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no worker command"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env(LEASH, leash)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A worker sends what libraries print to the log of its job.
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let (Some(input), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a worker was started without pipes"));
        };
        let worker = Self { number: child.id(), input: Some(input) };
        std::thread::Builder::new()
            .name(format!("worker {name}"))
            .spawn(move || listen(child, stdout, name, &inbox))?;
        Ok(worker)
    }

    /// Process number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Tells the worker something. One that died is told of by its end, so that is no error here.
    pub(super) fn send(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let Some(input) = &mut self.input else { return Ok(()) };
        match input.write_all(&line) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    /// Lets an idle worker end: its input does.
    pub(super) fn dismiss(&mut self) {
        self.input = None;
    }

    /// Ends the whole group now.
    pub(super) fn kill(&self) {
        os::kill_group(self.number);
    }
}

/// Passes on what the worker says until it ends, then takes down what it may have left behind.
fn listen(mut child: Child, stdout: impl Read, worker: u64, inbox: &Sender<Message>) {
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        // What cannot be read is not ours: something that a library printed.
        if let Ok(said) = serde_json::from_slice::<FromWorker>(&line) {
            let _ = inbox.send(Message::Said { worker, said: Box::new(said) });
        }
    }
    // Wait without reaping: until the worker is reaped its number cannot be given to another group, so the
    // kill below hits only what the worker left behind.
    os::wait_unreaped(child.id());
    os::kill_group(child.id());
    let (status, peak) = match os::wait_with_peak(&mut child) {
        Ok((status, peak)) => (Ok(status), peak),
        Err(error) => (Err(error.to_string()), None),
    };
    let _ = inbox.send(Message::Ended { worker, status, peak });
}
