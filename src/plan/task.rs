//! The plan as data: what `plan` prints and what `run` executes is this very object.
//!
//! A study may have a hundred thousand tasks, so whatever tasks of one stage or point have in common is
//! shared between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Labels;
use crate::study::{Phase, Rescue, Resources, Retries};

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An output of another task of the plan.
    Task {
        /// Index in [`Plan::tasks`].
        task: usize,
        /// Output name.
        output: Arc<str>,
    },
    /// A file, as the study names it.
    File {
        /// Relative to the study's folder, or absolute.
        path: Arc<Path>,
    },
}

/// Slot → sources, in a fixed order; slots are sorted by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs(pub(super) Vec<(Arc<str>, Vec<Source>)>);

impl Inputs {
    /// Slots with their sources.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Source])> {
        self.0.iter().map(|(slot, sources)| (&**slot, sources.as_slice()))
    }

    /// All sources, slot by slot.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().flat_map(|(_, sources)| sources)
    }
}

impl FromIterator<(Arc<str>, Vec<Source>)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Vec<Source>)>>(slots: I) -> Self {
        let mut slots: Vec<_> = slots.into_iter().collect();
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        Self(slots)
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// One unit of work: a stage at a point of its axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// `stage@axis=label,…`; the stage alone when it has no axes.
    pub id: Box<str>,
    /// Stage id.
    pub stage: Arc<str>,
    /// Phase of the study.
    pub phase: Phase,
    /// Stage kind.
    pub kind: Arc<str>,
    /// Version of the kind's code.
    pub kind_version: u32,
    /// Axis → label.
    pub point: Arc<Labels>,
    /// Folder under `results/<study>/`: `stage/axis=label,…`.
    pub folder: PathBuf,
    /// Parameters that decide the result.
    pub params: Arc<Value>,
    /// Parameters that cannot change it.
    pub tuning: Arc<Value>,
    /// The seed, for kinds that draw random numbers.
    pub seed: Option<u64>,
    /// What it reads.
    pub inputs: Inputs,
    /// Output name → file name.
    pub outputs: Arc<BTreeMap<String, String>>,
    /// Environment variables whose values decide the result.
    pub env: Arc<[String]>,
    /// Whether ONNX Runtime is needed.
    pub needs_runtime: bool,
    /// What it was promised.
    pub resources: Arc<Resources>,
    /// Which of its failures are tried again, and how often.
    #[serde(skip_serializing_if = "Retries::is_empty")]
    pub retries: Arc<Retries>,
    /// What is tried when memory runs out, if the study says so; see [`Rescue::usual`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescue: Option<Arc<Rescue>>,
    /// Whether its staging folder is kept for the next attempt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumes: bool,
    /// Of tasks that could start, those with the higher priority start first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
}

/// Plans of studies that set no priorities do not show them.
fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

impl Task {
    /// Indices of the tasks it waits for, ascending, each once.
    pub fn upstream(&self) -> Vec<usize> {
        let mut upstream: Vec<usize> = self
            .inputs
            .sources()
            .filter_map(|source| match source {
                Source::Task { task, .. } => Some(*task),
                Source::File { .. } => None,
            })
            .collect();
        upstream.sort_unstable();
        upstream.dedup();
        upstream
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
        self.tasks.iter().position(|t| &*t.id == id)
    }

    /// `targets` and everything they need, ascending (so in plan order).
    pub fn with_upstream(&self, targets: &BTreeSet<usize>) -> BTreeSet<usize> {
        if targets.len() == self.tasks.len() {
            return targets.clone();
        }
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
