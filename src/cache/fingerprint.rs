//! What decides a task's result, as named fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::digest::Digest;

/// Version of this struct: raise it when a field changes its meaning.
pub const FINGERPRINT_VERSION: u32 = 1;

/// One input file: its content, and the axis labels under which the stage sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigest {
    /// Content.
    pub digest: Digest,
    /// Axis → label of its producer; stages that tabulate conditions read it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point: BTreeMap<String, String>,
}

/// Everything that decides the bytes of a task's outputs, and nothing else. Chunk sizes, threads, the
/// device's index and the task's id are not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// [`FINGERPRINT_VERSION`].
    pub version: u32,
    /// Stage kind.
    pub kind: String,
    /// Version of the kind's code.
    pub kind_version: u32,
    /// Canonical parameters: sorted keys, numbers in one form. Holds the command line of `command` stages.
    pub params: Value,
    /// Seed, for kinds that draw random numbers.
    pub seed: Option<u64>,
    /// Axis labels of the task, which a stage may read.
    pub point: BTreeMap<String, String>,
    /// Slot → files in order. A model is an input like any other.
    pub inputs: BTreeMap<String, Vec<InputDigest>>,
    /// Output name → file name.
    pub outputs: BTreeMap<String, String>,
    /// Values of the environment variables that the study names; `None` when unset.
    pub env: BTreeMap<String, Option<String>>,
    /// `onnxruntime 1.32.0`, for kinds that use it.
    pub runtime: Option<String>,
    /// `cpu` or `cuda`: their results differ in the last digits.
    pub device: String,
}

impl Fingerprint {
    /// Digest of the canonical JSON of all fields.
    pub fn digest(&self) -> Digest {
        // Fields keep their order and maps are sorted, so equal fingerprints give equal text. Serialising
        // plain data with string keys cannot fail.
        Digest::of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}
