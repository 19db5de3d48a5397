//! What a stage is given: its job (plain data that crosses the process boundary) and a way to report.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{FailureClass, StageError, StageResult};

/// Where a task computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The host's processors.
    Cpu,
    /// A CUDA device, by its index.
    Cuda(u32),
}

impl fmt::Display for Device {
    /// `cpu`, `cuda:0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// One input file of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInput {
    /// Where the file is.
    pub path: PathBuf,
    /// The task that made it, or the path as the study names it.
    pub origin: String,
    /// Axis name → label of the producer's point; empty for files.
    pub point: BTreeMap<String, String>,
}

/// The work of one task, complete: nothing else is read from the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Task id, for messages.
    pub task: String,
    /// Stage kind.
    pub kind: String,
    /// Axis name → label of this task's point.
    pub point: BTreeMap<String, String>,
    /// Parameters, already checked against the kind's schema.
    pub params: Value,
    /// Seed of the stage; draw from it through `ptycho::rng::keyed` with a purpose.
    pub seed: u64,
    /// Slot name → files.
    pub inputs: BTreeMap<String, Vec<JobInput>>,
    /// Output name → file name inside the staging folder.
    pub outputs: BTreeMap<String, String>,
    /// The only folder the stage may write to. Exists and is empty, or holds the stage's own checkpoints.
    pub staging: PathBuf,
    /// Threads it may use. Never changes the result.
    pub threads: usize,
    /// Device it was given; the first of them, if there are several.
    pub device: Device,
    /// The GPUs it was given, by what `CUDA_VISIBLE_DEVICES` calls them; empty on the host's processors.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// Memory it was promised, bytes.
    pub memory: Option<u64>,
    /// Seconds after which it must have ended.
    pub timeout_s: Option<f64>,
    /// Device memory it was promised, bytes.
    #[serde(default)]
    pub gpu_memory: Option<u64>,
    /// At most so many units (groups, images, rows) at a time: an earlier attempt ran out of memory with more.
    #[serde(default)]
    pub chunk: Option<u64>,
    /// What tasks of this kind have learnt in the past ([`Report::Learnt`]).
    #[serde(default)]
    pub facts: BTreeMap<String, Value>,
    /// Path of the ONNX Runtime library, for kinds that need it.
    pub runtime: Option<PathBuf>,
    /// The task's log, to which lines are appended.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

/// What a stage tells while it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// How far it is.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What is counted: `epochs`, `chunks`, `patterns`.
        unit: String,
        /// Anything worth showing beside it, for example the loss.
        note: Option<String>,
    },
    /// A measured fact for the record, for example photons per image.
    Measure {
        /// Name, with its unit as suffix.
        name: String,
        /// Value.
        value: Value,
    },
    /// How much the stage is about to hold at a time; told before it does.
    Chunk {
        /// Units at a time.
        size: u64,
        /// What is counted: `groups`.
        unit: String,
        /// Forecast of the process's peak memory with it, bytes.
        predicted_peak: Option<u64>,
    },
    /// Something worth remembering for later tasks of the same kind, for example memory per group.
    Learnt {
        /// What it is about: model, provider and version of the runtime.
        key: String,
        /// Value.
        value: Value,
    },
    /// Something the user should know that is not a failure.
    Warning {
        /// The text.
        message: String,
    },
    /// A line for the task's log.
    Log {
        /// The text.
        message: String,
    },
}

/// A stage's view of its job.
pub struct Context<'a> {
    job: &'a Job,
    emit: &'a mut dyn FnMut(Report),
    stop: &'a AtomicBool,
    sole: bool,
    programs: Option<u64>,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Context<'a> {
    /// Wraps a job and the place its reports go to.
    pub fn new(job: &'a Job, emit: &'a mut dyn FnMut(Report)) -> Self {
        Self { job, emit, stop: &NEVER, sole: false, programs: None }
    }

    /// The same under a worker: `stop` is set when the job should end soon, and `sole` says that the process
    /// does nothing else, so that all its children are the job's.
    #[must_use]
    pub fn under(self, stop: &'a AtomicBool, sole: bool) -> Self {
        Self { stop, sole, ..self }
    }

    /// Whether the user wants an end; what is not finished soon will be ended.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether this process does nothing but the job.
    pub fn is_sole(&self) -> bool {
        self.sole
    }

    /// Takes note of the peak memory of a program that the stage ran, bytes.
    pub fn program_peaked(&mut self, bytes: u64) {
        self.programs = self.programs.max(Some(bytes));
    }

    /// The highest peak of programs that the stage ran, bytes.
    pub fn peak_of_programs(&self) -> Option<u64> {
        self.programs
    }

    /// The whole job.
    pub fn job(&self) -> &'a Job {
        self.job
    }

    /// The typed parameters.
    pub fn params<P: DeserializeOwned>(&self) -> StageResult<P> {
        serde_json::from_value(self.job.params.clone()).map_err(|e| {
            StageError::new(FailureClass::Other, format!("parameters of {}: {e}", self.job.task))
        })
    }

    /// The files of a slot; empty if none was given.
    pub fn inputs(&self, slot: &str) -> &'a [JobInput] {
        self.job.inputs.get(slot).map_or(&[], Vec::as_slice)
    }

    /// The one file of a slot.
    pub fn input(&self, slot: &str) -> StageResult<&'a Path> {
        match self.inputs(slot) {
            [one] => Ok(&one.path),
            many => Err(StageError::input(format!("input `{slot}` has {} files, expected 1", many.len()))),
        }
    }

    /// The file of an optional slot.
    pub fn input_opt(&self, slot: &str) -> Option<&'a Path> {
        self.inputs(slot).first().map(|i| i.path.as_path())
    }

    /// Where an output must be written.
    pub fn output(&self, name: &str) -> StageResult<PathBuf> {
        self.job
            .outputs
            .get(name)
            .map(|file| self.job.staging.join(file))
            .ok_or_else(|| StageError::new(FailureClass::Other, format!("no output `{name}` is declared")))
    }

    /// Reports how far the stage is.
    pub fn progress(&mut self, done: u64, total: u64, unit: &str, note: Option<String>) {
        (self.emit)(Report::Progress { done, total, unit: unit.to_owned(), note });
    }

    /// Records a measured fact.
    pub fn measure(&mut self, name: &str, value: impl Into<Value>) {
        (self.emit)(Report::Measure { name: name.to_owned(), value: value.into() });
    }

    /// Tells how much will be held at a time, before it is.
    pub fn chunk(&mut self, size: u64, unit: &str, predicted_peak: Option<u64>) {
        (self.emit)(Report::Chunk { size, unit: unit.to_owned(), predicted_peak });
    }

    /// Gives later tasks of the same kind something to go by.
    pub fn learnt(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        (self.emit)(Report::Learnt { key: key.into(), value: value.into() });
    }

    /// Warns the user.
    pub fn warn(&mut self, message: impl Into<String>) {
        (self.emit)(Report::Warning { message: message.into() });
    }

    /// Writes a line to the task's log.
    pub fn log(&mut self, message: impl Into<String>) {
        (self.emit)(Report::Log { message: message.into() });
    }
}
