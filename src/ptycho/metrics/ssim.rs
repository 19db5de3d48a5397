//! Structural similarity under both customary windows, the standard multi-scale form and the reference study's.

use ndarray::{Array2, ArrayView2, CowArray, s};

use super::smooth::{gaussian_smooth, half_kernel};
use super::window::{self, Images, Scale};
use super::{MetricError, MetricResult, check, peak_to_peak};

/// Side of the square window of [`ssim`], pixels.
pub const WINDOW: usize = 7;

/// Side of the square window of [`ssim_gaussian`], pixels.
pub const GAUSSIAN_WINDOW: usize = 11;

/// Smallest side of an image that [`ms_ssim_standard`] takes: five levels of at least a window each.
pub const MS_SSIM_SIDE: usize = (GAUSSIAN_WINDOW - 1) * 16 + 1;

/// Weights of the five levels of both multi-scale forms, finest first (Wang, Simoncelli & Bovik 2003).
pub const MS_SSIM_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// σ of the Gaussian window, pixels.
const SIGMA: f64 = 1.5;

/// Mean structural similarity: uniform 7×7 window, sample covariance (n/(n−1)), K1 = 0.01, K2 = 0.03,
/// averaged over the windows that lie wholly inside. Equal to scikit-image's `structural_similarity`
/// with its defaults and `data_range = range` (which must be positive).
pub fn ssim(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>, range: f64) -> MetricResult {
    check_for(truth, prediction, range, WINDOW)?;
    let n = (WINDOW * WINDOW) as f64;
    let scale = Scale { range, covariance: n / (n - 1.0) };
    Ok(over(truth, prediction, |images| window::uniform(images, scale))[0])
}

/// Mean structural similarity as Wang, Bovik, Sheikh & Simoncelli (2004) define it: Gaussian window with σ = 1.5,
/// cut to 11×11, population covariance, K1 = 0.01, K2 = 0.03, averaged over the windows that lie wholly inside. Equal
/// to scikit-image's `structural_similarity` with `gaussian_weights=True, use_sample_covariance=False`, and to
/// `pytorch_msssim.ssim`.
pub fn ssim_gaussian(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
    range: f64,
) -> MetricResult {
    check_for(truth, prediction, range, GAUSSIAN_WINDOW)?;
    Ok(gaussian_means(truth, prediction, range)[0])
}

/// The standard multi-scale SSIM (Wang, Simoncelli & Bovik 2003): Π csⱼ^wⱼ over the four finer levels times SSIM^w₅
/// of the coarsest, cs the mean contrast-structure term and all means those of [`ssim_gaussian`]. Levels halve the
/// image by means of 2×2 pixels; an odd side is first continued by zeros. Negative means count as 0. Equal to
/// `pytorch_msssim.ms_ssim`, which needs sides above 160, as this does.
pub fn ms_ssim_standard(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
    range: f64,
) -> MetricResult {
    check_for(truth, prediction, range, MS_SSIM_SIDE)?;
    let (mut truth, mut prediction) = (CowArray::from(truth), CowArray::from(prediction));
    let mut result = 1.0;
    for (level, weight) in MS_SSIM_WEIGHTS.into_iter().enumerate() {
        let [ssim, structure] = gaussian_means(truth.view(), prediction.view(), range);
        let last = level + 1 == MS_SSIM_WEIGHTS.len();
        result *= if last { ssim } else { structure }.max(0.0).powf(weight);
        if !last {
            truth = halved(truth.view()).into();
            prediction = halved(prediction.view()).into();
        }
    }
    Ok(result)
}

/// The reference study's multi-scale SSIM, which is **not** the standard one: the product over at most
/// five levels of the full [`ssim`] (not of contrast and structure) to the power of the level's weight,
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

/// Checks the images, that a window fits into them, and that the range is positive.
fn check_for(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
    range: f64,
    window: usize,
) -> MetricResult<()> {
    let (rows, cols) = check(truth, prediction)?;
    if rows < window || cols < window {
        return Err(MetricError::TooSmall((rows, cols), window));
    }
    if range.is_nan() || range <= 0.0 {
        return Err(MetricError::ZeroRange("the truth is"));
    }
    Ok(())
}

