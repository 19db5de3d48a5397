//! Structural similarity, and the reference study's multi-scale form of it.

use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use super::{MetricError, MetricResult, check, peak_to_peak};

/// Side of the square window of [`ssim`], pixels.
pub const WINDOW: usize = 7;

/// Weights of the five levels of [`ms_ssim`], finest first (Wang et al. 2003).
pub const MS_SSIM_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Mean structural similarity: uniform 7×7 window, sample covariance (n/(n−1)), K1 = 0.01, K2 = 0.03,
/// averaged over the windows that lie wholly inside. Equal to scikit-image's `structural_similarity`
/// with its defaults and `data_range = range` (which must be positive).
pub fn ssim(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>, range: f64) -> MetricResult {
    let (rows, cols) = check(truth, prediction)?;
    if rows < WINDOW || cols < WINDOW {
        return Err(MetricError::TooSmall((rows, cols), WINDOW));
    }
    if range <= 0.0 {
        return Err(MetricError::ZeroRange("the truth is"));
    }
    let product = |a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>| box_mean(&(&a * &b));
    let (mean_t, mean_p) = (box_mean(&truth.to_owned()), box_mean(&prediction.to_owned()));
    let (tt, pp, tp) = (product(truth, truth), product(prediction, prediction), product(truth, prediction));
    let n = (WINDOW * WINDOW) as f64;
    let sample = n / (n - 1.0);
    let (c1, c2) = ((K1 * range).powi(2), (K2 * range).powi(2));
    let mut sum = 0.0;
    // Five fields in step: more than Zip takes with an accumulator in one go, so by flat index.
    for i in 0..mean_t.len() {
        let at = |field: &Array2<f64>| field.as_slice().map_or(f64::NAN, |s| s[i]);
        let (mt, mp) = (at(&mean_t), at(&mean_p));
        let var_t = sample * (at(&tt) - mt * mt);
        let var_p = sample * (at(&pp) - mp * mp);
        let covariance = sample * (at(&tp) - mt * mp);
        sum += ((2.0 * mt * mp + c1) * (2.0 * covariance + c2))
            / ((mt * mt + mp * mp + c1) * (var_t + var_p + c2));
    }
    Ok(sum / mean_t.len() as f64)
}

/// The reference study's multi-scale SSIM, which is **not** the standard one: the product over at most
/// five levels of the full SSIM (not of contrast and structure) to the power of the level's weight,
/// without renormalising the weights when the image runs out of levels.
///
/// `sigma` > 0 smooths both images first (Gaussian, truncated at 4σ, edges reflected). The data range of
/// every level is the larger peak to peak of the two images after smoothing. Each next level keeps every
/// second pixel, unfiltered; levels end when a side falls below 7. A negative SSIM counts as 10⁻⁴.
pub fn ms_ssim(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>, sigma: f64) -> MetricResult {
    check(truth, prediction)?;
    let mut truth = gaussian_smooth(truth, sigma);
    let mut prediction = gaussian_smooth(prediction, sigma);
    let range = peak_to_peak(truth.view()).max(peak_to_peak(prediction.view()));
    if range <= 0.0 {
        return Err(MetricError::ZeroRange("both images are"));
    }
    let mut result = 1.0;
    for (level, weight) in MS_SSIM_WEIGHTS.into_iter().enumerate() {
        if level > 0 {
            truth = truth.slice(s![..;2, ..;2]).to_owned();
            prediction = prediction.slice(s![..;2, ..;2]).to_owned();
            if truth.nrows().min(truth.ncols()) < WINDOW {
                break;
            }
        }
        let ssim = ssim(truth.view(), prediction.view(), range)?;
        result *= if ssim < 0.0 { 1e-4f64 } else { ssim }.powf(weight);
    }
    Ok(result)
}

/// Means over all windows that lie wholly inside: (rows − 6) × (cols − 6). Each window is summed afresh
/// instead of by running sums, so no rounding error travels along the line.
fn box_mean(image: &Array2<f64>) -> Array2<f64> {
    box_along(&box_along(image, Axis(1)), Axis(0))
}

