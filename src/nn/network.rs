//! A network with its parameters.

use std::f64::consts::PI;

use rand::RngExt;

use super::graph::{Function, Graph, Op, Unit};
use super::real::Real;
use crate::ptycho::rng::keyed;

/// A network and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<T> {
    /// Layers.
    pub graph: Graph,
    /// Weights and biases of all convolutions, in order; behind them what is learnt of the beam
    /// ([`super::samples::Learns`]).
    pub parameters: Vec<T>,
    /// Whether the first of those behind is the logarithm of the intensity scale, by whose inverse the input
    /// is multiplied.
    pub scaled: bool,
    /// What [`Unit::Ceiling`] stands for, in the unit of the object's amplitude: where amplitude is a
    /// sigmoid, the largest there is.
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
            let (conv, head) = (graph.convs[index], graph.head(to));
            let bound = (6.0 / (9 * conv.inputs) as f64).sqrt() * if head.is_some() { 0.1 } else { 1.0 };
            let mut random = keyed(seed, "initial weights", index as u64);
            for value in &mut parameters[conv.offset..conv.offset + conv.weights()] {
                *value = T::of(random.random_range(-bound..bound));
            }
            let bias = match head {
                Some((Function::Sigmoid, Unit::Ceiling)) => (level / (ceiling - level)).ln(),
                Some((Function::Identity, Unit::Ceiling)) => level / ceiling,
                _ => continue,
            };
            parameters[conv.offset + conv.weights()..conv.offset + conv.len()].fill(T::of(bias));
        }
        Self { graph, parameters, scaled: false, ceiling: T::of(ceiling) }
    }

    /// The same with `numbers` numbers to learn behind its own, all 0; the first may scale its input.
    #[must_use]
    pub fn with_physical(mut self, numbers: usize, scaled: bool) -> Self {
        self.parameters.resize(self.graph.parameters + numbers, T::zero());
        self.scaled = scaled;
        self
    }

    /// Factor on the input.
    pub fn input_factor(&self) -> T {
        if self.scaled { (-self.parameters[self.graph.parameters]).exp() } else { T::one() }
    }

    /// Writes every kernel turned for the backward pass (see [`super::conv::Conv::turn`]).
    pub fn turn(&self, turned: &mut Vec<T>) {
        turned.resize(self.graph.parameters, T::zero());
        for conv in &self.graph.convs {
            conv.turn(&self.parameters, turned);
        }
    }

    /// The number a unit stands for.
    pub fn unit(&self, unit: Unit) -> T {
        match unit {
            Unit::One => T::one(),
            Unit::Ceiling => self.ceiling,
            Unit::Pi => T::of(PI),
        }
    }
}
