//! Fourier ring correlation.

use ndarray::ArrayView2;
use num_complex::Complex64;

use super::{MetricError, MetricResult, check};
use crate::ptycho::fft::Fft2;

/// A ring correlation curve: bin k holds the frequencies whose distance from zero rounds to k samples.
#[derive(Debug, Clone, PartialEq)]
pub struct RingCurve {
    /// Side of the square both images were cropped to; bin side/2 is Nyquist along an axis.
    pub side: usize,
    /// |ΣF₁·F₂*| / √(Σ|F₁|²·Σ|F₂|²) per bin, in [0, 1]; `None` where a ring has no power.
    pub values: Vec<Option<f64>>,
}

/// Correlation of two images ring by ring.
///
/// Both are cropped about their centre to the largest square. Ring k takes every frequency of the full
/// transform with round(√(ky² + kx²)) = k, ky and kx in samples from the zero frequency, so that curves
/// go on past Nyquist into the corners (bin ⌊side/2⌋ is Nyquist), as the reference study's do. The
/// modulus of the sum makes it blind to sign: an image and its negative correlate fully.
///
/// A ring counts as empty when its power is below (64·side·ε)² of the image's, which is rounding noise
/// of the transform (10⁻²³ at side 128): a constant image has no ring but the first.
pub fn ring_correlation(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> MetricResult<RingCurve> {
    let (rows, cols) = check(a, b)?;
    let side = rows.min(cols);
    let (first, second) = (spectrum(a, side), spectrum(b, side));
    // Rounded distance of the farthest corner; √n is never half an integer, so rounding has no ties.
    let half = (side / 2) as f64;
    let bins = (2.0 * half * half).sqrt().round() as usize + 1;
    let mut cross = vec![Complex64::default(); bins];
    let (mut power_a, mut power_b) = (vec![0.0; bins], vec![0.0; bins]);
    let distance = |i: usize| i.min(side - i) as f64;
    for r in 0..side {
        let dy = distance(r);
        for c in 0..side {
            let dx = distance(c);
            let ring = (dy * dy + dx * dx).sqrt().round() as usize;
            let (x, y) = (first[r * side + c], second[r * side + c]);
            cross[ring] += x * y.conj();
            power_a[ring] += x.norm_sqr();
            power_b[ring] += y.norm_sqr();
        }
    }
    let noise = (64.0 * side as f64 * f64::EPSILON).powi(2);
    let (floor_a, floor_b) = (noise * power_a.iter().sum::<f64>(), noise * power_b.iter().sum::<f64>());
    let values = (0..bins)
        .map(|k| {
            let empty = power_a[k] <= floor_a || power_b[k] <= floor_b;
            (!empty).then(|| (cross[k].norm() / (power_a[k] * power_b[k]).sqrt()).min(1.0))
        })
        .collect();
    Ok(RingCurve { side, values })
}

fn spectrum(image: ArrayView2<'_, f64>, side: usize) -> Vec<Complex64> {
    let (r0, c0) = ((image.nrows() - side) / 2, (image.ncols() - side) / 2);
    let mut data: Vec<Complex64> =
        (0..side * side).map(|i| Complex64::new(image[[r0 + i / side, c0 + i % side]], 0.0)).collect();
    Fft2::new(side, side).forward(&mut data);
    data
}

/// Where a curve first falls below `threshold`, in bins, as the reference study finds it: linear
/// interpolation between the bin before and the first bin below; 0 if bin 0 is already below; the
/// curve's length if it never is. Bins without value are passed over, and there is no interpolation
/// from one. `None` if no bin has a value.
pub fn crossing(values: &[Option<f64>], threshold: f64) -> Option<f64> {
    if values.iter().all(Option::is_none) {
        return None;
    }
    let Some((bin, below)) =
        values.iter().enumerate().find_map(|(i, v)| v.filter(|v| *v < threshold).map(|v| (i, v)))
    else {
        return Some(values.len() as f64);
    };
    let before = bin.checked_sub(1).and_then(|i| values[i]);
    Some(match before {
        Some(before) if before > below => (bin - 1) as f64 + (before - threshold) / (before - below),
        _ => bin as f64,
    })
}

impl RingCurve {
    /// [`crossing`] of this curve; an error if no ring but the zero frequency has power.
    pub fn crossing(&self, threshold: f64) -> MetricResult {
        if self.values.iter().skip(1).all(Option::is_none) {
            return Err(MetricError::NoPower("at least one"));
        }
        crossing(&self.values, threshold).ok_or(MetricError::NoPower("at least one"))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn crossings_by_hand() {
        let some = |v: &[f64]| v.iter().map(|&v| (!v.is_nan()).then_some(v)).collect::<Vec<_>>();
        let nan = f64::NAN;
        for (curve, threshold, expected) in [
            (&[0.95, 0.72, 0.55, 0.45, 0.2][..], 0.5, Some(2.5)),
            (&[0.95, 0.72, 0.66, 0.51], 0.5, Some(4.0)),
            (&[0.8, 0.4, 0.2, 0.1], 1.0 / 7.0, Some(2.5714285714285716)),
            (&[0.3, 0.2], 0.5, Some(0.0)),
            (&[1.0, nan, 0.2], 0.5, Some(2.0)),
            (&[nan, nan, nan], 0.5, None),
            (&[], 0.5, None),
        ] {
            let found = crossing(&some(curve), threshold);
            assert!(
                found == expected || (found.unwrap() - expected.unwrap()).abs() < 1e-12,
                "{curve:?}: {found:?}"
            );
        }
    }

    #[test]
    fn constant_images_have_only_the_zero_frequency() {
        let flat = Array2::from_elem((31, 40), 0.1);
        let waves = Array2::from_shape_fn((31, 40), |(r, c)| ((r * r + 3 * c) % 11) as f64);
        let curve = ring_correlation(flat.view(), waves.view()).unwrap();
        assert_eq!(curve.side, 31);
        assert!(curve.values[0].is_some() && curve.values[1..].iter().all(Option::is_none));
        assert!(matches!(curve.crossing(0.5), Err(MetricError::NoPower(_))));
    }

    #[test]
    fn is_blind_to_sign() {
        let waves = Array2::from_shape_fn((16, 16), |(r, c)| ((r * r + 3 * c) % 11) as f64 - 5.0);
        let curve = ring_correlation(waves.view(), (-&waves).view()).unwrap();
        assert!(curve.values.iter().flatten().all(|v| (v - 1.0).abs() < 1e-12));
        assert_eq!(curve.crossing(0.5), Ok(curve.values.len() as f64));
    }
}
