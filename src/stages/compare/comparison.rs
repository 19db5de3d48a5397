//! A comparison: the scores of several models on one condition.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::csv::{cell, six};
use super::params::Params;
use crate::diag::{StageError, StageResult};
use crate::stages::JobInput;
use crate::stages::metrics::{Scores, read_json};

/// Scores of several models on one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Axis → label, for the axes on which all models agree.
    pub condition: BTreeMap<String, String>,
    /// The axis that tells the models apart.
    pub model_axis: String,
    /// The models, in the order of tables and figures.
    pub models: Vec<Model>,
}

/// A model's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its label on the model axis.
    pub model: String,
    /// The whole point that its scores come from.
    pub point: BTreeMap<String, String>,
    /// Its scores.
    pub scores: Scores,
}

impl Comparison {
    /// Reads the scores and puts the models in order.
    pub(super) fn gather(inputs: &[JobInput], params: &Params) -> StageResult<Self> {
        let axis = &params.model_axis;
        let mut models = Vec::with_capacity(inputs.len());
        for input in inputs {
            let model = match (input.point.get(axis), inputs) {
                (Some(label), _) => label.clone(),
                (None, [_]) => params.single_model.clone(),
                (None, _) => return Err(no_axis(input, axis)),
            };
            models.push(Model { model, point: input.point.clone(), scores: Scores::read(&input.path)? });
        }
        // Stable: models of one rank keep the order of their axis.
        models.sort_by_key(|m| params.rank(&m.model));
        for (i, model) in models.iter().enumerate() {
            if let Some(other) = models[..i].iter().find(|m| m.model == model.model) {
                return Err(twice(axis, other, model));
            }
        }
        let mut condition = models.first().map(|m| m.point.clone()).unwrap_or_default();
        condition
            .retain(|name, label| name != axis && models.iter().all(|m| m.point.get(name) == Some(label)));
        Ok(Self { condition, model_axis: axis.clone(), models })
    }

    /// Reads a comparison.
    pub fn read(path: &Path) -> StageResult<Self> {
        read_json(path, "a comparison of the `compare` stage")
    }

    /// `comparison_metrics.csv`, byte for byte in the reference study's format: header
    /// `model,metric,amplitude,phase,value`, six decimals, an empty cell for what has no value. Its
    /// `psnr` is the one with peak 255; the customary one and other metrics it did not have are in the JSON.
    /// Registration offsets, in the column `value`, are followed by what else was removed before scoring
    /// ([`Gauge`](crate::stages::metrics::Gauge)). Run times are not here: they would make equal results
    /// differ, and are in the run's journal.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("model,metric,amplitude,phase,value\n");
        for Model { model, scores, .. } in &self.models {
            for ((metric, amplitude), (_, phase)) in
                scores.amplitude.named().into_iter().zip(scores.phase.named())
            {
                let name = match metric {
                    "psnr255" => "psnr",
                    "psnr_range" | "ssim_gaussian" | "ms_ssim_standard" | "frc_half_bit" | "frc_one_bit" => {
                        continue;
                    }
                    name => name,
                };
                let _ = writeln!(text, "{},{name},{},{},", cell(model), six(amplitude), six(phase));
            }
        }
        for Model { model, scores, .. } in &self.models {
            for (axis, offset) in ["dy", "dx"].iter().zip(scores.registration_offset_yx) {
                let _ = writeln!(text, "{},registration_offset_{axis},,,{}", cell(model), six(Some(offset)));
            }
        }
        for Model { model, scores, .. } in &self.models {
            for (name, value) in scores.gauge.named() {
                let _ = writeln!(text, "{},{name},,,{}", cell(model), six(value));
            }
        }
        text
    }

    /// The condition as text: `dose=1e3, view=dense`.
    pub fn title(&self) -> String {
        let parts: Vec<String> =
            self.condition.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        parts.join(", ")
    }
}

fn no_axis(input: &JobInput, axis: &str) -> StageError {
    let axes: Vec<&str> = input.point.keys().map(String::as_str).collect();
    let known = if axes.is_empty() { "no axes".to_owned() } else { format!("the axes {}", axes.join(", ")) };
    StageError::input(format!(
        "{} has no axis `{axis}`, which tells the models apart; it has {known}",
        input.origin
    ))
    .hint("set `model_axis` to the axis whose points are to be compared")
}

fn twice(axis: &str, a: &Model, b: &Model) -> StageError {
    let differs: Vec<String> =
        a.point.iter().filter(|(k, v)| b.point.get(*k) != Some(v)).map(|(k, _)| format!("`{k}`")).collect();
    let differs = if differs.is_empty() { "nothing".to_owned() } else { differs.join(", ") };
    StageError::input(format!(
        "two inputs are the model `{}` on axis `{axis}`; they differ in {differs}",
        a.model
    ))
    .hint("a comparison holds one condition: let the stage fan out over the other axes, or set `model_axis`")
}
