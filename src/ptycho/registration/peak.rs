//! The peak of a correlation between pixels, by a matrix-multiply Fourier transform of a small window.

use std::f64::consts::{PI, TAU};

use num_complex::Complex64;

use crate::ptycho::fft::frequency;
use crate::ptycho::vector::kernel;

/// Finds the largest modulus of Σ P(k)·exp(2πi k·s) over shifts s in a window of 1.5 pixels around `coarse`, in steps
/// of 1/`upsample`. `product` is the cross spectrum of two real images of shape (rows, cols), as
/// [`RealFft2`](crate::ptycho::real_fft::RealFft2) lays it out. Equal values go to the first in row order.
///
/// The window is symmetric and spectra of real images are, too. So shifts ±j about the middle share their cosines and
/// sines, frequencies ±k theirs, and only half of the columns are there: an eighth of the plain matrix product.
pub(super) fn refine(
    product: &[Complex64],
    (rows, cols): (usize, usize),
    coarse: [f64; 2],
    upsample: usize,
) -> [f64; 2] {
    let scale = upsample as f64;
    let size = (scale * 1.5).ceil() as usize;
    let middle = size / 2;
    let fine = |i: usize| (i as f64 - middle as f64) / scale;
    let rotations = Rotations::new(rows, coarse[0], middle, scale);
    let across: Vec<f64> = (0..size).map(|v| coarse[1] + fine(v)).collect();

    let mut sum = vec![Complex64::default(); size * size];
    // What frequencies −k of the columns get wrong at the rows' Nyquist frequency, which is its own negative.
    let mut nyquist = vec![Complex64::default(); size];
    let mut line = Line::new(middle + 1);
    let mut turned = vec![Complex64::default(); size];
    for (k, column) in product.chunks_exact(rows).enumerate() {
        line.fill(&rotations, column);
        line.unfold(middle, &mut turned);
        let turns: Vec<Complex64> =
            across.iter().map(|s| Complex64::cis(TAU * frequency(k, cols) * s)).collect();
        if k == 0 || 2 * k == cols {
            for (t, sums) in turned.iter().zip(sum.chunks_exact_mut(size)) {
                sums.iter_mut().zip(&turns).for_each(|(sum, e)| *sum += t * e);
            }
            continue;
        }
        let (cos, sin): (Vec<f64>, Vec<f64>) = turns.iter().map(|e| (2.0 * e.re, 2.0 * e.im)).unzip();
        add_real(&turned, &cos, &sin, &mut sum);
        if rows.is_multiple_of(2) {
            let own = column[rows / 2];
            nyquist.iter_mut().zip(&turns).for_each(|(n, e)| *n += (own * e).conj());
        }
    }
    let mut best = (-1.0, coarse);
    for (u, sums) in sum.chunks_exact(size).enumerate() {
        let down = coarse[0] + fine(u);
        let wrong = Complex64::new(0.0, -2.0 * (PI * down).sin());
        for (v, sum) in sums.iter().enumerate() {
            let modulus = (sum + wrong * nyquist[v]).norm_sqr();
            if modulus > best.0 {
                best = (modulus, [down, across[v]]);
            }
        }
    }
    best.1
}

/// What turns a column's frequencies to the shifts of the window.
struct Rotations {
    /// exp(2πi f·coarse) for every row frequency.
    coarse: Vec<Complex64>,
    /// (rows/2 + 1, shifts 0..=middle): cos and sin of 2π f·j/scale.
    cos: Vec<f64>,
    sin: Vec<f64>,
}

impl Rotations {
    fn new(rows: usize, coarse: f64, middle: usize, scale: f64) -> Self {
        let angle = |i: usize| {
            let (pair, j) = (i / (middle + 1), i % (middle + 1));
            TAU * frequency(pair, rows) * j as f64 / scale
        };
        let all = (rows / 2 + 1) * (middle + 1);
        Self {
            coarse: (0..rows).map(|r| Complex64::cis(TAU * frequency(r, rows) * coarse)).collect(),
            cos: (0..all).map(|i| angle(i).cos()).collect(),
            sin: (0..all).map(|i| angle(i).sin()).collect(),
        }
    }
}

/// A column transformed to shifts 0..=middle of the window: even and odd part.
struct Line {
    even: [Vec<f64>; 2],
    odd: [Vec<f64>; 2],
}

impl Line {
    fn new(shifts: usize) -> Self {
        let zeros = || [vec![0.0; shifts], vec![0.0; shifts]];
        Self { even: zeros(), odd: zeros() }
    }

