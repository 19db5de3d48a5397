//! Parameters of the `reconstruct` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ptycho::iterative as engine;

/// Iterative reconstruction. The object always starts from ones, so that nothing of a known truth can
/// leak into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Sweeps over all images.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// α of the object update. For rPIE, the part of the brightest spot's weight that every pixel gets;
    /// for ePIE, the step. Smaller follows noise more closely. Without meaning for dm and lsqml.
    #[serde(default = "half")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub alpha: f64,
    /// The same for the probe update.
    #[serde(default = "half")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub probe_alpha: f64,
    /// Factor on all updates; for dm, the relaxation. Batches of rPIE and ePIE sum their object updates: above
    /// about 10 images a batch, lower it. lsqml finds its own steps.
    #[serde(default = "one")]
    #[schemars(range(max = 10), extend("exclusiveMinimum" = 0))]
    pub step: f64,
    /// Images a batch; all of them see the same object and probe. If absent 1 for rPIE and ePIE, 100 for lsqml;
    /// dm always takes all images at once. Memory grows with it: (1 + modes)·8·N² bytes an image.
    #[serde(default)]
    #[schemars(inner(range(min = 1)))]
    pub batch: Option<u32>,
    /// How images are put into batches.
    #[serde(default)]
    pub batching: Batching,
    /// What lsqml takes for the noise.
    #[serde(default)]
    pub noise: Noise,
    /// Epoch, counted from 0, from which the probe is updated; `null` keeps the probe as it starts.
    #[serde(default = "probe_from")]
    pub probe_from_epoch: Option<u32>,
    /// Number of probe modes, whose intensities add up (partial coherence). Those beyond the first start as the
    /// probe times polynomials in row and column (Hermite-like), orthogonal to one another.
    #[serde(default = "one_mode")]
    #[schemars(range(min = 1, max = 16))]
    pub probe_modes: u32,
    /// Share of the probe's power that each mode beyond the first starts with; the first gets what remains.
    #[serde(default = "mode_power")]
    #[schemars(range(max = 0.5), extend("exclusiveMinimum" = 0))]
    pub mode_power: f64,
    /// Unit of the starting probe.
    #[serde(default)]
    pub probe_scale: ProbeScale,
    /// What becomes of the factor between object and probe that the data cannot tell.
    #[serde(default)]
    pub scale: Scale,
    /// Epoch, counted from 0, from which positions are refined, at most 0.1 pixels an epoch; `null` keeps them.
    /// Not with dm, nor where positions are rounded.
    #[serde(default)]
    pub positions_from_epoch: Option<u32>,
    /// Leave out the pixels that the dataset's mask calls not measured, if it has one: there the model stays as it is.
    #[serde(default = "yes")]
    pub use_mask: bool,
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

fn one_mode() -> u32 {
    1
}

fn mode_power() -> f64 {
    0.05
}

fn yes() -> bool {
    true
}

// Serde's default functions return the field's own type, an option that says "from epoch 1".
#[allow(clippy::unnecessary_wraps)]
fn probe_from() -> Option<u32> {
    Some(1)
}

/// The algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Regularised PIE (Maiden, Johnson & Li 2017).
    #[default]
    Rpie,
    /// Extended PIE (Maiden & Rodenburg 2009).
    Epie,
    /// Difference map (Thibault et al. 2009). Keeps the exit waves of all images in memory, 8·N² bytes an image
    /// and mode, and in its checkpoints.
    Dm,
    /// Least-squares maximum likelihood (Odstrčil et al. 2018). Its first epoch only scales the probe.
    Lsqml,
}

/// How images are put into batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Batching {
    /// At random, anew in every epoch.
    #[default]
    Random,
    /// Neighbours, the same in every epoch and in random order. lsqml then updates the object once an epoch, with
    /// the smallest of the batches' steps: slower, but less of a batch's noise stays.
    Compact,
}

/// What lsqml takes for the noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// The same normal error on every amplitude.
    #[default]
    Gaussian,
    /// Photon counting, with a line search for every image.
    Poisson,
}

/// What becomes of the factor between object and probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The probe keeps the power it starts with.
    #[default]
    ProbePower,
    /// In epochs 0, 10, 20, … the object's illumination-weighted root mean square becomes 1, as in pty-chi.
    ObjectRms,
    /// Nothing: object and probe drift as the algorithm lets them.
    Free,
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
    pub(super) fn settings(&self) -> engine::Settings {
        engine::Settings {
            rule: match self.algorithm {
                Algorithm::Rpie => engine::Rule::Rpie,
                Algorithm::Epie => engine::Rule::Epie,
                Algorithm::Dm => engine::Rule::DifferenceMap,
                Algorithm::Lsqml => engine::Rule::Lsqml,
            },
            alpha: self.alpha as f32,
            beta: self.probe_alpha as f32,
            step: self.step as f32,
            subpixel: match self.subpixel {
                Subpixel::Bilinear => engine::Subpixel::Bilinear,
                Subpixel::ProbeShift => engine::Subpixel::ProbeShift,
                Subpixel::Nearest => engine::Subpixel::Nearest,
            },
            noise: match self.noise {
                Noise::Gaussian => engine::Noise::Gaussian,
                Noise::Poisson => engine::Noise::Poisson,
            },
            scale: match self.scale {
                Scale::ProbePower => engine::Scale::ProbePower,
                Scale::ObjectRms => engine::Scale::ObjectRms,
                Scale::Free => engine::Scale::Free,
            },
        }
    }

    /// Images a batch.
    pub(super) fn batch_size(&self) -> usize {
        match (self.batch, self.algorithm) {
            (Some(size), _) => size as usize,
            (None, Algorithm::Lsqml) => 100,
            (None, _) => 1,
        }
    }
}
