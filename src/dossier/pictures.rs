//! Amplitudes, phases and their errors, on scales that all pictures share.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;
use serde::Serialize;

use super::model::{AxisFacts, condition_text};
use super::overview::{Overview, overviews};
use super::raster::{Raster, reduce};
use super::records::Records;
use super::scales::Scales;
use super::scores::{Place, place};
use crate::diag::StageResult;
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::{amplitude, match_mean, phase, remove_plane};

/// Pixels of all pictures together, at most: what they take in a report follows from it. Larger pictures are
/// shown at half the resolution, a third, and so on.
const PIXELS: usize = 5_000_000;
/// At most so many conditions are shown.
const CONDITIONS: usize = 24;

/// All pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pictures {
    /// Scales of phase, stretched phase, phase error, amplitude, amplitude error.
    pub scales: Vec<Scale>,
    /// A gallery for each condition.
    pub galleries: Vec<Gallery>,
    /// The whole truth, with what was compared in it.
    pub overviews: Vec<Overview>,
    /// Conditions that are not shown because there are too many.
    pub left_out: Vec<String>,
    /// Pixels of the image that one pixel of a picture stands for, along each side.
    pub reduction: usize,
}

/// Which values the colours of a map stand for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scale {
    /// What is shown: the name of a picture in [`ModelPictures`].
    pub quantity: &'static str,
    /// In words.
    pub title: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Name of the map.
    pub map: &'static str,
    /// Value of the first colour.
    pub lo: f64,
    /// Value of the last colour.
    pub hi: f64,
    /// All colours, low values left.
    pub bar: Raster,
}

/// Pictures of one condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gallery {
    /// Axis and label, in the study's order.
    pub condition: Vec<(String, String)>,
    /// Object coordinates (row, column) of the upper left pixel.
    pub origin_yx: [f64; 2],
    /// Rows and columns that were compared.
    pub shape: [usize; 2],
    /// Which trial is shown, of how many.
    pub trial: Option<(String, usize)>,
    /// The truth first; it has no errors.
    pub models: Vec<ModelPictures>,
}

impl Gallery {
    /// `dose=1e4, view=dense`.
    pub fn title(&self) -> String {
        condition_text(&self.condition)
    }
}

/// Pictures of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelPictures {
    /// Its name.
    pub model: String,
    /// The task that registered it; none for the truth.
    pub task: Option<String>,
    /// Quantity → picture.
    pub pictures: BTreeMap<&'static str, Raster>,
}

/// One image under test, as the metrics see it: gauges removed.
struct Arrays {
    model: String,
    task: String,
    condition: Vec<(String, String)>,
    trial: Option<String>,
    register: usize,
    pair: PairArrays,
}

pub(super) struct PairArrays {
    origin_yx: [f64; 2],
    shape: [usize; 2],
    pub(super) true_amplitude: Array2<f64>,
    pub(super) amplitude: Array2<f64>,
    pub(super) true_phase: Array2<f64>,
    pub(super) phase: Array2<f64>,
}

impl PairArrays {
    /// The very arrays that the metrics compare, but for the pixels that those drop at the border.
    fn read(path: &Path) -> StageResult<Self> {
        let pair = Pair::read(path)?;
        let flat = |image| remove_plane(phase(image).view()).0;
        let (truth, own) = (amplitude(pair.truth.view()), amplitude(pair.prediction.view()));
        let matched = match_mean(truth.view(), own.view()).map_or(own, |(scaled, _)| scaled);
        let (rows, columns) = truth.dim();
        Ok(Self {
            origin_yx: pair.origin_yx,
            shape: [rows, columns],
            true_phase: flat(pair.truth.view()),
            phase: flat(pair.prediction.view()),
            true_amplitude: truth,
            amplitude: matched,
        })
    }

    fn reduced(self, by: usize) -> Self {
        Self {
            true_amplitude: reduce(self.true_amplitude, by),
            amplitude: reduce(self.amplitude, by),
            true_phase: reduce(self.true_phase, by),
            phase: reduce(self.phase, by),
            ..self
        }
    }
}

/// Axes and values that pictures side by side have in common.
type Condition = Vec<(String, String)>;

