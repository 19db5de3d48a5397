//! Forward and backward pass of one sample, and the memory they need.

use super::conv::Shape;
use super::graph::{Graph, Op};
use super::network::Network;
use super::pointwise::{Sides, activate, activate_backward};
use super::real::Real;
use super::rearrange::{inlay, inlay_backward_inner, inlay_backward_outer, slice, slice_backward};
use super::resample::{pool, pool_backward, upsample, upsample_backward};

/// Amplitude and phase of a sample's patches, or the gradients with respect to them:
/// `[channel][row][col]`, the drawn part only.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches<T> {
    /// Amplitude |O|, absolute, in the unit of the object.
    pub amplitude: Vec<T>,
    /// Phase, radians.
    pub phase: Vec<T>,
}

impl<T: Real> Patches<T> {
    /// All zero.
    pub fn zeros(len: usize) -> Self {
        Self { amplitude: vec![T::zero(); len], phase: vec![T::zero(); len] }
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

    /// Bytes that [`new`](Self::new) takes.
    pub fn bytes(graph: &Graph) -> u64 {
        let maps: usize = graph.maps.iter().map(|shape| shape.len()).sum();
        let output = graph.architecture.channels * graph.drawn().pow(2);
        (2 * (maps + output) * size_of::<T>()) as u64
    }

    /// Runs the network on `input` (`[channel][row][col]`, normalised amplitudes); the result is in `output`.
    pub fn forward(&mut self, network: &Network<T>, input: &[T]) {
        let graph = &network.graph;
        interleave(graph.maps[0], input, &mut self.values[0]);
        if network.scaled {
            let factor = network.input_factor();
            self.values[0].iter_mut().for_each(|v| *v *= factor);
        }
        let (maps, values) = (&graph.maps, &mut self.values);
        for op in &graph.ops {
            match *op {
                Op::Conv { from, to, conv, relu } => {
                    let (source, target) = pair(values, from, to);
                    graph.convs[conv].forward(&network.parameters, maps[from].side, source, target, relu);
                }
                Op::Pool { from, to } => {
                    let (source, target) = pair(values, from, to);
                    pool(maps[from], source, target);
                }
                Op::Upsample { from, to } => {
                    let (source, target) = pair(values, from, to);
                    upsample(maps[from], source, target);
                }
                Op::Slice { from, to, first } => {
                    let (source, target) = pair(values, from, to);
                    slice([maps[from], maps[to]], first, source, target);
                }
                Op::Activate { from, to, function, unit } => {
                    let (source, target) = pair(values, from, to);
                    activate(maps[from], function, network.unit(unit), source, target);
                }
                Op::Inlay { inner, outer, to } => {
                    // Written later than both, so it stands behind both.
                    let (before, target) = values.split_at_mut(to);
                    inlay([maps[inner], maps[outer]], &before[inner], &before[outer], &mut target[0]);
                }
            }
        }
        let [amplitude, phase] = graph.outputs;
        separate(maps[amplitude], &values[amplitude], &mut self.output.amplitude);
        separate(maps[phase], &values[phase], &mut self.output.phase);
    }

    /// Gradient of the loss with respect to the network's parameters, written to `to`, given the gradient
    /// `upstream` with respect to [`Workspace::output`] of the forward pass just made. Where the input is
    /// scaled, what comes through the input is added to the gradient of the scale.
    pub fn backward(&mut self, network: &Network<T>, turned: &[T], upstream: &Patches<T>, to: &mut [T]) {
        let graph = &network.graph;
        let [amplitude, phase] = graph.outputs;
        interleave(graph.maps[amplitude], &upstream.amplitude, &mut self.gradients[amplitude]);
        interleave(graph.maps[phase], &upstream.phase, &mut self.gradients[phase]);
        self.written.fill(false);
        let (maps, values, gradients) = (&graph.maps, &self.values, &mut self.gradients);
        for op in graph.ops.iter().rev() {
            match *op {
                Op::Conv { from, to: out, conv, relu } => {
                    let (side, conv) = (maps[from].side, &graph.convs[conv]);
                    if relu {
                        block_negative(&values[out], &mut gradients[out]);
                    }
                    conv.backward_parameters(side, &values[from], &gradients[out], to);
                    if from != 0 || network.scaled {
                        let (target, upstream) = pair(gradients, out, from);
                        conv.backward_input(turned, side, target, upstream, self.written[from]);
                    }
                    self.written[from] = true;
                }
                Op::Pool { from, to: out } => {
                    let (upstream, target) = pair(gradients, out, from);
                    pool_backward(maps[from], &values[from], upstream, target, self.written[from]);
                    self.written[from] = true;
                }
                Op::Upsample { from, to: out } => {
                    let (upstream, target) = pair(gradients, out, from);
                    upsample_backward(maps[from], upstream, target, self.written[from]);
                    self.written[from] = true;
                }
                Op::Slice { from, to: out, first } => {
                    let (upstream, target) = pair(gradients, out, from);
                    slice_backward([maps[from], maps[out]], first, upstream, target, self.written[from]);
                    self.written[from] = true;
                }
                Op::Activate { from, to: out, function, unit } => {
                    let sides = Sides { from: &values[from], to: &values[out] };
                    let (upstream, target) = pair(gradients, out, from);
                    let how = (function, network.unit(unit));
                    activate_backward(maps[from], how, sides, upstream, target, self.written[from]);
                    self.written[from] = true;
                }
                Op::Inlay { inner, outer, to: out } => {
                    let shapes = [maps[inner], maps[outer]];
                    let (upstream, target) = pair(gradients, out, inner);
                    inlay_backward_inner(shapes, upstream, target, self.written[inner]);
                    let (upstream, target) = pair(gradients, out, outer);
                    inlay_backward_outer(shapes, upstream, target, self.written[outer]);
                    self.written[inner] = true;
                    self.written[outer] = true;
                }
            }
        }
        if network.scaled {
            // x = X·exp(−w): ∂L/∂w = −Σ x·∂L/∂x.
            let products = values[0].iter().zip(&gradients[0]).map(|(&x, &g)| x * g);
            to[graph.parameters] -= products.fold(T::zero(), |sum, p| sum + p);
        }
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
