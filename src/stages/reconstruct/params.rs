//! Parameters of the `reconstruct` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ptycho::pie;

/// Iterative reconstruction. The object always starts from ones, so that nothing of a known truth can
/// leak into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The update rule.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Sweeps over all images.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// α of the object update. For rPIE, the part of the brightest spot's weight that every pixel gets;
    /// for ePIE, the step. Smaller follows noise more closely.
    #[serde(default = "half")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub alpha: f64,
    /// The same for the probe update.
    #[serde(default = "half")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub probe_alpha: f64,
    /// Factor on all updates. Batches sum their object updates: above about 10 images a batch, lower it.
    #[serde(default = "one")]
    #[schemars(range(max = 10), extend("exclusiveMinimum" = 0))]
    pub step: f64,
    /// Images a batch; all of them see the same object and probe.
    #[serde(default = "batch")]
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Epoch, counted from 0, from which the probe is updated; `null` keeps the probe as it starts.
    #[serde(default = "probe_from")]
    pub probe_from_epoch: Option<u32>,
    /// Unit of the starting probe.
    #[serde(default)]
    pub probe_scale: ProbeScale,
    /// How positions between pixels are treated.
    #[serde(default)]
    pub subpixel: Subpixel,
    /// Use only so many images, drawn at random; all of them if absent.
    #[serde(default)]
    #[schemars(inner(range(min = 1)))]
    pub max_images: Option<u32>,
}

fn epochs() -> u32 {
    20
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

fn batch() -> u32 {
    1
}

// Serde's default functions return the field's own type, an option that says "from epoch 1".
#[allow(clippy::unnecessary_wraps)]
fn probe_from() -> Option<u32> {
    Some(1)
}

/// The update rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Regularised PIE (Maiden, Johnson & Li 2017).
    #[default]
    Rpie,
    /// Extended PIE (Maiden & Rodenburg 2009).
    Epie,
}

/// Unit of the starting probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeScale {
    /// As given if its energy is within a factor of 4 of the mean measured energy, matched otherwise.
    #[default]
    Auto,
    /// As given: the object's modulus is then absolute, as with simulated data.
    Given,
    /// Scaled so that its energy is the mean measured energy, as with measured data.
    Photons,
}

/// How positions between pixels are treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subpixel {
    /// The object is sampled with bilinear weights, as `simulate` does it.
    #[default]
    Bilinear,
    /// The probe is moved by the fraction in Fourier space; half as fast again.
    ProbeShift,
    /// Positions are rounded to whole pixels.
    Nearest,
}

impl Params {
    /// The engine's settings.
    pub(super) fn settings(&self) -> pie::Settings {
        pie::Settings {
            rule: match self.algorithm {
                Algorithm::Rpie => pie::Rule::Rpie,
                Algorithm::Epie => pie::Rule::Epie,
            },
            alpha: self.alpha as f32,
            beta: self.probe_alpha as f32,
            step: self.step as f32,
            subpixel: match self.subpixel {
                Subpixel::Bilinear => pie::Subpixel::Bilinear,
                Subpixel::ProbeShift => pie::Subpixel::ProbeShift,
                Subpixel::Nearest => pie::Subpixel::Nearest,
            },
        }
    }
}
