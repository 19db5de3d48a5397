//! A network with its parameters, and the working memory of one sample's forward and backward pass.

use std::f64::consts::PI;

use rand::RngExt;

use super::conv::Shape;
use super::graph::{Graph, Op};
use super::real::Real;
use super::resample::{pool, pool_backward, upsample, upsample_backward};
use crate::ptycho::rng::keyed;

/// Amplitude and phase of a sample's patches, or the gradients with respect to them:
/// `[channel][row][col]`, the drawn part only.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches<T> {
    /// Amplitude |O|, absolute, in the unit of the object.
    pub amplitude: Vec<T>,
    /// Phase, radians, in (−π, π).
    pub phase: Vec<T>,
}

impl<T: Real> Patches<T> {
    /// All zero.
    pub fn zeros(len: usize) -> Self {
        Self { amplitude: vec![T::zero(); len], phase: vec![T::zero(); len] }
    }
}

/// A network and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<T> {
    /// Layers.
    pub graph: Graph,
    /// Weights and biases of all convolutions, in order.
    pub parameters: Vec<T>,
    /// Amplitude is `ceiling · sigmoid(z)`; phase is `π · tanh(z)`.
    pub ceiling: T,
}

impl<T: Real> Network<T> {
    /// A network with random weights: uniform with the variance 2 / fan-in that keeps the size of
    /// activations behind ReLUs (He et al. 2015), a tenth of that in the last layers, so that a new
    /// network draws nearly flat patches, of amplitude `level` and phase 0.
    pub fn new(graph: Graph, seed: u64, level: f64, ceiling: f64) -> Self {
        let mut parameters = vec![T::zero(); graph.parameters];
        for op in &graph.ops {
            let Op::Conv { to, conv: index, .. } = *op else { continue };
            let (conv, is_head) = (graph.convs[index], graph.heads.contains(&to));
            let bound = (6.0 / (9 * conv.inputs) as f64).sqrt() * if is_head { 0.1 } else { 1.0 };
            let mut random = keyed(seed, "initial weights", index as u64);
            for value in &mut parameters[conv.offset..conv.offset + conv.weights()] {
                *value = T::of(random.random_range(-bound..bound));
            }
            if to == graph.heads[0] {
                let bias = (level / (ceiling - level)).ln();
                parameters[conv.offset + conv.weights()..conv.offset + conv.len()].fill(T::of(bias));
            }
        }
        Self { graph, parameters, ceiling: T::of(ceiling) }
    }

    /// Writes every kernel turned for the backward pass (see [`super::conv::Conv::turn`]).
    pub fn turn(&self, turned: &mut Vec<T>) {
        turned.resize(self.parameters.len(), T::zero());
        for conv in &self.graph.convs {
            conv.turn(&self.parameters, turned);
        }
    }
}

/// Activations and gradients of one sample. Each thread has its own.
#[derive(Debug, Clone)]
pub struct Workspace<T> {
    values: Vec<Vec<T>>,
    gradients: Vec<Vec<T>>,
    /// Whether a gradient map holds something of this backward pass: then later consumers add to it.
    written: Vec<bool>,
    /// The forward pass's result.
    pub output: Patches<T>,
}

impl<T: Real> Workspace<T> {
    /// Memory for networks of that graph.
    pub fn new(graph: &Graph) -> Self {
        let maps: Vec<Vec<T>> = graph.maps.iter().map(|shape| vec![T::zero(); shape.len()]).collect();
        let drawn = graph.drawn();
        Self {
            gradients: maps.clone(),
            values: maps,
            written: vec![false; graph.maps.len()],
            output: Patches::zeros(graph.architecture.channels * drawn * drawn),
        }
    }

    /// Runs the network on `input` (`[channel][row][col]`, normalised amplitudes); the result is in `output`.
    pub fn forward(&mut self, network: &Network<T>, input: &[T]) {
        let graph = &network.graph;
        interleave(graph.maps[0], input, &mut self.values[0]);
        for op in &graph.ops {
            match *op {
                Op::Conv { from, to, conv, relu } => {
                    let (source, target) = pair(&mut self.values, from, to);
                    let side = graph.maps[from].side;
                    graph.convs[conv].forward(&network.parameters, side, source, target, relu);
                }
                Op::Pool { from, to } => {
                    let (source, target) = pair(&mut self.values, from, to);
                    pool(graph.maps[from], source, target);
                }
                Op::Upsample { from, to } => {
                    let (source, target) = pair(&mut self.values, from, to);
                    upsample(graph.maps[from], source, target);
                }
            }
        }
        let [amplitude, phase] = graph.heads;
        separate(graph.maps[amplitude], &self.values[amplitude], &mut self.output.amplitude);
        separate(graph.maps[phase], &self.values[phase], &mut self.output.phase);
        for value in &mut self.output.amplitude {
            *value = network.ceiling / (T::one() + (-*value).exp());
        }
        for value in &mut self.output.phase {
            *value = T::of(PI) * value.tanh();
        }
    }

