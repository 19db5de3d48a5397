//! Fourier ring correlation.

use ndarray::{ArrayView2, s};

use super::smooth::gaussian_smooth;
use super::{MetricError, MetricResult, check};
use crate::ptycho::real_fft::RealFft2;

/// A ring correlation curve: bin k holds the frequencies whose distance from zero rounds to k samples.
#[derive(Debug, Clone, PartialEq)]
pub struct RingCurve {
    /// Side of the square both images were cropped to; bin side/2 is Nyquist along an axis.
    pub side: usize,
    /// |ΣF₁·F₂*| / √(Σ|F₁|²·Σ|F₂|²) per bin, in [0, 1]; `None` where a ring has no power.
    pub values: Vec<Option<f64>>,
    /// Frequencies in each ring; those beyond the corners of the transform are not there.
    pub counts: Vec<u32>,
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
    let mut fft = RealFft2::new(side, side);
    let mut spectrum = |image: ArrayView2<'_, f64>| {
        let (r0, c0) = ((rows - side) / 2, (cols - side) / 2);
        let square = image.slice(s![r0..r0 + side, c0..c0 + side]);
        fft.forward(&square.iter().copied().collect::<Vec<f64>>())
    };
    let (first, second) = (spectrum(a), spectrum(b));
    // Rounded distance of the farthest corner.
    let half = (side / 2) as f64;
    let bins = (2.0 * half * half).sqrt().round() as usize + 1;
    let mut counts = vec![0u32; bins];
    let mut sums = vec![[0.0f64; 3]; bins];
    for (k, (x, y)) in first.chunks_exact(side).zip(second.chunks_exact(side)).enumerate() {
        // A column frequency and its negative hold conjugate values, of which one is stored: the sum over both
        // counts twice, and its imaginary part is nothing.
        let times = if k == 0 || 2 * k == side { 1 } else { 2 };
        let mut ring = k;
        for j in 0..=side / 2 {
            // √n is never half an integer, so rounding has no ties: ring r ends where n > r² + r.
            while k * k + j * j > ring * ring + ring {
                ring += 1;
            }
            let mirror = (side - j) % side;
            for at in [j, mirror].into_iter().take(if j == mirror { 1 } else { 2 }) {
                let (x, y) = (x[at], y[at]);
                let weight = f64::from(times);
                counts[ring] += times;
                let sum = &mut sums[ring];
                sum[0] += weight * (x.re * y.re + x.im * y.im);
                sum[1] += weight * x.norm_sqr();
                sum[2] += weight * y.norm_sqr();
            }
        }
    }
    let noise = (64.0 * side as f64 * f64::EPSILON).powi(2);
    let floor = |i: usize| noise * sums.iter().map(|s| s[i]).sum::<f64>();
    let (floor_a, floor_b) = (floor(1), floor(2));
    let value = |[cross, a, b]: &[f64; 3]| {
        let empty = *a <= floor_a || *b <= floor_b;
        (!empty).then(|| (cross.abs() / (a * b).sqrt()).min(1.0))
    };
    Ok(RingCurve { side, values: sums.iter().map(value).collect(), counts })
}

/// What a curve is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// The same value at every bin, customarily 0.5 or 1/7.
    Fixed(f64),
    /// Where a ring of n frequencies carries half a bit of information a frequency: van Heel & Schatz,
    /// J. Struct. Biol. 151, 250 (2005), (0.2071 + 1.9102/√n) / (1.2071 + 0.9102/√n).
    HalfBit,
    /// One bit: (0.5 + 2.4142/√n) / (1.5 + 1.4142/√n).
    OneBit,
}

impl Threshold {
    /// Its value at a ring of `count` frequencies.
    pub fn at(self, count: u32) -> f64 {
        // Coefficients as published, with four digits.
        let [a, b, c, d] = match self {
            Self::Fixed(value) => return value,
            Self::HalfBit => [0.2071, 1.9102, 1.2071, 0.9102],
            // As published, to four decimals, and not √2.
            #[allow(clippy::approx_constant)]
            Self::OneBit => [0.5, 2.4142, 1.5, 1.4142],
        };
        let root = f64::from(count.max(1)).sqrt();
        (a + b / root) / (c + d / root)
    }
}