/// Reads the pairs of all conditions and colours them.
pub(super) fn pictures(records: &Records<'_>, axes: &[AxisFacts]) -> Pictures {
    let mut found = Pictures::default();
    let mut conditions: Vec<(Condition, Vec<usize>)> = Vec::new();
    for task in records.of_kind("register").filter(|task| records.of(*task).is_some()) {
        let Place { condition, .. } = place(records, task, axes);
        match conditions.iter_mut().find(|(known, _)| *known == condition) {
            Some((_, tasks)) => tasks.push(task),
            None => conditions.push((condition, vec![task])),
        }
    }
    for (condition, _) in conditions.iter().skip(CONDITIONS) {
        found.left_out.push(condition_text(condition));
    }
    conditions.truncate(CONDITIONS);
    let mut galleries: Vec<(Vec<Arrays>, usize)> = Vec::new();
    for (condition, tasks) in conditions {
        let places: Vec<(usize, Place)> = tasks.iter().map(|t| (*t, place(records, *t, axes))).collect();
        // One trial stands for all.
        let trial = places.first().and_then(|(_, place)| place.trial.clone());
        let mut trials: Vec<&Option<String>> = places.iter().map(|(_, place)| &place.trial).collect();
        trials.dedup();
        let count = trials.len();
        let shown = places.into_iter().filter(|(_, place)| place.trial == trial);
        let arrays: Vec<Arrays> = shown
            .filter_map(|(register, place)| {
                let pair = records.read(register, "pair", PairArrays::read)?;
                let task = records.plan.tasks[register].id.to_string();
                let (condition, trial) = (condition.clone(), trial.clone());
                Some(Arrays { model: place.model, task, condition, trial, register, pair })
            })
            .collect();
        if !arrays.is_empty() {
            galleries.push((arrays, count));
        }
    }
    found.reduction = reduction(&galleries);
    for (arrays, _) in &mut galleries {
        let reduced = |a: Arrays| Arrays { pair: a.pair.reduced(found.reduction), ..a };
        *arrays = std::mem::take(arrays).into_iter().map(reduced).collect();
    }
    let boxes = galleries.iter().filter_map(|(arrays, _)| arrays.first());
    let boxes = boxes.map(|a| (a.register, condition_text(&a.condition), a.pair.origin_yx, a.pair.shape));
    found.overviews = overviews(records, boxes);
    let scales = Scales::of(galleries.iter().flat_map(|(arrays, _)| arrays).map(|a| &a.pair));
    match scales.legend() {
        Ok(legend) => found.scales = legend,
        Err(e) => records.note(format!("no pictures could be made: {e}")),
    }
    for (arrays, trials) in galleries {
        match gallery(&scales, arrays, trials) {
            Ok(gallery) => found.galleries.push(gallery),
            Err(e) => records.note(format!("no pictures could be made: {e}")),
        }
    }
    found
}

/// By how much pictures must shrink for all of them to stay within [`PIXELS`].
fn reduction(galleries: &[(Vec<Arrays>, usize)]) -> usize {
    // Three pictures of the truth, five of each model.
    let of_gallery = |arrays: &Vec<Arrays>| {
        let pixels = arrays.first().map_or(0, |a| a.pair.shape[0] * a.pair.shape[1]);
        pixels * (3 + 5 * arrays.len())
    };
    let pixels: usize = galleries.iter().map(|(arrays, _)| of_gallery(arrays)).sum();
    (1..).find(|by| pixels / (by * by) <= PIXELS).unwrap_or(1)
}

fn gallery(scales: &Scales, arrays: Vec<Arrays>, trials: usize) -> std::io::Result<Gallery> {
    let mut gallery = Gallery {
        condition: Vec::new(),
        origin_yx: [0.0; 2],
        shape: [0; 2],
        trial: None,
        models: Vec::new(),
    };
    for Arrays { model, task, condition, trial, pair, .. } in arrays {
        if gallery.models.is_empty() {
            gallery.trial = trial.filter(|_| trials > 1).map(|trial| (trial, trials));
            (gallery.condition, gallery.origin_yx, gallery.shape) = (condition, pair.origin_yx, pair.shape);
            let pictures = [
                scales.picture("phase", &pair.true_phase)?,
                scales.picture("circle", &pair.true_phase)?,
                scales.picture("amplitude", &pair.true_amplitude)?,
            ];
            let (model, pictures) = ("truth".to_owned(), BTreeMap::from(pictures));
            gallery.models.push(ModelPictures { model, task: None, pictures });
        }
        let pictures = BTreeMap::from([
            scales.picture("phase", &pair.phase)?,
            scales.picture("circle", &pair.phase)?,
            scales.picture("phase_error", &(&pair.phase - &pair.true_phase))?,
            scales.picture("amplitude", &pair.amplitude)?,
            scales.picture("amplitude_error", &(&pair.amplitude - &pair.true_amplitude))?,
        ]);
        gallery.models.push(ModelPictures { model, task: Some(task), pictures });
    }
    Ok(gallery)
}
