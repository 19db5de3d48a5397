//! Whether a task must run, and why. Needs the digests of its inputs, so it is asked when they are known.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    Change, FINGERPRINT_VERSION, Fingerprint, History, InputDigest, Manifest, Store, StoreError, changes,
};
use crate::events::OutputRecord;
use crate::io::digest::Digest;
use crate::plan::{Plan, Source, Task};
use crate::study::DeviceKind;

/// What decides results but is not in the study file; the binary gathers it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Values of the environment variables that some task names.
    pub env: BTreeMap<String, Option<String>>,
    /// `onnxruntime 1.32.0`: the one found, or the one that would be fetched.
    pub runtime: Option<String>,
}

/// One reason to run.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Never finished in this study.
    First,
    /// Its fingerprint differs from the last one in these fields.
    Changed(Vec<Change>),
    /// The last fingerprint is known but what was recorded with it is gone, so fields cannot be compared.
    Unrecorded,
    /// Nothing changed but this output is no longer in the store, or is damaged.
    OutputLost(String),
    /// The user asked.
    Forced,
}

impl Why {
    /// A line per reason.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Why::Changed(changes) => changes.iter().map(Change::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::First => write!(f, "has not finished before"),
            Why::Changed(changes) => {
                let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
                write!(f, "{}", lines.join("; "))
            }
            Why::Unrecorded => write!(f, "the record of its last result is gone from the store"),
            Why::OutputLost(name) => write!(f, "its output `{name}` is missing from the store or damaged"),
            Why::Forced => write!(f, "asked for with --force"),
        }
    }
}

/// The decision on one task.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The store holds its outputs.
    Cached(Manifest),
    /// It must run.
    Run {
        /// What it will be stored under.
        fingerprint: Fingerprint,
        /// Why.
        why: Why,
    },
}

/// Outputs of finished or cached tasks, by task index.
pub type Known = BTreeMap<usize, BTreeMap<String, OutputRecord>>;

/// Decides on a task whose producers are all in `known`.
pub fn decide(
    plan: &Plan,
    index: usize,
    known: &Known,
    store: &mut Store,
    history: &History,
    around: &Surroundings,
    force: bool,
) -> Result<Decision, StoreError> {
    let task = &plan.tasks[index];
    let fingerprint = fingerprint(plan, task, known, store, around)?;
    let digest = fingerprint.digest();
    let why = if force {
        Why::Forced
    } else if let Some(manifest) = store.manifest(&digest)? {
        match store.missing_output(&manifest)? {
            None => return Ok(Decision::Cached(manifest)),
            Some(output) => Why::OutputLost(output),
        }
    } else {
        why(task, &fingerprint, &digest, store, history)?
    };
    Ok(Decision::Run { fingerprint, why })
}

fn why(
    task: &Task,
    fingerprint: &Fingerprint,
    digest: &Digest,
    store: &Store,
    history: &History,
) -> Result<Why, StoreError> {
    Ok(match history.last(&task.id) {
        None => Why::First,
        Some(last) if last == digest => Why::Unrecorded,
        Some(last) => match store.manifest(last)? {
            Some(manifest) => Why::Changed(changes(&manifest.fingerprint, fingerprint)),
            None => Why::Unrecorded,
        },
    })
}

/// The fingerprint of a task whose producers are all in `known`.
pub fn fingerprint(
    plan: &Plan,
    task: &Task,
    known: &Known,
    store: &mut Store,
    around: &Surroundings,
) -> Result<Fingerprint, StoreError> {
    let mut inputs = BTreeMap::new();
    for (slot, sources) in &task.inputs {
        let mut digests = Vec::with_capacity(sources.len());
        for source in sources {
            digests.push(match source {
                Source::File { path } => {
                    InputDigest { digest: store.digest(&plan.base.join(path))?, point: BTreeMap::new() }
                }
                Source::Task { task, output } => {
                    InputDigest { digest: known[task][output].digest, point: plan.tasks[*task].point.clone() }
                }
            });
        }
        inputs.insert(slot.clone(), digests);
    }
    let env = task.env.iter().map(|n| (n.clone(), around.env.get(n).cloned().flatten())).collect();
    Ok(Fingerprint {
        version: FINGERPRINT_VERSION,
        kind: task.kind.clone(),
        kind_version: task.kind_version,
        params: task.params.clone(),
        seed: task.seed,
        point: task.point.clone(),
        inputs,
        outputs: task.outputs.clone(),
        env,
        runtime: task.needs_runtime.then(|| around.runtime.clone()).flatten(),
        device: match task.resources.device {
            DeviceKind::Cpu => "cpu".to_owned(),
            DeviceKind::Cuda => "cuda".to_owned(),
        },
    })
}