fn box_along(image: &Array2<f64>, axis: Axis) -> Array2<f64> {
    let kept = image.len_of(axis) + 1 - WINDOW;
    let window = |start: usize| image.slice_axis(axis, (start..start + kept).into());
    let mut sum = window(0).to_owned();
    for start in 1..WINDOW {
        sum += &window(start);
    }
    sum / WINDOW as f64
}

/// Gaussian smoothing as SciPy's `gaussian_filter` does it: kernel cut at 4σ (rounded) and normalised,
/// edges reflected (`d c b a | a b c d | d c b a`). `sigma` ≤ 0 returns a copy.
pub fn gaussian_smooth(image: ArrayView2<'_, f64>, sigma: f64) -> Array2<f64> {
    if sigma <= 0.0 {
        return image.to_owned();
    }
    let radius = (4.0 * sigma + 0.5) as usize;
    let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    let weights: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let down = smooth_along(image, Axis(0), &weights);
    smooth_along(down.view(), Axis(1), &weights)
}

fn smooth_along(image: ArrayView2<'_, f64>, axis: Axis, weights: &[f64]) -> Array2<f64> {
    let n = image.len_of(axis);
    let mut out = Array2::zeros(image.dim());
    for (i, mut line) in out.axis_iter_mut(axis).enumerate() {
        for (d, &weight) in weights.iter().enumerate() {
            let mut add = |from: usize| {
                Zip::from(&mut line).and(image.index_axis(axis, from)).for_each(|o, &v| *o += weight * v);
            };
            add(reflect(i as isize - d as isize, n));
            if d > 0 {
                add(reflect(i as isize + d as isize, n));
            }
        }
    }
    out
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

    fn waves(rows: usize, cols: usize, phase: f64) -> Array2<f64> {
        Array2::from_shape_fn((rows, cols), |(r, c)| (r as f64 * 0.7 + phase).sin() + (c as f64 * 0.3).cos())
    }

    #[test]
    fn identical_images_score_one() {
        let a = waves(20, 33, 0.0);
        assert!((ssim(a.view(), a.view(), 4.0).unwrap() - 1.0).abs() < 1e-12);
        assert!((ms_ssim(a.view(), a.view(), 1.0).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ssim_of_one_window_is_the_formula() {
        let (a, b) = (waves(7, 7, 0.0), waves(7, 7, 1.0));
        let n = 49.0;
        let (ma, mb) = (a.sum() / n, b.sum() / n);
        let moment =
            |x: &Array2<f64>, mx: f64, y: &Array2<f64>, my: f64| ((x - mx) * (y - my)).sum() / (n - 1.0);
        let (c1, c2) = (0.02f64.powi(2), 0.06f64.powi(2));
        let expected = (2.0 * ma * mb + c1) * (2.0 * moment(&a, ma, &b, mb) + c2)
            / ((ma * ma + mb * mb + c1) * (moment(&a, ma, &a, ma) + moment(&b, mb, &b, mb) + c2));
        assert!((ssim(a.view(), b.view(), 2.0).unwrap() - expected).abs() < 1e-13);
    }

    #[test]
    fn too_small_and_constant_are_errors() {
        let small = waves(6, 20, 0.0);
        assert_eq!(ssim(small.view(), small.view(), 1.0), Err(MetricError::TooSmall((6, 20), 7)));
        let flat = Array2::from_elem((9, 9), 0.1);
        assert!(matches!(ms_ssim(flat.view(), flat.view(), 0.0), Err(MetricError::ZeroRange(_))));
        assert!(matches!(ssim(flat.view(), flat.view(), 0.0), Err(MetricError::ZeroRange(_))));
    }

    #[test]
    fn reflects_as_scipy_does() {
        let seen: Vec<usize> = (-4..8).map(|i| reflect(i, 3)).collect();
        assert_eq!(seen, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        let flat = Array2::from_elem((3, 5), 2.5);
        assert!(gaussian_smooth(flat.view(), 2.0).iter().all(|v| (v - 2.5).abs() < 1e-14));
    }
}
