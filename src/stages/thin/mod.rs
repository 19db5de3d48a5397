//! Stage kind `thin`: the dose of measured counts, lowered.
//!
//! If a pixel counted n photons and each is kept with probability p, independently, then what is kept is
//! what a detector would have counted at p times the dose: a Poisson variable stays Poisson. Nothing is
//! assumed about the sample, so a dose series on one measured scan is as real as the scan.

mod binomial;

use std::path::Path;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::{Dataset, DatasetWriter, Patterns, mean_and_std};
use crate::ptycho::rng::keyed;

/// Parameters of `thin`: one of `photons` and `fraction`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["photons"] }, { "required": ["fraction"] }]))]
pub struct Params {
    /// Mean photons per image to come down to. No more than the data have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub photons: Option<f64>,
    /// Share of the measured photons to keep; 1 keeps all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub fraction: Option<f64>,
}

/// The `thin` stage.
pub struct Thin;

/// Patterns in memory at a time.
const BATCH: usize = 256;

impl Stage for Thin {
    fn kind(&self) -> Kind {
        Kind {
            name: "thin",
            version: 1,
            summary: "Lower the dose of counted patterns by binomial thinning",
            inputs: &[Slot { name: "data", arity: Arity::One, doc: "dataset of counts" }],
            outputs: &[Output { name: "data", file: "dataset.npz", doc: "the dataset at the lower dose" }],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: true,
            needs_runtime: false,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let path = cx.input("data")?;
        let (mut data, patterns) = Dataset::open(path, &cx.job().staging.join("patterns.f32"))?;
        let (before, counted) = look(&data, &patterns, path)?;
        let (measured, _) = mean_and_std(&before);
        let keep = params.keep(measured)?;
        counted.map_err(|e| StageError::input(format!("{}: {}", path.display(), e.message)).hint(HINT))?;

        let scale = data.scale();
        // The dose scale falls with the root of the dose, `s' = s·√keep`.
        data.dose_scale = Some(scale * keep.sqrt());
        let thinning = Thinning { keep, before: scale, seed: cx.job().seed };
        let (photons, writer) = thinned(cx, &data, &patterns, thinning)?;
        let (mean, spread) = mean_and_std(&photons);
        let empty = photons.iter().filter(|p| **p == 0.0).count();
        data.measured_photons = Some(photons);
        data.append_transformation(
            "thin",
            "binomial_thinning",
            json!({ "keep_probability": keep, "photons_nominal": keep * measured, "photons_before": measured, "seed": cx.job().seed }),
        );
        cx.measure("keep_probability", keep);
        cx.measure("photons_per_image_nominal", keep * measured);
        cx.measure("photons_per_image_mean", mean);
        cx.measure("photons_per_image_std", spread);
        if empty > 0 {
            cx.warn(format!("{empty} of {} images have no photon left", data.len()));
        }
        writer.finish(&data)
    }
}

const HINT: &str = "thinning needs counted photons: whole numbers as (diffraction · dose_scale)². \
                    Noise-free or rescaled data have no photons to lose";

impl Params {
    /// The probability to keep a photon, given the measured mean.
    fn keep(&self, measured: f64) -> StageResult<f64> {
        match (self.photons, self.fraction) {
            (Some(photons), None) if photons > 0.0 => {
                // Rounding of the stored amplitudes must not refuse the measured dose itself.
                if photons > measured * (1.0 + 1e-6) {
                    let message =
                        format!("`photons` is {photons}, but the data have {measured:.1} photons an image");
                    return Err(StageError::input(message).hint("thinning can only lower the dose"));
                }
                Ok((photons / measured).min(1.0))
            }
            (None, Some(fraction)) if fraction > 0.0 && fraction <= 1.0 => Ok(fraction),
            _ => Err(StageError::input("give either `photons` (above 0) or `fraction` (above 0, at most 1)")),
        }
    }
}

/// Counts of one pixel, in f64.
fn counts(amplitude: f32, scale: f64) -> f64 {
    (f64::from(amplitude) * scale).powi(2)
}

/// Photons of every pattern, and whether all values are whole numbers of photons, as far as f32 amplitudes can tell.
fn look(data: &Dataset, patterns: &Patterns, path: &Path) -> StageResult<(Vec<f64>, StageResult)> {
    let (scale, side) = (data.scale(), patterns.side());
    // Squaring doubles the relative rounding of an f32 (2⁻²⁴); a factor 4 for the division by s before.
    let tolerance = |counts: f64| 1e-3 + counts * 8.0 * 2f64.powi(-24);
    let (mut photons, mut counted) = (Vec::with_capacity(data.len()), Ok(()));
    patterns.check(path, |values| {
        let all = values.iter().map(|amplitude| counts(*amplitude, scale));
        let broken = all.enumerate().find(|(_, n)| (n - n.round()).abs() > tolerance(*n));
        if let (Some((at, n)), Ok(())) = (broken, &counted) {
            let (image, row, col) = (photons.len(), at / side, at % side);
            counted = Err(StageError::input(format!(
                "pixel [{image}, {row}, {col}] holds {n:.4} photons, expected a whole number"
            )));
        }
        photons.push(data.photons_of(values.iter()));
    })?;
    Ok((photons, counted))
}

/// How photons are lost.
#[derive(Debug, Clone, Copy)]
struct Thinning {
    /// Probability to keep one.
    keep: f64,
    /// Dose scale of the measured data.
    before: f64,
    seed: u64,
}

impl Thinning {
    /// Thins the pattern of image `i`. Amplitudes become `√n'/s'` with the dose scale s' = `after`: their mean square,
    /// and with it the fit to the unchanged probe, stays; only the noise grows (the study's contract: "dose changes
    /// only the noise, not the scale").
    fn apply(&self, i: usize, pattern: &mut [f32], after: f64) {
        // One stream for every dose and image: neither batches nor threads can change a value, and two doses
        // of one series are independent given the data.
        let mut random = keyed(self.seed, &format!("thin {:e}", self.keep), i as u64);
        for amplitude in pattern {
            let n = counts(*amplitude, self.before).round() as u64;
            let kept = binomial::draw(n, self.keep, &mut random);
            *amplitude = ((kept as f64).sqrt() / after) as f32;
        }
    }
}

/// Thins all patterns, a batch at a time, on their way to the output; the photons that are left of each. `data` has the
/// new dose scale.
fn thinned(
    cx: &Context<'_>,
    data: &Dataset,
    patterns: &Patterns,
    thinning: Thinning,
) -> StageResult<(Vec<f64>, DatasetWriter)> {
    let (total, side) = (patterns.len(), patterns.side());
    let mut writer = DatasetWriter::create(&cx.output("data")?, total, side)?;
    let (mut bytes, mut batch) = (Vec::new(), vec![0f32; BATCH.min(total) * side * side]);
    let mut photons = Vec::with_capacity(total);
    for first in (0..total).step_by(BATCH) {
        let values = &mut batch[..BATCH.min(total - first) * side * side];
        patterns.read_many(first, &mut bytes, values)?;
        let each = values.par_chunks_mut(side * side).enumerate();
        each.for_each(|(i, pattern)| thinning.apply(first + i, pattern, data.scale()));
        photons.extend(values.chunks(side * side).map(|pattern| data.photons_of(pattern.iter())));
        writer.append(values)?;
    }
    Ok((photons, writer))
}

#[cfg(test)]
mod tests;
