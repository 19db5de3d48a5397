//! Running a program to its end, with its output on the way and its limits kept.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufReader, PipeReader, PipeWriter};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::group::Group;
use super::lines;
use crate::diag::{FailureClass, StageError, StageResult, memory};
use crate::os;
use crate::stages::{Context, oom};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// After the group was killed, output is taken until none comes for the first time, or the second is over.
/// Only a process that left the group can hold its end up so long.
const SILENCE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(10);
/// How often it is asked whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// Lines kept for the error message.
const TAIL: usize = 20;
/// Lines in which it is looked for why the program failed. Launchers write tables after the line that tells;
/// what was written long before was survived.
const LOOKED_AT: usize = 200;
/// Lines that may wait to be reported before the program has to wait, too.
const WAITING: usize = 1024;

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// A name to look up on PATH, or an absolute path.
    pub name: OsString,
    pub arguments: Vec<OsString>,
    /// Variables on top of this process's own.
    pub environment: BTreeMap<String, OsString>,
    /// Folder it runs in.
    pub folder: PathBuf,
    pub limit: Option<Duration>,
    /// Memory that each of its processes may have, bytes.
    pub memory: Option<u64>,
}

impl fmt::Display for Program {
    /// As one could type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.name.to_string_lossy()))?;
        self.arguments.iter().try_for_each(|a| write!(f, " {}", quoted(&a.to_string_lossy())))
    }
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub status: ExitStatus,
    /// Whether it had to be ended because its time was over.
    pub timed_out: bool,
    /// Its last lines, standard output and standard error together.
    pub tail: VecDeque<String>,
    /// The line that says that memory ran out.
    pub evidence: Option<String>,
    /// What the kernel did while it ran.
    pub kernel: Kernel,
}

/// Whether the kernel ended a process for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// None that is known of.
    No,
    /// One of those around: the program's own, or another.
    Perhaps,
    /// One of the program's own.
    Own,
}

enum Event {
    Line(String),
    /// The pipe ended.
    Closed,
    Exited(io::Result<(ExitStatus, Option<u64>)>),
}

/// Runs the program to its end. An error means that it could not be started or watched.
pub(super) fn run(cx: &mut Context<'_>, program: &Program) -> StageResult<Ended> {
    let kills = os::kernel_kills();
    // Counts all its processes together; where it cannot be had, each is limited for itself.
    let together = program.memory.and_then(os::MemoryGroup::limited);
    if let Some(bytes) = program.memory {
        let how = if together.is_some() { "all together" } else { "each process" };
        cx.log(format!("memory limit: {} for {how}", memory(bytes)));
    }
    let mut group = Group::new(cx.is_sole()).map_err(|e| starting("/bin/sh", e))?;
    let start = Instant::now();
    let (output, input) = io::pipe()?;
    // The command holds the pipe's writing end; it must be gone for the output to end.
    let mut command = command(program, input)?;
    if let Some(bytes) = program.memory {
        os::limit_program(&mut command, bytes, together.as_ref())?;
    }
    let mut child = group.spawn(&mut command).map_err(|e| not_started(program, e))?;
    drop(command);
    let (sender, events) = mpsc::sync_channel(WAITING);
    forward(output, sender.clone())?;
    // Signals go to the group, so the child itself can be given away to be waited for.
    spawn("wait for the program", move || {
        let _ = sender.send(Event::Exited(os::wait_with_peak(&mut child)));
    })?;
    let mut watch = Watch { tail: VecDeque::new(), open: true };
    // A limit beyond what the clock can tell is none.
    let deadline = program.limit.and_then(|limit| start.checked_add(limit));
    let (status, timed_out) = watch.until_exit(cx, &events, &mut group, deadline)?;
    group.clear();
    watch.drain(cx, &events);
    let kernel = match status.success() {
        // Reading the counters takes longer than some programs run.
        true => Kernel::No,
        false => kernel(kills, together.as_ref()),
    };
    let evidence = oom::last_evidence(watch.tail.iter().map(String::as_str)).map(str::to_owned);
    let told = watch.tail.len().saturating_sub(TAIL);
    Ok(Ended { status, timed_out, tail: watch.tail.split_off(told), evidence, kernel })
}

