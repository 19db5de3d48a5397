//! Layers that only move numbers: choosing channels, laying one map into another.

use super::conv::Shape;
use super::real::Real;

/// As many channels as `part` has, from `first` on, of a map of `whole`.
pub fn slice<T: Real>([whole, part]: [Shape; 2], first: usize, from: &[T], to: &mut [T]) {
    for (out, row) in part.interior_mut(to).zip(whole.interior(from)) {
        let pixels = out.chunks_exact_mut(part.channels).zip(row.chunks_exact(whole.channels));
        pixels.for_each(|(out, pixel)| out.copy_from_slice(&pixel[first..first + part.channels]));
    }
}

/// Gradient of [`slice`](slice()): 0 for the other channels. Written, or added when `accumulate`.
pub fn slice_backward<T: Real>(
    [whole, part]: [Shape; 2],
    first: usize,
    upstream: &[T],
    to: &mut [T],
    accumulate: bool,
) {
    for (out, row) in whole.interior_mut(to).zip(part.interior(upstream)) {
        if !accumulate {
            out.fill(T::zero());
        }
        let pixels = out.chunks_exact_mut(whole.channels).zip(row.chunks_exact(part.channels));
        for (out, pixel) in pixels {
            out[first..first + part.channels].iter_mut().zip(pixel).for_each(|(out, &g)| *out += g);
        }
    }
}

/// `inner` where it lies in the centre of `outer`, `outer` elsewhere.
pub fn inlay<T: Real>([inner, outer]: [Shape; 2], centre: &[T], around: &[T], to: &mut [T]) {
    let (margin, c) = ((outer.side - inner.side) / 2, outer.channels);
    let mut rows = inner.interior(centre);
    for (r, (out, row)) in outer.interior_mut(to).zip(outer.interior(around)).enumerate() {
        out.copy_from_slice(row);
        if (margin..margin + inner.side).contains(&r) {
            let Some(row) = rows.next() else { return };
            out[margin * c..(margin + inner.side) * c].copy_from_slice(row);
        }
    }
}

/// Gradient of [`inlay`](inlay()) with respect to the centre. Written, or added when `accumulate`.
pub fn inlay_backward_inner<T: Real>(
    [inner, outer]: [Shape; 2],
    upstream: &[T],
    to: &mut [T],
    accumulate: bool,
) {
    let (margin, c) = ((outer.side - inner.side) / 2, outer.channels);
    let rows = outer.interior(upstream).skip(margin);
    for (out, row) in inner.interior_mut(to).zip(rows) {
        let row = &row[margin * c..(margin + inner.side) * c];
        out.iter_mut().zip(row).for_each(|(out, &g)| *out = if accumulate { *out + g } else { g });
    }
}

/// Gradient of [`inlay`](inlay()) with respect to what is around. Written, or added when `accumulate`.
pub fn inlay_backward_outer<T: Real>(
    [inner, outer]: [Shape; 2],
    upstream: &[T],
    to: &mut [T],
    accumulate: bool,
) {
    let (margin, c) = ((outer.side - inner.side) / 2, outer.channels);
    for (r, (out, row)) in outer.interior_mut(to).zip(outer.interior(upstream)).enumerate() {
        let covered = (margin..margin + inner.side).contains(&r);
        for (i, (out, &g)) in out.iter_mut().zip(row).enumerate() {
            let hidden = covered && (margin * c..(margin + inner.side) * c).contains(&i);
            let g = if hidden { T::zero() } else { g };
            *out = if accumulate { *out + g } else { g };
        }
    }
}
