//! All metrics of a complex pair, as the reference study takes them.

use ndarray::{Array2, ArrayView2};
use num_complex::Complex32;

use super::{
    MetricError, MetricResult, RingCurve, Threshold, amplitude, flatten_phase, mae, match_mean, mean,
    ms_ssim, ms_ssim_standard, mse, peak_to_peak, psnr_255, psnr_range, ring_correlation, ssim,
    ssim_gaussian, trim, wrap,
};

/// A metric's value, or why it has none.
pub type Score = MetricResult;

/// The metrics of one channel (amplitude or phase).
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Mean absolute error.
    pub mae: Score,
    /// Mean squared error.
    pub mse: Score,
    /// PSNR with peak 255, dB: the reference study's convention.
    pub psnr255: Score,
    /// PSNR with the data range as peak, dB: the customary convention.
    pub psnr_range: Score,
    /// Structural similarity, 7×7 uniform window.
    pub ssim: Score,
    /// Structural similarity, Gaussian window.
    pub ssim_gaussian: Score,
    /// The reference study's multi-scale SSIM.
    pub ms_ssim: Score,
    /// The standard multi-scale SSIM, for images with sides above 160.
    pub ms_ssim_standard: Score,
    /// Bin where the ring correlation falls below 0.5.
    pub frc50: Score,
    /// Bin where the ring correlation falls below 1/7.
    pub frc1over7: Score,
    /// Bin where it falls below the half-bit threshold.
    pub frc_half_bit: Score,
    /// Bin where it falls below the one-bit threshold.
    pub frc_one_bit: Score,
}

impl Channel {
    /// Every metric with its name, in the order of tables.
    pub fn named(&self) -> [(&'static str, &Score); 12] {
        [
            ("mae", &self.mae),
            ("mse", &self.mse),
            ("psnr255", &self.psnr255),
            ("psnr_range", &self.psnr_range),
            ("ssim", &self.ssim),
            ("ssim_gaussian", &self.ssim_gaussian),
            ("ms_ssim", &self.ms_ssim),
            ("ms_ssim_standard", &self.ms_ssim_standard),
            ("frc50", &self.frc50),
            ("frc1over7", &self.frc1over7),
            ("frc_half_bit", &self.frc_half_bit),
            ("frc_one_bit", &self.frc_one_bit),
        ]
    }
}

/// Ring correlation curves of both channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// Amplitude.
    pub amplitude: MetricResult<RingCurve>,
    /// Phase.
    pub phase: MetricResult<RingCurve>,
}

/// What [`evaluate`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Rows and columns that were compared.
    pub shape: (usize, usize),
    /// Amplitude metrics, after the prediction's mean was matched to the truth's.
    pub amplitude: Channel,
    /// Phase metrics, radians, after each image lost its own plane.
    pub phase: Channel,
    /// Ring correlation curves.
    pub curves: Curves,
    /// What a blank (constant) prediction scores: mean absolute amplitude and phase error. A model that
    /// does no better has learnt nothing.
    pub blank: [Score; 2],
    /// What was removed because no diffraction pattern tells it.
    pub gauge: Gauge,
}

/// What a reconstruction cannot know, and so is removed before it is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Factor the predicted amplitude was multiplied with, if defined.
    pub amplitude_scale: MetricResult,
    /// Height of the prediction's phase plane minus that of the truth's, in the middle of the compared box,
    /// radians in (−π, π].
    pub phase_offset: f64,
    /// Slope (down, right) of the prediction's phase plane minus that of the truth's, radians a pixel.
    pub phase_ramp_yx: [f64; 2],
}

impl Gauge {
    fn of(
        amplitude_scale: MetricResult,
        truth: [f64; 3],
        prediction: [f64; 3],
        shape: (usize, usize),
    ) -> Self {
        let middle = [shape.1, shape.0].map(|n| (n as f64 - 1.0) / 2.0);
        let height = |[a, b, c]: [f64; 3]| a * middle[0] + b * middle[1] + c;
        Self {
            amplitude_scale,
            phase_offset: wrap(height(prediction) - height(truth)),
            phase_ramp_yx: [prediction[1] - truth[1], prediction[0] - truth[0]],
        }
    }
}

/// How [`evaluate`] compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Pixels dropped on every side first.
    pub crop: usize,
    /// Gaussian smoothing of both amplitudes before the reference study's MS-SSIM, σ in pixels.
    pub ms_ssim_sigma: f64,
    /// Gaussian smoothing of ring correlation curves, σ in bins.
    pub frc_sigma: f64,
}

