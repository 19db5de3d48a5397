//! Datasets: dose and overlap as wanted and as measured, positions and patterns of what was scored.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::Array2;
use serde::Serialize;

use super::colour::Map;
use super::model::{AxisFacts, DatasetFacts, Role};
use super::raster::Raster;
use super::records::Records;
use crate::diag::{StageError, StageResult};
use crate::ptycho::dataset::Dataset;

/// Kinds that make datasets.
const KINDS: [&str; 5] = ["simulate", "import", "thin", "split", "overlap"];
/// At most so many scans are drawn, and patterns of so many doses shown.
const SCANS: usize = 6;
/// Positions beyond so many are thinned out evenly: more would only be ink.
const POSITIONS: usize = 4000;
/// Patterns of a dataset.
const EXAMPLES: usize = 3;

/// Positions and patterns of the scans that were scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scans {
    /// A scan for every condition but dose and trial.
    pub positions: Vec<Positions>,
    /// Patterns for every dose.
    pub patterns: Vec<PatternSet>,
    /// Colours of patterns from few photons to many; none if there are no patterns.
    pub bar: Option<Raster>,
    /// Most photons in a pixel of the patterns shown.
    pub most_photons: f64,
}

/// Where a scan looked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Positions {
    /// `view=dense`.
    pub title: String,
    /// The task that made the dataset.
    pub task: String,
    /// Columns of the patch centres, pixels.
    pub x: Vec<f64>,
    /// Rows of the patch centres, pixels.
    pub y: Vec<f64>,
    /// How many positions there are; more than `x` has if they were too many to draw.
    pub total: usize,
    /// Diameter of the probe's disc, pixels.
    pub diameter: Option<f64>,
    /// Mean overlap of an image with its neighbours, share of the disc.
    pub overlap: Option<f64>,
}

/// Patterns of one dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatternSet {
    /// `dose=1e4`.
    pub title: String,
    /// The task that made the dataset.
    pub task: String,
    /// Some of its patterns.
    pub patterns: Vec<Pattern>,
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pattern {
    /// Which of the scan, from 0.
    pub index: usize,
    /// Photons in it.
    pub photons: f64,
    /// log₁₀(1 + photons) per pixel.
    pub picture: Raster,
}

/// The dataset that an image was made from, networks' training aside: the nearest upstream.
pub(super) fn dataset_of<'a>(records: &'a Records<'_>, task: usize) -> Option<(usize, &'a str)> {
    let (mut open, mut seen) = (vec![task], BTreeSet::new());
    while let Some(task) = open.pop() {
        for slot in ["data", "image", "patches", "scan", "pair"] {
            for (source, output) in records.inputs(task, slot) {
                if KINDS.contains(&&*records.plan.tasks[source].kind) {
                    return Some((source, output));
                }
                if seen.insert(source) {
                    open.push(source);
                }
            }
        }
    }
    None
}

/// A measured fact of a dataset, or of the nearest dataset before it that has one.
fn fact(records: &Records<'_>, task: usize, name: &str) -> Option<f64> {
    let mut next = Some(task);
    while let Some(task) = next {
        let here = records.of(task).and_then(|record| record.measured.get(name)?.as_f64());
        if here.is_some() {
            return here;
        }
        next = records.input(task, "data").map(|(source, _)| source);
    }
    None
}

/// Photons of an image, mean, of the dataset that an image under test was made from: as measured, else as the
/// label of the dose axis says.
pub(super) fn photons(records: &Records<'_>, register: usize, axes: &[AxisFacts]) -> Option<f64> {
    let image = records.input(register, "image").map_or(register, |(task, _)| task);
    let measured =
        dataset_of(records, image).and_then(|(data, _)| fact(records, data, "photons_per_image_mean"));
    measured.or_else(|| {
        let axis = axes.iter().find(|axis| axis.role == Role::Dose)?;
        let label = records.plan.tasks[register].point.get(&axis.name)?;
        label.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0)
    })
}

/// The datasets that images under test were made from, each once, in the order of the plan.
fn scored(records: &Records<'_>) -> BTreeSet<(usize, String)> {
    let images = records.of_kind("register").chain(records.of_kind("reconstruct"));
    let made_from = |task: usize| {
        let image = records.input(task, "image").map_or(task, |(image, _)| image);
        dataset_of(records, image).map(|(data, output)| (data, output.to_owned()))
    };
    images.filter_map(made_from).collect()
}

