//! A plan with its outlook, for people and for programs.

mod graph;
mod need;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Estimate, Need, Outlook, Past, Plan, Task};

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A list for people.
    Text,
    /// One JSON document.
    Json,
    /// Graphviz.
    Dot,
    /// Mermaid flowchart.
    Mermaid,
}

/// What is known of the past of a plan's tasks, and what can be foreseen.
#[derive(Debug, Clone, Default)]
pub struct Prospects {
    /// What each task took when it last ran; may be empty.
    pub past: Vec<Past>,
    /// How long what is not cached will take.
    pub estimate: Option<Estimate>,
    /// Task → memory, for those that will run and of which that can be foreseen.
    pub needs: BTreeMap<usize, Need>,
}

/// Writes a plan; `outlook` has one entry per task.
pub fn render(plan: &Plan, outlook: &[Outlook], prospects: &Prospects, format: Format) -> String {
    match format {
        Format::Text => text::render(plan, outlook, prospects),
        Format::Json => json(plan, outlook, prospects),
        Format::Dot => graph::dot(plan, outlook),
        Format::Mermaid => graph::mermaid(plan, outlook),
    }
}

fn json(plan: &Plan, outlook: &[Outlook], prospects: &Prospects) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        index: usize,
        #[serde(flatten)]
        task: &'a Task,
        waits_for: Vec<&'a str>,
        outlook: View<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        past: Option<Past>,
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_forecast: Option<&'a Need>,
    }
    /// The outlook with ids instead of indices.
    #[derive(Serialize)]
    #[serde(tag = "state", rename_all = "snake_case")]
    enum View<'a> {
        Cached,
        Run { why: &'a [String] },
        AwaitsUpstream { on: Vec<&'a str> },
        NotSelected,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        study: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        estimate: Option<Estimate>,
        tasks: Vec<Line<'a>>,
    }
    let edges = plan.edges();
    let tasks = plan
        .tasks
        .iter()
        .zip(outlook)
        .enumerate()
        .map(|(index, (task, outlook))| {
            let ids = |tasks: &[usize]| tasks.iter().map(|up| &*plan.tasks[*up].id).collect();
            let waits_for = ids(&edges.upstream(index).collect::<Vec<_>>());
            let outlook = match outlook {
                Outlook::Cached => View::Cached,
                Outlook::Run { why } => View::Run { why },
                Outlook::AwaitsUpstream { on } => View::AwaitsUpstream { on: ids(on) },
                Outlook::NotSelected => View::NotSelected,
            };
            let past = prospects.past.get(index).copied().filter(|p| *p != Past::default());
            let memory_forecast = prospects.needs.get(&index);
            Line { index, task, waits_for, outlook, past, memory_forecast }
        })
        .collect();
    let document = Document { version: 1, study: &plan.study, estimate: prospects.estimate, tasks };
    // Plain data with string keys: this cannot fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}