/// Where a curve first falls below a threshold, given for every bin, in bins, as the reference study finds it: linear
/// interpolation between the bin before and the first bin below; 0 if bin 0 is already below; the
/// curve's length if it never is. Bins without value are passed over, and there is no interpolation
/// from one. `None` if no bin has a value.
pub fn crossing(values: &[Option<f64>], threshold: impl Fn(usize) -> f64) -> Option<f64> {
    if values.iter().all(Option::is_none) {
        return None;
    }
    // Height over the threshold, which for a fixed one crosses zero where the curve crosses it.
    let above = |i: usize| values[i].map(|v| v - threshold(i));
    let Some((bin, below)) =
        (0..values.len()).find_map(|i| above(i).filter(|over| *over < 0.0).map(|over| (i, over)))
    else {
        return Some(values.len() as f64);
    };
    let before = bin.checked_sub(1).and_then(above);
    Some(match before {
        Some(before) if before > below => (bin - 1) as f64 + before / (before - below),
        _ => bin as f64,
    })
}

impl RingCurve {
    /// [`crossing`] of this curve; an error if no ring but the zero frequency has power. The half-bit and one-bit
    /// thresholds are 1 at the zero frequency, whose one value always correlates fully: they begin at bin 1.
    pub fn crossing(&self, threshold: Threshold) -> MetricResult {
        if self.values.iter().skip(1).all(Option::is_none) {
            return Err(MetricError::NoPower("at least one"));
        }
        let at = |bin: usize| match threshold {
            Threshold::Fixed(value) => value,
            _ if bin == 0 => 0.0,
            _ => threshold.at(self.counts[bin]),
        };
        crossing(&self.values, at).ok_or(MetricError::NoPower("at least one"))
    }

    /// The curve smoothed with a Gaussian of `sigma` bins (cut at 4σ, ends reflected), as the reference study offers
    /// it; without any value if a ring has none. `sigma` ≤ 0 changes nothing.
    pub fn smoothed(mut self, sigma: f64) -> Self {
        if sigma > 0.0 {
            let known: Option<Vec<f64>> = self.values.iter().copied().collect();
            self.values = match known {
                Some(known) => {
                    let line = ArrayView2::from_shape((1, known.len()), &known);
                    line.map(|line| gaussian_smooth(line, sigma).iter().copied().map(Some).collect())
                        .unwrap_or_default()
                }
                None => vec![None; self.values.len()],
            };
        }
        self
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
            let found = crossing(&some(curve), |_| threshold);
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
        assert!(matches!(curve.crossing(Threshold::Fixed(0.5)), Err(MetricError::NoPower(_))));
    }

    #[test]
    fn is_blind_to_sign() {
        let waves = Array2::from_shape_fn((16, 16), |(r, c)| ((r * r + 3 * c) % 11) as f64 - 5.0);
        let curve = ring_correlation(waves.view(), (-&waves).view()).unwrap();
        assert!(curve.values.iter().flatten().all(|v| (v - 1.0).abs() < 1e-12));
        assert_eq!(curve.crossing(Threshold::Fixed(0.5)), Ok(curve.values.len() as f64));
    }

    #[test]
    fn rings_hold_every_frequency_once() {
        for side in [1, 2, 5, 8, 31, 32] {
            let waves = Array2::from_shape_fn((side, side + 3), |(r, c)| ((r * r + 3 * c) % 11) as f64);
            let curve = ring_correlation(waves.view(), waves.view()).unwrap();
            let signed = |i: usize| i.min(side - i) as f64;
            let mut expected = vec![0u32; curve.counts.len()];
            for i in 0..side * side {
                expected[signed(i / side).hypot(signed(i % side)).round() as usize] += 1;
            }
            assert_eq!(curve.counts, expected, "side {side}");
        }
    }

    #[test]
    fn information_thresholds_begin_after_the_zero_frequency() {
        assert!(
            (Threshold::HalfBit.at(1) - 1.0).abs() < 1e-12 && (Threshold::OneBit.at(1) - 1.0).abs() < 1e-12
        );
        let curve = |values: Vec<f64>| RingCurve {
            side: 8,
            counts: vec![1, 8, 12, 16],
            values: values.into_iter().map(Some).collect(),
        };
        // The zero frequency never counts, even where rounding leaves it below 1.
        assert_eq!(curve(vec![1.0 - 1e-15, 1.0, 1.0, 1.0]).crossing(Threshold::OneBit), Ok(4.0));
        let (a, b) = (Threshold::HalfBit.at(8), Threshold::HalfBit.at(12));
        let found = curve(vec![1.0, a + 0.1, b - 0.1, 0.0]).crossing(Threshold::HalfBit).unwrap();
        assert!((found - 1.5).abs() < 1e-12, "{found}");
    }

    #[test]
    fn smoothing_a_curve_with_a_gap_leaves_nothing() {
        let curve = RingCurve { side: 4, counts: vec![1, 8, 4], values: vec![Some(1.0), None, Some(0.5)] };
        assert_eq!(curve.clone().smoothed(0.0), curve);
        assert!(curve.smoothed(1.0).values.iter().all(Option::is_none));
    }
}
