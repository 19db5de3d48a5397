//! The events of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Room;
use crate::diag::FailureClass;
use crate::io::digest::Digest;

/// One published output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// File name in the task's results folder.
    pub file: String,
    /// Digest of its content.
    pub digest: Digest,
    /// Size, bytes.
    pub size: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every selected task is done.
    Succeeded,
    /// Some task failed.
    Failed,
    /// Stopped by the user or a signal.
    Interrupted,
}

/// What a failed attempt had, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Had {
    /// Units that it held at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// What is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its memory limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Peak resident memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Where it computed: `cpu`, `cuda:0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// What an attempt is given after memory ran out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Units at a time, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// Memory limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Where it computes instead of where the study has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Something that happened. `Progress` and `Forecast` are only ever shown; everything else is also kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began.
    RunStarted {
        /// Name of the run.
        run: String,
        /// Name of the study.
        study: String,
        /// Tasks selected.
        tasks: usize,
        /// Process id of the orchestrator.
        pid: u32,
        /// Host it runs on.
        host: String,
        /// Version of phasegraph.
        version: String,
    },
    /// A task's outputs were taken from the store.
    TaskCached {
        /// Task id.
        task: String,
        /// Digest of its fingerprint.
        fingerprint: Digest,
    },
    /// A task began.
    TaskStarted {
        /// Task id.
        task: String,
        /// Attempt, from 1.
        attempt: u32,
        /// Why it runs, a line per reason.
        why: Vec<String>,
        /// Where: `cpu`, `cuda:0`.
        device: String,
        /// Its log.
        log: PathBuf,
        /// Process id of its worker; 0 in journals that did not tell.
        #[serde(default)]
        worker: u32,
        /// Its memory limit, bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory: Option<u64>,
        /// What else was there.
        #[serde(default)]
        room: Room,
    },
    /// A task told how much it holds at a time.
    TaskChunk {
        /// Task id.
        task: String,
        /// Units at a time.
        size: u64,
        /// What is counted: `groups`; for commands, the name of the tuning value.
        unit: String,
        /// Forecast of its peak memory, bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predicted_peak: Option<u64>,
    },
    /// An attempt at a task failed, and another one follows.
    TaskRetried {
        /// Task id.
        task: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Class of failure.
        class: FailureClass,
        /// What happened.
        message: String,
        /// Wall time of the attempt, seconds.
        seconds: f64,
        /// Seconds until the next one.
        wait: f64,
        /// Log of the attempt.
        log: PathBuf,
        /// What the attempt had.
        #[serde(flatten, default)]
        had: Had,
        /// What the next one is given, if that is something else: a rescue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Next>,
        /// What else was there when it failed.
        #[serde(default)]
        room: Room,
    },
    /// A task could start, but someone else holds what it needs.
    TaskHeldUp {
        /// Task id.
        task: String,
        /// By what.
        by: String,
    },
    /// How far a task is. Not kept.
    Progress {
        /// Task id.
        task: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What is counted.
        unit: String,
        /// Shown beside it.
        note: Option<String>,
    },
    /// How long the run will still take, as far as earlier runs tell. Not kept.
    Forecast {
        /// Seconds.
        seconds: f64,
    },
    /// A task measured something.
    Measured {
        /// Task id.
        task: String,
        /// Name with unit.
        name: String,
        /// Value.
        value: Value,
    },
    /// A task warned.
    Warned {
        /// Task id.
        task: String,
        /// The text.
        message: String,
    },
    /// A task's outputs are in the store and in its results folder.
    TaskSucceeded {
        /// Task id.
        task: String,
        /// Digest of its fingerprint.
        fingerprint: Digest,
        /// Wall time, seconds.
        seconds: f64,
        /// Peak resident memory of the worker, bytes, where the system tells.
        peak_memory: Option<u64>,
        /// Output name → record.
        outputs: BTreeMap<String, OutputRecord>,
    },
    /// A task failed.
    TaskFailed {
        /// Task id.
        task: String,
        /// Class of failure.
        class: FailureClass,
        /// What happened.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Wall time, seconds.
        seconds: f64,
        /// Its log, if it was started.
        log: Option<PathBuf>,
        /// What the last attempt had.
        #[serde(flatten, default)]
        had: Had,
        /// What else was there when it failed.
        #[serde(default)]
        room: Room,
    },
    /// A task cannot run because one before it failed.
    TaskBlocked {
        /// Task id.
        task: String,
        /// The failed task.
        by: String,
    },
    /// A task was stopped, or never started, because the run was interrupted or stopped after a failure.
    TaskCancelled {
        /// Task id.
        task: String,
    },
    /// The run could not go on: the disk failed, or the store.
    RunAborted {
        /// What happened.
        message: String,
        /// Wall time, seconds.
        seconds: f64,
    },
    /// The run ended in order. A journal without this line belongs to a run that is going on or was killed.
    RunFinished {
        /// How.
        outcome: Outcome,
        /// Wall time, seconds.
        seconds: f64,
    },
}

impl Event {
    /// Whether the journal keeps it.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Event::Progress { .. } | Event::Forecast { .. })
    }
}

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Seconds since 1970-01-01 UTC.
    pub time: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
