//! Parameters of the `compare` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The axis whose points are compared; their labels name the models.
    #[serde(default = "model_axis")]
    pub model_axis: String,
    /// Labels in the order they shall appear; others follow in the order of their axis. If absent, labels
    /// with `pinn` come first and labels with `baseline` second, as in the reference study.
    #[serde(default)]
    pub order: Option<Vec<String>>,
    /// Name of the only model when its point does not lie on `model_axis`.
    #[serde(default = "single_model")]
    pub single_model: String,
    /// Longer side of a picture in the figure, pixels.
    #[serde(default = "tile_px")]
    #[schemars(range(min = 32, max = 2048))]
    pub tile_px: u32,
}

fn model_axis() -> String {
    "model".to_owned()
}

fn single_model() -> String {
    "reconstruction".to_owned()
}

fn tile_px() -> u32 {
    256
}

impl Params {
    /// Place of a label among the others; equal places keep the order they came in.
    pub(super) fn rank(&self, label: &str) -> usize {
        match &self.order {
            Some(order) => order.iter().position(|o| o == label).unwrap_or(order.len()),
            None => {
                let label = label.to_lowercase();
                ["pinn", "baseline"].iter().position(|part| label.contains(part)).unwrap_or(2)
            }
        }
    }
}
