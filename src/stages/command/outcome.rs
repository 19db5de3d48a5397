//! Whether a program that has ended did its work.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use super::process::{Ended, Kernel, Program};
use crate::diag::{FailureClass, StageError, StageResult};

/// SIGKILL, and the exit code by which a shell tells that its program was ended by it.
const SIGKILL: i32 = 9;
const KILLED_IN_SHELL: i32 = 128 + SIGKILL;
/// Longest line that an error message repeats, characters.
const LONGEST: usize = 400;

/// Turns an end other than success into an error: class, what happened, the last lines, a hint.
pub(super) fn judge(program: &Program, ended: &Ended) -> StageResult {
    if ended.status.success() && !ended.timed_out {
        return Ok(());
    }
    let (code, signal) = (ended.status.code(), ended.status.signal());
    let killed = signal == Some(SIGKILL) || code == Some(KILLED_IN_SHELL);
    let how = match (code, signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}{}", name(signal)),
        (None, None) => format!("ended: {}", ended.status),
    };
    let name = program.name.to_string_lossy();
    let (class, what, hint) = if ended.timed_out {
        let limit = program.limit.unwrap_or_default().as_secs_f64();
        let hint = "give the stage more time (`resources: time_s`), or less work";
        (FailureClass::Timeout, format!("`{name}` took longer than {limit} s and was ended"), Some(hint))
    } else if let Some(evidence) = &ended.evidence {
        (FailureClass::OutOfMemory, format!("`{name}` ran out of memory and {how}: {}", cut(evidence)), None)
    } else if ended.kernel == Kernel::Own || (killed && ended.kernel == Kernel::Perhaps) {
        let what = format!("`{name}` {how}: the kernel ended a process because memory ran out");
        (FailureClass::OutOfMemory, what, None)
    } else {
        let class = if code.is_some() { FailureClass::ExitCode } else { FailureClass::Signal };
        let hint = killed.then_some("nobody said why; on a shared machine often because memory ran out");
        (class, format!("`{name}` {how}"), hint)
    };
    let mut message = what;
    if ended.tail.is_empty() {
        message.push_str("; it wrote nothing");
    } else {
        message.push_str("; its last lines:");
        ended.tail.iter().for_each(|line| message.extend(["\n  ", &cut(line)]));
    }
    let error = StageError::new(class, message);
    Err(match hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// Checks that every declared output is a regular file, and names all that are not.
pub(super) fn check(outputs: &BTreeMap<String, PathBuf>) -> StageResult {
    let problem = |(name, path): (&String, &PathBuf)| {
        let file = path.display();
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_file() => None,
            Ok(meta) if meta.is_symlink() => Some(format!("`{name}` is a symbolic link ({file})")),
            Ok(_) => Some(format!("`{name}` is no regular file ({file})")),
            Err(e) if e.kind() == ErrorKind::NotFound => Some(format!("`{name}` was not written ({file})")),
            Err(e) => Some(format!("`{name}` cannot be read ({file}: {e})")),
        }
    };
    let problems: Vec<String> = outputs.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(StageError::check(format!("the program ended well, but output {}", problems.join("; output ")))
        .hint("pass `{output.NAME}` to the program, and have it write a file there"))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The common signals' names; their numbers are the same on Linux and macOS.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        SIGKILL => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
