//! `phasegraph explain`.

use std::fmt::Write;

use phasegraph::diag::{duration, exit};
use phasegraph::events::TaskPhase;
use phasegraph::plan::{Outlook, TaskSet};
use serde_json::json;

use super::args::Explain;
use super::common::{Loaded, Selected, json as to_json, last_view, load_with_memory, outlook, print, task};
use super::failure::Failure;

pub fn run(args: &Explain) -> Result<u8, Failure> {
    let (loaded, mut memory) = load_with_memory(&args.study, false)?;
    let index = task(&loaded.plan, &args.task)?;
    let tasks = loaded.plan.with_upstream(&TaskSet::from_iter([index]));
    let outlook = outlook(&loaded, &mut memory, &Selected { tasks: tasks.clone(), forced: TaskSet::new() })?;
    let id = &loaded.plan.tasks[index].id;
    // What a waiting task depends on: the tasks before it that will run for a reason of their own.
    let causes: Vec<(&str, &[String])> = tasks
        .iter()
        .filter(|i| *i != index)
        .filter_map(|i| match &outlook[i] {
            Outlook::Run { why } => Some((&*loaded.plan.tasks[i].id, why.as_slice())),
            _ => None,
        })
        .collect();
    if args.json {
        let causes: Vec<_> = causes.iter().map(|(t, why)| json!({"task": t, "why": why})).collect();
        print(&to_json(&json!({"task": id, "outlook": outlook[index], "because": causes}))?)?;
        return Ok(exit::OK);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    match &outlook[index] {
        Outlook::Cached => {
            let _ = writeln!(
                out,
                "{id} will not run: every field of its fingerprint is as it was, and the store has its outputs"
            );
        }
        Outlook::Run { why } => {
            let _ = writeln!(out, "{id} will run:");
            why.iter().for_each(|line| {
                let _ = writeln!(out, "  {line}");
            });
        }
        Outlook::AwaitsUpstream { .. } | Outlook::NotSelected => {
            let _ = writeln!(
                out,
                "{id} awaits its inputs; it will run unless they come out as they were. Before it:"
            );
            for (task, why) in causes {
                let _ = writeln!(out, "  {task} will run: {}", why.join("; "));
            }
        }
    }
    if let Some(line) = last_time(&loaded, id) {
        let _ = writeln!(out, "{line}");
    }
    print(&out)?;
    Ok(exit::OK)
}

/// What became of the task in the last run, and why. The run may have been of a selection without it.
fn last_time(loaded: &Loaded, id: &str) -> Option<String> {
    let view = last_view(&loaded.layout, &loaded.plan.study).ok()?;
    let task = view.tasks.get(id)?;
    let message = task.message.as_deref().unwrap_or_default();
    let took = task.seconds.map(|s| format!(" after {}", duration(s))).unwrap_or_default();
    let what = match task.phase {
        TaskPhase::Cached => "was taken from the store: nothing that decides it had changed".to_owned(),
        TaskPhase::Succeeded => format!("ran, and ended well{took}"),
        TaskPhase::Failed => format!("failed{took}: {message}"),
        TaskPhase::Blocked => format!("did not run: it needs {message}, which failed"),
        TaskPhase::Cancelled => "did not run to its end: the run was stopped".to_owned(),
        TaskPhase::Delayed => format!("waited: {message}"),
        TaskPhase::Running => "was running when the run was last heard of".to_owned(),
    };
    Some(format!("in run {} it {what}", view.run))
}
