//! Parameters of the `simulate` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ptycho::object::{Contrast, PhaseFrom, Picture};
use crate::ptycho::positions::Scan;
use crate::ptycho::probe::Probe;

/// A synthetic scan. Object, positions and probe follow from the seed and these parameters but not from
/// `photons`: conditions that differ in dose alone share them, and differ in noise and its amount only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the object shows; not with an `object` file.
    #[serde(default)]
    pub object: Option<Picture>,
    /// Rows and columns of a drawn object, pixels; 256 × 256 if absent. Not with an `object` file.
    #[serde(default)]
    #[schemars(inner(range(min = 16, max = 16384)))]
    pub shape: Option<[u32; 2]>,
    /// Whether the phase shows the picture of the amplitude or one of its own.
    #[serde(default)]
    pub phase_from: PhaseFrom,
    /// How the picture becomes amplitude and phase.
    #[serde(default)]
    pub contrast: Contrast,
    /// The probe, scaled to power 1; not with a `probe` file. A defocused aperture if absent.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// Where the probe goes.
    pub positions: Scan,
    /// Distance that positions keep from the object's edge, pixels; half of `patch_px` if absent.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub buffer_px: Option<f64>,
    /// Round positions to whole pixels.
    #[serde(default)]
    pub whole_pixels: bool,
    /// Side N of the diffraction patterns, pixels.
    #[serde(default = "patch_px")]
    #[schemars(range(min = 4, max = 4096))]
    pub patch_px: u32,
    /// Dose: photons per diffraction pattern, mean over all patterns.
    #[schemars(range(max = 1e15), extend("exclusiveMinimum" = 0))]
    pub photons: f64,
    /// Noise of the detector.
    #[serde(default)]
    pub noise: Noise,
    /// Partial coherence: shares of the beam's power in its modes, which are divided by their sum; coherent if
    /// absent. `[0.8, 0.1, 0.1]` makes three modes: the probe, and the probe times polynomials in x and y, orthogonal
    /// to it and to each other (Hermite–Gauss modes, if it is Gaussian). Their intensities add. The dataset keeps the
    /// probe of a coherent beam, as one who knows nothing of modes would start from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 0)))]
    pub mode_weights: Vec<f64>,
    /// What the detector does not see.
    #[serde(default, skip_serializing_if = "Detection::is_ideal")]
    pub detector: Detection,
    /// Number of the realisation. Under one study seed, simulations of different numbers draw
    /// independent objects, positions and noise: for example one to train on and one to test on.
    #[serde(default)]
    pub realisation: u32,
}

fn patch_px() -> u32 {
    64
}

/// What the detector does not see. Pixels that are not measured count 0, and the dataset has a `mask`. All
/// realisations under one study seed have the same dead pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Detection {
    /// Radius of a round beam stop on the zero frequency, detector pixels; a pixel is behind it if its centre is.
    #[schemars(range(min = 0))]
    pub beam_stop_px: f64,
    /// Chance of each pixel to be dead.
    #[schemars(range(min = 0, max = 0.5))]
    pub dead_fraction: f64,
    /// Largest count of a pixel; what is above is cut to it. No limit if absent.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub saturation: Option<f64>,
}

impl Detection {
    /// Whether it sees everything.
    pub fn is_ideal(&self) -> bool {
        *self == Self::default()
    }
}

/// Noise of the detector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Photons arrive independently.
    #[default]
    Poisson,
    /// None: the expected intensity itself.
    None,
}
