//! What the axes of a study are for.

use super::model::{AxisFacts, Role};
use crate::plan::Plan;
use crate::study::{Axis, Study};

/// Axes of these names repeat a condition with other random numbers.
const TRIALS: [&str; 10] =
    ["trial", "trials", "seed", "seeds", "repeat", "repeats", "replicate", "replicates", "draw", "draws"];
/// Axes of these names are doses.
const DOSES: [&str; 4] = ["dose", "doses", "photons", "fluence"];
/// The axis that tells models apart unless a `compare` stage says otherwise.
const MODEL: &str = "model";

/// The axes with their roles. `trial` names the axis of the trials if its name does not tell.
pub(super) fn axes(study: &Study, plan: &Plan, trial: Option<&str>) -> Vec<AxisFacts> {
    let model = model_axis(plan);
    let role = |name: &str| match trial {
        _ if name == model => Role::Model,
        Some(trial) if name == trial => Role::Trial,
        None if TRIALS.contains(&name) => Role::Trial,
        _ if DOSES.contains(&name) => Role::Dose,
        _ => Role::Condition,
    };
    let labels = |axis: &Axis| axis.points.iter().map(|p| p.label.clone()).collect();
    let facts =
        |axis: &Axis| AxisFacts { name: axis.name.clone(), role: role(&axis.name), labels: labels(axis) };
    study.axes.iter().map(facts).collect()
}

/// The `model_axis` of the study's `compare` stages.
fn model_axis(plan: &Plan) -> String {
    let compare = plan.tasks.iter().find(|task| &*task.kind == "compare");
    let named = compare.and_then(|task| task.params.get("model_axis")?.as_str().map(str::to_owned));
    named.unwrap_or_else(|| MODEL.to_owned())
}
