//! The walk as a tree for people.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::findings::word;
use super::lineage::{Edge, Lineage, Node, State, TaskNode};
use crate::diag::{duration, memory};

/// Deepest indentation. What lies deeper is told as a tree of its own: chains of a thousand tasks would
/// otherwise end beyond any window's right edge.
const DEEPEST: usize = 16;

/// A tree: under every task what it read, each task once. `short` says how to write paths of results.
pub fn text(lineage: &Lineage, short: impl Fn(&Path) -> String) -> String {
    let mut out = String::new();
    for asked in &lineage.asked {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", short(&asked.path));
        let _ = writeln!(out, "  {}  {} B  {}", asked.digest, asked.size, seen(&asked.state));
    }
    let mut told = BTreeSet::new();
    let mut trees = vec![0];
    let mut next = 0;
    while let Some(&root) = trees.get(next) {
        if !told.contains(&root) {
            out.push('\n');
            tree(lineage, root, &mut out, &mut told, &mut trees);
        }
        next += 1;
    }
    out
}

/// Something to be told: a branch of the tree.
struct Branch {
    /// Written before its first line.
    first: String,
    /// Written before the others.
    rest: String,
    /// How it was come by.
    via: Option<String>,
    node: usize,
    depth: usize,
}

fn tree(
    lineage: &Lineage,
    root: usize,
    out: &mut String,
    told: &mut BTreeSet<usize>,
    trees: &mut Vec<usize>,
) {
    let (first, rest) = (String::new(), String::new());
    let mut open = vec![Branch { first, rest, via: None, node: root, depth: 0 }];
    while let Some(Branch { first, rest, via, node: index, depth }) = open.pop() {
        let via = via.unwrap_or_default();
        match &lineage.nodes[index] {
            Node::Source(source) => {
                let path = source.path.display();
                let _ = writeln!(out, "{first}{via}file {path}");
                let _ = writeln!(out, "{rest}   {}  {}", source.digest, source_seen(&source.state));
            }
            Node::Lost(lost) => {
                let _ = writeln!(out, "{first}{via}{}", lost.task);
                let _ =
                    writeln!(out, "{rest}   RECORD {}: {}", word(lost.why).to_uppercase(), lost.fingerprint);
            }
            Node::Task(task) => {
                let name = &task.record.task;
                if told.contains(&index) {
                    let _ = writeln!(out, "{first}{via}{name} (told above)");
                    continue;
                }
                if depth > DEEPEST {
                    let _ = writeln!(out, "{first}{via}{name} (told below)");
                    trees.push(index);
                    continue;
                }
                told.insert(index);
                let kind = (&task.record.fingerprint.kind, task.record.fingerprint.kind_version);
                let _ = writeln!(out, "{first}{via}{name}  ({} v{})", kind.0, kind.1);
                let edges: Vec<(String, &Edge)> = edges(task);
                let bar = if edges.is_empty() { "   " } else { "│  " };
                for line in facts(task) {
                    let _ = writeln!(out, "{rest}{bar}{line}");
                }
                let last = edges.len().saturating_sub(1);
                open.extend(edges.into_iter().enumerate().rev().map(|(n, (slot, edge))| Branch {
                    first: format!("{rest}{}", if n == last { "└─ " } else { "├─ " }),
                    rest: format!("{rest}{}", if n == last { "   " } else { "│  " }),
                    via: Some(match &edge.output {
                        Some(output) => format!("{slot} ← `{output}` of "),
                        None => format!("{slot} ← "),
                    }),
                    node: edge.node,
                    depth: depth + 1,
                }));
            }
        }
    }
}

/// What a task read, by slot; numbered where a slot has several.
fn edges(task: &TaskNode) -> Vec<(String, &Edge)> {
    let name = |slot: &String, all: usize, n: usize| match all {
        1 => slot.clone(),
        _ => format!("{slot}[{n}]"),
    };
    let slots = task.inputs.iter();
    slots
        .flat_map(|(slot, all)| all.iter().enumerate().map(move |(n, e)| (name(slot, all.len(), n), e)))
        .collect()
}

/// Lines about a task.
fn facts(task: &TaskNode) -> Vec<String> {
    let record = &task.record;
    let mut lines = Vec::new();
    for (name, held) in &task.outputs {
        let state = seen(&held.state);
        lines.push(format!("{name} = {}  {}  {} B  {state}", held.file, held.digest, held.size));
    }
    let missing = task.store_record.map(|why| format!("  {} IN THE STORE", word(why).to_uppercase()));
    lines.push(format!("record {}{}", task.fingerprint, missing.unwrap_or_default()));
    let peak = record.peak_memory.map(|bytes| format!(", memory {}", memory(bytes))).unwrap_or_default();
    lines.push(format!(
        "made {} in {} on {}: {}, threads {}{peak}, attempt {}, phasegraph {}",
        when(record.started),
        duration(record.seconds),
        record.host,
        record.device,
        record.threads,
        record.attempt,
        record.phasegraph,
    ));
    lines.push(format!("in run {} of study {}", record.run, record.study));
    let print = &record.fingerprint;
    lines.push(format!("parameters {}", print.params));
    if let Some(seed) = print.seed {
        lines.push(format!("seed {seed}"));
    }
    if let Some(runtime) = &print.runtime {
        lines.push(format!("with {runtime}"));
    }
    for (name, value) in &print.env {
        lines.push(match value {
            Some(value) => format!("with {name}={value}"),
            None => format!("with {name} unset"),
        });
    }
    lines
}

/// `2026-11-23 14:17:02 UTC`.
fn when(seconds: f64) -> String {
    let stamp = jiff::Timestamp::from_second(seconds as i64).unwrap_or_default();
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn seen(state: &State) -> String {
    match state {
        State::AsRecorded => "as recorded".to_owned(),
        State::Differs { now } => format!("NOT WHAT WAS MADE: it is {now} now"),
        State::Gone => "GONE".to_owned(),
        State::Unreadable { message } => format!("UNREADABLE: {message}"),
    }
}

/// Source files belong to their owner, who may change them.
fn source_seen(state: &State) -> String {
    match state {
        State::AsRecorded => "as it was read".to_owned(),
        State::Differs { now } => format!("changed since: it is {now} now"),
        State::Gone => "no longer there".to_owned(),
        State::Unreadable { message } => format!("cannot be read now: {message}"),
    }
}
