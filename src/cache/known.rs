//! What is known of finished and cached tasks while a plan is gone through.

use super::index::{Content, Contents};
use crate::io::digest::Digest;
use crate::plan::Plan;

/// A finished or cached task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Digest of its fingerprint.
    pub fingerprint: Digest,
    /// Contents of its outputs, in the order of their names.
    pub outputs: Contents,
}

/// Finished and cached tasks by their index in the plan.
#[derive(Debug, Clone, Default)]
pub struct Known(Vec<Option<Finished>>);

impl Known {
    /// Nothing known yet about a plan of so many tasks.
    pub fn new(tasks: usize) -> Self {
        Self(vec![None; tasks])
    }

    /// What is known of a task.
    pub fn get(&self, task: usize) -> Option<&Finished> {
        self.0.get(task)?.as_ref()
    }

    /// Takes note of a task.
    pub fn insert(&mut self, task: usize, finished: Finished) {
        self.0[task] = Some(finished);
    }

    /// Content of an output of a known task.
    pub fn content(&self, plan: &Plan, task: usize, output: &str) -> Option<&Content> {
        let place = plan.tasks[task].outputs.keys().position(|name| name == output)?;
        self.get(task)?.outputs.get(place)
    }
}
