//! From object, probe and positions to measured diffraction (study.md §3.2).

use ndarray::{Array2, ArrayViewMut3, Axis};
use num_complex::{Complex32, Complex64};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson};
use rayon::prelude::*;

use super::fft::{Fft2, shifted};
use super::rng::keyed;
use crate::diag::{StageError, StageResult};

/// Cuts the patch of `side`² pixels whose index [side/2, side/2] lies at (`x`, `y`) out of `object`:
/// patch[r, c] is the object at row y − side/2 + r and column x − side/2 + c, bilinear between pixels,
/// zero outside. `patch` has side² values in C order; it is overwritten.
pub fn patch(object: &Array2<Complex32>, x: f64, y: f64, side: usize, patch: &mut [Complex64]) {
    let (top, down) = whole_and_part(y, side);
    let (left, right) = whole_and_part(x, side);
    let mut above = vec![Complex64::default(); side];
    let mut below = above.clone();
    let mut line = vec![Complex64::default(); side + 1];
    read_row(object, top, left, right, &mut line, &mut above);
    for (r, out) in patch.chunks_exact_mut(side).enumerate() {
        read_row(object, top.saturating_add(r as i64 + 1), left, right, &mut line, &mut below);
        for ((out, a), b) in out.iter_mut().zip(&above).zip(&below) {
            *out = a * (1.0 - down) + b * down;
        }
        std::mem::swap(&mut above, &mut below);
    }
}

/// First pixel of a patch along one axis, and the sub-pixel part of its position.
fn whole_and_part(centre: f64, side: usize) -> (i64, f64) {
    let whole = centre.floor();
    ((whole as i64).saturating_sub(side as i64 / 2), centre - whole)
}

/// Samples `out.len()` pixels of one object row from column `left` + `right` on, zero outside.
fn read_row(
    object: &Array2<Complex32>,
    row: i64,
    left: i64,
    right: f64,
    line: &mut [Complex64],
    out: &mut [Complex64],
) {
    line.fill(Complex64::default());
    let (rows, cols) = object.dim();
    if (0..rows as i64).contains(&row) {
        let first = left.clamp(0, cols as i64);
        let end = left.saturating_add(line.len() as i64).clamp(first, cols as i64);
        if first < end {
            let pixels = object.row(row as usize);
            for (to, column) in line[(first - left) as usize..].iter_mut().zip(first..end) {
                let from = pixels[column as usize];
                *to = Complex64::new(f64::from(from.re), f64::from(from.im));
            }
        }
    }
    for (out, pair) in out.iter_mut().zip(line.windows(2)) {
        *out = pair[0] * (1.0 - right) + pair[1] * right;
    }
}

/// Noise-free diffraction of a coherent beam: [`diffract_modes`] with one mode.
pub fn diffract(
    object: &Array2<Complex32>,
    probe: &Array2<Complex32>,
    x: &[f64],
    y: &[f64],
    out: ArrayViewMut3<f32>,
) -> Vec<f64> {
    diffract_modes(object, std::slice::from_ref(probe), x, y, out)
}

/// Noise-free diffraction: for every position the amplitude √(Σₖ|FFT2(Pₖ·O)|²)/N with the zero frequency at
/// index N/2, written to `out` (positions, N, N). Modes Pₖ do not interfere: their intensities add, which is what
/// a partially coherent beam does. The transform is unitary, so the sum of squares is the power of the
/// illuminated patch. Returns that power Σₖ Σ|Pₖ·O|² for every patch, from which [`dose_scale`] follows.
///
/// `out` has one image for every `x` and `y`, and the side of the modes, of which there is at least one. Each image
/// is computed on its own, and modes are summed in their order, so neither threads nor batches change a bit.
pub fn diffract_modes(
    object: &Array2<Complex32>,
    modes: &[Array2<Complex32>],
    x: &[f64],
    y: &[f64],
    mut out: ArrayViewMut3<f32>,
) -> Vec<f64> {
    let side = out.len_of(Axis(1));
    let modes: Vec<Vec<Complex64>> = modes.iter().map(in_double).collect();
    let fft = Fft2::<f64>::new(side, side);
    let wave = vec![Complex64::default(); side * side];
    let intensity = vec![0.0f64; side * side];
    out.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(x.par_iter().zip(y))
        .map_init(
            || (fft.clone(), wave.clone(), wave.clone(), intensity.clone()),
            |(fft, cut, wave, intensity), (mut image, (x, y))| {
                patch(object, *x, *y, side, cut);
                intensity.fill(0.0);
                let mut power = 0.0;
                for mode in &modes {
                    wave.iter_mut().zip(&*cut).zip(mode).for_each(|((w, o), p)| *w = o * p);
                    power += wave.iter().map(Complex64::norm_sqr).sum::<f64>();
                    fft.forward(wave);
                    intensity.iter_mut().zip(&*wave).for_each(|(sum, w)| *sum += w.norm_sqr());
                }
                for (r, mut line) in image.outer_iter_mut().enumerate() {
                    let from = &intensity[shifted(r, side) * side..][..side];
                    // In two pieces, as the zero frequency goes to the middle.
                    let (low, high) = from.split_at(shifted(0, side));
                    for (pixel, value) in line.iter_mut().zip(high.iter().chain(low)) {
                        *pixel = (value.sqrt() / side as f64) as f32;
                    }
                }
                power
            },
        )
        .collect()
}

