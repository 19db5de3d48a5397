//! Image quality, in f64: point errors, SSIM, MS-SSIM (the standard one and the reference study's), Fourier ring
//! correlation, and the gauges (amplitude scale, phase plane) removed before any of them is taken.
//!
//! No metric returns NaN. Input that a metric is not defined for is a [`MetricError`]; the caller writes
//! it down as absent, with the reason.

mod evaluate;
mod frc;
mod gauge;
mod pointwise;
mod smooth;
mod ssim;
mod window;

pub use evaluate::{Channel, Curves, Evaluation, Gauge, Options, Score, evaluate};
pub use frc::{RingCurve, Threshold, crossing, ring_correlation};
pub use gauge::{amplitude, flatten_phase, match_mean, phase, remove_plane, trim, wrap};
pub use pointwise::{mae, mse, psnr_255, psnr_range};
pub use smooth::gaussian_smooth;
pub use ssim::{
    GAUSSIAN_WINDOW, MS_SSIM_SIDE, MS_SSIM_WEIGHTS, WINDOW, ms_ssim, ms_ssim_standard, ssim, ssim_gaussian,
};

use ndarray::ArrayView2;

/// Why a metric has no value for a pair of images.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// The images differ in size.
    #[error("images differ in size: {0:?} and {1:?}")]
    Shape((usize, usize), (usize, usize)),
    /// An image has no pixels.
    #[error("image is empty")]
    Empty,
    /// A value is NaN or infinite.
    #[error("{which} image holds {value} at row {row}, column {col}")]
    NotFinite {
        /// `first` (truth) or `second` (prediction).
        which: &'static str,
        /// The value.
        value: f64,
        /// Row.
        row: usize,
        /// Column.
        col: usize,
    },
    /// The image is smaller than the window.
    #[error("image of {0:?} is smaller than the {1}×{1} window")]
    TooSmall((usize, usize), usize),
    /// The data range that scales the metric is zero.
    #[error("data range is zero: {0} constant")]
    ZeroRange(&'static str),
    /// The mean that a scale factor divides by is zero.
    #[error("mean of the prediction is zero, so its scale cannot be matched")]
    ZeroMean,
    /// One of the images has no power outside the zero frequency.
    #[error("{0} image is constant: no ring but the zero frequency has power")]
    NoPower(&'static str),
    /// The images are identical, so the ratio is infinite.
    #[error("images are identical: the ratio is infinite")]
    Identical,
}

/// Result of a metric.
pub type MetricResult<T = f64> = Result<T, MetricError>;

/// Checks that both images have one non-empty shape and finite values; returns (rows, columns).
fn check(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>) -> MetricResult<(usize, usize)> {
    if truth.dim() != prediction.dim() {
        return Err(MetricError::Shape(truth.dim(), prediction.dim()));
    }
    if truth.is_empty() {
        return Err(MetricError::Empty);
    }
    check_finite("first", truth)?;
    check_finite("second", prediction)?;
    Ok(truth.dim())
}

/// Checks that every value is finite.
fn check_finite(which: &'static str, image: ArrayView2<'_, f64>) -> MetricResult<()> {
    match image.indexed_iter().find(|(_, v)| !v.is_finite()) {
        None => Ok(()),
        Some(((row, col), &value)) => Err(MetricError::NotFinite { which, value, row, col }),
    }
}

/// Peak to peak: largest minus smallest value. The image must be finite and not empty.
pub fn peak_to_peak(image: ArrayView2<'_, f64>) -> f64 {
    let (lo, hi) =
        image.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    hi - lo
}

/// Mean, summed in row order so that the result is the same on every machine.
pub fn mean(image: ArrayView2<'_, f64>) -> f64 {
    let sum: f64 = image.rows().into_iter().map(|r| r.iter().sum::<f64>()).sum();
    sum / image.len() as f64
}
