//! What reconstruction cannot determine, and so is removed before images are compared: the amplitude's
//! scale and the phase's plane.

use ndarray::{Array2, ArrayView2, s};
use num_complex::Complex32;

use super::{MetricError, MetricResult, mean};

/// Amplitude of a complex image.
pub fn amplitude(image: ArrayView2<'_, Complex32>) -> Array2<f64> {
    image.mapv(|v| f64::from(v.re).hypot(f64::from(v.im)))
}

/// Wrapped phase of a complex image, radians in (−π, π].
pub fn phase(image: ArrayView2<'_, Complex32>) -> Array2<f64> {
    image.mapv(|v| f64::from(v.im).atan2(f64::from(v.re)))
}

/// The image without `pixels` on every side; an error if nothing would be left.
pub fn trim<T: Clone>(image: ArrayView2<'_, T>, pixels: usize) -> MetricResult<Array2<T>> {
    let (rows, cols) = image.dim();
    if rows <= 2 * pixels || cols <= 2 * pixels {
        return Err(MetricError::Empty);
    }
    Ok(image.slice(s![pixels..rows - pixels, pixels..cols - pixels]).to_owned())
}

/// Scales `prediction` by mean(truth)/mean(prediction), as the reference study does with amplitudes.
/// Returns the scaled image and the factor.
pub fn match_mean(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
) -> MetricResult<(Array2<f64>, f64)> {
    super::check(truth, prediction)?;
    let own = mean(prediction);
    if own == 0.0 {
        return Err(MetricError::ZeroMean);
    }
    let factor = mean(truth) / own;
    Ok((prediction.mapv(|v| v * factor), factor))
}

/// Subtracts the least-squares plane a·x + b·y + c (x = column, y = row). Returns the rest and
/// \[a, b, c\], c being the plane's height at pixel \[0, 0\]. A rest that is nothing but rounding
/// (10⁻¹² of the largest value, or 10⁻¹²) becomes exactly zero, so that a flat image stays flat.
pub fn remove_plane(image: ArrayView2<'_, f64>) -> (Array2<f64>, [f64; 3]) {
    let (rows, cols) = image.dim();
    // Centred coordinates are orthogonal to each other and to the constant, which makes the normal
    // equations diagonal: no 3×3 solve, and exact for any size (a line one pixel wide has slope 0).
    let centre = |n: usize| (n as f64 - 1.0) / 2.0;
    let spread = |n: usize| (n * (n * n).saturating_sub(1)) as f64 / 12.0;
    let (cx, cy) = (centre(cols), centre(rows));
    let (mut sx, mut sy) = (0.0, 0.0);
    for (r, row) in image.rows().into_iter().enumerate() {
        let sum: f64 = row.iter().sum();
        sy += (r as f64 - cy) * sum;
        sx += row.iter().enumerate().map(|(c, v)| (c as f64 - cx) * v).sum::<f64>();
    }
    let slope = |s: f64, n: usize, lines: usize| if n > 1 { s / (spread(n) * lines as f64) } else { 0.0 };
    let (a, b) = (slope(sx, cols, rows), slope(sy, rows, cols));
    let level = mean(image);
    let mut rest = Array2::from_shape_fn((rows, cols), |(r, c)| {
        image[[r, c]] - level - a * (c as f64 - cx) - b * (r as f64 - cy)
    });
    let largest = |image: ArrayView2<'_, f64>| image.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if largest(rest.view()) <= 1e-12 * largest(image).max(1.0) {
        rest.fill(0.0);
    }
    (rest, [a, b, level - a * cx - b * cy])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_leaves_nothing() {
        let plane = Array2::from_shape_fn((9, 14), |(r, c)| 0.3 * c as f64 - 0.7 * r as f64 + 2.0);
        let (rest, [a, b, c]) = remove_plane(plane.view());
        assert!(rest.iter().all(|v| *v == 0.0));
        assert!((a - 0.3).abs() < 1e-13 && (b + 0.7).abs() < 1e-13 && (c - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_rest_is_orthogonal_to_planes() {
        let image = Array2::from_shape_fn((8, 5), |(r, c)| ((r * 7 + c * c * 3) % 5) as f64);
        let (rest, _) = remove_plane(image.view());
        let moment =
            |f: fn(usize, usize) -> f64| rest.indexed_iter().map(|((r, c), v)| f(r, c) * v).sum::<f64>();
        assert!(moment(|_, _| 1.0).abs() < 1e-12);
        assert!(moment(|r, _| r as f64).abs() < 1e-11);
        assert!(moment(|_, c| c as f64).abs() < 1e-11);
    }

    #[test]
    fn means_agree_after_matching() {
        let truth = Array2::from_shape_fn((4, 4), |(r, c)| (r + c) as f64);
        let prediction = truth.mapv(|v| v / 8.0 + 0.1);
        let (scaled, factor) = match_mean(truth.view(), prediction.view()).unwrap();
        assert!((mean(scaled.view()) - mean(truth.view())).abs() < 1e-12 && factor > 1.0);
        let zero = Array2::zeros((4, 4));
        assert_eq!(match_mean(truth.view(), zero.view()), Err(MetricError::ZeroMean));
    }
}
