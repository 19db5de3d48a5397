//! The plan as data: what `plan` prints and what `run` executes is this very object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::study::{Phase, Resources};

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An output of another task of the plan.
    Task {
        /// Index in [`Plan::tasks`].
        task: usize,
        /// Output name.
        output: String,
    },
    /// A file, as the study names it.
    File {
        /// Relative to the study's folder, or absolute.
        path: PathBuf,
    },
}

/// One unit of work: a stage at a point of its axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// `stage@axis=label,…`; the stage alone when it has no axes.
    pub id: String,
    /// Stage id.
    pub stage: String,
    /// Phase of the study.
    pub phase: Phase,
    /// Stage kind.
    pub kind: String,
    /// Version of the kind's code.
    pub kind_version: u32,
    /// Axis → label.
    pub point: BTreeMap<String, String>,
    /// Folder under `results/<study>/`: `stage/axis=label,…`.
    pub folder: PathBuf,
    /// Parameters that decide the result.
    pub params: Value,
    /// Parameters that cannot change it.
    pub tuning: Value,
    /// The seed, for kinds that draw random numbers.
    pub seed: Option<u64>,
    /// Slot → sources, in a fixed order.
    pub inputs: BTreeMap<String, Vec<Source>>,
    /// Output name → file name.
    pub outputs: BTreeMap<String, String>,
    /// Environment variables whose values decide the result.
    pub env: Vec<String>,
    /// Whether ONNX Runtime is needed.
    pub needs_runtime: bool,
    /// What it was promised.
    pub resources: Resources,
}

impl Task {
    /// Indices of the tasks it waits for, ascending, each once.
    pub fn upstream(&self) -> BTreeSet<usize> {
        self.inputs
            .values()
            .flatten()
            .filter_map(|source| match source {
                Source::Task { task, .. } => Some(*task),
                Source::File { .. } => None,
            })
            .collect()
    }
}

/// All tasks of a study in the order in which one worker would run them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Name of the study.
    pub study: String,
    /// Folder that file inputs are relative to.
    #[serde(skip)]
    pub base: PathBuf,
    /// Topological order; among tasks that could come next, the study's own order.
    pub tasks: Vec<Task>,
}

impl Plan {
    /// For every task, the tasks that wait for it, ascending.
    pub fn downstream(&self) -> Vec<Vec<usize>> {
        let mut downstream = vec![Vec::new(); self.tasks.len()];
        for (index, task) in self.tasks.iter().enumerate() {
            for up in task.upstream() {
                downstream[up].push(index);
            }
        }
        downstream
    }

    /// The index of a task by its id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|t| t.id == id)
    }

    /// `targets` and everything they need, ascending (so in plan order).
    pub fn with_upstream(&self, targets: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut needed = targets.clone();
        // The order is topological, so one pass from the back sees every consumer before its producers.
        for index in (0..self.tasks.len()).rev() {
            if needed.contains(&index) {
                needed.extend(self.tasks[index].upstream());
            }
        }
        needed
    }
}
