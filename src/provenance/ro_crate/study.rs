//! The texts that go with a crate: its workflow as data, and a guide for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::super::lineage::{Edge, Lineage, Node, TaskNode};
use super::files::Files;
use super::tools::Tools;

/// The tasks that led to the results, producers first, with everything that decided their outputs.
pub(super) fn study(lineage: &Lineage) -> serde_json::Result<String> {
    let tasks: BTreeMap<usize, &TaskNode> = lineage.tasks().collect();
    let order = lineage.producers_first();
    let described: Vec<Value> =
        order.iter().filter_map(|n| tasks.get(n)).map(|task| describe(lineage, task)).collect();
    let asked: Vec<Value> =
        lineage.asked.iter().map(|a| json!({"output": a.output, "digest": a.digest})).collect();
    serde_json::to_string_pretty(&json!({"results": asked, "tasks": described})).map(|text| text + "\n")
}

fn describe(lineage: &Lineage, task: &TaskNode) -> Value {
    let origin = |edge: &Edge| match &lineage.nodes[edge.node] {
        Node::Source(source) => json!({"file": source.path, "digest": edge.digest}),
        Node::Task(from) => {
            json!({"task": from.record.task, "output": edge.output, "fingerprint": from.fingerprint, "digest": edge.digest})
        }
        Node::Lost(lost) => {
            json!({"task": lost.task, "output": edge.output, "fingerprint": lost.fingerprint, "digest": edge.digest})
        }
    };
    let inputs: BTreeMap<&String, Vec<Value>> =
        task.inputs.iter().map(|(slot, edges)| (slot, edges.iter().map(origin).collect())).collect();
    let print = &task.record.fingerprint;
    json!({
        "task": task.record.task,
        "study": task.record.study,
        "fingerprint": task.fingerprint,
        "kind": print.kind,
        "kind_version": print.kind_version,
        "params": print.params,
        "seed": print.seed,
        "env": print.env,
        "runtime": print.runtime,
        "device": print.device,
        "inputs": inputs,
        "outputs": task.record.outputs,
    })
}

/// What the folder is, what is in it, how to check it.
pub(super) fn readme(lineage: &Lineage, files: &Files, tools: &Tools<'_>, name: &str) -> String {
    let mut out = format!(
        "# {name}\n\nResults of phasegraph with everything that they were made from, as an RO-Crate (Provenance \
         Run Crate 0.5).\n`ro-crate-metadata.json` describes every file and every task; `study.json` lists the \
         tasks, producers first;\neach `provenance.json` is the sealed record of one task.\n\nDigests are BLAKE3: \
         `b3sum FILE` gives the digits after `blake3:`.\n\n## Results\n\n"
    );
    for asked in &lineage.asked {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- `{}` ({} bytes, {})", asked.output, asked.size, asked.digest);
    }
    out.push_str("\n## Tasks\n\n| task | kind | seconds | attempt | record |\n|---|---|---|---|---|\n");
    let tasks: BTreeMap<usize, &TaskNode> = lineage.tasks().collect();
    for index in lineage.producers_first() {
        let (Some(task), Some(record)) = (tasks.get(&index), files.records.get(&index)) else { continue };
        let (made, kind) = (&task.record, &task.record.fingerprint.kind);
        let _ = writeln!(
            out,
            "| {} | [{kind}](#{kind}) | {:.1} | {} | `{}` |",
            made.task, made.seconds, made.attempt, record.path
        );
    }
    out.push_str("\n## Tools\n");
    for (kind, summary) in tools.kinds() {
        let _ = write!(out, "\n### {kind}\n\n{summary}\n");
    }
    out.push_str(
        "\n## Measures\n\n### wall-time\n\nSeconds from the start of a task to the end of its last output.\n\n\
         ### peak-memory\n\nMost resident memory that the task's process had, bytes.\n",
    );
    out
}
