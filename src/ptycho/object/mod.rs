//! Objects to simulate: a picture, drawn or given, turned into amplitude and phase.

mod canvas;
mod dead_leaves;
mod figures;
mod textures;

use ndarray::Array2;
use num_complex::Complex32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rng::keyed;
use crate::diag::{StageError, StageResult};

/// What is drawn. Lengths are pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Picture {
    /// Star, rings, bars and a head phantom over dead leaves: known at a glance, for figures.
    Collage {},
    /// Overlapping shapes of power-law sizes, with the statistics of photographs: good for training.
    DeadLeaves {
        /// Smallest radius, pixels.
        #[serde(default = "smallest_px")]
        #[schemars(range(min = 0.5))]
        smallest_px: f64,
        /// Largest radius, pixels.
        #[serde(default = "largest_px")]
        #[schemars(range(min = 1))]
        largest_px: f64,
    },
    /// A Siemens star.
    Siemens {
        /// Number of bright spokes.
        #[serde(default = "spokes")]
        #[schemars(range(min = 2, max = 1000))]
        spokes: u32,
    },
    /// Smooth cells with membranes and nuclei.
    Cells {
        /// Mean radius of a cell, pixels.
        #[serde(default = "radius_px")]
        #[schemars(range(min = 3))]
        radius_px: f64,
    },
    /// Blurred straight lines, as PtychoPINN's synthetic data have.
    Lines {
        /// Number of lines over a field of twice the object's size.
        #[serde(default = "line_count")]
        #[schemars(range(min = 1, max = 100_000))]
        count: u32,
    },
}

fn smallest_px() -> f64 {
    3.0
}

fn largest_px() -> f64 {
    60.0
}

fn spokes() -> u32 {
    24
}

fn radius_px() -> f64 {
    18.0
}

fn line_count() -> u32 {
    400
}

impl Picture {
    /// Draws the picture, grey levels of arbitrary range. The same `seed` and `index` give the same picture.
    fn draw(&self, shape: (usize, usize), seed: u64, index: u64) -> StageResult<Array2<f32>> {
        let mut rng = keyed(seed, "object", index);
        Ok(match *self {
            Self::Collage {} => figures::collage(shape, &mut rng),
            Self::DeadLeaves { smallest_px, largest_px } if largest_px < smallest_px => {
                let message =
                    format!("dead leaves from {smallest_px} to {largest_px} pixels: the largest is smaller");
                return Err(StageError::input(message));
            }
            Self::DeadLeaves { smallest_px, largest_px } => {
                dead_leaves::draw(shape, smallest_px, largest_px, &mut rng)
            }
            Self::Siemens { spokes } => figures::siemens(shape, spokes),
            Self::Cells { radius_px } => textures::cells(shape, radius_px, &mut rng),
            Self::Lines { count } => textures::lines(shape, count, &mut rng),
        })
    }
}

/// Where the phase comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseFrom {
    /// From the picture that gives the amplitude, as in one material of varying thickness. Networks
    /// learn this within minutes; with independent pictures a short training gives nothing useful.
    #[default]
    Amplitude,
    /// From a second picture of the same kind.
    OwnPicture,
}

/// How grey levels become a transmission function. The darkest pixel takes the first value of a range
/// and the brightest the second, so a range may also fall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Amplitude of the darkest and of the brightest pixel.
    #[serde(default = "amplitude")]
    #[schemars(inner(range(min = 0)))]
    pub amplitude: [f64; 2],
    /// Phase of the darkest and of the brightest pixel, radians.
    #[serde(default = "phase_rad")]
    pub phase_rad: [f64; 2],
    /// Standard deviation of a Gaussian blur of the picture, pixels.
    #[serde(default = "smoothing_px")]
    #[schemars(range(min = 0, max = 1000))]
    pub smoothing_px: f64,
}

fn amplitude() -> [f64; 2] {
    [0.6, 1.0]
}

fn phase_rad() -> [f64; 2] {
    [-0.8, 0.8]
}

fn smoothing_px() -> f64 {
    1.0
}

impl Default for Contrast {
    fn default() -> Self {
        Self { amplitude: amplitude(), phase_rad: phase_rad(), smoothing_px: smoothing_px() }
    }
}

/// Draws a picture of `shape` (rows, columns) and turns it into an object.
pub fn draw(
    picture: &Picture,
    shape: (usize, usize),
    phase_from: PhaseFrom,
    contrast: &Contrast,
    seed: u64,
) -> StageResult<Array2<Complex32>> {
    let first = picture.draw(shape, seed, 0)?;
    match phase_from {
        PhaseFrom::Amplitude => compose(&first, &first, contrast),
        PhaseFrom::OwnPicture => compose(&first, &picture.draw(shape, seed, 1)?, contrast),
    }
}

