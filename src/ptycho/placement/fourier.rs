//! Patches moved by a fraction of a pixel in Fourier space.

use ndarray::{Array2, ArrayView2};
use num_complex::{Complex32, Complex64};

use crate::ptycho::fft::{Fft2, frequency};

/// Moves patches of one shape by fractions of a pixel; plans and buffers are made once.
///
/// A patch that ends as it begins, and holds no frequencies beyond Nyquist, is moved exactly, where bilinear weights
/// blur. The transform takes every patch for periodic: a step between opposite edges rings, most of all near them
/// (about 1 % of the step in the middle of 32 pixels). Weights that fall off towards the edges, as the probe's
/// intensity does, or a crop keep the worst of it out of the image.
pub(super) struct Mover {
    fft: Fft2<f64>,
    data: Vec<Complex64>,
    moved: Array2<Complex32>,
}

impl Mover {
    /// For patches of that shape.
    pub fn new(shape: (usize, usize)) -> Self {
        Self {
            fft: Fft2::new(shape.0, shape.1),
            data: vec![Complex64::default(); shape.0 * shape.1],
            moved: Array2::zeros(shape),
        }
    }

    /// The patch with its content moved by `[dy, dx]` pixels, each in [−½, ½], towards larger indices.
    pub fn patch(
        &mut self,
        patch: ArrayView2<'_, Complex32>,
        [dy, dx]: [f64; 2],
    ) -> ArrayView2<'_, Complex32> {
        let (rows, cols) = self.fft.shape();
        for (to, v) in self.data.iter_mut().zip(&patch) {
            *to = Complex64::new(v.re.into(), v.im.into());
        }
        self.fft.forward(&mut self.data);
        let norm = 1.0 / (rows * cols) as f64;
        for (r, line) in self.data.chunks_exact_mut(cols).enumerate() {
            let down = turn(r, rows, dy) * norm;
            line.iter_mut().enumerate().for_each(|(c, v)| *v *= down * turn(c, cols, dx));
        }
        self.fft.inverse(&mut self.data);
        for (to, v) in self.moved.iter_mut().zip(&self.data) {
            *to = Complex32::new(v.re as f32, v.im as f32);
        }
        self.moved.view()
    }
}

/// Weights moved likewise, but between neighbours, so that none becomes negative; nothing comes in at the edges.
pub(super) fn move_weights(weights: ArrayView2<'_, f64>, [dy, dx]: [f64; 2], to: &mut Array2<f64>) {
    let (rows, cols) = weights.dim();
    let at = |r: i64, c: i64| {
        let inside = (0..rows as i64).contains(&r) && (0..cols as i64).contains(&c);
        if inside { weights[[r as usize, c as usize]] } else { 0.0 }
    };
    let (down, right) = (dy.floor(), dx.floor());
    let (fy, fx) = (dy - down, dx - right);
    for ((r, c), to) in to.indexed_iter_mut() {
        let (r, c) = (r as i64 - down as i64, c as i64 - right as i64);
        *to = (1.0 - fy) * ((1.0 - fx) * at(r, c) + fx * at(r, c - 1))
            + fy * ((1.0 - fx) * at(r - 1, c) + fx * at(r - 1, c - 1));
    }
}

/// Factor of frequency `i` of `n` for a move by `by` pixels. A Nyquist frequency has no sign, and so gets the mean of
/// both, which keeps real patches real.
fn turn(i: usize, n: usize, by: f64) -> Complex64 {
    let angle = -std::f64::consts::TAU * frequency(i, n) * by;
    if 2 * i == n { Complex64::new(angle.cos(), 0.0) } else { Complex64::cis(angle) }
}
