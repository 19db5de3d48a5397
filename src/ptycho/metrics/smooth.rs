//! Gaussian smoothing.

use ndarray::{Array2, ArrayView2};

use crate::ptycho::vector::kernel;

/// One side of a Gaussian kernel cut at `radius` samples, the middle first; the whole of it sums to 1.
pub(super) fn half_kernel(sigma: f64, radius: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    weights.iter().map(|w| w / total).collect()
}

/// Gaussian smoothing as SciPy's `gaussian_filter` does it: kernel cut at 4σ (rounded) and normalised,
/// edges reflected (`d c b a | a b c d | d c b a`). `sigma` ≤ 0 returns a copy.
pub fn gaussian_smooth(image: ArrayView2<'_, f64>, sigma: f64) -> Array2<f64> {
    let (rows, cols) = image.dim();
    if sigma <= 0.0 || image.is_empty() {
        return image.to_owned();
    }
    let weights = half_kernel(sigma, (4.0 * sigma + 0.5) as usize);
    let image = image.as_standard_layout();
    // INVARIANT: the standard layout is contiguous.
    let values = image.as_slice().expect("C order");
    let mut out = vec![0.0; rows * cols];
    smooth(values, cols, &weights, &mut out);
    // INVARIANT: one value for each pixel.
    Array2::from_shape_vec((rows, cols), out).expect("as many as there were")
}

kernel! {
    /// Down the columns, then along each row.
    fn smooth(image: &[f64], cols: usize, weights: &[f64], out: &mut [f64]) {
        let (rows, radius) = (image.len() / cols, weights.len() - 1);
        let mut line = vec![0.0; cols + 2 * radius];
        for (r, out) in out.chunks_exact_mut(cols).enumerate() {
            let row = |d: isize| &image[reflect(r as isize + d, rows) * cols..][..cols];
            let middle = &mut line[radius..radius + cols];
            middle.iter_mut().zip(row(0)).for_each(|(o, v)| *o = weights[0] * v);
            for (d, weight) in weights.iter().enumerate().skip(1) {
                let sides = row(-(d as isize)).iter().zip(row(d as isize));
                middle.iter_mut().zip(sides).for_each(|(o, (a, b))| *o += weight * (a + b));
            }
            for d in 1..=radius {
                line[radius - d] = line[radius + reflect(-(d as isize), cols)];
                line[radius + cols + d - 1] = line[radius + reflect((cols + d - 1) as isize, cols)];
            }
            let from = |d: usize| &line[d..d + cols];
            out.iter_mut().zip(from(radius)).for_each(|(o, v)| *o = weights[0] * v);
            for (d, weight) in weights.iter().enumerate().skip(1) {
                let sides = from(radius - d).iter().zip(from(radius + d));
                out.iter_mut().zip(sides).for_each(|(o, (a, b))| *o += weight * (a + b));
            }
        }
    }
}

/// Index of a line of `n` samples continued by reflection with the edge sample repeated.
fn reflect(i: isize, n: usize) -> usize {
    let period = 2 * n;
    let i = i.rem_euclid(period as isize) as usize;
    i.min(period - 1 - i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflects_as_scipy_does() {
        let seen: Vec<usize> = (-4..8).map(|i| reflect(i, 3)).collect();
        assert_eq!(seen, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        let flat = Array2::from_elem((3, 5), 2.5);
        assert!(gaussian_smooth(flat.view(), 2.0).iter().all(|v| (v - 2.5).abs() < 1e-14));
    }

    #[test]
    fn smooths_both_ways_alike() {
        let image = Array2::from_shape_fn((9, 5), |(r, c)| ((r * r + 7 * c) % 13) as f64);
        let (one, other) = (gaussian_smooth(image.view(), 1.3), gaussian_smooth(image.t(), 1.3));
        assert!(one.iter().zip(other.t()).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}
