//! The graph of a study: a box for each stage, in it a cell for each task.

use std::collections::BTreeMap;

use crate::diag::duration;
use crate::dossier::{Dossier, TaskFacts, TaskState};

/// Sizes, in the units of the drawing.
const BOX: f64 = 130.0;
const GAP: f64 = 26.0;
const CELL: f64 = 10.0;
const PITCH: f64 = 12.0;
const COLUMNS: usize = 10;
const HEAD: f64 = 50.0;
/// Stages with more tasks show a bar of states instead of a cell for each.
const CELLS: usize = 60;

/// A task, or all tasks of one state.
pub(super) struct Cell {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub state: &'static str,
    pub title: String,
}

/// A stage.
pub(super) struct Node {
    pub x: f64,
    pub y: f64,
    pub height: f64,
    pub id: String,
    pub phase: String,
    pub about: String,
    pub title: String,
    pub cells: Vec<Cell>,
}

/// The drawing.
pub(super) struct Graph {
    pub width: f64,
    pub height: f64,
    pub box_width: f64,
    pub cell: f64,
    pub nodes: Vec<Node>,
    /// Paths from producers to consumers.
    pub edges: Vec<String>,
    /// States that occur: class, name, how many.
    pub legend: Vec<(&'static str, &'static str, usize)>,
}

/// The class of a state in the style sheet.
pub(super) fn class(state: TaskState) -> &'static str {
    match state {
        TaskState::Succeeded => "ran",
        TaskState::Cached | TaskState::Earlier => "cached",
        TaskState::Failed => "failed",
        TaskState::Unfinished => "unfinished",
        TaskState::Blocked | TaskState::Cancelled | TaskState::Never => "idle",
    }
}

/// Where a task's results come from, in words.
pub(super) fn origin(task: &TaskFacts, run: &str) -> String {
    let Some(made_in) = &task.made_in else { return String::new() };
    let study = task.made_by_study.as_ref().map(|s| format!(" of study {s}")).unwrap_or_default();
    if made_in == run && study.is_empty() { "this run".to_owned() } else { format!("run {made_in}{study}") }
}

pub(super) fn graph(dossier: &Dossier) -> Graph {
    let mut rank: BTreeMap<&str, usize> = BTreeMap::new();
    // The order of the file need not be that of the flow: as many passes as there are stages suffice.
    for _ in 0..dossier.stages.len() {
        for stage in &dossier.stages {
            let below = stage.needs.iter().filter(|n| **n != stage.id).filter_map(|n| rank.get(n.as_str()));
            let own = below.max().map_or(0, |r| r + 1);
            rank.insert(&stage.id, own);
        }
    }
    let mut columns: BTreeMap<usize, f64> = BTreeMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    for stage in &dossier.stages {
        let tasks: Vec<&TaskFacts> = dossier.tasks.iter().filter(|t| t.stage == stage.id).collect();
        let column = rank.get(stage.id.as_str()).copied().unwrap_or(0);
        let y = columns.entry(column).or_insert(4.0);
        let rows = if tasks.len() > CELLS { 1 } else { tasks.len().div_ceil(COLUMNS) };
        let height = HEAD + rows as f64 * PITCH + 4.0;
        let x = 4.0 + column as f64 * (BOX + GAP);
        let seconds: f64 = tasks.iter().filter_map(|t| t.seconds).sum();
        let count = if tasks.len() == 1 { "1 task".to_owned() } else { format!("{} tasks", tasks.len()) };
        let about = format!("{count} · {}", duration(seconds));
        let states = counts(&tasks).into_iter().map(|(s, n)| format!("{n} {}", s.name())).collect::<Vec<_>>();
        let title = format!(
            "{}: phase {}, kind {} version {}; {about} of work; {}",
            stage.id,
            stage.phase,
            stage.kind,
            stage.kind_version,
            states.join(", ")
        );
        let cells = cells(&tasks, x + 7.0, *y + HEAD, &dossier.run.name);
        let (id, phase) = (stage.id.clone(), stage.phase.clone());
        nodes.push(Node { x, y: *y, height, id, phase, about, title, cells });
        *y += height + 18.0;
    }
    // Columns with less in them are centred.
    let tallest = columns.values().copied().fold(0.0, f64::max);
    for (node, stage) in nodes.iter_mut().zip(&dossier.stages) {
        let column = rank.get(stage.id.as_str()).copied().unwrap_or(0);
        let shift = (tallest - columns.get(&column).copied().unwrap_or(tallest)) / 2.0;
        node.y += shift;
        node.cells.iter_mut().for_each(|cell| cell.y += shift);
    }
    let (edges, below) = edges(dossier, &nodes, &rank, tallest - 14.0);
    let all: Vec<&TaskFacts> = dossier.tasks.iter().collect();
    let legend = counts(&all).into_iter().map(|(state, n)| (class(state), state.name(), n)).collect();
    let width = 8.0 + columns.len() as f64 * (BOX + GAP) - GAP;
    Graph {
        width: width.max(BOX),
        height: tallest - 10.0 + below,
        box_width: BOX,
        cell: CELL,
        nodes,
        edges,
        legend,
    }
}

