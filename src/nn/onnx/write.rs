//! The nodes and constants of a network as ONNX.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::collections::BTreeSet;
use std::f32::consts::PI;

use super::proto::Message;
use super::{INPUT, OUTPUTS};
use crate::nn::graph::{Function, Graph, Map, Op, Unit};
use crate::nn::network::Network;

const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// The input, scaled.
const SCALED: &str = "scaled";

/// GraphProto.
pub(super) fn graph(network: &Network<f32>) -> Message {
    let (graph, mut writer) = (&network.graph, Writer::default());
    let names = names(graph, network.scaled);
    let name = |map: Map| names[map].as_str();
    writer.constant_f32("twice", &[4], &[1.0, 1.0, 2.0, 2.0]);
    writer.constant_f32("ceiling", &[], &[network.ceiling]);
    writer.constant_f32("pi", &[], &[PI]);
    if network.scaled {
        writer.constant_f32("input_factor", &[], &[network.input_factor()]);
        writer.node("Mul", &[INPUT, "input_factor"], SCALED, |n| n);
    }
    for op in &graph.ops {
        match *op {
            Op::Conv { from, to, conv, relu } => {
                writer.conv(network, conv);
                let output = if relu { format!("sum{to}") } else { name(to).to_owned() };
                let inputs = [name(from), &format!("weight{conv}"), &format!("bias{conv}")];
                writer.node("Conv", &inputs, &output, |n| {
                    ints(ints(n, "kernel_shape", &[3, 3]), "pads", &[1, 1, 1, 1])
                });
                if relu {
                    writer.node("Relu", &[output], name(to), |n| n);
                }
            }
            Op::Pool { from, to } => writer.node("MaxPool", &[name(from)], name(to), |n| {
                ints(ints(n, "kernel_shape", &[2, 2]), "strides", &[2, 2])
            }),
            Op::Upsample { from, to } => writer.upsample(name(from), name(to)),
            Op::Slice { from, to, first } => {
                let ends = [first as i64, (first + graph.maps[to].channels) as i64, 1];
                writer.slice(name(from), name(to), ends);
            }
            Op::Activate { from, to, function, unit } => {
                writer.activation(name(from), name(to), function, unit);
            }
            Op::Inlay { inner, outer, to } => {
                let sides = [graph.maps[inner].side, graph.maps[outer].side];
                writer.inlay(sides, [name(inner), name(outer), name(to)]);
            }
        }
    }
    let margin = (graph.architecture.side - graph.drawn()) / 2;
    for (output, map) in OUTPUTS.into_iter().zip(graph.outputs) {
        if margin > 0 {
            writer.pad(name(map), output, margin);
        }
    }
    let shape = graph.maps[0];
    let tensor = |name: &str| port(name, [shape.channels, shape.side]);
    Message::new()
        .repeated(writer.nodes, |g, node| g.message(1, node))
        .text(2, "phasegraph")
        .repeated(writer.constants, |g, constant| g.message(5, constant))
        .message(11, tensor(INPUT))
        .repeated(OUTPUTS, |g, output| g.message(12, tensor(output)))
}

/// Names of all activation maps.
fn names(graph: &Graph, scaled: bool) -> Vec<String> {
    let whole = graph.drawn() == graph.architecture.side;
    (0..graph.maps.len())
        .map(|map| match graph.outputs.iter().position(|o| *o == map) {
            _ if map == 0 => if scaled { SCALED } else { INPUT }.to_owned(),
            Some(output) if whole => OUTPUTS[output].to_owned(),
            _ => format!("map{map}"),
        })
        .collect()
}