    /// Gradient of the loss with respect to all parameters, written to `to`, given the gradient
    /// `upstream` with respect to [`Workspace::output`] of the forward pass just made.
    pub fn backward(&mut self, network: &Network<T>, turned: &[T], upstream: &Patches<T>, to: &mut [T]) {
        let graph = &network.graph;
        self.written.fill(false);
        self.heads_backward(network, upstream);
        for op in graph.ops.iter().rev() {
            match *op {
                Op::Conv { from, to: out, conv, relu } => {
                    let (side, conv) = (graph.maps[from].side, &graph.convs[conv]);
                    if relu {
                        block_negative(&self.values[out], &mut self.gradients[out]);
                    }
                    conv.backward_parameters(side, &self.values[from], &self.gradients[out], to);
                    if from != 0 {
                        let (target, upstream) = pair(&mut self.gradients, out, from);
                        conv.backward_input(turned, side, target, upstream, self.written[from]);
                    }
                    self.written[from] = true;
                }
                Op::Pool { from, to: out } => {
                    let (upstream, target) = pair(&mut self.gradients, out, from);
                    pool_backward(graph.maps[from], &self.values[from], upstream, target, self.written[from]);
                    self.written[from] = true;
                }
                Op::Upsample { from, to: out } => {
                    let (upstream, target) = pair(&mut self.gradients, out, from);
                    upsample_backward(graph.maps[from], upstream, target, self.written[from]);
                    self.written[from] = true;
                }
            }
        }
    }

    /// Gradients behind the two activations, into the last maps of the decoders.
    fn heads_backward(&mut self, network: &Network<T>, upstream: &Patches<T>) {
        let graph = &network.graph;
        let [amplitude, phase] = graph.heads;
        // a = c·σ(z): da/dz = a·(1 − a/c).
        let slope = |a: T| a * (T::one() - a / network.ceiling);
        let chain = |g: &[T], out: &[T], slope: &dyn Fn(T) -> T| -> Vec<T> {
            g.iter().zip(out).map(|(&g, &out)| g * slope(out)).collect()
        };
        let through = chain(&upstream.amplitude, &self.output.amplitude, &slope);
        interleave(graph.maps[amplitude], &through, &mut self.gradients[amplitude]);
        // φ = π·tanh(z): dφ/dz = π·(1 − (φ/π)²).
        let pi = T::of(PI);
        let slope = |phi: T| pi * (T::one() - (phi / pi) * (phi / pi));
        let through = chain(&upstream.phase, &self.output.phase, &slope);
        interleave(graph.maps[phase], &through, &mut self.gradients[phase]);
    }
}

/// A map to read and another to write.
fn pair<T>(maps: &mut [Vec<T>], read: usize, write: usize) -> (&[T], &mut [T]) {
    let (low, high) = maps.split_at_mut(read.max(write));
    if read < write { (&low[read], &mut high[0]) } else { (&high[0], &mut low[write]) }
}

/// Gradient of ReLU: nothing passes where its output is 0.
fn block_negative<T: Real>(output: &[T], gradient: &mut [T]) {
    for (g, &value) in gradient.iter_mut().zip(output) {
        if value <= T::zero() {
            *g = T::zero();
        }
    }
}

/// `[channel][row][col]` into the interior of a map with channels innermost.
fn interleave<T: Real>(shape: Shape, planes: &[T], map: &mut [T]) {
    let (side, c) = (shape.side, shape.channels);
    for (r, row) in shape.interior_mut(map).enumerate() {
        for (col, pixel) in row.chunks_exact_mut(c).enumerate() {
            for (i, value) in pixel.iter_mut().enumerate() {
                *value = planes[(i * side + r) * side + col];
            }
        }
    }
}

/// The inverse of [`interleave`].
fn separate<T: Real>(shape: Shape, map: &[T], planes: &mut [T]) {
    let (side, c) = (shape.side, shape.channels);
    for (r, row) in shape.interior(map).enumerate() {
        for (col, pixel) in row.chunks_exact(c).enumerate() {
            for (i, &value) in pixel.iter().enumerate() {
                planes[(i * side + r) * side + col] = value;
            }
        }
    }
}
