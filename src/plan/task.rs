//! The plan as data: what `plan` prints and what `run` executes is this very object.
//!
//! A study may have a hundred thousand tasks, so whatever tasks of one stage or point have in common is
//! shared between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Labels, TaskSet};
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
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Names of the slots, which all tasks of a stage share.
    names: Arc<[Arc<str>]>,
    /// Where the sources of each slot end; `None` where each has exactly one.
    ends: Option<Box<[usize]>>,
    sources: Box<[Source]>,
}

impl Inputs {
    /// `names` are sorted; `ends` tells for each where its sources end.
    pub(super) fn new(names: Arc<[Arc<str>]>, ends: &[usize], sources: impl Iterator<Item = Source>) -> Self {
        let plain = ends.iter().enumerate().all(|(slot, end)| *end == slot + 1);
        Self { names, ends: (!plain).then(|| ends.into()), sources: sources.collect() }
    }

    /// Slots with their sources.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Source])> {
        let end = |slot: usize| self.ends.as_ref().map_or(slot + 1, |ends| ends[slot]);
        let start = move |slot: usize| slot.checked_sub(1).map_or(0, end);
        let sources = move |slot: usize| &self.sources[start(slot)..end(slot)];
        self.names.iter().enumerate().map(move |(slot, name)| (&**name, sources(slot)))
    }

    /// All sources, slot by slot.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    pub(super) fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.sources.iter_mut()
    }
}

impl Default for Inputs {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<(Arc<str>, Vec<Source>)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Vec<Source>)>>(slots: I) -> Self {
        let mut slots: Vec<_> = slots.into_iter().collect();
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        let mut end = 0;
        let ends: Vec<usize> = slots
            .iter()
            .map(|(_, sources)| {
                end += sources.len();
                end
            })
            .collect();
        let names = slots.iter().map(|(name, _)| Arc::clone(name)).collect();
        Self::new(names, &ends, slots.into_iter().flat_map(|(_, sources)| sources))
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
    /// The index of a task by its id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|t| &*t.id == id)
    }

    /// `targets` and everything they need, ascending (so in plan order).
    pub fn with_upstream(&self, targets: &TaskSet) -> TaskSet {
        let mut needed = targets.clone();
        if targets.len() == self.tasks.len() {
            return needed;
        }
        let edges = self.edges();
        // The order is topological, so one pass from the back sees every consumer before its producers.
        for index in (0..self.tasks.len()).rev() {
            if needed.contains(index) {
                edges.upstream(index).for_each(|up| needed.insert(up));
            }
        }
        needed
    }
}