    fn fill(&mut self, rotations: &Rotations, column: &[Complex64]) {
        let (rows, shifts) = (column.len(), self.even[0].len());
        self.even.iter_mut().chain(&mut self.odd).for_each(|part| part.fill(0.0));
        let turned = |r: usize| column[r] * rotations.coarse[r];
        let tables = rotations.cos.chunks_exact(shifts).zip(rotations.sin.chunks_exact(shifts));
        for (pair, (cos, sin)) in tables.enumerate() {
            let (own, mirror) = (turned(pair), (rows - pair) % rows);
            // Zero and Nyquist frequency stand alone.
            let (sum, off) = if mirror == pair {
                (own, own)
            } else {
                let other = turned(mirror);
                (own + other, own - other)
            };
            let [even_re, even_im] = &mut self.even;
            let [odd_re, odd_im] = &mut self.odd;
            add_scaled(cos, [sum.re, sum.im], even_re, even_im);
            add_scaled(sin, [off.re, off.im], odd_re, odd_im);
        }
    }

    /// Values at all shifts, from the smallest to the largest.
    fn unfold(&self, middle: usize, out: &mut [Complex64]) {
        for (u, out) in out.iter_mut().enumerate() {
            let j = u.abs_diff(middle);
            let sign = if u < middle { -1.0 } else { 1.0 };
            // even ± i·odd.
            *out = Complex64::new(
                self.even[0][j] - sign * self.odd[1][j],
                self.even[1][j] + sign * self.odd[0][j],
            );
        }
    }
}

kernel! {
    /// `re` and `im` += `table` times two factors.
    fn add_scaled(table: &[f64], factors: [f64; 2], re: &mut [f64], im: &mut [f64]) {
        let n = table.len();
        let (re, im) = (&mut re[..n], &mut im[..n]);
        for i in 0..n {
            re[i] += factors[0] * table[i];
            im[i] += factors[1] * table[i];
        }
    }
}

kernel! {
    /// Adds 2·Re(t·e) for every pair of t in `turned` and e = (`cos` + i·`sin`)/2, row by row.
    fn add_real(turned: &[Complex64], cos: &[f64], sin: &[f64], sum: &mut [Complex64]) {
        let n = cos.len();
        for (t, sums) in turned.iter().zip(sum.chunks_exact_mut(n)) {
            let sin = &sin[..n];
            for i in 0..n {
                sums[i].re += t.re * cos[i] - t.im * sin[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptycho::real_fft::RealFft2;

    /// The definition, over the full spectrum.
    fn plainly(product: &[Complex64], shape: (usize, usize), coarse: [f64; 2], upsample: usize) -> [f64; 2] {
        let (rows, cols) = shape;
        let at = |j: usize, k: usize| {
            if k <= cols / 2 {
                product[k * rows + j]
            } else {
                product[(cols - k) * rows + (rows - j) % rows].conj()
            }
        };
        let size = (upsample as f64 * 1.5).ceil() as usize;
        let mut best = (-1.0, coarse);
        for u in 0..size {
            for v in 0..size {
                let fine = |i: usize| (i as f64 - (size / 2) as f64) / upsample as f64;
                let s = [coarse[0] + fine(u), coarse[1] + fine(v)];
                let mut sum = Complex64::default();
                for (j, k) in (0..rows).flat_map(|j| (0..cols).map(move |k| (j, k))) {
                    let turn = frequency(j, rows) * s[0] + frequency(k, cols) * s[1];
                    sum += at(j, k) * Complex64::cis(TAU * turn);
                }
                if sum.norm_sqr() > best.0 * (1.0 + 1e-12) {
                    best = (sum.norm_sqr(), s);
                }
            }
        }
        best.1
    }

    #[test]
    fn equals_the_definition() {
        for (rows, cols) in [(8, 8), (7, 10), (12, 9), (5, 5), (1, 9), (6, 1)] {
            let image = |seed: usize| -> Vec<f64> {
                (0..rows * cols).map(|i| ((i * i * 7 + seed * i) % 23) as f64).collect()
            };
            let mut fft = RealFft2::new(rows, cols);
            let (a, b) = (fft.forward(&image(3)), fft.forward(&image(5)));
            let product: Vec<Complex64> = a.iter().zip(&b).map(|(a, b)| a * b.conj()).collect();
            for (coarse, upsample) in [([0.0, 0.0], 10), ([2.0, -3.0], 7), ([-1.0, 4.0], 4)] {
                let found = refine(&product, (rows, cols), coarse, upsample);
                let expected = plainly(&product, (rows, cols), coarse, upsample);
                let off = (found[0] - expected[0]).hypot(found[1] - expected[1]);
                assert!(off < 1e-9, "{rows} × {cols}: {found:?} instead of {expected:?}");
            }
        }
    }
}
