//! What a model file must look like to be run by the `infer` stage.

use std::str::FromStr;

use ort::session::Session;
use ort::value::{TensorElementType, ValueType};

use crate::nn::onnx::{About, Port};

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

/// An input or an output, as a session or a file describes it.
pub(super) struct Described {
    pub name: String,
    pub float32: bool,
    /// Lengths of the axes, −1 for a free one; `None` if not told.
    pub shape: Option<Vec<i64>>,
    /// All of that, for messages.
    pub text: String,
}

/// Checks a loaded model against the contract; the error says what does not fit.
pub(super) fn check(session: &Session) -> Result<ModelMeta, String> {
    let metadata = session.metadata().map_err(|e| format!("metadata cannot be read: {e}"))?;
    let described = |name: &str, dtype: &ValueType| Described {
        name: name.to_owned(),
        float32: matches!(dtype, ValueType::Tensor { ty: TensorElementType::Float32, .. }),
        shape: match dtype {
            // The library gives a shape without axes for one that the graph does not state.
            ValueType::Tensor { shape, .. } if !shape.is_empty() => Some(shape.to_vec()),
            _ => None,
        },
        text: dtype.to_string(),
    };
    let inputs: Vec<_> = session.inputs().iter().map(|i| described(i.name(), i.dtype())).collect();
    let outputs: Vec<_> = session.outputs().iter().map(|o| described(o.name(), o.dtype())).collect();
    judge(|key| metadata.custom(key), &inputs, &outputs)
}

/// Checks what a file says of itself against the contract, without running it.
///
/// # Errors
/// Says what does not fit.
pub fn check_file(about: &About) -> Result<ModelMeta, String> {
    let described = |port: &Port| Described {
        name: port.name.clone(),
        float32: port.element == "float32",
        shape: port.shape.as_ref().map(|shape| {
            shape.iter().map(|axis| axis.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1)).collect()
        }),
        text: port.to_string(),
    };
    let find = |key: &str| about.metadata.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
    let inputs: Vec<_> = about.inputs.iter().map(described).collect();
    let outputs: Vec<_> = about.outputs.iter().map(described).collect();
    judge(find, &inputs, &outputs)
}

fn judge(
    custom: impl Fn(&str) -> Option<String>,
    inputs: &[Described],
    outputs: &[Described],
) -> Result<ModelMeta, String> {
    let text = |key: &str| custom(key).ok_or_else(|| format!("has no metadata property `{key}`"));
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
        architecture: custom("phasegraph.architecture"),
    };
    if !matches!(meta.gridsize, 1 | 2) || meta.channels != meta.gridsize * meta.gridsize {
        return Err(format!(
            "gridsize {} with {} channels; gridsize is 1 or 2, and channels its square",
            meta.gridsize, meta.channels
        ));
    }
    let names = |ports: &[Described]| ports.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    match inputs {
        [one] if one.name == INPUT => fits("input", one, &meta)?,
        inputs => return Err(format!("its inputs are {:?}, expected `{INPUT}` alone", names(inputs))),
    }
    for name in [AMPLITUDE, PHASE] {
        let output = outputs
            .iter()
            .find(|o| o.name == name)
            .ok_or_else(|| format!("has no output `{name}`; its outputs are {:?}", names(outputs)))?;
        fits("output", output, &meta)?;
    }
    Ok(meta)
}

/// Whether a tensor is float32 `[free, C, N, N]`. Inner axes may be free too: shapes are checked on every run.
fn fits(role: &str, port: &Described, meta: &ModelMeta) -> Result<(), String> {
    let expected = format!("float32 [batch, {}, {}, {}]", meta.channels, meta.n, meta.n);
    let want = [meta.channels, meta.n, meta.n];
    let fit = port.float32
        && match port.shape.as_deref() {
            Some([batch, inner @ ..]) => {
                *batch == -1
                    && inner.len() == want.len()
                    && inner
                        .iter()
                        .zip(want)
                        .all(|(&have, want)| have == -1 || usize::try_from(have) == Ok(want))
            }
            // An output whose shape the graph does not state is checked when it is there.
            _ => role == "output",
        };
    fit.then_some(()).ok_or_else(|| {
        format!("{role} `{}` is {}, expected {expected} with a free batch axis", port.name, port.text)
    })
}