fn counts(tasks: &[&TaskFacts]) -> Vec<(TaskState, usize)> {
    let count = |state| (state, tasks.iter().filter(|t| t.state == state).count());
    TaskState::ALL.into_iter().map(count).filter(|(_, n)| *n > 0).collect()
}

fn cells(tasks: &[&TaskFacts], x: f64, y: f64, run: &str) -> Vec<Cell> {
    if tasks.len() > CELLS {
        let whole = COLUMNS as f64 * PITCH - 2.0;
        let mut left = x;
        let bar = |(state, n): (TaskState, usize)| {
            let width = whole * n as f64 / tasks.len() as f64;
            let cell =
                Cell { x: left, y, width, state: class(state), title: format!("{n} {}", state.name()) };
            left += width;
            cell
        };
        return counts(tasks).into_iter().map(bar).collect();
    }
    let cell = |(place, task): (usize, &&TaskFacts)| Cell {
        x: x + (place % COLUMNS) as f64 * PITCH,
        y: y + (place / COLUMNS) as f64 * PITCH,
        width: CELL,
        state: class(task.state),
        title: told(task, run),
    };
    tasks.iter().enumerate().map(cell).collect()
}

fn told(task: &TaskFacts, run: &str) -> String {
    let took = task.seconds.map(|s| format!(", {}", duration(s))).unwrap_or_default();
    let from = match task.state {
        TaskState::Cached | TaskState::Earlier => format!(", made in {}", origin(task, run)),
        _ => String::new(),
    };
    let rescued = if task.rescued { ", rescued after memory ran out" } else { "" };
    format!("{}: {}{took}{from}{rescued}", task.id, task.state.name())
}

/// Paths between boxes. One that passes over stages between goes below them all: how far is returned, too.
fn edges(dossier: &Dossier, nodes: &[Node], rank: &BTreeMap<&str, usize>, bottom: f64) -> (Vec<String>, f64) {
    let (mut paths, mut below) = (Vec::new(), 0.0f64);
    let rank = |id: &str| rank.get(id).copied().unwrap_or(0);
    for (stage, to) in dossier.stages.iter().zip(nodes) {
        for need in &stage.needs {
            let Some(from) = nodes.iter().find(|node| node.id == *need) else { continue };
            let (x1, x2, y2) = (from.x + BOX, to.x, to.y + to.height / 2.0);
            let y1 = from.y + from.height / 2.0;
            let over = rank(&stage.id).saturating_sub(rank(need) + 1);
            if over == 0 {
                let bend = GAP / 2.0;
                let (a, b) = (x1 + bend, x2 - bend);
                paths.push(format!("M{x1:.1} {y1:.1}C{a:.1} {y1:.1} {b:.1} {y2:.1} {x2:.1} {y2:.1}"));
                continue;
            }
            // Longer ones lie lower, so that they do not cover each other.
            let depth = 8.0 + 5.0 * over as f64;
            below = below.max(depth);
            let (y, a, b) = (bottom + depth, x1 + GAP, x2 - GAP);
            let (down, up) = (x1 + GAP / 2.0, x2 - GAP / 2.0);
            paths.push(format!(
                "M{x1:.1} {y1:.1}C{down:.1} {y1:.1} {down:.1} {y:.1} {a:.1} {y:.1}H{b:.1}\
                 C{up:.1} {y:.1} {up:.1} {y2:.1} {x2:.1} {y2:.1}"
            ));
        }
    }
    (paths, below)
}
