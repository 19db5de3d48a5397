//! A model made elsewhere, put into the form that `infer` runs: nodes before and after it rearrange axes and
//! scale numbers, and metadata is added. The model itself, weights and operations, is copied byte for byte.
//!
//! The file is taken apart only as far as it must be: fields of the model, fields of its graph, names of tensors.
//! Whatever else is in it stays as it is, also what this program knows nothing of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::proto::Message;
use super::read::Model;
use super::{INPUT, OUTPUTS, write};

/// Order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Layout {
    /// [batch, channel, row, column], as PyTorch has it.
    #[default]
    Nchw,
    /// [batch, row, column, channel], as TensorFlow has it.
    Nhwc,
}

/// Where an output's numbers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct From {
    /// Name of the model's output.
    pub name: String,
    /// Its first channel, where one output holds both amplitude and phase.
    #[serde(default)]
    pub channel: usize,
    /// What its numbers are multiplied by: π, if it is the phase in units of π.
    #[serde(default = "one")]
    pub scale: f32,
    /// What is added then.
    #[serde(default)]
    pub offset: f32,
}

/// How amplitudes are scaled before a model sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Scaling {
    /// As they are in the file.
    #[default]
    None,
    /// X·√((N/2)² / mean of ΣX²) over the dataset, as `train` does.
    Rms,
}

/// How a model that was trained elsewhere is laid out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Adapter {
    /// 1: it takes single images; 2: groups of four overlapping ones, as channels.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 2))]
    pub gridsize: usize,
    /// How amplitudes are scaled before it sees them.
    #[serde(default)]
    pub normalisation: Scaling,
    /// Name of the model's input; its only one, if absent.
    #[serde(default)]
    pub input: Option<String>,
    /// Order of the axes of input and outputs.
    #[serde(default)]
    pub layout: Layout,
    /// Whether it takes intensities (counts) rather than amplitudes.
    #[serde(default)]
    pub intensity: bool,
    /// What its input is multiplied by, after normalisation and, if so, squaring.
    #[serde(default = "one")]
    pub input_scale: f32,
    /// Where the amplitude comes from.
    pub amplitude: From,
    /// Where the phase comes from, radians.
    pub phase: From,
}

fn one() -> f32 {
    1.0
}

fn single() -> usize {
    1
}

/// Prefix of names inside the model that would clash with those of the contract.
const OWN: &str = "inner.";

/// The model in `bytes`, taking and giving [batch, C, `side`, `side`] under the names of the contract, with the
/// contract's metadata.
///
/// # Errors
/// Says what does not fit: no such input or output.
pub fn adapt(bytes: &[u8], adapter: &Adapter, side: usize) -> Result<Vec<u8>, String> {
    let channels = adapter.gridsize * adapter.gridsize;
    let scaling = match adapter.normalisation {
        Scaling::None => "none",
        Scaling::Rms => "rms",
    };
    let metadata = [
        ("phasegraph.n", side.to_string()),
        ("phasegraph.gridsize", adapter.gridsize.to_string()),
        ("phasegraph.channels", channels.to_string()),
        ("phasegraph.normalisation", scaling.to_owned()),
        ("phasegraph.architecture", "trained elsewhere".to_owned()),
    ];
    let model = Model::parse(bytes.to_vec())?;
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    let constant = |name: &str| graph.constants.iter().any(|t| t.name == name);
    let free: Vec<&str> = graph.inputs.iter().map(|i| &*i.name).filter(|name| !constant(name)).collect();
    let input = match (&adapter.input, free.as_slice()) {
        (Some(name), all) if all.contains(&name.as_str()) => name.as_str(),
        (None, [one]) => one,
        (Some(name), all) => return Err(format!("it has no input `{name}`; its inputs are {all:?}")),
        (None, all) => {
            return Err(format!("its inputs are {all:?}; `input` must name the one that takes patterns"));
        }
    };
    let outputs: Vec<&str> = graph.outputs.iter().map(|o| &*o.name).collect();
    for from in [&adapter.amplitude, &adapter.phase] {
        if !outputs.contains(&from.name.as_str()) {
            return Err(format!("it has no output `{}`; its outputs are {outputs:?}", from.name));
        }
    }

    let mut before = write::Writer::default();
    let mut at = INPUT.to_owned();
    let mut step = |writer: &mut write::Writer, to: &str, add: &dyn Fn(&mut write::Writer, &str, &str)| {
        add(writer, &at, to);
        to.clone_into(&mut at);
    };
    if adapter.intensity {
        step(&mut before, "adapter.squared", &|w, from, to| w.node("Mul", &[from, from], to, |n| n));
    }
    step(&mut before, "adapter.scaled", &|w, from, to| w.scale(from, to, adapter.input_scale));
    match adapter.layout {
        Layout::Nchw => step(&mut before, &own(input), &|w, from, to| w.node("Identity", &[from], to, |n| n)),
        Layout::Nhwc => step(&mut before, &own(input), &|w, from, to| w.transpose(from, to, &[0, 2, 3, 1])),
    }
    let mut after = write::Writer::default();
    for (output, from) in OUTPUTS.into_iter().zip([&adapter.amplitude, &adapter.phase]) {
        let mut at = own(&from.name);
        if adapter.layout == Layout::Nhwc {
            let to = format!("adapter.{output}.turned");
            after.transpose(&at, &to, &[0, 3, 1, 2]);
            at = to;
        }
        let (part, scaled) = (format!("adapter.{output}.part"), format!("adapter.{output}.scaled"));
        after.slice(&at, &part, [from.channel as i64, (from.channel + channels) as i64, 1]);
        after.scale(&part, &scaled, from.scale);
        after.shift(&scaled, output, from.offset);
    }

    let kept = graph.inputs.iter().filter(|i| i.name != input).map(|i| own(&i.name)).collect::<Vec<_>>();
    let parts = [before, after];
    Ok(Message::new()
        .raw(&rebuilt(bytes, &parts, &kept, [channels, side])?)
        .repeated(metadata, |model, (key, value)| {
            model.message(14, Message::new().text(1, key).text(2, &value))
        })
        .into_bytes())
}