impl Default for Options {
    /// As the reference study.
    fn default() -> Self {
        Self { crop: 2, ms_ssim_sigma: 1.0, frc_sigma: 0.0 }
    }
}

/// Compares two complex images in one frame.
///
/// Amplitude: prediction scaled to the truth's mean; range of SSIM, standard MS-SSIM and PSNR = peak to peak of the
/// truth; the reference's MS-SSIM after a Gaussian. Phase: each image minus its own least-squares plane
/// ([`flatten_phase`]); SSIM and MS-SSIM on (φ+π)/2π with range 1 and no smoothing; PSNR range 2π.
///
/// Fails only if the images differ in size, vanish under the crop, or hold a value that is not finite;
/// a metric undefined for the pair is an error in its own place.
pub fn evaluate(
    truth: ArrayView2<'_, Complex32>,
    prediction: ArrayView2<'_, Complex32>,
    options: Options,
) -> MetricResult<Evaluation> {
    if truth.dim() != prediction.dim() {
        return Err(MetricError::Shape(truth.dim(), prediction.dim()));
    }
    // Before the crop, so that the place of a value that is not finite is the place in the file.
    super::check(amplitude(truth).view(), amplitude(prediction).view())?;
    let (truth, prediction) = (trim(truth, options.crop)?, trim(prediction, options.crop)?);
    let (amplitude_t, amplitude_p) = (amplitude(truth.view()), amplitude(prediction.view()));
    let (phase_t, plane_t) = flatten_phase(truth.view());
    let (phase_p, plane_p) = flatten_phase(prediction.view());

    let (scaled, amplitude_scale) = match match_mean(amplitude_t.view(), amplitude_p.view()) {
        Ok((scaled, factor)) => (Ok(scaled), Ok(factor)),
        Err(e) => (Err(e.clone()), Err(e)),
    };
    let (amplitude_channel, amplitude_curve) = match &scaled {
        Ok(scaled) => {
            let range = peak_to_peak(amplitude_t.view());
            let sigma = options.ms_ssim_sigma;
            let structure = Structure { truth: amplitude_t.view(), prediction: scaled.view(), range, sigma };
            channel(amplitude_t.view(), scaled.view(), range, structure, options.frc_sigma)
        }
        Err(e) => (undefined(e), Err(e.clone())),
    };
    let unit = |phase: &Array2<f64>| phase.mapv(|v| (v + std::f64::consts::PI) / std::f64::consts::TAU);
    let (unit_t, unit_p) = (unit(&phase_t), unit(&phase_p));
    let structure = Structure { truth: unit_t.view(), prediction: unit_p.view(), range: 1.0, sigma: 0.0 };
    let (phase_channel, phase_curve) =
        channel(phase_t.view(), phase_p.view(), std::f64::consts::TAU, structure, options.frc_sigma);

    let flat = Array2::from_elem(amplitude_t.dim(), mean(amplitude_t.view()));
    let zero = Array2::zeros(phase_t.dim());
    Ok(Evaluation {
        shape: amplitude_t.dim(),
        amplitude: amplitude_channel,
        phase: phase_channel,
        curves: Curves { amplitude: amplitude_curve, phase: phase_curve },
        blank: [mae(amplitude_t.view(), flat.view()), mae(phase_t.view(), zero.view())],
        gauge: Gauge::of(amplitude_scale, plane_t, plane_p, amplitude_t.dim()),
    })
}

/// What the structural metrics look at: for phase, another mapping of it than the pointwise ones.
struct Structure<'a> {
    truth: ArrayView2<'a, f64>,
    prediction: ArrayView2<'a, f64>,
    range: f64,
    sigma: f64,
}

fn channel(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
    range: f64,
    structure: Structure<'_>,
    frc_sigma: f64,
) -> (Channel, MetricResult<RingCurve>) {
    let curve = ring_correlation(truth, prediction).map(|curve| curve.smoothed(frc_sigma));
    let at = |threshold| curve.as_ref().map_err(Clone::clone).and_then(|c| c.crossing(threshold));
    let Structure { truth: t, prediction: p, range: extent, sigma } = structure;
    let channel = Channel {
        mae: mae(truth, prediction),
        mse: mse(truth, prediction),
        psnr255: psnr_255(truth, prediction),
        psnr_range: psnr_range(truth, prediction, range),
        ssim: ssim(t, p, extent),
        ssim_gaussian: ssim_gaussian(t, p, extent),
        ms_ssim: ms_ssim(t, p, sigma),
        ms_ssim_standard: ms_ssim_standard(t, p, extent),
        frc50: at(Threshold::Fixed(0.5)),
        frc1over7: at(Threshold::Fixed(1.0 / 7.0)),
        frc_half_bit: at(Threshold::HalfBit),
        frc_one_bit: at(Threshold::OneBit),
    };
    (channel, curve)
}