/// The power Σₖ Σ|Pₖ·O|² of every patch, the very numbers that [`diffract_modes`] gives, without the transform: a dose
/// scale can be had before any pattern is.
pub fn powers(object: &Array2<Complex32>, modes: &[Array2<Complex32>], x: &[f64], y: &[f64]) -> Vec<f64> {
    let side = modes.first().map_or(0, Array2::nrows);
    let modes: Vec<Vec<Complex64>> = modes.iter().map(in_double).collect();
    let cut = vec![Complex64::default(); side * side];
    let each = x.par_iter().zip(y).map_init(
        || cut.clone(),
        |cut, (x, y)| {
            patch(object, *x, *y, side, cut);
            let lit =
                |mode: &Vec<Complex64>| cut.iter().zip(mode).map(|(o, p)| (o * p).norm_sqr()).sum::<f64>();
            modes.iter().fold(0.0, |power, mode| power + lit(mode))
        },
    );
    each.collect()
}

fn in_double(image: &Array2<Complex32>) -> Vec<Complex64> {
    image.iter().map(|p| Complex64::new(f64::from(p.re), f64::from(p.im))).collect()
}

/// The factor s on amplitudes that brings the mean over images of Σ|P·O|² to `photons`:
/// s = √(photons / mean power). One number for a whole dataset.
pub fn dose_scale(photons: f64, powers: &[f64]) -> StageResult<f64> {
    let mean = powers.iter().sum::<f64>() / powers.len() as f64;
    let scale = (photons / mean).sqrt();
    if !(scale.is_finite() && scale > 0.0) {
        let message =
            format!("{photons} photons per image cannot be reached: the mean illuminated power is {mean}");
        return Err(
            StageError::input(message).hint("the object is dark, or not finite, where the probe goes")
        );
    }
    Ok(scale)
}

/// Photon noise in place: every stored amplitude X becomes √k/s, k drawn from a Poisson distribution of
/// mean (X·s)². Returns the photons Σk of every image.
///
/// `amplitudes` holds the images `first`, `first` + 1, … of the dataset. Image i draws from its own stream
/// (`seed`, dose, i), so results do not depend on batches or threads, and doses are independent of each
/// other under one seed.
pub fn poisson(
    mut amplitudes: ArrayViewMut3<f32>,
    first: usize,
    scale: f64,
    photons: f64,
    seed: u64,
) -> StageResult<Vec<f64>> {
    let purpose = format!("poisson {photons}");
    amplitudes
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .map(|(i, mut image)| {
            let mut rng = keyed(seed, &purpose, (first + i) as u64);
            let mut total = 0.0;
            for pixel in &mut image {
                let expected = (f64::from(*pixel) * scale).powi(2);
                let count = if expected <= 0.0 {
                    0.0
                } else if expected < FEW {
                    few(expected, &mut rng)
                } else {
                    let law = Poisson::new(expected).map_err(|e| {
                        StageError::input(format!(
                            "image {} expects {expected} photons in a pixel: {e}",
                            first + i
                        ))
                    })?;
                    law.sample(&mut rng)
                };
                total += count;
                *pixel = (count.sqrt() / scale) as f32;
            }
            Ok(total)
        })
        .collect()
}

/// Below this mean most pixels get no photon.
const FEW: f64 = 1.0;

