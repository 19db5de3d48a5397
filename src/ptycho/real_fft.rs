//! Two-dimensional Fourier transforms of real images in f64: half the work and half the memory of complex ones.

use std::sync::Arc;

use num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

/// Rows that are transformed before any of them is stored, so that columns are written in whole cache lines.
const BLOCK: usize = 8;

/// Plans and scratch for real images of one shape. Transforms are unnormalised both ways.
///
/// A spectrum is (cols/2 + 1, rows), C order: element \[k, j\] belongs to column frequency k and row frequency j.
/// The frequencies that are not there are F(−j, −k) = F(j, k)*.
pub struct RealFft2 {
    rows: usize,
    cols: usize,
    /// Along rows and along columns.
    forward: [Arc<dyn Fft<f64>>; 2],
    inverse: [Arc<dyn Fft<f64>>; 2],
    scratch: Vec<Complex64>,
    lines: Vec<Complex64>,
}

impl RealFft2 {
    /// Plans for `rows × cols`, neither of which may be 0.
    pub fn new(rows: usize, cols: usize) -> Self {
        let mut planner = FftPlanner::new();
        let forward = [planner.plan_fft_forward(cols), planner.plan_fft_forward(rows)];
        let inverse = [planner.plan_fft_inverse(cols), planner.plan_fft_inverse(rows)];
        let scratch = forward.iter().chain(&inverse).map(|f| f.get_inplace_scratch_len()).max().unwrap_or(0);
        let zero = Complex64::default();
        Self {
            rows,
            cols,
            forward,
            inverse,
            scratch: vec![zero; scratch],
            lines: vec![zero; BLOCK / 2 * cols],
        }
    }

    /// Number of column frequencies that are stored.
    pub fn half(&self) -> usize {
        self.cols / 2 + 1
    }

    /// Spectrum of a C-order image. Panics if it is not rows·cols long (a programming error).
    pub fn forward(&mut self, image: &[f64]) -> Vec<Complex64> {
        let (rows, cols, half) = (self.rows, self.cols, self.half());
        assert_eq!(image.len(), rows * cols, "RealFft2 planned for another shape");
        let mut spectrum = vec![Complex64::default(); half * rows];
        for (block, image) in image.chunks(BLOCK * cols).enumerate() {
            let first = block * BLOCK;
            // Two rows at once, one as real, one as imaginary part; they are told apart by their symmetry.
            let pairs = image.chunks(2 * cols);
            let lines = &mut self.lines[..pairs.len() * cols];
            for (line, pair) in lines.chunks_exact_mut(cols).zip(pairs) {
                let (a, b) = pair.split_at(cols);
                match b {
                    [] => line.iter_mut().zip(a).for_each(|(z, a)| *z = Complex64::new(*a, 0.0)),
                    _ => line.iter_mut().zip(a).zip(b).for_each(|((z, a), b)| *z = Complex64::new(*a, *b)),
                }
            }
            self.forward[0].process_with_scratch(lines, &mut self.scratch);
            let there = image.len() / cols;
            for (k, column) in spectrum.chunks_exact_mut(rows).enumerate() {
                let column = &mut column[first..first + there];
                let mirror = if k == 0 { 0 } else { cols - k };
                for (line, out) in lines.chunks_exact(cols).zip(column.chunks_mut(2)) {
                    let (z, w) = (line[k], line[mirror].conj());
                    let (sum, off) = ((z + w) * 0.5, (z - w) * 0.5);
                    out[0] = sum;
                    if let Some(second) = out.get_mut(1) {
                        *second = Complex64::new(off.im, -off.re);
                    }
                }
            }
        }
        self.forward[1].process_with_scratch(&mut spectrum, &mut self.scratch);
        spectrum
    }

    /// Image of a spectrum, times rows·cols. `spectrum` holds nothing of use afterwards. Panics if it is not
    /// half·rows long (a programming error).
    pub fn inverse(&mut self, spectrum: &mut [Complex64]) -> Vec<f64> {
        let (rows, cols, half) = (self.rows, self.cols, self.half());
        assert_eq!(spectrum.len(), half * rows, "RealFft2 planned for another shape");
        self.inverse[1].process_with_scratch(spectrum, &mut self.scratch);
        let mut image = vec![0.0; rows * cols];
        for (block, image) in image.chunks_mut(BLOCK * cols).enumerate() {
            let (first, there) = (block * BLOCK, image.len() / cols);
            let lines = &mut self.lines[..there.div_ceil(2) * cols];
            for (k, column) in spectrum.chunks_exact(rows).enumerate() {
                let column = &column[first..first + there];
                for (line, pair) in lines.chunks_exact_mut(cols).zip(column.chunks(2)) {
                    let (a, b) = (pair[0], pair.get(1).copied().unwrap_or_default());
                    if k > 0 {
                        line[cols - k] = Complex64::new(a.re + b.im, b.re - a.im);
                    }
                    // Last, because at the Nyquist frequency both are one place.
                    line[k] = Complex64::new(a.re - b.im, a.im + b.re);
                }
            }
            self.inverse[0].process_with_scratch(lines, &mut self.scratch);
            for (line, pair) in lines.chunks_exact(cols).zip(image.chunks_mut(2 * cols)) {
                let (a, b) = pair.split_at_mut(cols);
                a.iter_mut().zip(line).for_each(|(a, z)| *a = z.re);
                b.iter_mut().zip(line).for_each(|(b, z)| *b = z.im);
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptycho::fft::Fft2;

    #[test]
    fn equals_the_complex_transform_and_inverts_for_any_size() {
        for (rows, cols) in [(1, 1), (1, 5), (6, 1), (2, 2), (7, 9), (8, 6), (16, 11), (19, 24)] {
            let image: Vec<f64> = (0..rows * cols).map(|i| ((i * i * 7 + 3 * i) % 11) as f64 - 4.0).collect();
            let mut full: Vec<Complex64> = image.iter().map(|v| Complex64::new(*v, 0.0)).collect();
            Fft2::new(rows, cols).forward(&mut full);
            let mut fft = RealFft2::new(rows, cols);
            let mut spectrum = fft.forward(&image);
            for (i, value) in spectrum.iter().enumerate() {
                let (k, j) = (i / rows, i % rows);
                assert!((value - full[j * cols + k]).norm() < 1e-11, "{rows} × {cols} at {j}, {k}");
            }
            let back = fft.inverse(&mut spectrum);
            let norm = (rows * cols) as f64;
            assert!(image.iter().zip(&back).all(|(a, b)| (a - b / norm).abs() < 1e-12), "{rows} × {cols}");
        }
    }
}