/// A tensor's name inside the adapted file.
fn own(name: &str) -> String {
    format!("{OWN}{name}")
}

/// All fields of the model but the metadata of the contract, its graph rebuilt.
fn rebuilt(
    bytes: &[u8],
    [before, after]: &[write::Writer; 2],
    kept: &[String],
    shape: [usize; 2],
) -> Result<Vec<u8>, String> {
    let mut out = Message::new();
    for field in fields(bytes)? {
        out = match field.number {
            7 => {
                let mut graph = Message::new();
                graph = before.nodes().fold(graph, |g, node| g.message(1, node.clone()));
                for inner in fields(field.bytes)? {
                    graph = match inner.number {
                        // NodeProto: names of inputs and outputs.
                        1 => graph.message(1, renamed(inner.bytes, &[1, 2])?),
                        // TensorProto: its name.
                        5 => graph.message(5, renamed(inner.bytes, &[8])?),
                        // ValueInfoProto of inputs: those that constants fill stay.
                        11 => {
                            let value = renamed(inner.bytes, &[1])?;
                            let stays = name_of(inner.bytes)?.is_some_and(|n| kept.contains(&own(&n)));
                            if stays { graph.message(11, value) } else { graph }
                        }
                        12 => graph,
                        13 => graph.message(13, renamed(inner.bytes, &[1])?),
                        _ => graph.raw(inner.whole),
                    };
                }
                graph = after.nodes().fold(graph, |g, node| g.message(1, node.clone()));
                let constants = before.constants().chain(after.constants());
                graph = constants.fold(graph, |g, constant| g.message(5, constant.clone()));
                graph = graph.message(11, write::port(INPUT, shape));
                out.message(7, OUTPUTS.iter().fold(graph, |g, o| g.message(12, write::port(o, shape))))
            }
            // A property that the contract knows is given anew.
            14 if name_of(field.bytes)?.is_some_and(|key| key.starts_with("phasegraph.")) => out,
            _ => out.raw(field.whole),
        };
    }
    Ok(out.into_bytes())
}

/// A message in which the text fields of those numbers are names of the model's own.
fn renamed(bytes: &[u8], numbers: &[u64]) -> Result<Message, String> {
    let mut out = Message::new();
    for field in fields(bytes)? {
        out = match std::str::from_utf8(field.bytes) {
            // An input that is left out has no name.
            Ok(name) if numbers.contains(&field.number) && !name.is_empty() => {
                out.text(field.number as u32, &own(name))
            }
            _ => out.raw(field.whole),
        };
    }
    Ok(out)
}

/// Text of field 1.
fn name_of(bytes: &[u8]) -> Result<Option<String>, String> {
    let found = fields(bytes)?.into_iter().find(|field| field.number == 1);
    Ok(found.and_then(|field| String::from_utf8(field.bytes.to_vec()).ok()))
}

/// A field of a message.
struct Field<'a> {
    number: u64,
    /// Its content, if it has a length; else nothing.
    bytes: &'a [u8],
    /// Tag and all.
    whole: &'a [u8],
}

fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, String> {
    const CUT: &str = "the file is damaged: a field is cut short";
    let (mut fields, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let start = rest;
        let tag = varint(&mut rest).ok_or(CUT)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut rest).ok_or(CUT)?;
                0
            }
            1 => 8,
            2 => varint(&mut rest).ok_or(CUT)? as usize,
            5 => 4,
            other => return Err(format!("the file is damaged: wire type {other}")),
        };
        let (content, left) = rest.split_at_checked(length).ok_or(CUT)?;
        rest = left;
        let content = if tag & 7 == 2 { content } else { &[] };
        fields.push(Field { number: tag >> 3, bytes: content, whole: &start[..start.len() - rest.len()] });
    }
    Ok(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
