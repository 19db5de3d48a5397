//! Layers without parameters: halving by maximum, doubling by repetition.

use super::conv::Shape;
use super::real::Real;

/// Maximum over 2×2 blocks: `to` has half the side of `from` (whose shape is given).
pub fn pool<T: Real>(shape: Shape, from: &[T], to: &mut [T]) {
    let (c, small) = (shape.channels, Shape { side: shape.side / 2, ..shape });
    let mut rows = shape.interior(from);
    for out in small.interior_mut(to) {
        let (Some(top), Some(bottom)) = (rows.next(), rows.next()) else { return };
        let blocks = top.chunks_exact(2 * c).zip(bottom.chunks_exact(2 * c));
        for (pixel, (t, b)) in out.chunks_exact_mut(c).zip(blocks) {
            for (i, value) in pixel.iter_mut().enumerate() {
                *value = larger(larger(t[i], t[c + i]), larger(b[i], b[c + i]));
            }
        }
    }
}

/// The larger of two; NaN if the first is NaN, so that a diverged training shows.
fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// Gradient of [`pool`]: each block's gradient goes to the first of its largest elements, in reading
/// order. Written to `to`, or added when `accumulate`.
pub fn pool_backward<T: Real>(shape: Shape, from: &[T], upstream: &[T], to: &mut [T], accumulate: bool) {
    let (c, small) = (shape.channels, Shape { side: shape.side / 2, ..shape });
    let mut source = shape.interior(from);
    let mut target = shape.interior_mut(to);
    for gradient in small.interior(upstream) {
        let (Some(top), Some(bottom)) = (source.next(), source.next()) else { return };
        let (Some(top_to), Some(bottom_to)) = (target.next(), target.next()) else { return };
        if !accumulate {
            top_to.fill(T::zero());
            bottom_to.fill(T::zero());
        }
        let blocks = top.chunks_exact(2 * c).zip(bottom.chunks_exact(2 * c));
        let targets = top_to.chunks_exact_mut(2 * c).zip(bottom_to.chunks_exact_mut(2 * c));
        for ((pixel, (t, b)), (tt, bt)) in gradient.chunks_exact(c).zip(blocks).zip(targets) {
            for (i, &g) in pixel.iter().enumerate() {
                let (upper, lower) = (larger(t[i], t[c + i]), larger(b[i], b[c + i]));
                let (values, to) = if lower > upper { (b, &mut *bt) } else { (t, &mut *tt) };
                let place = if values[c + i] > values[i] { c + i } else { i };
                to[place] += g;
            }
        }
    }
}

/// Every pixel repeated 2×2: `to` has twice the side of `from` (whose shape is given).
pub fn upsample<T: Real>(shape: Shape, from: &[T], to: &mut [T]) {
    let (c, large) = (shape.channels, Shape { side: 2 * shape.side, ..shape });
    let mut out = large.interior_mut(to);
    for row in shape.interior(from) {
        let (Some(top), Some(bottom)) = (out.next(), out.next()) else { return };
        for (pair, pixel) in top.chunks_exact_mut(2 * c).zip(row.chunks_exact(c)) {
            pair[..c].copy_from_slice(pixel);
            pair[c..].copy_from_slice(pixel);
        }
        bottom.copy_from_slice(top);
    }
}

/// Gradient of [`upsample`]: the sum over each 2×2 block, written or added.
pub fn upsample_backward<T: Real>(shape: Shape, upstream: &[T], to: &mut [T], accumulate: bool) {
    let (c, large) = (shape.channels, Shape { side: 2 * shape.side, ..shape });
    let mut rows = large.interior(upstream);
    for out in shape.interior_mut(to) {
        let (Some(top), Some(bottom)) = (rows.next(), rows.next()) else { return };
        let blocks = top.chunks_exact(2 * c).zip(bottom.chunks_exact(2 * c));
        for (pixel, (t, b)) in out.chunks_exact_mut(c).zip(blocks) {
            for (i, value) in pixel.iter_mut().enumerate() {
                let sum = (t[i] + t[c + i]) + (b[i] + b[c + i]);
                *value = if accumulate { *value + sum } else { sum };
            }
        }
    }
}
