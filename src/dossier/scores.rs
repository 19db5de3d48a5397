//! Scores of all images.

use super::model::{AxisFacts, Role, ScoreRow};
use super::records::Records;
use crate::stages::metrics::{Channel, Scores};

/// A metric of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name in files: `phase_mae`.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Unit; empty for none.
    pub unit: &'static str,
    /// Digits after the point that mean something.
    pub digits: usize,
    /// Whether less is better.
    pub less: bool,
    /// What it is.
    pub about: &'static str,
}

const fn metric(
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    digits: usize,
    less: bool,
    about: &'static str,
) -> Metric {
    Metric { id, name, unit, digits, less, about }
}

const MAE: &str = "mean absolute error";
const SSIM: &str = "structural similarity, 1 for equal images";
const MS_SSIM: &str = "structural similarity over several scales, 1 for equal images";
const PSNR: &str = "peak signal-to-noise ratio, peak = range of the truth";
const FRC50: &str =
    "first ring where the correlation with the truth falls below 0.5: higher is finer resolution";

/// The metrics, in the order of [`ScoreRow::values`].
pub const METRICS: [Metric; 10] = [
    metric("phase_mae", "phase MAE", "rad", 4, true, MAE),
    metric("phase_ssim", "phase SSIM", "", 3, false, SSIM),
    metric("phase_ms_ssim", "phase MS-SSIM", "", 3, false, MS_SSIM),
    metric("phase_psnr", "phase PSNR", "dB", 1, false, PSNR),
    metric("phase_frc50", "phase FRC50", "ring", 1, false, FRC50),
    metric("amplitude_mae", "amplitude MAE", "", 4, true, MAE),
    metric("amplitude_ssim", "amplitude SSIM", "", 3, false, SSIM),
    metric("amplitude_ms_ssim", "amplitude MS-SSIM", "", 3, false, MS_SSIM),
    metric("amplitude_psnr", "amplitude PSNR", "dB", 1, false, PSNR),
    metric("amplitude_frc50", "amplitude FRC50", "ring", 1, false, FRC50),
];

pub(super) fn values(scores: &Scores) -> Vec<Option<f64>> {
    let channel = |c: &Channel| [c.mae, c.ssim, c.ms_ssim, c.psnr_range, c.frc50];
    channel(&scores.phase).into_iter().chain(channel(&scores.amplitude)).collect()
}

/// A task's labels, sorted into model, trial and the rest.
pub(super) struct Place {
    pub(super) model: String,
    pub(super) trial: Option<String>,
    pub(super) condition: Vec<(String, String)>,
}

/// Where a task stands among the axes.
pub(super) fn place(records: &Records<'_>, task: usize, axes: &[AxisFacts]) -> Place {
    let task = &records.plan.tasks[task];
    let mut place = Place { model: "model".to_owned(), trial: None, condition: Vec::new() };
    for axis in axes {
        let Some(label) = task.point.get(&axis.name).map(str::to_owned) else { continue };
        match axis.role {
            Role::Model => place.model = label,
            Role::Trial => place.trial = Some(label),
            // An axis with one label tells nothing apart.
            _ if axis.labels.len() > 1 => place.condition.push((axis.name.clone(), label)),
            _ => {}
        }
    }
    place
}

/// A row for every `metrics` task with results.
pub(super) fn scores(records: &Records<'_>, axes: &[AxisFacts]) -> Vec<ScoreRow> {
    let row = |task: usize| {
        let scores = records.read(task, "metrics", Scores::read)?;
        let register = records.input(task, "pair").map(|(register, _)| register);
        let measured = register.and_then(|register| records.of(register)).map(|record| &record.measured);
        let uncovered = measured.and_then(|m| m.get("uncovered_fraction")?.as_f64());
        let Place { model, trial, condition } = place(records, task, axes);
        Some(ScoreRow {
            task: records.plan.tasks[task].id.to_string(),
            model,
            condition,
            trial,
            photons: register.and_then(|register| super::scans::photons(records, register, axes)),
            values: values(&scores),
            blank_phase_mae: scores.blank_phase_mae,
            offset_yx: scores.registration_offset_yx,
            uncovered,
            shape: scores.shape,
            frc_side: scores.frc.side,
            frc_amplitude: scores.frc.amplitude,
            frc_phase: scores.frc.phase,
            missing: scores.missing,
        })
    };
    records.of_kind("metrics").filter_map(row).collect()
}