/// What the kernel did since its counter stood at `before`.
fn kernel(before: Option<u64>, together: Option<&os::MemoryGroup>) -> Kernel {
    if together.is_some_and(|group| group.kills() > 0) {
        return Kernel::Own;
    }
    match (before, os::kernel_kills()) {
        (Some(before), Some(after)) if after > before => Kernel::Perhaps,
        _ => Kernel::No,
    }
}

/// Both outputs go to one pipe, so that their order is kept.
fn command(program: &Program, output: PipeWriter) -> io::Result<Command> {
    let mut command = Command::new(&program.name);
    command.args(&program.arguments).current_dir(&program.folder).envs(&program.environment);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(command)
}

/// What has been seen of a running program.
struct Watch {
    /// The last lines, [`LOOKED_AT`] of them.
    tail: VecDeque<String>,
    /// Whether the pipe is open.
    open: bool,
}

impl Watch {
    /// Reports lines until the program exits; ends it when `deadline` passes.
    fn until_exit(
        &mut self,
        cx: &mut Context<'_>,
        events: &Receiver<Event>,
        group: &mut Group,
        deadline: Option<Instant>,
    ) -> StageResult<(ExitStatus, bool)> {
        let mut due = deadline;
        let mut timed_out = false;
        let mut stopped = false;
        loop {
            if cx.is_stopping() && !stopped {
                cx.log("asked to stop: SIGTERM");
                group.terminate();
                stopped = true;
            }
            let look = Instant::now() + LOOK;
            let event = match due {
                // A program that writes without pause must not hide that its time is over.
                Some(due) if due <= Instant::now() => Err(RecvTimeoutError::Timeout),
                _ => events.recv_timeout(due.unwrap_or(look).min(look) - Instant::now()),
            };
            match event {
                Ok(Event::Exited(ended)) => {
                    let (status, peak) = ended?;
                    peak.into_iter().for_each(|bytes| cx.program_peaked(bytes));
                    return Ok((status, timed_out));
                }
                Ok(event) => self.take(cx, event),
                Err(RecvTimeoutError::Timeout) if due.is_none_or(|due| Instant::now() < due) => {}
                Err(RecvTimeoutError::Timeout) if !timed_out => {
                    cx.log("time is over: SIGTERM");
                    group.terminate();
                    timed_out = true;
                    due = Some(Instant::now() + GRACE);
                }
                Err(RecvTimeoutError::Timeout) => {
                    cx.log("still running: SIGKILL");
                    group.kill();
                    due = None;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StageError::new(FailureClass::Other, "the program was lost sight of"));
                }
            }
        }
    }

    /// Takes what is still in the pipes.
    fn drain(&mut self, cx: &mut Context<'_>, events: &Receiver<Event>) {
        let due = Instant::now() + DRAIN;
        while self.open {
            match events.recv_timeout(SILENCE.min(due.saturating_duration_since(Instant::now()))) {
                Ok(event) => self.take(cx, event),
                Err(_) => {
                    cx.warn("a process that the program left behind still holds its output; what it writes is lost");
                    return;
                }
            }
        }
    }

    fn take(&mut self, cx: &mut Context<'_>, event: Event) {
        match event {
            Event::Line(line) => {
                if self.tail.len() == LOOKED_AT {
                    self.tail.pop_front();
                }
                self.tail.push_back(line.clone());
                cx.log(line);
            }
            Event::Closed => self.open = false,
            Event::Exited(_) => {}
        }
    }
}

/// Sends the lines of a pipe, then that it ended.
fn forward(pipe: PipeReader, sender: SyncSender<Event>) -> StageResult {
    spawn("read the program's output", move || {
        // A pipe that cannot be read has ended; a receiver that is gone wants no more.
        let _ = lines::read(BufReader::new(pipe), |line| sender.send(Event::Line(line)).is_ok());
        let _ = sender.send(Event::Closed);
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> StageResult {
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}

fn starting(name: &str, error: io::Error) -> StageError {
    let message = format!("program `{name}` could not be started: {error}");
    StageError { message, ..StageError::from(error) }
}

fn not_started(program: &Program, error: io::Error) -> StageError {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "is it installed, and on PATH?",
        io::ErrorKind::PermissionDenied => {
            "an input is not executable; name its interpreter first, as in `[python3, \"{input.script}\"]`"
        }
        _ => return starting(&program.name.to_string_lossy(), error),
    };
    starting(&program.name.to_string_lossy(), error).hint(hint)
}
