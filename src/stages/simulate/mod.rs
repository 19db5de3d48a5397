//! Stage kind `simulate`: a synthetic scan, from an object and a probe to noisy diffraction patterns.

mod params;
mod sources;

use ndarray::{Array2, Array3, s};
use num_complex::Complex32;
use rand::Rng;
use serde_json::json;

pub use self::params::{Detection, Noise, Params};
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::{Dataset, DatasetWriter, new_metadata};
use crate::ptycho::detector::{self, Detector, Seen};
use crate::ptycho::positions::Region;
use crate::ptycho::rng::keyed;
use crate::ptycho::{coherence, forward};

/// The `simulate` stage.
pub struct Simulate;

/// Patterns in memory at a time.
const BATCH: usize = 256;

/// Standard errors by which the measured dose may differ from the nominal one before the user is told.
const SIGMAS: f64 = 3.0;

impl Stage for Simulate {
    fn kind(&self) -> Kind {
        Kind {
            name: "simulate",
            version: 1,
            summary: "simulate a scan: object, probe, positions, dose in photons per image, Poisson noise",
            inputs: &[
                Slot {
                    name: "object",
                    arity: Arity::Optional,
                    doc: "object instead of a drawn one (NPY or NPZ): complex as it is, or a real picture that \
                          `contrast` turns into amplitude and phase",
                },
                Slot {
                    name: "object_phase",
                    arity: Arity::Optional,
                    doc: "real picture for the phase (NPY or NPZ), beside a real picture in `object`",
                },
                Slot {
                    name: "probe",
                    arity: Arity::Optional,
                    doc: "complex probe instead of a computed one (NPY or NPZ), as large as the patterns",
                },
            ],
            outputs: &[Output {
                name: "data",
                file: "dataset.npz",
                doc: "dataset with the true object and probe, dose scale and measured photons",
            }],
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
        let seed = realised(cx.job().seed, params.realisation);
        let side = params.patch_px as usize;
        let object = sources::object(cx, &params, seed)?;
        let probe = sources::probe(cx, &params)?;
        let buffer = params.buffer_px.unwrap_or(params.patch_px as f64 / 2.0);
        let region = Region::inside(object.dim(), buffer)?;
        let (mut x, mut y) = params.positions.positions(region, seed)?;
        if params.whole_pixels {
            x.iter_mut().chain(&mut y).for_each(|v| *v = v.round_ties_even());
        }
        let modes = modes(&probe, &params.mode_weights)?;
        let powers = forward::powers(&object, &modes, &x, &y);
        let scale = forward::dose_scale(params.photons, &powers)?;
        // The same detector for every realisation: its pixels die under the study's own seed.
        let detector = detector(&params.detector, side, cx.job().seed)?;
        let mut writer = DatasetWriter::create(&cx.output("data")?, x.len(), side)?;
        let mut photons = Vec::with_capacity(x.len());
        let mut seen = Vec::new();
        let mut batch = Array3::zeros((BATCH.min(x.len()), side, side));
        for first in (0..x.len()).step_by(BATCH) {
            let end = (first + BATCH).min(x.len());
            let mut part = batch.slice_mut(s![..end - first, .., ..]);
            forward::diffract_modes(&object, &modes, &x[first..end], &y[first..end], part.view_mut());
            photons.extend(match params.noise {
                Noise::None => forward::expected_photons(&powers[first..end], scale),
                Noise::Poisson => forward::poisson(part.view_mut(), first, scale, params.photons, seed)?,
            });
            if !detector.is_ideal() {
                seen.extend(detector.apply(part.view_mut(), scale));
            }
            writer.append(part.as_slice().unwrap_or_default())?;
            cx.progress(end as u64, x.len() as u64, "patterns", None);
        }
        report_dose(cx, &params, &photons);
        if !detector.is_ideal() {
            report_seen(cx, &detector, &seen);
            photons = seen.iter().map(|s| s.photons).collect();
        }
        let mut data = Dataset {
            diffraction: Array3::zeros((0, side, side)),
            x_start: x.clone(),
            y_start: y.clone(),
            scan_index: vec![0; x.len()],
            x,
            y,
            probe,
            object: Some(object),
            dose_scale: Some(scale),
            measured_photons: Some(photons),
            mask: detector.mask,
            metadata: new_metadata(
                json!({ "nphotons": params.photons, "gridsize": 1, "N": side }),
                json!({ "seed": cx.job().seed, "buffer": buffer, "simulation_type": "coordinate_based" }),
            ),
        };
        let parameters = serde_json::to_value(&params).unwrap_or_default();
        data.append_transformation("phasegraph simulate", "simulate", parameters);
        // The reference's tools look for this entry before they take a file as canonical, which it is.
        let canonical = json!({ "flipx": false, "flipy": false });
        data.append_transformation("transpose_rename_convert", "canonicalize", canonical);
        writer.finish(&data)
    }
}

/// The seed of a realisation; that of the study for number 0.
fn realised(seed: u64, realisation: u32) -> u64 {
    match realisation {
        0 => seed,
        n => keyed(seed, "realisation", n.into()).next_u64(),
    }
}

/// The modes of the beam; the probe alone if no weights are given.
fn modes(probe: &Array2<Complex32>, weights: &[f64]) -> StageResult<Vec<Array2<Complex32>>> {
    if weights.is_empty() {
        return Ok(vec![probe.clone()]);
    }
    coherence::modes(probe, weights).ok_or_else(|| {
        StageError::input(format!(
            "`mode_weights` {weights:?} make no modes of this probe: expected weights of which one is above 0, \
             and as many lit pixels as modes"
        ))
    })
}

/// The detector that the parameters describe.
fn detector(params: &Detection, side: usize, seed: u64) -> StageResult<Detector> {
    let mask = detector::mask(side, params.beam_stop_px, params.dead_fraction, seed);
    if mask.as_ref().is_some_and(|mask| mask.iter().all(|measured| !measured)) {
        return Err(StageError::input(format!(
            "`detector` sees nothing: its beam stop of radius {} px covers all of {side}×{side} pixels",
            params.beam_stop_px
        )));
    }
    Ok(Detector { mask, saturation: params.saturation })
}

/// Tells what the detector saw of every image, and what it did not.
fn report_seen(cx: &mut Context<'_>, detector: &Detector, seen: &[Seen]) {
    let n = seen.len() as f64;
    let masked = detector.mask.iter().flatten().filter(|measured| !**measured).count();
    cx.measure("masked_pixels", masked);
    cx.measure("photons_seen_per_image_mean", seen.iter().map(|s| s.photons).sum::<f64>() / n);
    cx.measure("saturated_images", seen.iter().filter(|s| s.saturated > 0).count());
    cx.measure("saturated_pixels_per_image_mean", seen.iter().map(|s| s.saturated).sum::<u64>() as f64 / n);
}

/// Photons per image that arrived, beside the nominal dose, which is only what was asked for.
fn report_dose(cx: &mut Context<'_>, params: &Params, photons: &[f64]) {
    let n = photons.len() as f64;
    let mean = photons.iter().sum::<f64>() / n;
    let spread = (photons.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / n).sqrt();
    let nominal = params.photons;
    cx.measure("images", photons.len());
    cx.measure("photons_per_image_nominal", nominal);
    cx.measure("photons_per_image_mean", mean);
    cx.measure("photons_per_image_std", spread);
    // All photons together follow one Poisson law of mean n · nominal.
    let error = (nominal / n).sqrt();
    if params.noise == Noise::Poisson && (mean - nominal).abs() > SIGMAS * error {
        cx.warn(format!(
            "measured {mean:.2} photons per image where {nominal} were asked for, \
             {:.1} standard errors apart",
            (mean - nominal).abs() / error
        ));
    }
}

#[cfg(test)]
mod tests;
