//! What decides a task's result, as named fields.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::digest::Digest;
use crate::plan::Labels;

/// Version of this struct: raise it when a field changes its meaning.
pub const FINGERPRINT_VERSION: u32 = 3;

/// One input file: its content, and the axis labels under which the stage sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigest<'a> {
    /// Content.
    pub digest: Digest,
    /// Axis → label of its producer; stages that tabulate conditions read it.
    #[serde(default, skip_serializing_if = "no_labels")]
    pub point: Cow<'a, Labels>,
}

// The signature is serde's: it hands over the field as it is.
#[allow(clippy::ptr_arg)]
fn no_labels(labels: &Cow<'_, Labels>) -> bool {
    labels.is_empty()
}

/// Everything that decides the bytes of a task's outputs, and nothing else. Chunk sizes, threads, the
/// device's index and the task's id are not here.
///
/// It borrows from the plan while decisions are made, and owns its fields in a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint<'a> {
    /// [`FINGERPRINT_VERSION`].
    pub version: u32,
    /// Stage kind.
    pub kind: Cow<'a, str>,
    /// Version of the kind's code.
    pub kind_version: u32,
    /// Canonical parameters: sorted keys, numbers in one form. Holds the command line of `command` stages.
    pub params: Cow<'a, Value>,
    /// Seed, for kinds that draw random numbers.
    pub seed: Option<u64>,
    /// Axis labels of the task, which a stage may read.
    pub point: Cow<'a, Labels>,
    /// Slot → files in order. A model is an input like any other.
    pub inputs: Inputs<'a>,
    /// Output name → file name.
    pub outputs: Cow<'a, BTreeMap<String, String>>,
    /// Values of the environment variables that the study names; `None` when unset.
    pub env: BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>,
    /// `onnxruntime 1.32.0`, for kinds that use it.
    pub runtime: Option<Cow<'a, str>>,
    /// `cpu` or `cuda`: their results differ in the last digits. `cuda or cpu` where the study allows both.
    pub device: Cow<'a, str>,
}

impl Fingerprint<'_> {
    /// The same, with fields of its own.
    pub fn into_owned(self) -> Fingerprint<'static> {
        fn own<T: ToOwned + ?Sized + 'static>(field: Cow<'_, T>) -> Cow<'static, T> {
            Cow::Owned(field.into_owned())
        }
        let file = |f: InputDigest<'_>| InputDigest { digest: f.digest, point: own(f.point) };
        let files = |all: Vec<InputDigest<'_>>| all.into_iter().map(file).collect();
        Fingerprint {
            version: self.version,
            kind: own(self.kind),
            kind_version: self.kind_version,
            params: own(self.params),
            seed: self.seed,
            point: own(self.point),
            inputs: self.inputs.into_iter().map(|(slot, all)| (own(slot), files(all))).collect(),
            outputs: own(self.outputs),
            env: self.env.into_iter().map(|(name, value)| (own(name), value.map(own))).collect(),
            runtime: self.runtime.map(own),
            device: own(self.device),
        }
    }

    /// Digest of all fields: of `common`, `point` and `inputs`, where `common` is the digest of the canonical
    /// JSON of all others.
    pub fn digest(&self) -> Digest {
        own_digest(&self.common(), &self.point, &self.inputs)
    }

    /// Digest of the fields in which the tasks of a stage mostly agree: there are thousands of them, and few
    /// of these.
    pub(super) fn common(&self) -> Digest {
        // A field that is added must be named here.
        let Self {
            version,
            kind,
            kind_version,
            params,
            seed,
            point: _,
            inputs: _,
            outputs,
            env,
            runtime,
            device,
        } = self;
        #[derive(Serialize)]
        struct Common<'f> {
            version: &'f u32,
            kind: &'f str,
            kind_version: &'f u32,
            params: &'f Value,
            seed: &'f Option<u64>,
            outputs: &'f BTreeMap<String, String>,
            env: &'f BTreeMap<Cow<'f, str>, Option<Cow<'f, str>>>,
            runtime: &'f Option<Cow<'f, str>>,
            device: &'f str,
        }
        json(&Common { version, kind, kind_version, params, seed, outputs, env, runtime, device })
    }
}

/// Slot → files in order.
pub(super) type Inputs<'a> = BTreeMap<Cow<'a, str>, Vec<InputDigest<'a>>>;

/// Digest of a fingerprint whose [`Fingerprint::common`] is known. Every task of every run asks for it, so it
/// is made from plain bytes: `common`; the labels of `point`; for every slot its name, the number of its
/// files, and of each the digest and the labels. A text follows its length and a list its own, each as eight
/// bytes, the lowest first, so that no two fingerprints give the same bytes.
pub(super) fn own_digest(common: &Digest, point: &Labels, inputs: &Inputs<'_>) -> Digest {
    let mut bytes = Vec::with_capacity(1 << 10);
    bytes.extend_from_slice(common.bytes());
    labels(&mut bytes, point);
    number(&mut bytes, inputs.len());
    for (slot, files) in inputs {
        text(&mut bytes, slot);
        number(&mut bytes, files.len());
        for file in files {
            bytes.extend_from_slice(file.digest.bytes());
            labels(&mut bytes, &file.point);
        }
    }
    Digest::of(&bytes)
}

fn labels(bytes: &mut Vec<u8>, labels: &Labels) {
    number(bytes, labels.len());
    for (axis, label) in labels.iter() {
        text(bytes, axis);
        text(bytes, label);
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_le_bytes());
}

/// Fields keep their order and maps are sorted, so equal values give equal text. Serialising plain data with
/// string keys into memory cannot fail.
fn json(fields: &impl Serialize) -> Digest {
    let mut text = Vec::with_capacity(1 << 10);
    let _ = serde_json::to_writer(&mut text, fields);
    Digest::of(&text)
}