/// The object amplitude·exp(i·phase) from two pictures of one shape, each blurred and stretched to its
/// range. A picture of one grey level takes the middle of its range.
pub fn compose(
    amplitude: &Array2<f32>,
    phase: &Array2<f32>,
    contrast: &Contrast,
) -> StageResult<Array2<Complex32>> {
    if amplitude.dim() != phase.dim() {
        let ((ar, ac), (pr, pc)) = (amplitude.dim(), phase.dim());
        let message = format!("the amplitude picture is {ar}×{ac}, the phase picture {pr}×{pc}");
        return Err(StageError::input(message).hint("both must have one shape"));
    }
    let amplitude = stretch(amplitude, contrast.smoothing_px, contrast.amplitude)?;
    let phase = stretch(phase, contrast.smoothing_px, contrast.phase_rad)?;
    Ok(ndarray::Zip::from(&amplitude)
        .and(&phase)
        .map_collect(|a, p| num_complex::Complex64::from_polar(*a, *p))
        .mapv(|v| Complex32::new(v.re as f32, v.im as f32)))
}

fn stretch(picture: &Array2<f32>, smoothing: f64, [low, high]: [f64; 2]) -> StageResult<Array2<f64>> {
    if let Some(((row, col), value)) = picture.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(StageError::input(format!("pixel [{row}, {col}] of the picture is {value}")));
    }
    let soft = canvas::blur(picture, smoothing);
    let (dark, bright) = soft.iter().fold((f32::MAX, f32::MIN), |(d, b), v| (d.min(*v), b.max(*v)));
    let (dark, range) = (f64::from(dark), f64::from(bright) - f64::from(dark));
    let level = |v: f32| {
        if range > 0.0 { (f64::from(v) - dark) / range } else { 0.5 }
    };
    Ok(soft.mapv(|v| low + (high - low) * level(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 5] = ["collage", "dead_leaves", "siemens", "cells", "lines"];

    fn picture(kind: &str) -> Picture {
        serde_json::from_value(serde_json::json!({ "kind": kind })).unwrap()
    }

    #[test]
    fn every_kind_spans_its_ranges_in_any_shape() {
        let contrast = Contrast { amplitude: [0.5, 0.9], phase_rad: [1.0, -0.5], smoothing_px: 0.5 };
        for kind in KINDS {
            for shape in [(96, 160), (33, 20), (1, 1)] {
                let object = draw(&picture(kind), shape, PhaseFrom::Amplitude, &contrast, 4).unwrap();
                assert_eq!(object.dim(), shape);
                let range = |f: fn(&Complex32) -> f32| {
                    let values = object.iter().map(f);
                    values.fold((f32::MAX, f32::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)))
                };
                let (amplitude, phase) = (range(|v| v.norm()), range(|v| v.arg()));
                if shape == (1, 1) {
                    assert!((amplitude.0 - 0.7).abs() < 1e-6 && (phase.0 - 0.25).abs() < 1e-6);
                    continue;
                }
                let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{kind} {shape:?}: {a}, not {b}");
                near(amplitude.0, 0.5);
                near(amplitude.1, 0.9);
                near(phase.0, -0.5);
                near(phase.1, 1.0);
            }
        }
    }

    #[test]
    fn seeds_matter_where_chance_does() {
        let plain = Contrast::default();
        for kind in KINDS {
            let drawn = |seed, from| draw(&picture(kind), (64, 64), from, &plain, seed).unwrap();
            assert_eq!(drawn(1, PhaseFrom::Amplitude), drawn(1, PhaseFrom::Amplitude));
            let random = kind != "siemens";
            assert_eq!(drawn(1, PhaseFrom::Amplitude) != drawn(2, PhaseFrom::Amplitude), random, "{kind}");
            assert_eq!(drawn(1, PhaseFrom::Amplitude) != drawn(1, PhaseFrom::OwnPicture), random, "{kind}");
        }
    }

    #[test]
    fn unusable_pictures_are_refused() {
        let plain = Contrast::default();
        let (a, b) = (Array2::zeros((3, 4)), Array2::zeros((4, 3)));
        assert!(compose(&a, &b, &plain).unwrap_err().message.contains("3×4"));
        let mut bad = a.clone();
        bad[[2, 1]] = f32::NAN;
        assert!(compose(&a, &bad, &plain).unwrap_err().message.contains("[2, 1]"));
        let leaves = Picture::DeadLeaves { smallest_px: 9.0, largest_px: 3.0 };
        assert!(draw(&leaves, (8, 8), PhaseFrom::Amplitude, &plain, 0).is_err());
    }
}