/// Mean SSIM and contrast-structure term under the Gaussian window.
fn gaussian_means(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>, range: f64) -> [f64; 2] {
    let half = half_kernel(SIGMA, GAUSSIAN_WINDOW / 2);
    let weights = std::array::from_fn(|i| half[i.abs_diff(GAUSSIAN_WINDOW / 2)]);
    let scale = Scale { range, covariance: 1.0 };
    over(truth, prediction, |images| window::gaussian(images, &weights, scale))
}

/// Hands both images over in C order.
fn over(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
    means: impl Fn(Images<'_>) -> [f64; 2],
) -> [f64; 2] {
    let (truth, prediction) = (truth.as_standard_layout(), prediction.as_standard_layout());
    // INVARIANT: the standard layout is contiguous.
    let slices = [&truth, &prediction].map(|image| image.as_slice().expect("C order"));
    means(Images { truth: slices[0], prediction: slices[1], cols: truth.ncols() })
}

/// Means of 2×2 pixels; a side that is odd gets a line of zeros at its beginning, which counts.
fn halved(image: ArrayView2<'_, f64>) -> Array2<f64> {
    let (rows, cols) = image.dim();
    let (above, before) = (rows % 2, cols % 2);
    let at = |r: usize, c: usize| match (r.checked_sub(above), c.checked_sub(before)) {
        (Some(r), Some(c)) => image[[r, c]],
        _ => 0.0,
    };
    Array2::from_shape_fn((rows.div_ceil(2), cols.div_ceil(2)), |(r, c)| {
        (at(2 * r, 2 * c) + at(2 * r, 2 * c + 1) + at(2 * r + 1, 2 * c) + at(2 * r + 1, 2 * c + 1)) / 4.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(rows: usize, cols: usize, phase: f64) -> Array2<f64> {
        Array2::from_shape_fn((rows, cols), |(r, c)| (r as f64 * 0.7 + phase).sin() + (c as f64 * 0.3).cos())
    }

    #[test]
    fn identical_images_score_one() {
        let a = waves(170, 163, 0.0);
        for found in [
            ssim(a.view(), a.view(), 4.0),
            ssim_gaussian(a.view(), a.view(), 4.0),
            ms_ssim(a.view(), a.view(), 1.0),
            ms_ssim_standard(a.view(), a.view(), 4.0),
        ] {
            assert!((found.unwrap() - 1.0).abs() < 1e-12);
        }
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
        // Rows and columns play the same part, whatever the layout in memory.
        let (tall, wide) = (waves(20, 9, 0.0), waves(20, 9, 0.4));
        let turned = ssim(tall.t(), wide.t(), 2.0).unwrap();
        assert!((ssim(tall.view(), wide.view(), 2.0).unwrap() - turned).abs() < 1e-12);
    }

    #[test]
    fn too_small_and_constant_are_errors() {
        let small = waves(6, 20, 0.0);
        assert_eq!(ssim(small.view(), small.view(), 1.0), Err(MetricError::TooSmall((6, 20), 7)));
        let narrow = waves(20, 10, 0.0);
        let found = ssim_gaussian(narrow.view(), narrow.view(), 1.0);
        assert_eq!(found, Err(MetricError::TooSmall((20, 10), 11)));
        let short = waves(160, 300, 0.0);
        let found = ms_ssim_standard(short.view(), short.view(), 1.0);
        assert_eq!(found, Err(MetricError::TooSmall((160, 300), 161)));
        let flat = Array2::from_elem((9, 9), 0.1);
        assert!(matches!(ms_ssim(flat.view(), flat.view(), 0.0), Err(MetricError::ZeroRange(_))));
        assert!(matches!(ssim(flat.view(), flat.view(), 0.0), Err(MetricError::ZeroRange(_))));
        assert!(matches!(ssim(flat.view(), flat.view(), f64::NAN), Err(MetricError::ZeroRange(_))));
    }
}
