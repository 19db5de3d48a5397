//! Errors taken pixel by pixel.

use ndarray::{ArrayView2, Zip};

use super::{MetricError, MetricResult, check};

/// Mean absolute error.
pub fn mae(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>) -> MetricResult {
    check(truth, prediction)?;
    let sum = Zip::from(truth).and(prediction).fold(0.0, |sum, t, p| sum + (t - p).abs());
    Ok(sum / truth.len() as f64)
}

/// Mean squared error.
pub fn mse(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>) -> MetricResult {
    check(truth, prediction)?;
    let sum = Zip::from(truth).and(prediction).fold(0.0, |sum, t, p| sum + (t - p) * (t - p));
    Ok(sum / truth.len() as f64)
}

/// Peak signal to noise ratio, dB, as the reference study computes it (OpenCV's `PSNR`): the peak is
/// **255 whatever the data**, so images near 1 score 48.13 dB more than with [`psnr_range`], and
/// identical images 361.2 dB, because ε is added to the root mean square.
pub fn psnr_255(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>) -> MetricResult {
    Ok(20.0 * (255.0 / (mse(truth, prediction)?.sqrt() + f64::EPSILON)).log10())
}

/// Peak signal to noise ratio, dB, in the customary convention (scikit-image): the peak is `range`, the
/// extent of values the data can take. Identical images have no finite ratio and are an error.
pub fn psnr_range(truth: ArrayView2<'_, f64>, prediction: ArrayView2<'_, f64>, range: f64) -> MetricResult {
    let mse = mse(truth, prediction)?;
    if range <= 0.0 {
        return Err(MetricError::ZeroRange("the truth is"));
    }
    if mse == 0.0 {
        return Err(MetricError::Identical);
    }
    Ok(10.0 * (range * range / mse).log10())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn by_hand() {
        let truth = array![[0.0, 1.0], [2.0, 1.0]];
        let prediction = array![[0.0, 2.0], [0.0, 1.0]];
        assert_eq!(mae(truth.view(), prediction.view()), Ok(0.75));
        assert_eq!(mse(truth.view(), prediction.view()), Ok(1.25));
        let db = psnr_range(truth.view(), prediction.view(), 2.0).unwrap();
        assert!((db - 10.0 * (4.0f64 / 1.25).log10()).abs() < 1e-12);
    }

    #[test]
    fn the_two_conventions_differ_by_48_db_at_peak_1() {
        let truth = array![[0.0, 1.0], [0.5, 0.25]];
        let prediction = array![[0.1, 0.9], [0.5, 0.25]];
        let difference = psnr_255(truth.view(), prediction.view()).unwrap()
            - psnr_range(truth.view(), prediction.view(), 1.0).unwrap();
        assert!((difference - 20.0 * 255f64.log10()).abs() < 1e-9);
    }

    #[test]
    fn undefined_input_is_named() {
        let a = array![[0.0, 1.0]];
        assert_eq!(psnr_range(a.view(), a.view(), 1.0), Err(MetricError::Identical));
        assert_eq!(mae(a.view(), array![[0.0]].view()), Err(MetricError::Shape((1, 2), (1, 1))));
        let nan = array![[0.0, f64::NAN]];
        let error = mae(a.view(), nan.view()).unwrap_err();
        assert!(matches!(error, MetricError::NotFinite { which: "second", row: 0, col: 1, .. }));
    }
}
