//! What a study may say about a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::{StageError, StageResult};
use crate::nn::adam::{Plateau, Schedule};
use crate::nn::architecture::{self, Design, Field};
use crate::nn::physics::Likelihood;
use crate::nn::samples::Learns;

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
    /// Which layers the network has.
    #[serde(default)]
    pub network: Network,
    /// Feature maps: of the first level, twice as many at each level down (`compact`, 16 if absent; `ptychonn`,
    /// 64); of the decoders' last level (`ptychopinn`, 64). Time and parameters grow with its square.
    #[serde(default)]
    #[schemars(range(min = 1, max = 256))]
    pub width: Option<usize>,
    /// Times the image is halved on its way through the encoder; the side N of the patterns must be a multiple of
    /// 2^depth. If absent, 3, and log2(N/8) for `ptychopinn`, as published.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8))]
    pub depth: Option<usize>,
    /// Part of each patch that `compact` draws: the `central` N/2 × N/2 pixels (if absent), or the `full` N × N.
    /// Patches are 0 elsewhere. The other networks draw all of it.
    #[serde(default)]
    pub field: Option<Field>,
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
    /// How `schedule: plateau` lowers the learning rate; by ×0.5 after 2 epochs without a smaller loss, down to a
    /// tenth, if absent.
    #[serde(default)]
    pub plateau: Option<Plateau>,
    /// Share of every dataset's images, the last ones in the order of the scan, that are held out: no group that
    /// holds one is learnt from, and the loss on groups around them is told after every epoch. 0, if absent: all
    /// groups are learnt from.
    #[serde(default)]
    #[schemars(range(min = 0, max = 0.5))]
    pub validation: f64,
    /// End after so many epochs without a smaller loss (of what is held out, if anything is), with the weights of
    /// the best epoch; never, if absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub early_stopping: Option<u32>,
    /// How `pinn` compares patterns: `poisson`, the likelihood of the counts, or `mae`, the mean absolute
    /// difference of amplitudes. `baseline` always takes the mean absolute error of amplitude and phase.
    #[serde(default)]
    pub loss: Option<Likelihood>,
    /// What `pinn` learns of the beam beside the network. Nothing, if absent: the probe is that of the dataset.
    #[serde(default)]
    pub learn: Vec<Learnt>,
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
    /// Groups whose gradients are in memory at a time; the whole batch, if absent, or what fits. Gradients are
    /// added in the order of the batch, so the result stays the same.
    #[serde(default, skip_serializing)]
    #[schemars(range(min = 1))]
    pub micro_batch: Option<usize>,
    /// Train networks of full size on the processor all the same, which takes days.
    #[serde(default, skip_serializing)]
    pub force: bool,
}

/// A part of the beam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learnt {
    /// The probe of each dataset, beginning with the dataset's.
    Probe,
    /// A factor on all predicted amplitudes, by whose inverse the network's input is multiplied.
    IntensityScale,
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

/// Which layers the network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// phasegraph's own, small enough for a processor: an encoder, and a decoder each for amplitude and phase.
    #[default]
    Compact,
    /// That of PtychoPINN: the central N/2 × N/2 pixels from one path, the rest of the patch from another. Use it
    /// with `architecture: pinn` and `gridsize` 2 or 1; 4.7 million parameters at N = 128.
    Ptychopinn,
    /// A supervised study's own, after PtychoNN, with linear outputs: use it with `architecture: baseline`; 4.6
    /// million parameters.
    Ptychonn,
}

/// What trains the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// phasegraph's own trainer, on the processor.
    #[default]
    Native,
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

impl Network {
    /// Name in the study file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Ptychopinn => "ptychopinn",
            Self::Ptychonn => "ptychonn",
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

    /// The layers, for patterns of that side.
    ///
    /// # Errors
    /// `Input` if a parameter does not go with the network.
    pub fn layers(&self, side: usize) -> StageResult<architecture::Architecture> {
        let channels = self.channels();
        let depth = self.depth.unwrap_or(match self.network {
            Network::Ptychopinn => (side / 8).max(1).ilog2().max(1) as usize,
            Network::Compact | Network::Ptychonn => 3,
        });
        let design = match self.network {
            Network::Compact => {
                let field = self.field.unwrap_or_default();
                Design::Compact { width: self.width.unwrap_or(16), depth, field }
            }
            other if self.field == Some(Field::Central) => {
                return Err(StageError::input(format!(
                    "`field: central` with `network: {}`, which draws whole patches",
                    other.name()
                ))
                .hint("remove `field`, or take `network: compact`"));
            }
            Network::Ptychopinn => Design::Ptychopinn { width: self.width.unwrap_or(64), depth },
            Network::Ptychonn => Design::Ptychonn { width: self.width.unwrap_or(64), depth },
        };
        Ok(architecture::Architecture { side, channels, design })
    }

    /// What is learnt of the beam.
    ///
    /// # Errors
    /// `Input` if it is trained on labels, which know of no beam.
    pub fn learns(&self) -> StageResult<Learns> {
        let has = |part| self.learn.contains(&part);
        let learns = Learns { scale: has(Learnt::IntensityScale), probe: has(Learnt::Probe) };
        if self.architecture == Architecture::Baseline && learns != Learns::default() {
            return Err(StageError::input("`learn` asks for a beam, but `baseline` is trained on labels")
                .hint("remove `learn`, or take `architecture: pinn`"));
        }
        Ok(learns)
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
