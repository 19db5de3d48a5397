//! What there is to tell about a study, as plain data: numbers, texts and finished pictures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pictures::Pictures;
use super::scans::Scans;

/// Everything that a report shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dossier {
    /// The question and its axes.
    pub study: StudyFacts,
    /// The last run.
    pub run: RunFacts,
    /// Stages in the order of the study file.
    pub stages: Vec<StageFacts>,
    /// Tasks in the order of the plan.
    pub tasks: Vec<TaskFacts>,
    /// What ran when.
    pub timeline: Timeline,
    /// A row for every scored image, in the order of the plan.
    pub scores: Vec<ScoreRow>,
    /// What is known of every dataset: dose and overlap, wanted and measured.
    pub datasets: Vec<DatasetFacts>,
    /// Amplitudes, phases and their errors.
    pub pictures: Pictures,
    /// Positions and patterns of the scans that were scored.
    pub scans: Scans,
    /// Losses of trained networks.
    pub training: Vec<Curve>,
    /// Residuals of iterative solvers.
    pub convergence: Vec<Curve>,
    /// Why to believe it, or not.
    pub trust: Trust,
}

/// What an axis is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tells the models apart.
    Model,
    /// Photons.
    Dose,
    /// The same again with other random numbers: what is averaged over.
    Trial,
    /// Any other condition.
    Condition,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisFacts {
    /// Name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its labels, in the study's order.
    pub labels: Vec<String>,
}

/// The study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyFacts {
    /// Name.
    pub name: String,
    /// The question.
    pub title: Option<String>,
    /// Name of the file, without folders.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Seed of every draw that no parameter overrides.
    pub seed: u64,
    /// Axes in the study's order.
    pub axes: Vec<AxisFacts>,
}

impl StudyFacts {
    /// The name of the axis of that role, if there is one.
    pub fn axis(&self, role: Role) -> Option<&str> {
        self.axes.iter().find(|axis| axis.role == role).map(|axis| axis.name.as_str())
    }
}

/// The last run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// Name.
    pub name: String,
    /// Host.
    pub host: String,
    /// Version of phasegraph.
    pub version: String,
    /// When it began, seconds since 1970-01-01 UTC.
    pub started: f64,
    /// Wall time, seconds; none if it did not end in order.
    pub seconds: Option<f64>,
    /// `succeeded`, `failed`, `interrupted`, `unfinished`.
    pub outcome: String,
    /// Tasks that were rescued after memory ran out.
    pub rescued: usize,
    /// Seconds that cached tasks had taken when they were made.
    pub saved_seconds: f64,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageFacts {
    /// Id.
    pub id: String,
    /// Phase: `C` to `G`.
    pub phase: String,
    /// Kind.
    pub kind: String,
    /// Version of the kind's code.
    pub kind_version: u32,
    /// Ids of the stages that it reads from, in their order.
    pub needs: Vec<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Ran in the last run.
    Succeeded,
    /// Its results were taken from the store.
    Cached,
    /// Its results are from an earlier run; the last one did not ask for it.
    Earlier,
    /// Running, or waiting for another attempt, when last heard of.
    Unfinished,
    /// Failed.
    Failed,
    /// Something before it failed.
    Blocked,
    /// Stopped.
    Cancelled,
    /// Never ran.
    Never,
}

impl TaskState {
    /// All, in the order of legends.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Cached,
        Self::Earlier,
        Self::Unfinished,
        Self::Failed,
        Self::Blocked,
        Self::Cancelled,
        Self::Never,
    ];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "run",
            Self::Cached => "cached",
            Self::Earlier => "earlier run",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Never => "not run",
        }
    }
}

/// A task, with how its results came to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskFacts {
    /// Id.
    pub id: String,
    /// Stage.
    pub stage: String,
    /// Axis → label.
    pub point: BTreeMap<String, String>,
    /// Where it stands.
    pub state: TaskState,
    /// Wall time of the work that made its results, seconds.
    pub seconds: Option<f64>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// `cpu` or `cuda:0`.
    pub device: Option<String>,
    /// Which attempt made its results.
    pub attempt: Option<u32>,
    /// Run that made its results.
    pub made_in: Option<String>,
    /// Study that made them, if it is another one: equal work is shared.
    pub made_by_study: Option<String>,
    /// Whether memory ran out and another attempt, with less at a time or more memory, fitted.
    pub rescued: bool,
    /// Failure, or what blocks it.
    pub message: Option<String>,
    /// Facts that the stage measured.
    pub measured: BTreeMap<String, serde_json::Value>,
    /// Where its results were made with something else than the study file says now: the fields.
    pub outdated: Vec<String>,
}

