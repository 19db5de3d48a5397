//! Cutting a patch from a canvas at a sub-pixel position, and the exact adjoint, placing one.

use num_complex::Complex;

use super::real::Real;

/// Where a patch lies on a canvas: its index (0, 0) at row `row + row_part`, column `col + col_part`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<T> {
    /// Whole rows.
    pub row: usize,
    /// Whole columns.
    pub col: usize,
    /// Remaining part of a row, in [0, 1).
    pub row_part: T,
    /// Remaining part of a column, in [0, 1).
    pub col_part: T,
}

impl<T: Real> Place<T> {
    /// The place of a patch whose index (0, 0) lies at (row, col), both ≥ 0.
    pub fn new(row: f64, col: f64) -> Self {
        let (r, c) = (row.floor(), col.floor());
        Self { row: r as usize, col: c as usize, row_part: T::of(row - r), col_part: T::of(col - c) }
    }

    /// Weights of the four neighbours: [this row, next][this column, next].
    fn weights(&self) -> [[T; 2]; 2] {
        let rows = [T::one() - self.row_part, self.row_part];
        let cols = [T::one() - self.col_part, self.col_part];
        rows.map(|r| cols.map(|c| r * c))
    }
}

/// `patch[i, j]` = the canvas sampled bilinearly at `place + (i, j)`. Both are square; the canvas must
/// reach a row and a column beyond the patch.
pub fn cut<T: Real>(
    canvas: &[Complex<T>],
    width: usize,
    place: Place<T>,
    patch: &mut [Complex<T>],
    side: usize,
) {
    let [[w00, w01], [w10, w11]] = place.weights();
    for (i, out) in patch.chunks_exact_mut(side).enumerate() {
        let start = (place.row + i) * width + place.col;
        let (top, bottom) = (&canvas[start..], &canvas[start + width..]);
        let (top, bottom) = (&top[..=side], &bottom[..=side]);
        for (j, value) in out.iter_mut().enumerate() {
            *value = top[j] * w00 + top[j + 1] * w01 + bottom[j] * w10 + bottom[j + 1] * w11;
        }
    }
}

/// Adds the patch to the canvas at `place`: the adjoint of [`cut`], and the same as adding the patch
/// moved by bilinear interpolation, since that kernel is symmetric.
pub fn place<T: Real>(
    canvas: &mut [Complex<T>],
    width: usize,
    place: Place<T>,
    patch: &[Complex<T>],
    side: usize,
) {
    let [[w00, w01], [w10, w11]] = place.weights();
    for (i, row) in patch.chunks_exact(side).enumerate() {
        let start = (place.row + i) * width + place.col;
        let (top, bottom) = canvas[start..].split_at_mut(width);
        let (top, bottom) = (&mut top[..=side], &mut bottom[..=side]);
        for (j, &value) in row.iter().enumerate() {
            top[j] += value * w00;
            top[j + 1] += value * w01;
            bottom[j] += value * w10;
            bottom[j + 1] += value * w11;
        }
    }
}

/// Adds what [`place`] would add for a patch of ones.
pub fn place_ones<T: Real>(canvas: &mut [T], width: usize, place: Place<T>, side: usize) {
    let part = |i: usize, rest: T| match i {
        0 => T::one() - rest,
        i if i == side => rest,
        _ => T::one(),
    };
    for i in 0..=side {
        let start = (place.row + i) * width + place.col;
        let weight = part(i, place.row_part);
        for (j, value) in canvas[start..=start + side].iter_mut().enumerate() {
            *value += weight * part(j, place.col_part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<Complex<f64>> {
        (0..n).map(|i| Complex::new((i * i % 11) as f64, (i % 7) as f64 - 3.0)).collect()
    }

    #[test]
    fn place_is_the_adjoint_of_cut() {
        let (width, side) = (9, 5);
        let at = Place::new(1.3, 2.6);
        let (canvas, patch) = (ramp(width * width), ramp(side * side));
        let mut taken = vec![Complex::new(0.0, 0.0); side * side];
        cut(&canvas, width, at, &mut taken, side);
        let mut placed = vec![Complex::new(0.0, 0.0); width * width];
        place(&mut placed, width, at, &patch, side);
        let inner = |a: &[Complex<f64>], b: &[Complex<f64>]| -> Complex<f64> {
            a.iter().zip(b).map(|(a, b)| a.conj() * b).sum()
        };
        assert!((inner(&patch, &taken) - inner(&placed, &canvas)).norm() < 1e-10);
    }

    #[test]
    fn moves_content_by_the_position_and_counts_ones() {
        let (width, side) = (8, 3);
        let mut patch = vec![Complex::new(0.0, 0.0); side * side];
        patch[4] = Complex::new(1.0, 0.0);
        let mut canvas = vec![Complex::new(0.0, 0.0); width * width];
        place(&mut canvas, width, Place::new(2.25, 1.0), &patch, side);
        assert_eq!(canvas[3 * width + 2].re, 0.75);
        assert_eq!(canvas[4 * width + 2].re, 0.25);
        let mut by_patch = vec![Complex::new(0.0, 0.0); width * width];
        let at = Place::new(2.25, 1.5);
        place(&mut by_patch, width, at, &[Complex::new(1.0, 0.0); 9], side);
        let mut direct = vec![0.0f64; width * width];
        place_ones(&mut direct, width, at, side);
        assert!(by_patch.iter().zip(&direct).all(|(a, b)| (a.re - b).abs() < 1e-15));
    }
}