/// ValueInfoProto of a float32 [batch, C, N, N].
pub(super) fn port(name: &str, [channels, side]: [usize; 2]) -> Message {
    let free = Message::new().text(2, "batch");
    let fixed = |n: usize| Message::new().int(1, n as i64);
    let shape = [free, fixed(channels), fixed(side), fixed(side)];
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
pub(super) struct Writer {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    known: BTreeSet<String>,
}

impl Writer {
    /// The nodes, in order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Message> {
        self.nodes.iter()
    }

    /// The constants.
    pub(super) fn constants(&self) -> impl Iterator<Item = &Message> {
        self.constants.iter()
    }

    /// Times a number.
    pub(super) fn scale(&mut self, from: &str, to: &str, factor: f32) {
        let constant = format!("{to}.factor");
        self.constant_f32(&constant, &[], &[factor]);
        self.node("Mul", &[from, &constant], to, |n| n);
    }

    /// Plus a number.
    pub(super) fn shift(&mut self, from: &str, to: &str, offset: f32) {
        let constant = format!("{to}.offset");
        self.constant_f32(&constant, &[], &[offset]);
        self.node("Add", &[from, &constant], to, |n| n);
    }

    /// Axes in another order.
    pub(super) fn transpose(&mut self, from: &str, to: &str, order: &[i64]) {
        self.node("Transpose", &[from], to, |n| ints(n, "perm", order));
    }

    pub(super) fn node(
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

    /// A constant that several nodes share is written once.
    fn constant(&mut self, name: &str, kind: i64, dims: &[usize], data: &[u8]) {
        if !self.known.insert(name.to_owned()) {
            return;
        }
        let tensor = Message::new()
            .repeated(dims, |t, dim| t.int(1, *dim as i64))
            .int(2, kind)
            .text(8, name)
            .bytes(9, data);
        self.constants.push(tensor);
    }

    fn constant_i64(&mut self, name: &str, values: &[i64]) {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, INT64, &[values.len()], &data);
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

    /// Pixel i of the result is pixel floor(i / 2) of the input: repetition.
    fn upsample(&mut self, from: &str, to: &str) {
        self.node("Resize", &[from, "", "twice"], to, |n| {
            let n = string(n, "mode", "nearest");
            let n = string(n, "coordinate_transformation_mode", "asymmetric");
            string(n, "nearest_mode", "floor")
        });
    }

    /// Channels `[start, end)`; the last number is the axis.
    pub(super) fn slice(&mut self, from: &str, to: &str, [start, end, axis]: [i64; 3]) {
        let mut inputs = vec![from.to_owned()];
        for (what, value) in [("start", start), ("end", end), ("axis", axis)] {
            let constant = format!("{to}_{what}");
            self.constant_i64(&constant, &[value]);
            inputs.push(constant);
        }
        self.node("Slice", &inputs, to, |n| n);
    }

    /// An activation, times what its unit stands for.
    fn activation(&mut self, from: &str, to: &str, function: Function, unit: Unit) {
        let factor = match unit {
            Unit::One => None,
            Unit::Ceiling => Some("ceiling"),
            Unit::Pi => Some("pi"),
        };
        let bare = if factor.is_some() { format!("{to}_unit") } else { to.to_owned() };
        match function {
            Function::Identity => self.node("Identity", &[from], &bare, |n| n),
            Function::Sigmoid => self.node("Sigmoid", &[from], &bare, |n| n),
            Function::Tanh => self.node("Tanh", &[from], &bare, |n| n),
            Function::Swish => {
                let sigmoid = format!("{to}_sigmoid");
                self.node("Sigmoid", &[from], &sigmoid, |n| n);
                self.node("Mul", &[from, &sigmoid], &bare, |n| n);
            }
        }
        if let Some(factor) = factor {
            self.node("Mul", &[bare.as_str(), factor], to, |n| n);
        }
    }

    /// Zeros around, `margin` pixels wide.
    fn pad(&mut self, from: &str, to: &str, margin: usize) {
        let (pads, m) = (format!("{to}_margin"), margin as i64);
        self.constant_i64(&pads, &[0, 0, m, m, 0, 0, m, m]);
        self.node("Pad", &[from, &pads], to, |n| string(n, "mode", "constant"));
    }

    /// The first map, padded, plus the second outside of it.
    fn inlay(&mut self, [size, side]: [usize; 2], [inner, outer, to]: [&str; 3]) {
        let margin = (side - size) / 2;
        let covered = margin..margin + size;
        let outside = |i: usize| !(covered.contains(&(i / side)) && covered.contains(&(i % side)));
        let mask: Vec<f32> = (0..side * side).map(|i| f32::from(u8::from(outside(i)))).collect();
        let (ring, padded, rest) = (format!("outside{size}"), format!("{to}_inner"), format!("{to}_outer"));
        self.constant_f32(&ring, &[1, 1, side, side], &mask);
        self.pad(inner, &padded, margin);
        self.node("Mul", &[outer, &ring], &rest, |n| n);
        self.node("Add", &[padded, rest], to, |n| n);
    }
}
