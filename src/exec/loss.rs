//! What it means that a worker ended without an answer: its time was over, memory ran out, or something
//! else ended it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use crate::diag::{FailureClass, StageError};
use crate::os;
use crate::stages::oom;

/// SIGKILL, which is how the kernel ends what has too much memory.
const SIGKILL: i32 = 9;
/// So much of the end of a log is looked at, bytes.
const TAIL: u64 = 16 << 10;
/// So many of its last lines can tell why the worker died.
const LINES: usize = 20;

/// The kernel's counter of processes that it ended for want of memory. Each explains one death.
#[derive(Debug)]
pub(super) struct Kills {
    seen: Option<u64>,
}

impl Kills {
    /// What was counted up to now is none of ours.
    pub(super) fn new() -> Self {
        Self { seen: os::kernel_kills() }
    }

    /// A task's program ran out of memory, which its worker told: what the kernel counted is explained.
    pub(super) fn told(&mut self) {
        self.seen = os::kernel_kills();
    }

    /// Whether one more death is explained by the kernel's counter.
    fn explain(&mut self) -> bool {
        self.explained_by(os::kernel_kills())
    }

    fn explained_by(&mut self, now: Option<u64>) -> bool {
        match (self.seen, now) {
            (Some(seen), Some(now)) if now > seen => {
                self.seen = Some(seen + 1);
                true
            }
            _ => false,
        }
    }
}

/// A worker's end in words, when it said nothing itself.
fn describe(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the worker exited with code {code} without a result"),
        (None, Some(number)) => format!("the worker was ended by signal {}", os::signal_name(number)),
        (None, None) => "the worker ended without a result".to_owned(),
    }
}

/// A worker that ended in the middle of a job, whose log is `log`.
pub(super) fn classify(
    status: &Result<ExitStatus, String>,
    timed_out: bool,
    time_s: Option<f64>,
    log: &Path,
    kills: &mut Kills,
) -> StageError {
    if timed_out {
        let limit = time_s.unwrap_or_default();
        return StageError::new(FailureClass::Timeout, format!("did not end within {limit} s"))
            .hint("raise `resources.time` of the stage");
    }
    let status = match status {
        Ok(status) => status,
        Err(message) => {
            return StageError::new(FailureClass::Other, format!("the worker was lost: {message}"));
        }
    };
    let how = describe(status);
    let tail = last_lines(log);
    let told = oom::last_evidence(tail.lines().rev().take(LINES).collect::<Vec<_>>().into_iter().rev());
    if let Some(line) = told {
        return StageError::new(
            FailureClass::OutOfMemory,
            format!("memory ran out, and {how}: {}", line.trim()),
        );
    }
    if status.signal() == Some(SIGKILL) && kills.explain() {
        let what = format!("{how}: the kernel ended a process because memory ran out (`oom_kill`)");
        return StageError::new(FailureClass::OutOfMemory, what);
    }
    StageError::new(FailureClass::Signal, how)
}

/// The end of a file; empty if it cannot be read.
fn last_lines(file: &Path) -> String {
    let read = || {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(raw: i32, log: &str, kills: &mut Kills) -> (FailureClass, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), log).unwrap();
        let error = classify(&Ok(ExitStatus::from_raw(raw)), false, None, file.path(), kills);
        (error.class, error.message)
    }

    /// The status of a process that dumped core is its signal and 128.
    const ABORTED: i32 = 6 | 128;

    #[test]
    fn an_abort_is_explained_by_what_was_printed() {
        let none = &mut Kills { seen: None };
        let (found, message) = class(ABORTED, "start\nmemory allocation of 4096 bytes failed\n", none);
        assert_eq!(found, FailureClass::OutOfMemory);
        assert!(message.ends_with("SIGABRT: memory allocation of 4096 bytes failed"), "{message}");
        let (found, _) = class(ABORTED, "free(): invalid pointer\n", none);
        assert_eq!(found, FailureClass::Signal);
        let long_ago = format!("memory allocation of 4096 bytes failed\n{}", "on\n".repeat(LINES));
        assert_eq!(class(ABORTED, &long_ago, none).0, FailureClass::Signal);
        assert_eq!(
            class(0, "", none),
            (FailureClass::Signal, "the worker exited with code 0 without a result".into())
        );
    }

    #[test]
    fn every_kill_of_the_kernel_explains_one_death() {
        let mut kills = Kills { seen: Some(3) };
        assert!(!kills.explained_by(Some(3)));
        assert!(kills.explained_by(Some(5)));
        assert!(kills.explained_by(Some(5)));
        assert!(!kills.explained_by(Some(5)));
        assert!(!Kills { seen: None }.explained_by(Some(5)));
    }

    #[test]
    fn a_kill_without_evidence_is_a_signal() {
        let kills = &mut Kills { seen: Some(u64::MAX) };
        assert_eq!(class(SIGKILL, "working\n", kills).0, FailureClass::Signal);
    }
}
