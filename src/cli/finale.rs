//! What `run` prints at the end: tables and pictures of the last stages, the counts, where things lie.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use phasegraph::diag::duration;
use phasegraph::events::Outcome;
use phasegraph::exec::{Summary, TaskState};
use phasegraph::report::{rescues, tally};
use serde_json::json;

use super::common::{Loaded, short};

/// Pictures and tables named one by one; more than this are counted.
const NAMED: usize = 12;
/// Texts printed whole; if there are more, they are only named.
const PRINTED: usize = 2;

/// Everything, as text.
pub fn text(loaded: &Loaded, summary: &Summary, command: &str) -> String {
    let mut out = String::new();
    let files = last_files(loaded, summary, &["txt", "png", "csv", "json"]);
    let texts: Vec<&PathBuf> = files.iter().filter(|p| has_extension(p, &["txt"])).collect();
    let (printed, named): (&[&PathBuf], &[&str]) = match texts.len() {
        0..=PRINTED => (&texts, &["png", "csv", "json"]),
        _ => (&[], &["txt", "png", "csv", "json"]),
    };
    for path in printed {
        // Printed for convenience: if it cannot be read, its path below still tells where it is.
        if let Ok(table) = std::fs::read_to_string(path) {
            let _ = writeln!(out, "\n{}", table.trim_end());
        }
    }
    let shown: Vec<&PathBuf> = files.iter().filter(|p| has_extension(p, named)).collect();
    if !shown.is_empty() {
        out.push('\n');
    }
    for path in shown.iter().take(NAMED) {
        let _ = writeln!(out, "  {}", short(path));
    }
    if shown.len() > NAMED {
        let _ = writeln!(out, "  … and {} more", shown.len() - NAMED);
    }
    let word = match summary.outcome {
        Outcome::Succeeded => "finished",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    let _ = writeln!(
        out,
        "\n{} {word} in {}: {}",
        loaded.plan.study,
        duration(summary.seconds),
        tally(&summary.view)
    );
    if let Some(table) = rescues(&summary.view) {
        let _ = write!(out, "\n{table}\n");
    }
    let _ = writeln!(out, "results: {}", short(&loaded.layout.results()));
    if summary.outcome != Outcome::Succeeded {
        let _ = writeln!(out, "finished tasks are kept; go on with: phasegraph resume {command}");
    }
    out
}

/// The end of a run for programs.
pub fn document(loaded: &Loaded, summary: &Summary) -> serde_json::Value {
    let tasks: Vec<_> = loaded
        .plan
        .tasks
        .iter()
        .zip(&summary.states)
        .filter_map(|(task, state)| Some((task, (*state)?)))
        .map(|(task, state)| {
            let view = summary.view.tasks.get(&*task.id);
            json!({
                "task": task.id,
                "state": state_name(state),
                "seconds": view.and_then(|v| v.seconds),
                "message": view.and_then(|v| v.message.clone()),
                "measured": view.map(|v| &v.measured),
                "warnings": view.map(|v| &v.warnings),
                "attempts": view.map(|v| &v.attempts),
                "folder": loaded.layout.results().join(&task.folder),
            })
        })
        .collect();
    json!({
        "study": loaded.plan.study,
        "run": summary.run,
        "outcome": summary.outcome,
        "seconds": summary.seconds,
        "rescued": summary.view.rescued,
        "results": loaded.layout.results(),
        "tasks": tasks,
    })
}

fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Waiting => "waiting",
        TaskState::Ready => "ready",
        TaskState::Running => "running",
        TaskState::Delayed => "delayed",
        TaskState::Publishing => "publishing",
        TaskState::Cached => "cached",
        TaskState::Succeeded => "succeeded",
        TaskState::Failed => "failed",
        TaskState::Blocked => "blocked",
        TaskState::Cancelled => "cancelled",
    }
}

/// Files of these kinds, of finished tasks that no other task of the plan uses, in plan order.
fn last_files(loaded: &Loaded, summary: &Summary, kinds: &[&str]) -> Vec<PathBuf> {
    let tasks = &loaded.plan.tasks;
    let files = |index: usize| tasks[index].outputs.values().filter(|f| has_extension(Path::new(f), kinds));
    let done = |index: usize| summary.states[index].is_some_and(TaskState::is_done);
    let some: Vec<usize> = (0..tasks.len()).filter(|i| done(*i) && files(*i).next().is_some()).collect();
    if some.is_empty() {
        return Vec::new();
    }
    let edges = loaded.plan.edges();
    let last = some.into_iter().filter(|index| edges.downstream(*index).len() == 0);
    last.flat_map(|index| {
        let folder = loaded.layout.results().join(&tasks[index].folder);
        files(index).map(move |file| folder.join(file))
    })
    .collect()
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| wanted.contains(&e))
}