/// A draw from a Poisson distribution of a small mean, by Knuth's method, as `rand_distr` does it and from the same
/// random numbers; but that none came is mostly known without the exponential: e^−λ ≥ 1 − λ.
fn few(mean: f64, rng: &mut impl Rng) -> f64 {
    let mut product: f64 = rng.random();
    if product <= 1.0 - mean {
        return 0.0;
    }
    let limit = (-mean).exp();
    let mut count = 0.0;
    while product > limit {
        product *= rng.random::<f64>();
        count += 1.0;
    }
    count
}

/// Photons of every image without noise: Σ(X·s)².
pub fn expected_photons(powers: &[f64], scale: f64) -> Vec<f64> {
    powers.iter().map(|p| p * scale * scale).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;
    use crate::io::Arrays;
    use crate::io::npz::NpzReader;
    use crate::ptycho::probe::Probe;

    fn object() -> Array2<Complex32> {
        Array2::from_shape_fn((40, 50), |(r, c)| {
            Complex32::from_polar(0.5 + 0.01 * (r * c % 37) as f32, 0.05 * (r as f32 - 0.7 * c as f32))
        })
    }

    #[test]
    fn few_photons_are_those_of_rand_distr() {
        for mean in [1e-9, 1e-3, 0.1, 0.5, 0.999] {
            let (mut ours, mut theirs) = (keyed(1, "few", 0), keyed(1, "few", 0));
            let law = Poisson::new(mean).unwrap();
            for _ in 0..20_000 {
                assert_eq!(few(mean, &mut ours), law.sample(&mut theirs));
            }
        }
    }

    fn cut(x: f64, y: f64, side: usize) -> Vec<Complex64> {
        let mut out = vec![Complex64::new(9.0, 9.0); side * side];
        patch(&object(), x, y, side, &mut out);
        out
    }

    #[test]
    fn whole_positions_copy_pixels() {
        let object = object();
        for (i, value) in cut(20.0, 18.0, 8).iter().enumerate() {
            let from = object[[18 - 4 + i / 8, 20 - 4 + i % 8]];
            assert_eq!(*value, Complex64::new(f64::from(from.re), f64::from(from.im)));
        }
    }

    #[test]
    fn parts_of_pixels_interpolate_and_outside_is_zero() {
        let object = object();
        let at = |r: i64, c: i64| {
            let inside = (0..40).contains(&r) && (0..50).contains(&c);
            let value = if inside { object[[r as usize, c as usize]] } else { Complex32::default() };
            Complex64::new(f64::from(value.re), f64::from(value.im))
        };
        // Inside, over each corner, wholly outside, and absurdly far.
        for (x, y) in
            [(20.25f64, 18.6f64), (1.3, 0.1), (49.5, 39.9), (-0.5, 39.0), (80.0, -70.0), (1e18, -1e300)]
        {
            let (left, top) = (x.floor() as i64, y.floor() as i64);
            let (right, down) = (x - x.floor(), y - y.floor());
            for (i, value) in cut(x, y, 7).iter().enumerate() {
                let r = top.saturating_add(i as i64 / 7 - 3);
                let c = left.saturating_add(i as i64 % 7 - 3);
                let expected = (at(r, c) * (1.0 - right) + at(r, c.saturating_add(1)) * right) * (1.0 - down)
                    + (at(r.saturating_add(1), c) * (1.0 - right)
                        + at(r.saturating_add(1), c.saturating_add(1)) * right)
                        * down;
                assert!((value - expected).norm() < 1e-12, "({x}, {y}) [{i}]");
            }
        }
    }

    #[test]
    fn power_is_kept_and_the_dose_reached() {
        let probe = Probe::Gaussian { sigma_px: 3.0, curvature_rad_per_px2: 0.01 }.sample(16).unwrap();
        let (x, y) = ([20.0, 25.5, 30.25], [15.0, 17.0, 22.75]);
        let mut out = Array3::zeros((3, 16, 16));
        let powers = diffract(&object(), &probe, &x, &y, out.view_mut());
        assert_eq!(super::powers(&object(), std::slice::from_ref(&probe), &x, &y), powers, "to the last bit");
        for (image, power) in out.outer_iter().zip(&powers) {
            let sum: f64 = image.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((sum / power - 1.0).abs() < 1e-6);
            // The zero frequency, which dominates, is in the middle.
            assert!(image[[8, 8]] > 10.0 * image[[0, 0]]);
        }
        let scale = dose_scale(1e4, &powers).unwrap();
        let mean = expected_photons(&powers, scale).iter().sum::<f64>() / 3.0;
        assert!((mean / 1e4 - 1.0).abs() < 1e-12);
        assert!(dose_scale(1e4, &[0.0]).is_err());
    }

    /// Intensities made with NumPy from whole positions, scaled to 1e5 photons per image.
    #[test]
    fn equals_the_golden_forward_model() {
        let path = |name: &str| format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut npz = NpzReader::open(path("forward32.npz").as_ref()).unwrap();
        let object = npz.finite_image("obj").unwrap();
        let probe = npz.finite_image("probe").unwrap();
        let starts = npz.f64("starts").unwrap();
        let golden = npz.f64("intensity").unwrap();
        let extra: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path("golden_extra.json")).unwrap()).unwrap();
        // `starts` holds the first row and column of every patch.
        let centre =
            |axis: usize| -> Vec<f64> { starts.index_axis(Axis(1), axis).iter().map(|v| v + 16.0).collect() };
        let mut out = Array3::zeros((36, 32, 32));
        let powers = diffract(&object, &probe, &centre(1), &centre(0), out.view_mut());
        let scale = dose_scale(1e5, &powers).unwrap();
        let expected = extra["forward"]["scale_to_1e5_photons"].as_f64().unwrap();
        assert!((scale * scale / expected - 1.0).abs() < 1e-6, "{}", scale * scale);
        let brightest = extra["forward"]["max"].as_f64().unwrap();
        for (found, golden) in out.iter().zip(&golden) {
            let intensity = (f64::from(*found) * scale).powi(2);
            assert!((intensity - golden).abs() < 1e-6 * brightest, "{intensity} is not {golden}");
        }
        let first = expected_photons(&powers, scale)[0];
        assert!((first / extra["forward"]["sum_first"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn noise_is_keyed_by_image_and_dose() {
        let clean = Array3::from_elem((6, 8, 8), 0.3f32);
        let noisy = |from: usize, to: usize, photons: f64, seed: u64| {
            let mut part = clean.slice(s![from..to, .., ..]).to_owned();
            let totals = poisson(part.view_mut(), from, 10.0, photons, seed).unwrap();
            (part, totals)
        };
        let (whole, totals) = noisy(0, 6, 1e3, 1);
        for (i, expected) in totals.iter().enumerate() {
            let (one, total) = noisy(i, i + 1, 1e3, 1);
            assert_eq!(one.index_axis(Axis(0), 0), whole.index_axis(Axis(0), i));
            assert_eq!(total[0], *expected);
        }
        assert_ne!(whole.index_axis(Axis(0), 0), whole.index_axis(Axis(0), 1));
        assert_ne!(noisy(0, 6, 1e4, 1).0, whole);
        assert_ne!(noisy(0, 6, 1e3, 2).0, whole);
        // Darkness stays dark; a stored amplitude times s squared is a count.
        let mut dark = Array3::zeros((1, 4, 4));
        assert_eq!(poisson(dark.view_mut(), 0, 10.0, 1e3, 1).unwrap(), [0.0]);
        assert!(whole.iter().all(|v| {
            let count = (f64::from(*v) * 10.0).powi(2);
            (count - count.round()).abs() < 1e-4
        }));
        let mut absurd = Array3::from_elem((1, 1, 1), 1e20f32);
        assert!(poisson(absurd.view_mut(), 0, 1e20, 1e3, 1).is_err());
    }

    /// Pearson's test of the counts against the Poisson law, over both of the sampler's methods.
    #[test]
    fn noise_follows_the_poisson_law() {
        for expected in [0.3f64, 4.0, 11.9, 12.1, 60.0] {
            let mut stack = Array3::from_elem((100, 32, 32), expected.sqrt() as f32);
            poisson(stack.view_mut(), 0, 1.0, expected, 7).unwrap();
            let mut seen = vec![0.0; 200];
            for value in &stack {
                seen[f64::from(*value).powi(2).round() as usize] += 1.0;
            }
            let total = stack.len() as f64;
            let mut law = (-expected).exp();
            let (mut chi2, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
            for (k, seen) in seen.iter().enumerate() {
                if law * total >= 10.0 {
                    chi2 += (seen - law * total).powi(2) / (law * total);
                    cells += 1.0;
                } else {
                    rest = (rest.0 + seen, rest.1 + law * total);
                }
                law *= expected / (k + 1) as f64;
            }
            chi2 += (rest.0 - rest.1).powi(2) / rest.1;
            // χ² with `cells` degrees of freedom has mean `cells` and variance twice that.
            assert!(chi2 < cells + 4.0 * (2.0f64 * cells).sqrt(), "λ {expected}: χ² {chi2} of {cells}");
        }
    }
}
