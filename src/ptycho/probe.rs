//! Probes: the illumination that moves over the object.

use ndarray::Array2;
use num_complex::{Complex32, Complex64};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fft::{Fft2, fftshift2, frequency};
use crate::diag::{StageError, StageResult};

/// A probe to compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Focus of a round aperture, seen out of focus: the usual microscope.
    Defocused {
        /// Radius of the aperture in the detector plane, as a share of the detector's side.
        #[serde(default = "radius")]
        #[schemars(range(max = 0.5), extend("exclusiveMinimum" = 0))]
        radius: f64,
        /// Phase at the aperture's edge, radians; it grows with the square of the distance.
        #[serde(default = "defocus_rad")]
        defocus_rad: f64,
    },
    /// Gaussian spot with a curved wave front.
    Gaussian {
        /// Standard deviation of the amplitude, pixels.
        #[schemars(extend("exclusiveMinimum" = 0))]
        sigma_px: f64,
        /// Phase at a distance r from the centre is this times r², radians per square pixel. Twice this
        /// times the largest r that is lit should stay below π, or the wave front is not sampled.
        #[serde(default)]
        curvature_rad_per_px2: f64,
    },
}

fn radius() -> f64 {
    0.22
}

fn defocus_rad() -> f64 {
    8.0
}

impl Default for Probe {
    fn default() -> Self {
        Self::Defocused { radius: radius(), defocus_rad: defocus_rad() }
    }
}

impl Probe {
    /// The probe on `side`² pixels, its centre at index [side/2, side/2], of power 1.
    pub fn sample(&self, side: usize) -> StageResult<Array2<Complex32>> {
        let values = match *self {
            Self::Defocused { radius, defocus_rad } => defocused(side, radius, defocus_rad),
            Self::Gaussian { sigma_px, curvature_rad_per_px2 } => {
                gaussian(side, sigma_px, curvature_rad_per_px2)
            }
        };
        let narrow = values.iter().map(|v| Complex32::new(v.re as f32, v.im as f32)).collect();
        let probe = Array2::from_shape_vec((side, side), narrow)
            .map_err(|e| StageError::input(format!("probe of {side}² pixels: {e}")))?;
        unit_power(&probe)
    }
}

/// The probe scaled to Σ|P|² = 1. Its absolute scale carries nothing: the dose sets the photons.
pub fn unit_power(probe: &Array2<Complex32>) -> StageResult<Array2<Complex32>> {
    let power: f64 = probe.iter().map(|v| f64::from(v.re).powi(2) + f64::from(v.im).powi(2)).sum();
    if !(power.is_finite() && power > 0.0) {
        return Err(StageError::input(format!("the probe's power is {power}, expected more than 0"))
            .hint("the probe must have finite values that are not all 0"));
    }
    let scale = power.sqrt().recip();
    Ok(probe.mapv(|v| {
        let scaled = Complex64::new(f64::from(v.re), f64::from(v.im)) * scale;
        Complex32::new(scaled.re as f32, scaled.im as f32)
    }))
}

/// Inverse transform of a pupil whose edge is softened by about a frequency pixel, since a hard edge
/// rings over the whole window.
fn defocused(side: usize, radius: f64, defocus: f64) -> Vec<Complex64> {
    let mut pupil: Vec<Complex64> = (0..side * side)
        .map(|i| {
            let r = frequency(i / side, side).hypot(frequency(i % side, side));
            let edge = 1.0 / (1.0 + ((r - radius) * side as f64 * 2.0).exp());
            Complex64::from_polar(edge, defocus * (r / radius).powi(2))
        })
        .collect();
    Fft2::new(side, side).inverse(&mut pupil);
    fftshift2(&pupil, side, side)
}

fn gaussian(side: usize, sigma: f64, curvature: f64) -> Vec<Complex64> {
    let centred = |i: usize| i as f64 - (side / 2) as f64;
    (0..side * side)
        .map(|i| {
            let r2 = centred(i / side).powi(2) + centred(i % side).powi(2);
            Complex64::from_polar((-r2 / (2.0 * sigma * sigma)).exp(), curvature * r2)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [((usize, usize), f32, f32); 5] = [
        ((8, 8), 0.02494716, 0.04416541),
        ((8, 9), 0.01726418, 0.05441325),
        ((5, 8), 0.02674428, 0.02390201),
        ((0, 0), 0.11219583, 0.01244678),
        ((11, 3), 0.05986807, -0.02823987),
    ];

    fn power(probe: &Array2<Complex32>) -> f64 {
        probe.iter().map(|v| f64::from(v.norm_sqr())).sum()
    }

    /// Values of `make_probe(N=16)` of the peers' NumPy script, at five pixels.
    #[test]
    fn defocused_equals_numpy() {
        let probe = Probe::default().sample(16).unwrap();
        assert!((power(&probe) - 1.0).abs() < 1e-6);
        for ((row, col), re, im) in GOLDEN {
            let found = probe[[row, col]];
            assert!((found - Complex32::new(re, im)).norm() < 1e-6, "[{row}, {col}]: {found}");
        }
    }

    #[test]
    fn gaussian_has_its_width_and_curvature() {
        let probe = Probe::Gaussian { sigma_px: 5.0, curvature_rad_per_px2: 0.02 }.sample(64).unwrap();
        assert!((power(&probe) - 1.0).abs() < 1e-6);
        let ratio = probe[[32, 37]] / probe[[32, 32]];
        assert!((f64::from(ratio.norm()) - (-0.5f64).exp()).abs() < 1e-6);
        assert!((ratio.arg() - 0.5).abs() < 1e-6);
        assert_eq!(probe, probe.t());
    }

    #[test]
    fn a_dark_or_broken_probe_is_refused() {
        let dark = Array2::zeros((4, 4));
        assert!(unit_power(&dark).unwrap_err().message.contains("power is 0"));
        let mut broken = dark;
        broken[[0, 0]].re = f32::NAN;
        assert!(unit_power(&broken).is_err());
    }
}
