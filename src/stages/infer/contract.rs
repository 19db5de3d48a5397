//! What a model file must look like to be run by the `infer` stage.

use std::str::FromStr;

use ort::session::Session;
use ort::value::{TensorElementType, ValueType};

/// Name of the input.
pub const INPUT: &str = "diffraction";
/// Name of the first output.
pub const AMPLITUDE: &str = "amplitude";
/// Name of the second output, radians.
pub const PHASE: &str = "phase";

pub(super) const HINT: &str = "a model has the float32 input `diffraction` [batch, C, N, N], the float32 outputs \
    `amplitude` and `phase` [batch, C, N, N] with a free batch axis, and the metadata properties `phasegraph.n`, \
    `phasegraph.gridsize`, `phasegraph.channels` and `phasegraph.normalisation`";

/// How diffraction amplitudes are scaled before a network sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalisation {
    /// X·√((N/2)² / mean over all (group, channel) of ΣX²), one factor for the whole dataset.
    Rms,
    /// As they are.
    None,
}

impl FromStr for Normalisation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rms" => Ok(Self::Rms),
            "none" => Ok(Self::None),
            other => Err(format!(
                "metadata property `phasegraph.normalisation` is `{other}`, expected `rms` or `none`"
            )),
        }
    }
}

/// What a model's metadata properties say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelMeta {
    /// Side of a diffraction pattern and of a patch, pixels.
    pub n: usize,
    /// 1: single images; 2: groups of four overlapping ones.
    pub gridsize: usize,
    /// Images per group: gridsize².
    pub channels: usize,
    /// Scaling of the input.
    pub normalisation: Normalisation,
    /// Name of the network, for reports (`phasegraph.architecture`).
    pub architecture: Option<String>,
}

/// Checks a loaded model against the contract; the error says what does not fit.
pub(super) fn check(session: &Session) -> Result<ModelMeta, String> {
    let metadata = session.metadata().map_err(|e| format!("metadata cannot be read: {e}"))?;
    let text = |key: &str| metadata.custom(key).ok_or_else(|| format!("has no metadata property `{key}`"));
    let number = |key: &str| {
        let text = text(key)?;
        text.parse::<usize>()
            .ok()
            .filter(|n| (1..=65_536).contains(n))
            .ok_or_else(|| format!("metadata property `{key}` is `{text}`, expected a whole number from 1"))
    };
    let meta = ModelMeta {
        n: number("phasegraph.n")?,
        gridsize: number("phasegraph.gridsize")?,
        channels: number("phasegraph.channels")?,
        normalisation: text("phasegraph.normalisation")?.parse()?,
        architecture: metadata.custom("phasegraph.architecture"),
    };
    if !matches!(meta.gridsize, 1 | 2) || meta.channels != meta.gridsize * meta.gridsize {
        return Err(format!(
            "gridsize {} with {} channels; gridsize is 1 or 2, and channels its square",
            meta.gridsize, meta.channels
        ));
    }
    match session.inputs() {
        [one] if one.name() == INPUT => fits("input", INPUT, one.dtype(), &meta)?,
        inputs => {
            let names: Vec<&str> = inputs.iter().map(|i| i.name()).collect();
            return Err(format!("its inputs are {names:?}, expected `{INPUT}` alone"));
        }
    }
    for name in [AMPLITUDE, PHASE] {
        let output = session.outputs().iter().find(|o| o.name() == name).ok_or_else(|| {
            let names: Vec<&str> = session.outputs().iter().map(|o| o.name()).collect();
            format!("has no output `{name}`; its outputs are {names:?}")
        })?;
        fits("output", name, output.dtype(), &meta)?;
    }
    Ok(meta)
}

/// Whether a tensor is float32 `[free, C, N, N]`. Inner axes may be free too: shapes are checked on every run.
fn fits(role: &str, name: &str, dtype: &ValueType, meta: &ModelMeta) -> Result<(), String> {
    let expected = format!("float32 [batch, {}, {}, {}]", meta.channels, meta.n, meta.n);
    let fit = match dtype {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => match &shape[..] {
            [batch, inner @ ..] => {
                let want = [meta.channels, meta.n, meta.n];
                *batch == -1
                    && inner.len() == want.len()
                    && inner
                        .iter()
                        .zip(want)
                        .all(|(&have, want)| have == -1 || usize::try_from(have) == Ok(want))
            }
            // An output whose shape the graph does not state is checked when it is there.
            [] => role == "output",
        },
        _ => false,
    };
    fit.then_some(())
        .ok_or_else(|| format!("{role} `{name}` is {dtype}, expected {expected} with a free batch axis"))
}
