//! The scores of one model as they are stored: plain numbers, and reasons where there is none.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::diag::{StageError, StageResult};
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::{self, Evaluation, MetricResult, RingCurve, wrap};

/// Named apart: small images do not have it, which is nothing to warn of.
pub(super) const STANDARD: &str = "ms_ssim_standard";

/// Scores of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Rows and columns that were compared.
    pub shape: [usize; 2],
    /// Shift (down, right) that registration applied, pixels.
    pub registration_offset_yx: [f64; 2],
    /// Amplitude, after its mean was matched to the truth's.
    pub amplitude: Channel,
    /// Phase, radians, each image without its own plane.
    pub phase: Channel,
    /// Amplitude MAE of a constant guess.
    pub blank_amplitude_mae: Option<f64>,
    /// Phase MAE of a constant guess: a model that is no better has learnt nothing.
    pub blank_phase_mae: Option<f64>,
    /// What no diffraction pattern tells, and so was removed: the same way for every model.
    pub gauge: Gauge,
    /// Ring correlation curves.
    pub frc: Frc,
    /// Metric → why it has no value.
    pub missing: BTreeMap<String, String>,
}

/// How the model stood to the truth before it was brought onto it, beside the shift.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    /// Factor put on the predicted amplitude, which then has the truth's mean.
    pub amplitude_scale: Option<f64>,
    /// The model's phase minus the truth's, in the middle of the compared box, radians in (−π, π].
    pub phase_offset_rad: f64,
    /// Slope of the model's phase plane minus that of the truth's (down, right), radians a pixel.
    pub phase_ramp_yx_rad_per_px: [f64; 2],
}

impl Gauge {
    /// Every part with its name, in the order of tables.
    pub fn named(&self) -> [(&'static str, Option<f64>); 4] {
        let [down, right] = self.phase_ramp_yx_rad_per_px;
        [
            ("amplitude_scale", self.amplitude_scale),
            ("phase_offset_rad", Some(self.phase_offset_rad)),
            ("phase_ramp_dy_rad_per_px", Some(down)),
            ("phase_ramp_dx_rad_per_px", Some(right)),
        ]
    }
}

/// The metrics of amplitude or phase. `psnr255` has peak 255 whatever the data, as the reference study;
/// `psnr_range` the data's range, as is customary. `ms_ssim` is the reference study's; the customary one is
/// `ms_ssim_standard`, which images with a side below 161 do not have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Channel {
    pub mae: Option<f64>,
    pub mse: Option<f64>,
    pub psnr255: Option<f64>,
    pub psnr_range: Option<f64>,
    pub ssim: Option<f64>,
    pub ssim_gaussian: Option<f64>,
    pub ms_ssim: Option<f64>,
    pub ms_ssim_standard: Option<f64>,
    pub frc50: Option<f64>,
    pub frc1over7: Option<f64>,
    pub frc_half_bit: Option<f64>,
    pub frc_one_bit: Option<f64>,
}

impl Channel {
    /// Every metric with its name, in the order of tables.
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("mae", self.mae),
            ("mse", self.mse),
            ("psnr255", self.psnr255),
            ("psnr_range", self.psnr_range),
            ("ssim", self.ssim),
            ("ssim_gaussian", self.ssim_gaussian),
            ("ms_ssim", self.ms_ssim),
            ("ms_ssim_standard", self.ms_ssim_standard),
            ("frc50", self.frc50),
            ("frc1over7", self.frc1over7),
            ("frc_half_bit", self.frc_half_bit),
            ("frc_one_bit", self.frc_one_bit),
        ]
    }
}

/// Ring correlation curves: value of every bin, `null` where a ring has no power.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frc {
    /// Side of the square that was transformed; bin side/2 is Nyquist along an axis.
    pub side: usize,
    /// Amplitude.
    pub amplitude: Vec<Option<f64>>,
    /// Phase.
    pub phase: Vec<Option<f64>>,
}

impl Scores {
    /// Takes over what was found, with reasons for what was not.
    pub(in crate::stages) fn new(pair: &Pair, found: &Evaluation) -> Self {
        let mut missing = BTreeMap::new();
        let mut take = |name: &str, value: &MetricResult| match value {
            // The metrics never return NaN; infinity would become JSON's null without a word.
            Ok(value) if value.is_finite() => Some(*value),
            Ok(value) => {
                missing.insert(name.to_owned(), format!("the value is {value}"));
                None
            }
            Err(e) => {
                missing.insert(name.to_owned(), e.to_string());
                None
            }
        };
        let mut channel = |name: &str, c: &metrics::Channel| {
            let mut take = |metric: &str, value| take(&format!("{name} {metric}"), value);
            Channel {
                mae: take("mae", &c.mae),
                mse: take("mse", &c.mse),
                psnr255: take("psnr255", &c.psnr255),
                psnr_range: take("psnr_range", &c.psnr_range),
                ssim: take("ssim", &c.ssim),
                ssim_gaussian: take("ssim_gaussian", &c.ssim_gaussian),
                ms_ssim: take("ms_ssim", &c.ms_ssim),
                ms_ssim_standard: take(STANDARD, &c.ms_ssim_standard),
                frc50: take("frc50", &c.frc50),
                frc1over7: take("frc1over7", &c.frc1over7),
                frc_half_bit: take("frc_half_bit", &c.frc_half_bit),
                frc_one_bit: take("frc_one_bit", &c.frc_one_bit),
            }
        };
        let (amplitude, phase) = (channel("amplitude", &found.amplitude), channel("phase", &found.phase));
        let [blank_amplitude, blank_phase] = &found.blank;
        let curve = |c: &MetricResult<RingCurve>| c.as_ref().map(|c| c.values.clone()).unwrap_or_default();
        let side = found.shape.0.min(found.shape.1);
        let curves = &found.curves;
        let frc = Frc { side, amplitude: curve(&curves.amplitude), phase: curve(&curves.phase) };
        Self {
            shape: [found.shape.0, found.shape.1],
            registration_offset_yx: pair.shift_yx,
            amplitude,
            phase,
            blank_amplitude_mae: take("blank amplitude mae", blank_amplitude),
            blank_phase_mae: take("blank phase mae", blank_phase),
            gauge: Gauge {
                amplitude_scale: take("amplitude scale", &found.gauge.amplitude_scale),
                // Registration has added its turn.
                phase_offset_rad: wrap(found.gauge.phase_offset - pair.turn),
                phase_ramp_yx_rad_per_px: found.gauge.phase_ramp_yx,
            },
            frc,
            missing,
        }
    }

    /// Indented JSON with a newline at the end.
    pub fn to_json(&self) -> String {
        pretty(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn read(path: &Path) -> StageResult<Self> {
        read_json(path, "scores of the `metrics` stage")
    }
}

/// Indented JSON with a newline at the end.
pub(in crate::stages) fn pretty<T: Serialize>(value: &T) -> String {
    // Plain structs with text keys always serialise.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A JSON file of a known type; the error names file, place and what was expected.
pub(in crate::stages) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    what: &str,
) -> StageResult<T> {
    let bytes = std::fs::read(path).map_err(|e| {
        let error = StageError::from(e);
        StageError { message: format!("{}: {}", path.display(), error.message), ..error }
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|e| StageError::input(format!("{}: {e}; expected {what}", path.display())))
}
