//! The trained network as an ONNX file, and what memory such a file asks for: opset 17, IR version 8, free batch axis, 32-bit floats.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

mod memory;
mod proto;
mod read;
mod shape;
#[cfg(test)]
mod tests;

use std::f32::consts::PI;

pub use memory::{Footprint, footprint};
use proto::Message;

use super::graph::{Graph, Op};
use super::network::Network;

/// Name of the input: normalised amplitudes [batch, C, N, N], zero frequency at index N/2.
pub const INPUT: &str = "diffraction";
/// Names of the outputs, each [batch, C, N, N]: amplitude |O| in the object's unit, phase in radians.
/// Both are 0 outside the drawn part.
pub const OUTPUTS: [&str; 2] = ["amplitude", "phase"];

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Encodes the network with metadata properties. Equal networks give equal bytes.
pub fn encode(network: &Network<f32>, metadata: &[(&str, String)]) -> Vec<u8> {
    let opset = Message::new().text(1, "").int(2, OPSET);
    Message::new()
        .int(1, IR_VERSION)
        .text(2, env!("CARGO_PKG_NAME"))
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph(network))
        .message(8, opset)
        .repeated(metadata, |model, (key, value)| {
            model.message(14, Message::new().text(1, key).text(2, value))
        })
        .into_bytes()
}

/// GraphProto.
fn graph(network: &Network<f32>) -> Message {
    let (graph, mut writer) = (&network.graph, Writer::default());
    writer.constant_f32("twice", &[4], &[1.0, 1.0, 2.0, 2.0]);
    writer.constant_f32("ceiling", &[], &[network.ceiling]);
    writer.constant_f32("pi", &[], &[PI]);
    for op in &graph.ops {
        match *op {
            Op::Conv { from, to, conv, relu } => {
                writer.conv(network, conv);
                let output = if relu { format!("sum{to}") } else { name(to) };
                let inputs = [name(from), format!("weight{conv}"), format!("bias{conv}")];
                writer.node("Conv", &inputs, &output, |n| {
                    ints(ints(n, "kernel_shape", &[3, 3]), "pads", &[1, 1, 1, 1])
                });
                if relu {
                    writer.node("Relu", &[output], &name(to), |n| n);
                }
            }
            Op::Pool { from, to } => writer.node("MaxPool", &[name(from)], &name(to), |n| {
                ints(ints(n, "kernel_shape", &[2, 2]), "strides", &[2, 2])
            }),
            // Pixel i of the result is pixel floor(i / 2) of the input: repetition.
            Op::Upsample { from, to } => {
                writer.node("Resize", &[name(from), String::new(), "twice".to_owned()], &name(to), |n| {
                    let n = string(n, "mode", "nearest");
                    let n = string(n, "coordinate_transformation_mode", "asymmetric");
                    string(n, "nearest_mode", "floor")
                });
            }
        }
    }
    writer.head(graph, 0, "Sigmoid", "ceiling");
    writer.head(graph, 1, "Tanh", "pi");
    let tensor = |name: &str| value_info(graph, name);
    Message::new()
        .repeated(writer.nodes, |g, node| g.message(1, node))
        .text(2, "phasegraph")
        .repeated(writer.constants, |g, constant| g.message(5, constant))
        .message(11, tensor(INPUT))
        .repeated(OUTPUTS, |g, output| g.message(12, tensor(output)))
}

/// Name of an activation map.
fn name(map: usize) -> String {
    if map == 0 { INPUT.to_owned() } else { format!("map{map}") }
}

/// ValueInfoProto of a float32 [batch, C, N, N].
fn value_info(graph: &Graph, name: &str) -> Message {
    let shape = graph.maps[0];
    let free = Message::new().text(2, "batch");
    let fixed = |n: usize| Message::new().int(1, n as i64);
    let shape = [free, fixed(shape.channels), fixed(shape.side), fixed(shape.side)];
    let shape = Message::new().repeated(shape, |s, dim| s.message(1, dim));
    let tensor = Message::new().int(1, FLOAT).message(2, shape);
    Message::new().text(1, name).message(2, Message::new().message(1, tensor))
}

/// Adds an attribute of integers to a node.
fn ints(node: Message, name: &str, values: &[i64]) -> Message {
    let attribute = Message::new().text(1, name).repeated(values, |a, v| a.int(8, *v)).int(20, 7);
    node.message(5, attribute)
}

/// Adds a text attribute to a node.
fn string(node: Message, name: &str, value: &str) -> Message {
    node.message(5, Message::new().text(1, name).text(4, value).int(20, 3))
}

/// Nodes and initialisers written so far.
#[derive(Default)]
struct Writer {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Writer {
    fn node(
        &mut self,
        kind: &str,
        inputs: &[impl AsRef<str>],
        output: &str,
        attributes: impl FnOnce(Message) -> Message,
    ) {
        let node = Message::new()
            .repeated(inputs, |n, input| n.text(1, input.as_ref()))
            .text(2, output)
            .text(3, output)
            .text(4, kind);
        self.nodes.push(attributes(node));
    }

    fn constant(&mut self, name: &str, kind: i64, dims: &[usize], data: &[u8]) {
        let tensor = Message::new()
            .repeated(dims, |t, dim| t.int(1, *dim as i64))
            .int(2, kind)
            .text(8, name)
            .bytes(9, data);
        self.constants.push(tensor);
    }

    fn constant_f32(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, FLOAT, dims, &data);
    }

    /// Weights as ONNX wants them, [output][input][row][column], and biases.
    fn conv(&mut self, network: &Network<f32>, index: usize) {
        let conv = &network.graph.convs[index];
        let mut weights = Vec::with_capacity(conv.weights());
        for output in 0..conv.outputs {
            for input in 0..conv.inputs {
                for at in 0..9 {
                    weights.push(network.parameters[conv.index(at / 3, at % 3, input, output)]);
                }
            }
        }
        let bias = &network.parameters[conv.offset + conv.weights()..conv.offset + conv.len()];
        self.constant_f32(&format!("weight{index}"), &[conv.outputs, conv.inputs, 3, 3], &weights);
        self.constant_f32(&format!("bias{index}"), &[conv.outputs], bias);
    }

    /// The activation behind a decoder, times a constant, and zeros around what it draws.
    fn head(&mut self, graph: &Graph, head: usize, activation: &str, scale: &str) {
        let (output, side) = (OUTPUTS[head], graph.architecture.side);
        let (unit, drawn) = (format!("{output}_unit"), format!("{output}_drawn"));
        self.node(activation, &[name(graph.heads[head])], &unit, |n| n);
        let margin = (side - graph.drawn()) / 2;
        if margin == 0 {
            return self.node("Mul", &[unit.as_str(), scale], output, |n| n);
        }
        self.node("Mul", &[unit.as_str(), scale], &drawn, |n| n);
        let pads = format!("{output}_margin");
        let m = margin as i64;
        let data: Vec<u8> = [0, 0, m, m, 0, 0, m, m].iter().flat_map(|v: &i64| v.to_le_bytes()).collect();
        self.constant(&pads, INT64, &[8], &data);
        self.node("Pad", &[drawn, pads], output, |n| string(n, "mode", "constant"));
    }
}
