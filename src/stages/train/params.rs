//! What a study may say about a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::{StageError, StageResult};
use crate::nn::adam::Schedule;
use crate::nn::graph::Field;
use crate::nn::physics::Likelihood;

/// Parameters of `train`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the network learns from.
    pub architecture: Architecture,
    /// What trains it.
    #[serde(default)]
    pub engine: Engine,
    /// Images that the network sees together, squared: 1 takes single images, 2 groups of four neighbours.
    /// If absent, 2 for `pinn` and 1 for `baseline`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 2))]
    pub gridsize: Option<u32>,
    /// Feature maps of the first level; each level down has twice as many. Time and parameters grow with
    /// its square.
    #[serde(default = "width")]
    #[schemars(range(min = 1, max = 256))]
    pub width: usize,
    /// Times the image is halved on its way through the encoder. The side of the patterns must be a
    /// multiple of 2^depth.
    #[serde(default = "depth")]
    #[schemars(range(min = 1, max = 8))]
    pub depth: usize,
    /// Part of each patch that the network draws: the `central` N/2 × N/2 pixels, or the `full` N × N.
    /// Patches are 0 elsewhere.
    #[serde(default)]
    pub field: Field,
    /// Passes over all groups.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Groups per step. Steps on few groups learn more from the same time, but use fewer threads.
    #[serde(default = "batch")]
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Largest learning rate of Adam.
    #[serde(default = "learning_rate")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
    /// Course of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// How `pinn` compares patterns: `poisson`, the likelihood of the counts, or `mae`, the mean absolute
    /// difference of amplitudes. `baseline` always takes the mean absolute error of amplitude and phase.
    #[serde(default)]
    pub loss: Option<Likelihood>,
    /// Gradients longer than this are shortened to it; never, if absent.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gradient_clip: Option<f64>,
    /// Use at most so many groups, drawn with the seed from those of all datasets; all, if absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_groups: Option<usize>,
    /// Show every image in all orientations, by chance: flipped and transposed, as far as the probe looks
    /// the same then.
    #[serde(default = "augment")]
    pub augment: bool,
}

/// What the network learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Physics-informed: predicted patches must explain the measured patterns. Needs no true object.
    Pinn,
    /// Supervised: predicted patches must equal those of the true object, which the datasets must hold.
    Baseline,
}

/// What trains the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// phasegraph's own trainer, on the processor.
    #[default]
    Native,
}

fn width() -> usize {
    16
}

fn depth() -> usize {
    3
}

fn epochs() -> u32 {
    12
}

fn batch() -> usize {
    8
}

fn learning_rate() -> f64 {
    2e-3
}

fn augment() -> bool {
    true
}

impl Architecture {
    /// Name in the study file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pinn => "pinn",
            Self::Baseline => "baseline",
        }
    }
}

impl Params {
    /// Images in a group, squared root of the channels.
    pub fn gridsize(&self) -> usize {
        match (self.gridsize, self.architecture) {
            (Some(gridsize), _) => gridsize as usize,
            (None, Architecture::Pinn) => 2,
            (None, Architecture::Baseline) => 1,
        }
    }

    /// Images in a group, C.
    pub fn channels(&self) -> usize {
        self.gridsize() * self.gridsize()
    }

    /// How `pinn` compares patterns.
    pub fn likelihood(&self) -> StageResult<Likelihood> {
        match (self.architecture, self.loss) {
            (Architecture::Pinn, loss) => Ok(loss.unwrap_or_default()),
            (Architecture::Baseline, None | Some(Likelihood::Mae)) => Ok(Likelihood::Mae),
            (Architecture::Baseline, Some(Likelihood::Poisson)) => Err(StageError::input(
                "`loss: poisson` compares patterns, but `baseline` is trained on labels",
            )
            .hint("remove `loss`, or take `architecture: pinn`")),
        }
    }
}
