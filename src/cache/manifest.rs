//! What a finished task left in the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fingerprint;
use crate::events::OutputRecord;

/// Fingerprint → outputs, with what is worth knowing about how they came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// What decided the outputs.
    pub fingerprint: Fingerprint,
    /// Output name → record.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Facts that the stage measured.
    pub measured: BTreeMap<String, Value>,
    /// Wall time of the task, seconds.
    pub seconds: f64,
    /// Peak resident memory of the worker, bytes.
    pub peak_memory: Option<u64>,
    /// Host that made it.
    pub host: String,
    /// Version of phasegraph that made it.
    pub phasegraph: String,
}

impl Manifest {
    /// Version of the format.
    pub const FORMAT: u32 = 1;
}
