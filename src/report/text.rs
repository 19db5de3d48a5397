//! Words for durations, sizes and the state of a run.

use std::fmt::Write;

use crate::events::{RunView, TaskPhase};

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `312 MiB`, `4.7 GiB`.
pub fn memory(bytes: u64) -> String {
    let mib = bytes as f64 / 1024.0 / 1024.0;
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

/// `3 run, 21 cached, 1 failed, …`; phases without tasks are left out.
pub fn tally(view: &RunView) -> String {
    let words = [
        (TaskPhase::Succeeded, "run"),
        (TaskPhase::Cached, "cached"),
        (TaskPhase::Running, "running"),
        (TaskPhase::Delayed, "delayed"),
        (TaskPhase::Failed, "failed"),
        (TaskPhase::Blocked, "blocked"),
        (TaskPhase::Cancelled, "not done"),
    ];
    let parts: Vec<String> = words
        .iter()
        .map(|(phase, word)| (view.count(*phase), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() { "no task".to_owned() } else { parts.join(", ") }
}

/// A run at a glance. `alive` tells whether its process still holds the lock; `now` is seconds since 1970.
pub fn status(view: &RunView, alive: bool, now: f64) -> String {
    let mut out = String::new();
    let state = match (view.outcome, alive) {
        (Some(outcome), _) => format!("{outcome:?}").to_lowercase(),
        (None, true) => format!("running (process {} on {})", view.pid, view.host),
        (None, false) => "died before it could end in order; `phasegraph resume` goes on".to_owned(),
    };
    let seconds = view.seconds.unwrap_or((now - view.started).max(0.0));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  run {}: {state}", view.study, view.run);
    let when = if view.outcome.is_some() { "took" } else { "started" };
    let ago = if view.outcome.is_some() { "" } else { " ago" };
    let _ = writeln!(
        out,
        "  {when} {}{ago}; {} of {} tasks: {}",
        duration(seconds),
        view.ended(),
        view.tasks_total,
        tally(view)
    );
    if let Some(message) = &view.aborted {
        let _ = writeln!(out, "  it could not go on: {message}");
    }
    for (id, task) in &view.tasks {
        match task.phase {
            TaskPhase::Running => {
                let progress =
                    task.progress.as_ref().map(|(d, t, u, _)| format!("  {d}/{t} {u}")).unwrap_or_default();
                let since = task.started.map(|s| duration((now - s).max(0.0))).unwrap_or_default();
                let what = if alive { "running" } else { "unfinished" };
                let _ = writeln!(out, "  {what}  {id}  {since}{progress}");
            }
            TaskPhase::Delayed => {
                let _ = writeln!(out, "  delayed  {id}: {}", task.message.as_deref().unwrap_or(""));
            }
            TaskPhase::Failed => {
                let _ = writeln!(out, "  failed   {id}: {}", task.message.as_deref().unwrap_or(""));
                if let Some(hint) = &task.hint {
                    let _ = writeln!(out, "           hint: {hint}");
                }
                if let Some(log) = &task.log {
                    let _ = writeln!(out, "           log: {}", log.display());
                }
            }
            TaskPhase::Blocked => {
                let _ = writeln!(out, "  blocked  {id} (needs {})", task.message.as_deref().unwrap_or(""));
            }
            _ => {}
        }
        for warning in &task.warnings {
            let _ = writeln!(out, "  warning  {id}: {warning}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        let cases =
            [(0.42, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (185.0, "3 min 5 s"), (7800.0, "2 h 10 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(memory(312 << 20), "312 MiB");
        assert_eq!(memory(4812 << 20), "4.7 GiB");
    }
}
