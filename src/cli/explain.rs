//! `phasegraph explain`.

use std::collections::BTreeSet;
use std::fmt::Write;

use phasegraph::diag::exit;
use phasegraph::plan::Outlook;
use serde_json::json;

use super::args::Explain;
use super::common::{Selected, json as to_json, load_with_memory, outlook, print, task};
use super::failure::Failure;

pub fn run(args: &Explain) -> Result<u8, Failure> {
    let (loaded, memory) = load_with_memory(&args.study, false)?;
    let index = task(&loaded.plan, &args.task)?;
    let tasks = loaded.plan.with_upstream(&BTreeSet::from([index]));
    let outlook = outlook(&loaded, memory, &Selected { tasks: tasks.clone(), forced: BTreeSet::new() })?;
    let id = &loaded.plan.tasks[index].id;
    // What a waiting task depends on: the tasks before it that will run for a reason of their own.
    let causes: Vec<(&str, &[String])> = tasks
        .iter()
        .filter(|i| **i != index)
        .filter_map(|i| match &outlook[*i] {
            Outlook::Run { why } => Some((&*loaded.plan.tasks[*i].id, why.as_slice())),
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
    print(&out)?;
    Ok(exit::OK)
}