fn undefined(e: &MetricError) -> Channel {
    let e = || Err(e.clone());
    Channel {
        mae: e(),
        mse: e(),
        psnr255: e(),
        psnr_range: e(),
        ssim: e(),
        ssim_gaussian: e(),
        ms_ssim: e(),
        ms_ssim_standard: e(),
        frc50: e(),
        frc1over7: e(),
        frc_half_bit: e(),
        frc_one_bit: e(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texture(rows: usize, cols: usize) -> Array2<Complex32> {
        Array2::from_shape_fn((rows, cols), |(r, c)| {
            let a = 1.0 + 0.3 * (0.4 * r as f32).sin() * (0.3 * c as f32).cos();
            Complex32::from_polar(a, 0.5 * (0.2 * (r + 2 * c) as f32).sin())
        })
    }

    #[test]
    fn scale_phase_and_ramp_do_not_count() {
        let truth = texture(40, 50);
        let mut moved = truth.clone();
        for ((r, c), v) in moved.indexed_iter_mut() {
            *v *= Complex32::from_polar(1.7, 0.4 + 0.003 * r as f32 - 0.002 * c as f32);
        }
        let e = evaluate(truth.view(), moved.view(), Options::default()).unwrap();
        assert!(e.amplitude.mae.unwrap() < 1e-6 && e.phase.mae.unwrap() < 1e-6);
        assert!((e.gauge.amplitude_scale.unwrap() - 1.0 / 1.7).abs() < 1e-6);
        let [down, right] = e.gauge.phase_ramp_yx;
        assert!((down - 0.003).abs() < 1e-8 && (right + 0.002).abs() < 1e-8, "{down} {right}");
        // In the middle of what is compared, which is that of the whole.
        let middle = 0.4 + 0.003 * 19.5 - 0.002 * 24.5;
        assert!((e.gauge.phase_offset - middle).abs() < 1e-6, "{}", e.gauge.phase_offset);
        assert!(*e.blank[1].as_ref().unwrap() > 0.1);
    }

    #[test]
    fn a_blank_prediction_scores_blank_with_reasons() {
        let truth = texture(40, 50);
        let blank = Array2::from_elem((40, 50), Complex32::new(0.8, 0.1));
        let e = evaluate(truth.view(), blank.view(), Options::default()).unwrap();
        let close = |a: &Score, b: &Score| (a.as_ref().unwrap() - b.as_ref().unwrap()).abs() < 1e-6;
        assert!(close(&e.phase.mae, &e.blank[1]) && close(&e.amplitude.mae, &e.blank[0]));
        assert!(matches!(e.phase.frc50, Err(MetricError::NoPower(_))));
        assert!(matches!(e.amplitude.frc50, Err(MetricError::NoPower(_))), "{:?}", e.amplitude.frc50);
        let zero = Array2::from_elem((40, 50), Complex32::default());
        let e = evaluate(truth.view(), zero.view(), Options::default()).unwrap();
        assert_eq!(e.amplitude.mae, Err(MetricError::ZeroMean));
        assert!(e.phase.mae.is_ok());
    }

    #[test]
    fn bad_input_is_refused() {
        let truth = texture(40, 50);
        let mut nan = truth.clone();
        nan[[5, 6]] = Complex32::new(f32::NAN, 0.0);
        let error = evaluate(truth.view(), nan.view(), Options::default()).unwrap_err();
        assert!(matches!(error, MetricError::NotFinite { row: 5, col: 6, .. }), "{error}");
        assert_eq!(
            evaluate(truth.view(), truth.view(), Options { crop: 20, ..Options::default() }),
            Err(MetricError::Empty)
        );
        let other = texture(40, 49);
        assert!(matches!(
            evaluate(truth.view(), other.view(), Options::default()),
            Err(MetricError::Shape(..))
        ));
    }
}