/// One attempt at a task, on a time line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// Task id.
    pub task: String,
    /// From 1.
    pub attempt: u32,
    /// Seconds since the run began.
    pub start: f64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Its memory limit, bytes.
    pub limit: Option<u64>,
    /// What it held at a time: `512 groups`.
    pub chunk: Option<String>,
    /// `succeeded`, `unfinished`, or the class of its failure.
    pub outcome: String,
    /// Whether it was given less at a time, or more memory, than the one before.
    pub rescue: bool,
}

/// When what ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// The run that it is of: the last one that started any task.
    pub run: Option<String>,
    /// Attempts in the order in which they began.
    pub bars: Vec<Bar>,
}

/// Scores of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreRow {
    /// The task that scored it.
    pub task: String,
    /// Its model.
    pub model: String,
    /// All other labels but the trial's: axis and label, in the study's order.
    pub condition: Vec<(String, String)>,
    /// Which trial.
    pub trial: Option<String>,
    /// Mean photons of an image: measured where known, else nominal.
    pub photons: Option<f64>,
    /// Values in the order of [`METRICS`](super::METRICS).
    pub values: Vec<Option<f64>>,
    /// Phase error of a constant guess, rad.
    pub blank_phase_mae: Option<f64>,
    /// Shift (down, right) that registration applied, pixels.
    pub offset_yx: [f64; 2],
    /// Share of the compared pixels without data.
    pub uncovered: Option<f64>,
    /// Rows and columns that were compared.
    pub shape: [usize; 2],
    /// Side of the square whose rings were correlated.
    pub frc_side: usize,
    /// Ring correlation of amplitudes, per ring.
    pub frc_amplitude: Vec<Option<f64>>,
    /// Ring correlation of phases, per ring.
    pub frc_phase: Vec<Option<f64>>,
    /// Metric → why it has no value.
    pub missing: BTreeMap<String, String>,
}

impl ScoreRow {
    /// `dose=1e4, view=dense`; `all` where there is no condition.
    pub fn condition_text(&self) -> String {
        condition_text(&self.condition)
    }
}

/// `dose=1e4, view=dense`; `all` where there is no condition.
pub fn condition_text(condition: &[(String, String)]) -> String {
    if condition.is_empty() {
        return "all".to_owned();
    }
    condition.iter().map(|(axis, label)| format!("{axis}={label}")).collect::<Vec<_>>().join(", ")
}

/// Dose and overlap of one dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetFacts {
    /// The task that made it.
    pub task: String,
    /// Patterns in it.
    pub images: Option<u64>,
    /// Photons per image that were asked for.
    pub photons_nominal: Option<f64>,
    /// Photons per image that were counted, mean.
    pub photons_mean: Option<f64>,
    /// Their standard deviation.
    pub photons_std: Option<f64>,
    /// Share of the images that was to be kept.
    pub share_nominal: Option<f64>,
    /// Share that was kept.
    pub share_kept: Option<f64>,
    /// Mean overlap of an image with its neighbours, share of the probe's disc.
    pub overlap_images: Option<f64>,
    /// Mean overlap within groups.
    pub overlap_groups: Option<f64>,
    /// Diameter of the probe's disc, pixels.
    pub probe_diameter_px: Option<f64>,
    /// Whether a scored image was made from it (others only trained).
    pub scored: bool,
}

/// Named columns of numbers over epochs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The task.
    pub task: String,
    /// Axis → label.
    pub point: BTreeMap<String, String>,
    /// Epochs.
    pub epochs: Vec<f64>,
    /// Column → value of each epoch; `None` where there is none.
    pub columns: Vec<(String, Vec<Option<f64>>)>,
}

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WarningFacts {
    /// Who warned.
    pub task: String,
    /// Of what.
    pub message: String,
}

/// A file that no task made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFacts {
    /// Its path, relative to the study's folder where it lies below that.
    pub path: String,
    /// Digest of what was read.
    pub digest: String,
    /// Whether it still has that content, or what else.
    pub state: String,
}

/// Why to believe the results, or not.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trust {
    /// What made the results, and with what: name and values.
    pub made_with: Vec<(String, Vec<String>)>,
    /// Seed → stages that drew with it.
    pub seeds: BTreeMap<u64, Vec<String>>,
    /// Source files.
    pub sources: Vec<SourceFacts>,
    /// Results, objects of the store and records that were looked at.
    pub checked: usize,
    /// Whatever was not as recorded.
    pub damage: Vec<String>,
    /// Warnings of the tasks, in the order of the plan.
    pub warnings: Vec<WarningFacts>,
    /// Name, file and digest of the final results: of tasks that no other reads.
    pub finals: Vec<(String, String, String)>,
    /// The commands that make all this again.
    pub commands: Vec<String>,
}
