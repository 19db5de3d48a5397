//! The study as it is once every check has passed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// A combination of axis values, in the study's axis order: the part of the study's space that a
/// stage fans out over. Empty for a stage that runs once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point(
    /// (axis, label) pairs.
    pub Vec<(Arc<str>, Arc<str>)>,
);

impl Point {
    /// The label on an axis.
    pub fn get(&self, axis: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *axis).map(|(_, label)| &**label)
    }
}

impl fmt::Display for Point {
    /// `dose=1e3,view=dense`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (axis, label)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{axis}={label}")?;
        }
        Ok(())
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

/// What a stage is given at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Parameters that enter the fingerprint: a mapping with sorted keys and normalised numbers,
    /// as written (the stage fills in defaults).
    pub params: Arc<Value>,
    /// The kind's tuning parameters, which cannot change the result.
    pub tuning: Arc<Value>,
    /// Slot → references, in the order of the file.
    pub inputs: BTreeMap<String, Vec<Reference>>,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An output of another stage. Which of its points: see [`Matchers`](super::Matchers).
    Stage {
        /// The producer.
        stage: String,
        /// The output's name.
        output: String,
        /// Axis → labels that `where` allows, which replaces matching on that axis.
        filter: BTreeMap<String, Vec<String>>,
        /// Where it is written.
        at: Location,
    },
    /// A file.
    File {
        /// As written: absolute, or relative to the study file's folder.
        path: PathBuf,
        /// Where it is written.
        at: Location,
    },
}

impl Study {
    /// The stage of that id.
    pub fn stage(&self, id: &str) -> Option<&StageDecl> {
        self.stages.get(*self.by_id.get(id)?)
    }

    /// The points of a stage: the distinct projections of the study's space on the axes it goes
    /// over, less those that `only` leaves out; sorted by position on the axes.
    pub fn points(&self, stage: &StageDecl) -> Vec<Point> {
        self.each_point(stage).collect()
    }

    /// The same, one by one.
    pub fn each_point<'a>(&self, stage: &'a StageDecl) -> impl ExactSizeIterator<Item = Point> + use<'a> {
        let axes: Vec<(Arc<str>, Vec<Arc<str>>)> = self
            .axes_of(stage)
            .into_iter()
            .map(|axis| {
                let labels = axis.points.iter().map(|point| point.label.as_str().into());
                (axis.name.as_str().into(), labels.collect())
            })
            .collect();
        stage.tuples.iter().map(move |tuple| {
            let pair = |((axis, labels), &i): (&(Arc<str>, Vec<Arc<str>>), &u32)| {
                Some((Arc::clone(axis), Arc::clone(labels.get(i as usize)?)))
            };
            Point(axes.iter().zip(tuple).filter_map(pair).collect())
        })
    }

    /// The axes a stage goes over, in the study's order.
    pub(super) fn axes_of(&self, stage: &StageDecl) -> Vec<&Axis> {
        // `over` is kept in the study's axis order, so one pass over the axes finds them all.
        self.axes.iter().filter(|axis| stage.over.contains(&axis.name)).collect()
    }
}
