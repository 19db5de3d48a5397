//! Stage kind `metrics`: scores of a registered pair, amplitude and phase.

mod scores;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::scores::{Channel, Frc, Gauge, Scores};
pub(in crate::stages) use self::scores::{pretty, read_json};
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::atomic;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::{MS_SSIM_SIDE, Options, evaluate};

/// The `metrics` stage.
pub struct Metrics;

/// Parameters of `metrics`. Those of the reference study stand beside the customary ones, named apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Pixels dropped on every side before scoring.
    #[serde(default = "trim")]
    #[schemars(range(max = 1000))]
    pub trim_px: u32,
    /// Gaussian smoothing of both amplitudes before MS-SSIM, σ in pixels.
    #[serde(default = "sigma")]
    #[schemars(range(min = 0, max = 100))]
    pub ms_ssim_sigma: f64,
    /// Gaussian smoothing of ring correlation curves before their crossings are looked for, σ in bins.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub frc_sigma: f64,
}

fn trim() -> u32 {
    2
}

fn sigma() -> f64 {
    1.0
}

impl Stage for Metrics {
    fn kind(&self) -> Kind {
        Kind {
            name: "metrics",
            version: 2,
            summary: "score a registered pair: MAE, MSE, PSNR, SSIM, MS-SSIM, FRC, gauges, and a blank guess",
            inputs: &[Slot { name: "pair", arity: Arity::One, doc: "prediction and truth from `register`" }],
            outputs: &[Output {
                name: "metrics",
                file: "metrics.json",
                doc: "amplitude and phase scores; a metric without value is null, with its reason under `missing`",
            }],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: false,
            needs_runtime: false,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let path = cx.input("pair")?;
        let pair = Pair::read(path)?;
        let options = Options {
            crop: params.trim_px as usize,
            ms_ssim_sigma: params.ms_ssim_sigma,
            frc_sigma: params.frc_sigma,
        };
        let found = evaluate(pair.truth.view(), pair.prediction.view(), options)
            .map_err(|e| StageError::input(format!("{}: {e}", path.display())))?;
        let scores = Scores::new(&pair, &found);
        let small = found.shape.0.min(found.shape.1) < MS_SSIM_SIDE;
        for (what, why) in &scores.missing {
            if !(small && what.ends_with(scores::STANDARD)) {
                cx.warn(format!("no {what}: {why}"));
            }
        }
        for (name, value) in scores.gauge.named() {
            if let Some(value) = value {
                cx.measure(name, value);
            }
        }
        let (own, blank) = (scores.phase.mae, scores.blank_phase_mae);
        if let (Some(own), Some(blank)) = (own, blank) {
            cx.measure("phase_mae_rad", own);
            cx.measure("blank_phase_mae_rad", blank);
        }
        atomic::write(&cx.output("metrics")?, scores.to_json().as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
