//! The plan as a graph for Graphviz and Mermaid: a cluster per phase, a box per task.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::plan::{Outlook, Plan};

/// Fill colours by outlook; dark text keeps contrast on each.
fn colour(outlook: &Outlook) -> &'static str {
    match outlook {
        Outlook::Cached => "#cfe8cf",
        Outlook::Run { .. } => "#ffe2a8",
        Outlook::AwaitsUpstream { .. } => "#dde3ee",
        Outlook::NotSelected => "#f4f4f4",
    }
}

fn by_phase(plan: &Plan) -> BTreeMap<&'static str, Vec<usize>> {
    let mut phases: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (index, task) in plan.tasks.iter().enumerate() {
        phases.entry(task.phase.name()).or_default().push(index);
    }
    phases
}

/// `stage` and the labels of its point, on lines of their own.
fn caption(plan: &Plan, index: usize, newline: &str) -> String {
    let task = &plan.tasks[index];
    let labels: Vec<String> = task.point.iter().map(|(a, l)| format!("{a}={l}")).collect();
    if labels.is_empty() {
        task.stage.to_string()
    } else {
        format!("{}{newline}{}", task.stage, labels.join(" "))
    }
}

pub(super) fn dot(plan: &Plan, outlook: &[Outlook]) -> String {
    // Names and labels are limited to characters that need no escaping inside quotes.
    let mut out =
        String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=filled, fontname=sans];\n");
    for (phase, tasks) in by_phase(plan) {
        let _ = writeln!(out, "  subgraph cluster_{phase} {{\n    label=\"phase {phase}\";");
        for index in tasks {
            let caption = caption(plan, index, "\\n");
            let _ = writeln!(
                out,
                "    t{index} [label=\"{caption}\", fillcolor=\"{}\"];",
                colour(&outlook[index])
            );
        }
        out.push_str("  }\n");
    }
    let edges = plan.edges();
    for index in 0..plan.tasks.len() {
        for up in edges.upstream(index) {
            let _ = writeln!(out, "  t{up} -> t{index};");
        }
    }
    out.push_str("}\n");
    out
}

pub(super) fn mermaid(plan: &Plan, outlook: &[Outlook]) -> String {
    let mut out = String::from("flowchart LR\n");
    for (phase, tasks) in by_phase(plan) {
        let _ = writeln!(out, "  subgraph phase_{phase} [phase {phase}]");
        for index in tasks {
            let _ = writeln!(out, "    t{index}[\"{}\"]", caption(plan, index, "<br/>"));
        }
        out.push_str("  end\n");
    }
    let edges = plan.edges();
    for index in 0..plan.tasks.len() {
        for up in edges.upstream(index) {
            let _ = writeln!(out, "  t{up} --> t{index}");
        }
    }
    for (index, outlook) in outlook.iter().enumerate() {
        let _ = writeln!(out, "  style t{index} fill:{},color:#111", colour(outlook));
    }
    out
}
