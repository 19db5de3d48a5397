//! 3×3 convolution with zero padding ("same"), as three matrix products over a bordered activation map.
//!
//! A map is stored row by row, pixel by pixel, channels innermost, with a border one pixel wide that is
//! always zero. The three horizontal neighbours of a pixel are then `3·channels` contiguous numbers, and
//! those of the next pixel start `channels` further on. One kernel row applied to *all* pixels is thus a
//! single product of an overlapping view of the map with a (3·inputs × outputs) matrix, without copies.
//! The view also runs over the border pixels left and right of each row; what it leaves there is cleared.

use serde::{Deserialize, Serialize};

use super::matrix::{Layout, multiply};
use super::real::Real;

/// Shape of a square activation map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels per row and rows, without the border.
    pub side: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// Numbers in a row, border included.
    pub fn row(self) -> usize {
        (self.side + 2) * self.channels
    }

    /// Numbers in the map, border included.
    #[allow(clippy::len_without_is_empty)] // a map always has its border
    pub fn len(self) -> usize {
        (self.side + 2) * self.row()
    }

    /// The rows without their border pixels, from the top.
    pub fn interior<T>(self, map: &[T]) -> impl Iterator<Item = &[T]> {
        let (skip, keep) = (self.channels, self.side * self.channels);
        map.chunks_exact(self.row()).skip(1).take(self.side).map(move |row| &row[skip..skip + keep])
    }

    /// The rows without their border pixels, from the top, mutable.
    pub fn interior_mut<T>(self, map: &mut [T]) -> impl Iterator<Item = &mut [T]> {
        let (skip, keep) = (self.channels, self.side * self.channels);
        map.chunks_exact_mut(self.row()).skip(1).take(self.side).map(move |row| &mut row[skip..skip + keep])
    }

    /// From the first interior pixel to the last, with the border pixels between them.
    fn span(self) -> usize {
        self.side * (self.side + 2) - 2
    }

    /// Neighbourhood of kernel row `k` (0: above, 2: below) for every pixel of the span.
    fn neighbours(self, k: usize) -> Layout {
        Layout::rows(k * self.row(), self.span(), 3 * self.channels, self.channels)
    }

    /// Every pixel of the span.
    fn pixels(self) -> Layout {
        Layout::rows(self.row() + self.channels, self.span(), self.channels, self.channels)
    }

    /// Zeroes the border pixels left and right of each row.
    fn clear_sides<T: Real>(self, map: &mut [T]) {
        let (c, row) = (self.channels, self.row());
        for line in map.chunks_exact_mut(row).skip(1).take(self.side) {
            line[..c].fill(T::zero());
            line[row - c..].fill(T::zero());
        }
    }
}

/// A convolution: channels in and out, and where its numbers lie among all parameters.
///
/// Parameters: weights `[kernel row][kernel column][input][output]`, then one bias per output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Index of the first weight.
    pub offset: usize,
}

impl Conv {
    /// Number of weights, without biases.
    pub fn weights(&self) -> usize {
        9 * self.inputs * self.outputs
    }

    /// Number of parameters.
    #[allow(clippy::len_without_is_empty)] // a convolution always has a bias
    pub fn len(&self) -> usize {
        self.weights() + self.outputs
    }

    /// Index of a weight: kernel row and column, input and output channel.
    pub fn index(&self, row: usize, col: usize, input: usize, output: usize) -> usize {
        self.offset + ((row * 3 + col) * self.inputs + input) * self.outputs + output
    }

    /// Matrix (3·inputs × outputs) of kernel row `k`.
    fn kernel_row(&self, k: usize) -> Layout {
        let rows = 3 * self.inputs;
        Layout::rows(self.offset + k * rows * self.outputs, rows, self.outputs, self.outputs)
    }

    /// `to = conv(from) + bias`, with negative values replaced by 0 when `relu`. The border of `from`
    /// must be zero; that of `to` stays zero.
    pub fn forward<T: Real>(&self, parameters: &[T], side: usize, from: &[T], to: &mut [T], relu: bool) {
        let source = Shape { side, channels: self.inputs };
        let target = Shape { side, channels: self.outputs };
        for k in 0..3 {
            let (lhs, rhs) = (source.neighbours(k), self.kernel_row(k));
            multiply((to, target.pixels()), k > 0, (from, lhs), (parameters, rhs));
        }
        let bias = &parameters[self.offset + self.weights()..self.offset + self.len()];
        let floor = if relu { T::zero() } else { T::neg_infinity() };
        for row in target.interior_mut(to) {
            for pixel in row.chunks_exact_mut(self.outputs) {
                for (value, &b) in pixel.iter_mut().zip(bias) {
                    // Not `max`: that would turn NaN into 0 and hide a diverged training.
                    let sum = *value + b;
                    *value = if sum < floor { floor } else { sum };
                }
            }
        }
        target.clear_sides(to);
    }

    /// Gradient with respect to weights and bias, written to this layer's part of `gradient`.
    /// The borders of `from` and of `upstream`, the gradient with respect to the output, must be zero.
    pub fn backward_parameters<T: Real>(&self, side: usize, from: &[T], upstream: &[T], gradient: &mut [T]) {
        let source = Shape { side, channels: self.inputs };
        let target = Shape { side, channels: self.outputs };
        for k in 0..3 {
            let lhs = source.neighbours(k).transposed();
            multiply((gradient, self.kernel_row(k)), false, (from, lhs), (upstream, target.pixels()));
        }
        let bias = &mut gradient[self.offset + self.weights()..self.offset + self.len()];
        bias.fill(T::zero());
        for row in target.interior(upstream) {
            for pixel in row.chunks_exact(self.outputs) {
                for (sum, &g) in bias.iter_mut().zip(pixel) {
                    *sum += g;
                }
            }
        }
    }

    /// Gradient with respect to the input: the convolution of `upstream` with the turned kernel
    /// (see [`Conv::turn`]), written to `to` or, when `accumulate`, added to it.
    pub fn backward_input<T: Real>(
        &self,
        turned: &[T],
        side: usize,
        upstream: &[T],
        to: &mut [T],
        accumulate: bool,
    ) {
        let back = Conv { inputs: self.outputs, outputs: self.inputs, offset: self.offset };
        let source = Shape { side, channels: back.inputs };
        let target = Shape { side, channels: back.outputs };
        for k in 0..3 {
            let (lhs, rhs) = (source.neighbours(k), back.kernel_row(k));
            multiply((to, target.pixels()), accumulate || k > 0, (upstream, lhs), (turned, rhs));
        }
        target.clear_sides(to);
    }

    /// Writes the kernel turned by 180° with inputs and outputs exchanged, at the same offset of `turned`.
    pub fn turn<T: Real>(&self, parameters: &[T], turned: &mut [T]) {
        let back = Conv { inputs: self.outputs, outputs: self.inputs, offset: self.offset };
        for row in 0..3 {
            for col in 0..3 {
                for i in 0..self.inputs {
                    for o in 0..self.outputs {
                        turned[back.index(row, col, o, i)] = parameters[self.index(2 - row, 2 - col, i, o)];
                    }
                }
            }
        }
    }
}
