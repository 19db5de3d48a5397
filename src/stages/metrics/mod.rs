//! Stage kind `metrics`: scores of a registered pair, amplitude and phase.

mod scores;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::scores::{Channel, Frc, Scores};
pub(in crate::stages) use self::scores::{pretty, read_json};
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::atomic;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::evaluate;

/// The `metrics` stage.
pub struct Metrics;

/// Parameters of `metrics`. The metrics themselves are the reference study's and have no options.
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
            version: 1,
            summary: "score a registered pair: MAE, MSE, PSNR (both conventions), SSIM, MS-SSIM, FRC, and a blank guess",
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
        let found = evaluate(
            pair.truth.view(),
            pair.prediction.view(),
            params.trim_px as usize,
            params.ms_ssim_sigma,
        )
        .map_err(|e| StageError::input(format!("{}: {e}", path.display())))?;
        let scores = Scores::new(&pair, &found);
        for (what, why) in &scores.missing {
            cx.warn(format!("no {what}: {why}"));
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
