//! What a finished task left in the store: the record that `provenance` walks.
//!
//! On disk a manifest is one JSON object whose last field is the checksum of all before it, so that damage
//! is noticed, and people can still read the file with any tool.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fingerprint;
use crate::events::OutputRecord;
use crate::io::digest::Digest;

/// Where an input came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file outside the store.
    File {
        /// Its absolute path at the time.
        path: PathBuf,
    },
    /// An output of another task.
    Task {
        /// The task's id at the time.
        task: String,
        /// Digest of its fingerprint: the name of its manifest.
        fingerprint: Digest,
        /// Name of the output.
        output: String,
    },
}

/// Fingerprint → outputs, with what is worth knowing about how they came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Study, run and task that made the outputs; other studies may share them.
    pub study: String,
    /// Name of the run.
    pub run: String,
    /// Id of the task.
    pub task: String,
    /// What decided the outputs.
    pub fingerprint: Fingerprint<'static>,
    /// Slot → where its files came from, in the order of the fingerprint's digests.
    pub sources: BTreeMap<String, Vec<Origin>>,
    /// Output name → record.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Facts that the stage measured.
    pub measured: BTreeMap<String, Value>,
    /// When the task started, seconds since 1970-01-01 UTC.
    pub started: f64,
    /// Wall time of the task, seconds.
    pub seconds: f64,
    /// Which attempt succeeded, from 1.
    pub attempt: u32,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Host that made it.
    pub host: String,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// Threads it could use.
    pub threads: usize,
    /// Version of phasegraph that made it.
    pub phasegraph: String,
}

/// Begins the last field of the file.
const SEAL: &[u8] = b",\n  \"checksum\": \"";

/// Why bytes are no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Damaged or not a manifest at all.
    Damaged,
    /// Of a newer format.
    Newer(u32),
    /// Of an older format, which counts as missing.
    Older,
}

impl Manifest {
    /// Version of the format.
    pub const FORMAT: u32 = 4;

    /// The file's content.
    pub fn seal(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        // Without the closing brace and its newline.
        bytes.truncate(bytes.len() - 2);
        let sum = Digest::of(&bytes).to_string();
        bytes.extend_from_slice(SEAL);
        bytes.extend_from_slice(sum.as_bytes());
        bytes.extend_from_slice(b"\"\n}\n");
        Ok(bytes)
    }

    /// Reads a file's content back.
    pub fn open(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let at = bytes.windows(SEAL.len()).rposition(|w| w == SEAL);
        let sound = at.is_some_and(|at| {
            let sum = bytes[at + SEAL.len()..].split(|b| *b == b'"').next().unwrap_or_default();
            sum == Digest::of(&bytes[..at]).to_string().as_bytes()
        });
        match serde_json::from_slice::<Head>(bytes) {
            Ok(head) if head.format > Self::FORMAT => Err(Unreadable::Newer(head.format)),
            Ok(head) if head.format < Self::FORMAT => Err(Unreadable::Older),
            _ if !sound => Err(Unreadable::Damaged),
            _ => serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn sample(fingerprint: Fingerprint<'static>) -> Manifest {
        let output = OutputRecord { file: "data.npz".into(), digest: Digest::of(b"d"), size: 1 };
        Manifest {
            format: Manifest::FORMAT,
            study: "s".into(),
            run: "20261123-000000.000".into(),
            task: "simulate@dose=1e3".into(),
            fingerprint,
            sources: BTreeMap::from([("data".into(), vec![Origin::File { path: "/data/scan.npz".into() }])]),
            outputs: BTreeMap::from([("data".into(), output)]),
            measured: BTreeMap::from([("photons".into(), 1e3.into())]),
            started: 0.5,
            seconds: 1.25,
            attempt: 1,
            peak_memory: Some(1 << 20),
            host: "here".into(),
            device: "cpu".into(),
            threads: 2,
            phasegraph: "0.1.0".into(),
        }
    }

    #[test]
    fn comes_back_and_any_flipped_bit_is_noticed() {
        let manifest = sample(crate::cache::explain::tests::sample());
        let bytes = manifest.seal().unwrap();
        assert_eq!(Manifest::open(&bytes), Ok(manifest.clone()));
        // It is plain JSON for everyone else.
        assert!(serde_json::from_slice::<Value>(&bytes).unwrap()["checksum"].is_string());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match Manifest::open(&bad) {
                Err(_) => {}
                // White space after the checksum means nothing.
                Ok(read) => assert_eq!(read, manifest, "bit {bit}"),
            }
        }
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        let bytes = br#"{"format": 9, "unheard": "of"}"#;
        assert_eq!(Manifest::open(bytes), Err(Unreadable::Newer(9)));
        assert_eq!(Manifest::open(br#"{"format": 1}"#), Err(Unreadable::Older));
        assert_eq!(Manifest::open(b"{"), Err(Unreadable::Damaged));
    }
}
