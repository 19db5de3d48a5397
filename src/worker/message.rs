//! What a worker says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diag::StageError;
use crate::io::digest::Digest;
use crate::stages::Report;

/// A finished output in the staging folder: hashed and on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    /// Digest of its content.
    pub digest: Digest,
    /// Size, bytes.
    pub size: u64,
}

/// A line from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// The stage reports.
    Report {
        /// What.
        #[serde(flatten)]
        report: Report,
    },
    /// The stage is done: output name → what it is. The last line.
    Finished {
        /// Every declared output.
        outputs: BTreeMap<String, Produced>,
        /// Peak resident memory of the worker, bytes.
        peak_memory: Option<u64>,
    },
    /// The stage failed. The last line.
    Failed {
        /// How.
        error: StageError,
    },
}
