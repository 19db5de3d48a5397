//! A plan with its outlook, for people and for programs.

mod graph;
mod text;

use serde::Serialize;

use super::{Outlook, Plan, Task};

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

/// Writes a plan; `outlook` has one entry per task.
pub fn render(plan: &Plan, outlook: &[Outlook], format: Format) -> String {
    match format {
        Format::Text => text::render(plan, outlook),
        Format::Json => json(plan, outlook),
        Format::Dot => graph::dot(plan, outlook),
        Format::Mermaid => graph::mermaid(plan, outlook),
    }
}

fn json(plan: &Plan, outlook: &[Outlook]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        index: usize,
        #[serde(flatten)]
        task: &'a Task,
        waits_for: Vec<&'a str>,
        outlook: View<'a>,
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
        tasks: Vec<Line<'a>>,
    }
    let tasks = plan
        .tasks
        .iter()
        .zip(outlook)
        .enumerate()
        .map(|(index, (task, outlook))| {
            let ids = |tasks: &[usize]| tasks.iter().map(|up| &*plan.tasks[*up].id).collect();
            let waits_for = ids(&task.upstream());
            let outlook = match outlook {
                Outlook::Cached => View::Cached,
                Outlook::Run { why } => View::Run { why },
                Outlook::AwaitsUpstream { on } => View::AwaitsUpstream { on: ids(on) },
                Outlook::NotSelected => View::NotSelected,
            };
            Line { index, task, waits_for, outlook }
        })
        .collect();
    let document = Document { version: 1, study: &plan.study, tasks };
    // Plain data with string keys: this cannot fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}