/// What is known of every dataset with results.
pub(super) fn datasets(records: &Records<'_>) -> Vec<DatasetFacts> {
    let mut used: BTreeSet<usize> = BTreeSet::new();
    for (task, _) in scored(records) {
        let mut next = Some(task);
        while let Some(task) = next {
            used.insert(task);
            next = records.input(task, "data").map(|(source, _)| source);
        }
    }
    let one = |(index, task): (usize, &crate::plan::Task)| {
        let own = &records.of(index)?.measured;
        let own = |name: &str| own.get(name).and_then(serde_json::Value::as_f64);
        let inherited = |name| fact(records, index, name);
        Some(DatasetFacts {
            task: task.id.to_string(),
            images: own("images").or_else(|| own("test_images")).map(|n| n as u64),
            photons_nominal: inherited("photons_per_image_nominal"),
            photons_mean: inherited("photons_per_image_mean"),
            photons_std: inherited("photons_per_image_std"),
            share_nominal: own("view_nominal_share"),
            share_kept: own("view_kept_share"),
            overlap_images: own("overlap_image_based"),
            overlap_groups: own("overlap_group_based"),
            probe_diameter_px: own("probe_diameter_px"),
            scored: used.contains(&index),
        })
    };
    let all = records.plan.tasks.iter().enumerate();
    all.filter(|(_, task)| KINDS.contains(&&*task.kind)).filter_map(one).collect()
}

/// The labels of a task on all axes but those of some roles.
fn title(records: &Records<'_>, task: usize, axes: &[AxisFacts], without: &[Role]) -> String {
    let point = &records.plan.tasks[task].point;
    let kept = axes.iter().filter(|axis| !without.contains(&axis.role));
    let labels = kept.filter_map(|axis| Some(format!("{}={}", axis.name, point.get(&axis.name)?)));
    let text = labels.collect::<Vec<_>>().join(", ");
    if text.is_empty() { records.plan.tasks[task].id.to_string() } else { text }
}

/// A pattern: its number, its photons, its pixels.
type Example = (usize, f64, Array2<f64>);

/// Reads positions and patterns. Packed patterns are unpacked below `scratch` for as long as it takes.
pub(super) fn scans(records: &Records<'_>, axes: &[AxisFacts], scratch: &Path) -> Scans {
    let scored = scored(records);
    let mut scans = Scans::default();
    let mut images: Vec<(String, String, Vec<Example>)> = Vec::new();
    for (task, output) in &scored {
        let name = title(records, *task, axes, &[Role::Dose, Role::Trial, Role::Model]);
        let new = !scans.positions.iter().any(|p| p.title == name) && scans.positions.len() < SCANS;
        if let Some(data) = new.then(|| records.read(*task, output, Dataset::read_about)).flatten() {
            let step = data.len().div_ceil(POSITIONS).max(1);
            let thin = |all: &[f64]| all.iter().copied().step_by(step).collect();
            scans.positions.push(Positions {
                title: name,
                task: records.plan.tasks[*task].id.to_string(),
                x: thin(&data.x),
                y: thin(&data.y),
                total: data.len(),
                diameter: fact(records, *task, "probe_diameter_px"),
                overlap: fact(records, *task, "overlap_image_based"),
            });
        }
        let without = [Role::Condition, Role::Trial, Role::Model];
        let dose = title(records, *task, axes, &without);
        if images.iter().any(|(title, ..)| *title == dose) || images.len() == SCANS {
            continue;
        }
        if let Some(found) = records.read(*task, output, |path| examples(path, scratch)) {
            images.push((dose, records.plan.tasks[*task].id.to_string(), found));
        }
    }
    let all = || images.iter().flat_map(|(_, _, found)| found).flat_map(|(_, _, image)| image.iter());
    let most = all().copied().fold(0.0, f64::max);
    scans.most_photons = 10f64.powf(most) - 1.0;
    scans.bar = Raster::bar(Map::Magma).ok().filter(|_| !images.is_empty());
    for (title, task, found) in images {
        let picture = |(index, photons, image): (usize, f64, Array2<f64>)| {
            let picture = Raster::new(Map::Magma, image.view(), [0.0, most]).ok()?;
            Some(Pattern { index, photons, picture })
        };
        scans.patterns.push(PatternSet {
            title,
            task,
            patterns: found.into_iter().filter_map(picture).collect(),
        });
    }
    scans
}

/// Some patterns of a dataset, spread over the scan: index, photons, and log₁₀(1 + photons) of each pixel.
fn examples(path: &Path, scratch: &Path) -> StageResult<Vec<(usize, f64, Array2<f64>)>> {
    let folder = tempfile::tempdir_in(scratch).map_err(StageError::from)?;
    let (data, patterns) = Dataset::open(path, &folder.path().join("patterns"))?;
    let (count, side) = (patterns.len(), patterns.side());
    let indices: BTreeSet<usize> =
        (0..EXAMPLES.min(count)).map(|i| count * (2 * i + 1) / (2 * EXAMPLES)).collect();
    let (mut bytes, mut values) = (Vec::new(), vec![0f32; side * side]);
    let mut found = Vec::new();
    for index in indices {
        patterns.read(index, &mut bytes, &mut values).map_err(StageError::from)?;
        let counts = Array2::from_shape_fn((side, side), |(r, c)| {
            (f64::from(values[r * side + c]) * data.scale()).powi(2)
        });
        found.push((index, counts.sum(), counts.mapv(|n| n.ln_1p() / std::f64::consts::LN_10)));
    }
    Ok(found)
}
