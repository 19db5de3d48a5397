//! Two-dimensional Fourier transforms on contiguous C-order slices.

use std::sync::Arc;

use num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};

/// Plans and scratch for transforms of one shape. Transforms are unnormalised both ways, with the zero
/// frequency at index [0, 0]: `inverse(forward(a)) = rows·cols·a`.
pub struct Fft2<T: FftNum> {
    rows: usize,
    cols: usize,
    forward: [Arc<dyn Fft<T>>; 2],
    inverse: [Arc<dyn Fft<T>>; 2],
    scratch: Vec<Complex<T>>,
    transposed: Vec<Complex<T>>,
}

impl<T: FftNum> Clone for Fft2<T> {
    /// Shares the plans; scratch is the copy's own, so each thread can hold one.
    fn clone(&self) -> Self {
        Self {
            rows: self.rows,
            cols: self.cols,
            forward: self.forward.clone(),
            inverse: self.inverse.clone(),
            scratch: self.scratch.clone(),
            transposed: self.transposed.clone(),
        }
    }
}

impl<T: FftNum> Fft2<T> {
    /// Plans for `rows × cols`.
    pub fn new(rows: usize, cols: usize) -> Self {
        let mut planner = FftPlanner::new();
        let forward = [planner.plan_fft_forward(cols), planner.plan_fft_forward(rows)];
        let inverse = [planner.plan_fft_inverse(cols), planner.plan_fft_inverse(rows)];
        let zero = Complex::new(T::zero(), T::zero());
        let scratch = forward.iter().chain(&inverse).map(|f| f.get_inplace_scratch_len()).max().unwrap_or(0);
        Self {
            rows,
            cols,
            forward,
            inverse,
            scratch: vec![zero; scratch],
            transposed: vec![zero; rows * cols],
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Forward transform in place. Panics if the slice is not rows·cols long (a programming error).
    pub fn forward(&mut self, data: &mut [Complex<T>]) {
        let plans = self.forward.clone();
        self.transform(&plans, data);
    }

    /// Inverse transform in place, unnormalised.
    pub fn inverse(&mut self, data: &mut [Complex<T>]) {
        let plans = self.inverse.clone();
        self.transform(&plans, data);
    }

    /// Forward transform of `data`, left transposed in `spectrum`: its element \[k, j\] belongs to row frequency j
    /// and column frequency k. Saves a pass for who multiplies the spectrum pixel by pixel and goes back with
    /// [`inverse_transposed`](Self::inverse_transposed). `data` holds nothing of use afterwards. Panics if a
    /// slice is not rows·cols long (a programming error).
    pub fn forward_transposed(&mut self, data: &mut [Complex<T>], spectrum: &mut [Complex<T>]) {
        assert_eq!(
            [data.len(), spectrum.len()],
            [self.rows * self.cols; 2],
            "Fft2 planned for another shape"
        );
        self.forward[0].process_with_scratch(data, &mut self.scratch);
        transpose(data, spectrum, self.rows, self.cols);
        self.forward[1].process_with_scratch(spectrum, &mut self.scratch);
    }

    /// Inverse transform, unnormalised, of a spectrum left by [`forward_transposed`](Self::forward_transposed).
    /// `spectrum` holds nothing of use afterwards.
    pub fn inverse_transposed(&mut self, spectrum: &mut [Complex<T>], data: &mut [Complex<T>]) {
        assert_eq!(
            [data.len(), spectrum.len()],
            [self.rows * self.cols; 2],
            "Fft2 planned for another shape"
        );
        self.inverse[1].process_with_scratch(spectrum, &mut self.scratch);
        transpose(spectrum, data, self.cols, self.rows);
        self.inverse[0].process_with_scratch(data, &mut self.scratch);
    }

    fn transform(&mut self, plans: &[Arc<dyn Fft<T>>; 2], data: &mut [Complex<T>]) {
        assert_eq!(data.len(), self.rows * self.cols, "Fft2 planned for another shape");
        plans[0].process_with_scratch(data, &mut self.scratch);
        transpose(data, &mut self.transposed, self.rows, self.cols);
        plans[1].process_with_scratch(&mut self.transposed, &mut self.scratch);
        transpose(&self.transposed, data, self.cols, self.rows);
    }
}

/// Writes the transpose of `from` (rows × cols) to `to`, in blocks that stay in cache, each in tiles that stay in
/// registers.
fn transpose<C: Copy>(from: &[C], to: &mut [C], rows: usize, cols: usize) {
    const BLOCK: usize = 16;
    const TILE: usize = 4;
    for r0 in (0..rows).step_by(BLOCK) {
        for c0 in (0..cols).step_by(BLOCK) {
            let (r1, c1) = ((r0 + BLOCK).min(rows), (c0 + BLOCK).min(cols));
            for r in (r0..r1).step_by(TILE) {
                for c in (c0..c1).step_by(TILE) {
                    if r + TILE <= r1 && c + TILE <= c1 {
                        tile::<C, TILE>(&from[r * cols + c..], cols, &mut to[c * rows + r..], rows);
                        continue;
                    }
                    for (r, c) in
                        (r..r1.min(r + TILE)).flat_map(|r| (c..c1.min(c + TILE)).map(move |c| (r, c)))
                    {
                        to[c * rows + r] = from[r * cols + c];
                    }
                }
            }
        }
    }
}

/// Transposes T × T elements between arrays with rows `step` and `stride` apart.
fn tile<C: Copy, const T: usize>(from: &[C], step: usize, to: &mut [C], stride: usize) {
    let lines: [&[C]; T] = std::array::from_fn(|r| &from[r * step..r * step + T]);
    for c in 0..T {
        let column: [C; T] = std::array::from_fn(|r| lines[r][c]);
        to[c * stride..c * stride + T].copy_from_slice(&column);
    }
}

/// Source index of element `i` after `fftshift` along an axis of length `n` (as NumPy: `out[i] = in[(i + n − n/2) mod n]`).
pub fn shifted(i: usize, n: usize) -> usize {
    (i + n - n / 2) % n
}

/// Copy of a rows × cols array with the zero frequency moved from [0, 0] to [rows/2, cols/2].
pub fn fftshift2<C: Copy>(data: &[C], rows: usize, cols: usize) -> Vec<C> {
    let mut out = Vec::with_capacity(data.len());
    for r in 0..rows {
        let row = shifted(r, rows) * cols;
        out.extend((0..cols).map(|c| data[row + shifted(c, cols)]));
    }
    out
}

/// Inverse of [`fftshift2`]; the same for even sizes.
pub fn ifftshift2<C: Copy>(data: &[C], rows: usize, cols: usize) -> Vec<C> {
    let mut out = Vec::with_capacity(data.len());
    for r in 0..rows {
        let row = (r + rows / 2) % rows * cols;
        out.extend((0..cols).map(|c| data[row + (c + cols / 2) % cols]));
    }
    out
}

/// Sample frequency of index `i` of `n`, in cycles per sample, as `numpy.fft.fftfreq`.
pub fn frequency(i: usize, n: usize) -> f64 {
    let signed = if i < n.div_ceil(2) { i as f64 } else { i as f64 - n as f64 };
    signed / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_definition_and_inverts() {
        let (rows, cols) = (3, 4);
        let data: Vec<Complex<f64>> =
            (0..12).map(|i| Complex::new((i * i % 7) as f64, (i % 5) as f64 - 2.0)).collect();
        let mut out = data.clone();
        let mut fft = Fft2::new(rows, cols);
        fft.forward(&mut out);
        for k in 0..rows {
            for l in 0..cols {
                let mut sum = Complex::new(0.0, 0.0);
                for r in 0..rows {
                    for c in 0..cols {
                        let angle = -std::f64::consts::TAU
                            * (k as f64 * r as f64 / rows as f64 + l as f64 * c as f64 / cols as f64);
                        sum += data[r * cols + c] * Complex::from_polar(1.0, angle);
                    }
                }
                assert!((sum - out[k * cols + l]).norm() < 1e-12);
            }
        }
        fft.inverse(&mut out);
        for (a, b) in out.iter().zip(&data) {
            assert!((a / 12.0 - b).norm() < 1e-13);
        }
    }

    #[test]
    fn the_transposed_way_is_the_same_transform() {
        let (rows, cols) = (3, 4);
        let data: Vec<Complex<f64>> = (0..12).map(|i| Complex::new((i * 5 % 7) as f64, i as f64)).collect();
        let mut fft = Fft2::new(rows, cols);
        let mut plain = data.clone();
        fft.forward(&mut plain);
        let (mut work, mut spectrum) = (data.clone(), plain.clone());
        fft.forward_transposed(&mut work, &mut spectrum);
        for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
            assert_eq!(spectrum[c * rows + r], plain[r * cols + c]);
        }
        fft.inverse_transposed(&mut spectrum, &mut work);
        assert!(work.iter().zip(&data).all(|(a, b)| (a / 12.0 - b).norm() < 1e-13));
    }

    #[test]
    fn shifts_as_numpy_does() {
        assert_eq!(fftshift2(&[0, 1, 2, 3, 4], 1, 5), [3, 4, 0, 1, 2]);
        assert_eq!(ifftshift2(&[3, 4, 0, 1, 2], 1, 5), [0, 1, 2, 3, 4]);
        assert_eq!(frequency(3, 4), -0.25);
        assert_eq!(frequency(2, 5), 0.4);
    }
}
