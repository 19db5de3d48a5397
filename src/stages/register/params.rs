//! Parameters of the `register` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registration. Every model of a comparison should go through one `register` stage, hence one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is correlated. `amplitude` is the reference study's choice; `phase` suits objects without
    /// amplitude contrast; `none` trusts the coordinates.
    #[serde(default)]
    pub on: On,
    /// How the shift is found.
    #[serde(default)]
    pub method: Method,
    /// Pixels the box reaches beyond the outermost positions (negative: stays inside them).
    #[serde(default)]
    pub margin_px: i32,
    /// Steps per pixel of the shift.
    #[serde(default = "upsample")]
    #[schemars(range(min = 1, max = 1000))]
    pub upsample: u32,
    /// Largest shift looked for, pixels, each way; `null` looks everywhere. Frames are exact here, so only
    /// a reconstruction's own drift remains, and a peak far off is chance.
    #[serde(default = "max_shift")]
    #[schemars(inner(range(min = 1)))]
    pub max_shift_px: Option<f64>,
    /// Pixels dropped on every side after the shift, which is periodic and so spoils the edges.
    #[serde(default = "crop")]
    #[schemars(range(max = 1000))]
    pub crop_px: u32,
    /// Turn the prediction by the one phase that brings it nearest to the truth, which no diffraction
    /// pattern determines. It is written into the pair, and scores tell it.
    #[serde(default = "yes")]
    pub global_phase: bool,
}

/// What is correlated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The amplitudes.
    #[default]
    Amplitude,
    /// The phases, without their planes.
    Phase,
    /// Nothing: no shift.
    None,
}

/// How the shift is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Cross-correlation under a Hann window.
    #[default]
    CrossCorrelation,
    /// Phase correlation without a window, as in the reference study. Leans towards no shift at all,
    /// because edges of the box, which do not move, count as much as what is inside.
    PhaseCorrelation,
    /// Cross-correlation without a window, scikit-image's `normalization=None`.
    PlainCorrelation,
}

fn upsample() -> u32 {
    crate::ptycho::registration::UPSAMPLE as u32
}

// Serde's default functions return the field's own type.
#[allow(clippy::unnecessary_wraps)]
fn max_shift() -> Option<f64> {
    Some(8.0)
}

fn crop() -> u32 {
    2
}

fn yes() -> bool {
    true
}
