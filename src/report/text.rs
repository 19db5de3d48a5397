//! Words for durations, sizes and the state of a run.

use std::fmt::Write;

use super::rescues::rescues;
use crate::diag::duration;
use crate::events::{RunView, TaskPhase};

/// Tasks named as those that took longest.
const SLOWEST: usize = 3;

/// `3 run (1 rescued), 21 cached, 1 failed, …`; phases without tasks are left out.
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
    let rescued = match view.rescued {
        0 => String::new(),
        count => format!(" ({count} rescued)"),
    };
    let parts: Vec<String> = words
        .iter()
        .map(|(phase, word)| (*phase, view.count(*phase), word))
        .filter(|(_, count, _)| *count > 0)
        .map(|(phase, count, word)| match phase {
            TaskPhase::Succeeded => format!("{count} {word}{rescued}"),
            _ => format!("{count} {word}"),
        })
        .collect();
    if parts.is_empty() { "no task".to_owned() } else { parts.join(", ") }
}

/// A run at a glance. `alive` tells whether its process still holds the lock; `now` is seconds since 1970;
/// `left` is how long it will still take, seconds, where that can be told.
pub fn status(view: &RunView, alive: bool, now: f64, left: Option<f64>) -> String {
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
    if let (Some(left), true) = (left, alive) {
        let _ = writeln!(out, "  about {} left", duration(left));
    }
    if let Some(line) = slowest(view) {
        let _ = writeln!(out, "  {line}");
    }
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
    if let Some(table) = rescues(view) {
        out.push_str(&table);
    }
    out
}

/// The tasks that took longest.
fn slowest(view: &RunView) -> Option<String> {
    let done = view.tasks.iter().filter(|(_, task)| task.phase == TaskPhase::Succeeded);
    let mut done: Vec<(f64, &str)> = done.filter_map(|(id, t)| Some((t.seconds?, id.as_str()))).collect();
    done.sort_by(|a, b| b.0.total_cmp(&a.0));
    let words: Vec<String> =
        done.iter().take(SLOWEST).map(|(seconds, id)| format!("{id} {}", duration(*seconds))).collect();
    (!words.is_empty()).then(|| format!("longest: {}", words.join(", ")))
}
