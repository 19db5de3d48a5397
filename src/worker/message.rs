//! What orchestrator and worker say to each other, a JSON line each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diag::StageError;
use crate::io::digest::Digest;
use crate::stages::{Job, Report};

/// A finished output in the staging folder, hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    /// Digest of its content.
    pub digest: Digest,
    /// Size, bytes.
    pub size: u64,
}

/// A line to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker {
    /// Do this; the worker is idle.
    Run(Box<Job>),
    /// End the current job soon.
    Stop,
}

/// A line from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// The job has arrived. A worker that ends before saying so has not touched it.
    Took,
    /// The stage reports.
    Report {
        /// What.
        #[serde(flatten)]
        report: Report,
    },
    /// The stage is done: output name → what it is. The last line of a job.
    Finished {
        /// Every declared output.
        outputs: BTreeMap<String, Produced>,
        /// Peak resident memory of the worker or of the program it ran, bytes.
        peak_memory: Option<u64>,
    },
    /// The stage failed. The last line of a job.
    Failed {
        /// How.
        error: StageError,
        /// As in `Finished`.
        peak_memory: Option<u64>,
    },
}
