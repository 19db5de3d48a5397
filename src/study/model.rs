//! The study as it is once every check has passed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::coverage;
use super::input::Input;
use super::node::Content;
use super::params::Params;
use super::rescue::Rescue;
use super::retries::Retries;
use super::space::Tuples;
use crate::diag::Location;

/// A study: axes and the stages that fan out over them.
#[derive(Debug, Clone)]
pub struct Study {
    /// Name, fit for a folder.
    pub name: String,
    /// One sentence about it.
    pub title: Option<String>,
    /// Seed of every random draw that no stage parameter overrides.
    pub seed: u64,
    /// Axes in the order of the file.
    pub axes: Vec<Axis>,
    /// Stages in the order of the file.
    pub stages: Vec<StageDecl>,
    /// The study file, as the user named it.
    pub file: PathBuf,
    /// The folder of the study file: files in references are relative to it.
    pub dir: PathBuf,
    /// Stage id → position in `stages`.
    pub(super) by_id: BTreeMap<String, usize>,
}

/// An axis and its points.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Name.
    pub name: String,
    /// Points in the order of the file; values that only `include` names come last.
    pub points: Vec<AxisPoint>,
    /// Where it is declared.
    pub at: Location,
    /// Label → position in `points`.
    pub(super) by_label: Arc<BTreeMap<String, u32>>,
}

/// A point of an axis.
#[derive(Debug, Clone)]
pub struct AxisPoint {
    /// Canonical short text of the value, unique on its axis and fit for a file name.
    pub label: String,
    /// The value: a number, text or boolean.
    pub value: Value,
    /// The value as substituted for `{axis.NAME}`.
    pub(super) content: Content,
}

/// The points of a stage: combinations of axis values, sorted. One point, without values, for a stage that
/// runs once.
#[derive(Debug, Clone)]
pub struct Points<'a> {
    axes: Vec<&'a Axis>,
    tuples: &'a Tuples,
}

impl<'a> Points<'a> {
    /// The axes, in the study's order.
    pub fn axes(&self) -> &[&'a Axis] {
        &self.axes
    }

    /// Positions on the axes, point by point.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u32]> {
        self.tuples.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tuples.len()
    }

    /// Whether `only` or `exclude` leave none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `dose=1e3,view=dense` for every point.
    pub fn labels(&self) -> impl Iterator<Item = String> {
        self.rows().map(|row| coverage::point(&self.axes, row))
    }

    /// Whether the points of another stage are the very same.
    pub fn same(&self, other: &Self) -> bool {
        let names = |points: &Self| points.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>();
        names(self) == names(other) && self.tuples == other.tuples
    }
}

/// The phases of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Data: simulate, import, thin, split.
    C,
    /// Overlap views.
    D,
    /// Training.
    E,
    /// Iterative reconstruction.
    F,
    /// Inference, stitching, registration, scores.
    G,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 5] = [Self::C, Self::D, Self::E, Self::F, Self::G];

    /// The letter in the study file.
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
            Self::G => "G",
        }
    }

    /// The phase of that letter.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stage as declared: one task for each of its points.
#[derive(Debug, Clone)]
pub struct StageDecl {
    /// Id, unique in the study.
    pub id: String,
    /// Phase.
    pub phase: Phase,
    /// Name of its kind.
    pub kind: String,
    /// Axes it fans out over, in the study's axis order.
    pub over: Vec<String>,
    /// Outputs: name → file name, from the kind or, for open kinds, from the study.
    pub outputs: BTreeMap<String, String>,
    /// What one task needs.
    pub resources: Resources,
    /// Which of its failures are tried again, and how often: the study's defaults included.
    pub retries: Retries,
    /// What is tried when memory runs out, if the study says so; see [`Rescue::usual`].
    pub rescue: Option<Rescue>,
    /// Of tasks that could start, those with the higher priority start first.
    pub priority: i32,
    /// Environment variables whose values enter the fingerprint.
    pub env: Vec<String>,
    /// Where it is declared.
    pub at: Location,
    /// Its points, as positions on the axes in `over`.
    pub(super) tuples: Tuples,
    pub(super) params: Params,
    pub(super) inputs: Vec<Input>,
    /// The kind's parameters that stay outside the fingerprint.
    pub(super) tuning: &'static [&'static str],
}

/// Where a stage computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

/// What one task of a stage needs. Outside the fingerprint, except that `device` names the
/// execution provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor cores, at least 1.
    pub cores: u32,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Where it computes.
    pub device: DeviceKind,
    /// GPUs; 0 on the processor, at least 1 on `cuda`.
    pub gpus: u32,
    /// Memory per GPU in bytes.
    pub gpu_memory: Option<u64>,
    /// Time limit in seconds.
    pub time_s: Option<f64>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cores: 1, memory: None, device: DeviceKind::Cpu, gpus: 0, gpu_memory: None, time_s: None }
    }
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// An output of another stage. Which of its points: see `matching`.
    Stage {
        /// The producer.
        stage: String,
        /// The output's name.
        output: String,
        /// Axis → labels that `where` allows, which replaces matching on that axis.
        filter: BTreeMap<String, Vec<String>>,
    },
    /// A file.
    File {
        /// As written: absolute, or relative to the study file's folder.
        path: PathBuf,
    },
}

impl Study {
    /// The stage of that id.
    pub fn stage(&self, id: &str) -> Option<&StageDecl> {
        self.stages.get(*self.by_id.get(id)?)
    }

    /// The points of a stage: the distinct projections of the study's space on the axes it goes
    /// over, less those that `only` leaves out; sorted by position on the axes.
    pub fn points<'a>(&'a self, stage: &'a StageDecl) -> Points<'a> {
        Points { axes: self.axes_of(stage), tuples: &stage.tuples }
    }

    /// The axes a stage goes over, in the study's order.
    pub(super) fn axes_of(&self, stage: &StageDecl) -> Vec<&Axis> {
        // `over` is kept in the study's axis order, so one pass over the axes finds them all.
        self.axes.iter().filter(|axis| stage.over.contains(&axis.name)).collect()
    }
}
