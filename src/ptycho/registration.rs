//! Sub-pixel registration by upsampled phase correlation, and shifts in Fourier space.
//!
//! The search is that of Guizar-Sicairos, Thurman & Fienup, Optics Letters 33, 156 (2008), as
//! scikit-image's `phase_cross_correlation` does it: a coarse peak by FFT, then a matrix-multiply DFT of
//! 1.5 pixels around it at the upsampled resolution.

use ndarray::{Array2, ArrayView2};
use num_complex::{Complex32, Complex64};

use super::fft::{Fft2, frequency};
use super::real_fft::RealFft2;

mod peak;

/// Upsampling of the reference study: shifts are multiples of 1/50 pixel.
pub const UPSAMPLE: usize = 50;

/// Why two images cannot be registered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RegistrationError {
    /// The images differ in size.
    #[error("images differ in size: {0:?} and {1:?}")]
    Shape((usize, usize), (usize, usize)),
    /// An image has no pixels.
    #[error("image is empty")]
    Empty,
    /// A value is NaN or infinite.
    #[error("{which} image holds {value} at row {row}, column {col}")]
    NotFinite {
        /// `reference` or `moving`.
        which: &'static str,
        /// The value.
        value: f64,
        /// Row.
        row: usize,
        /// Column.
        col: usize,
    },
    /// An image is constant, so that every shift fits equally.
    #[error("the {0} image is constant, so that every shift fits it equally")]
    Constant(&'static str),
}

/// The shift (dy, dx), in pixels, that moves `moving` onto `reference`, to 1/`upsample` of a pixel, by
/// phase correlation exactly as the reference study did it.
///
/// The cross spectrum is divided by max(|P|, 100·ε) with ε that of **f32**, as in the reference study,
/// which registered in f32. `within` bounds |dy| and |dx|: only coarse peaks inside it are considered;
/// `None` searches every shift. Equal peaks go to the first in row order. Upsampling 0 counts as 1.
///
/// On images cut out of a larger field the method leans towards zero, because the cut edges, which do not
/// move, count at every frequency: smooth noise (σ 1.5 px, 128²) moved by (0.6, −1.2) is found at
/// (0.06, −0.18). [`cross_correlation`] does not have that bias.
pub fn phase_correlation(
    reference: ArrayView2<'_, f64>,
    moving: ArrayView2<'_, f64>,
    upsample: usize,
    within: Option<f64>,
) -> Result<[f64; 2], RegistrationError> {
    let mut spectrum = Cross::of(reference, moving, plain)?;
    let floor = 100.0 * f64::from(f32::EPSILON);
    spectrum.product.iter_mut().for_each(|p| *p /= p.norm_sqr().sqrt().max(floor));
    Ok(spectrum.peak(upsample, within))
}

/// As [`phase_correlation`], but from the plain cross-correlation of the images without their means under
/// a Hann window: frequencies count by their power and cut edges not at all.
pub fn cross_correlation(
    reference: ArrayView2<'_, f64>,
    moving: ArrayView2<'_, f64>,
    upsample: usize,
    within: Option<f64>,
) -> Result<[f64; 2], RegistrationError> {
    Ok(Cross::of(reference, moving, windowed)?.peak(upsample, within))
}

/// As [`phase_correlation`], but without dividing by the modulus: scikit-image's `normalization=None`.
pub fn plain_correlation(
    reference: ArrayView2<'_, f64>,
    moving: ArrayView2<'_, f64>,
    upsample: usize,
    within: Option<f64>,
) -> Result<[f64; 2], RegistrationError> {
    Ok(Cross::of(reference, moving, plain)?.peak(upsample, within))
}

/// Pixels in row order.
fn plain(image: ArrayView2<'_, f64>) -> Vec<f64> {
    image.iter().copied().collect()
}

/// Pixels minus their mean, times a Hann window, in row order.
fn windowed(image: ArrayView2<'_, f64>) -> Vec<f64> {
    // One sample more on either side than NumPy's `hanning`, whose ends are zero: a line of one or two
    // pixels keeps its weight.
    let hann = |n: usize| -> Vec<f64> {
        let step = std::f64::consts::PI / (n + 1) as f64;
        (1..=n).map(|i| (i as f64 * step).sin().powi(2)).collect()
    };
    let (down, across) = (hann(image.nrows()), hann(image.ncols()));
    let mean = image.sum() / image.len() as f64;
    let rows = image.into_iter().collect::<Vec<_>>();
    let lines = rows.chunks_exact(across.len()).zip(&down);
    lines.flat_map(|(row, d)| row.iter().zip(&across).map(move |(v, a)| (**v - mean) * d * a)).collect()
}

/// F(reference)·conj(F(moving)) of two real images, as [`RealFft2`] lays it out.
struct Cross {
    fft: RealFft2,
    product: Vec<Complex64>,
    shape: (usize, usize),
}

impl Cross {
    /// Checks the images and multiplies the spectra of what `prepare` makes of them.
    fn of(
        reference: ArrayView2<'_, f64>,
        moving: ArrayView2<'_, f64>,
        prepare: impl Fn(ArrayView2<'_, f64>) -> Vec<f64>,
    ) -> Result<Self, RegistrationError> {
        check_pair(reference, moving)?;
        let shape = reference.dim();
        let mut fft = RealFft2::new(shape.0, shape.1);
        let mut product = fft.forward(&prepare(reference));
        let other = fft.forward(&prepare(moving));
        product.iter_mut().zip(&other).for_each(|(a, b)| *a *= b.conj());
        Ok(Self { fft, product, shape })
    }

    /// The shift at which the correlation is largest.
    fn peak(mut self, upsample: usize, within: Option<f64>) -> [f64; 2] {
        let (rows, cols) = self.shape;
        let correlation = self.fft.inverse(&mut self.product.clone());
        let limit = within.unwrap_or(f64::INFINITY);
        let mut best = (-1.0, [0.0, 0.0]);
        for (r, line) in correlation.chunks_exact(cols).enumerate() {
            let down = wrapped(r, rows);
            if down.abs() > limit {
                continue;
            }
            for (c, v) in line.iter().enumerate() {
                if v.abs() > best.0 {
                    let across = wrapped(c, cols);
                    if across.abs() <= limit {
                        best = (v.abs(), [down, across]);
                    }
                }
            }
        }
        if upsample <= 1 { best.1 } else { peak::refine(&self.product, self.shape, best.1, upsample) }
    }
}

/// Index of a transform of length `n` as a signed shift; past trunc(n/2) it wraps to negative.
fn wrapped(i: usize, n: usize) -> f64 {
    if i > n / 2 { i as f64 - n as f64 } else { i as f64 }
}

fn check_pair(reference: ArrayView2<'_, f64>, moving: ArrayView2<'_, f64>) -> Result<(), RegistrationError> {
    if reference.dim() != moving.dim() {
        return Err(RegistrationError::Shape(reference.dim(), moving.dim()));
    }
    check("reference", reference)?;
    check("moving", moving)
}

fn check(which: &'static str, image: ArrayView2<'_, f64>) -> Result<(), RegistrationError> {
    let first = *image.first().ok_or(RegistrationError::Empty)?;
    if let Some(((row, col), &value)) = image.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(RegistrationError::NotFinite { which, value, row, col });
    }
    if image.iter().all(|&v| v == first) {
        return Err(RegistrationError::Constant(which));
    }
    Ok(())
}

/// Moves the content of a complex image by (dy, dx) pixels, towards larger indices, by multiplying its
/// transform with exp(−2πi(dy·ky + dx·kx)). Periodic: what leaves one edge enters at the other.
/// Computed in f64.
pub fn fourier_shift(image: ArrayView2<'_, Complex32>, shift: [f64; 2]) -> Array2<Complex32> {
    let (rows, cols) = image.dim();
    let mut data: Vec<Complex64> = image.iter().map(|v| Complex64::new(v.re.into(), v.im.into())).collect();
    if data.is_empty() {
        return image.to_owned();
    }
    let mut fft = Fft2::new(rows, cols);
    fft.forward(&mut data);
    let turn = |n: usize, s: f64| -> Vec<Complex64> {
        (0..n).map(|i| Complex64::cis(-std::f64::consts::TAU * frequency(i, n) * s)).collect()
    };
    let (along_y, along_x) = (turn(rows, shift[0]), turn(cols, shift[1]));
    let norm = 1.0 / (rows * cols) as f64;
    for (line, y) in data.chunks_exact_mut(cols).zip(&along_y) {
        line.iter_mut().zip(&along_x).for_each(|(v, x)| *v *= y * x * norm);
    }
    fft.inverse(&mut data);
    Array2::from_shape_fn((rows, cols), |(r, c)| {
        let v = data[r * cols + c];
        Complex32::new(v.re as f32, v.im as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texture(rows: usize, cols: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * r * 7 + c * 13 + r * c) % 31) as f64)
    }

    #[test]
    fn a_delta_moves_down_and_right_by_positive_shifts() {
        let mut delta = Array2::from_elem((16, 17), Complex32::default());
        delta[[8, 8]] = Complex32::new(1.0, 0.0);
        let moved = fourier_shift(delta.view(), [3.0, 2.0]);
        assert!((moved[[11, 10]].re - 1.0).abs() < 1e-6);
        assert!(moved.indexed_iter().all(|(at, v)| at == (11, 10) || v.norm() < 1e-6));
    }

    #[test]
    fn finds_whole_and_fractional_shifts() {
        let reference = texture(40, 33);
        let as_complex = reference.mapv(|v| Complex32::new(v as f32, 0.0));
        for shift in [[-3.0, 5.0], [1.3, -2.7], [0.02, 0.0]] {
            let moved = fourier_shift(as_complex.view(), [-shift[0], -shift[1]]).mapv(|v| f64::from(v.re));
            let found = phase_correlation(reference.view(), moved.view(), UPSAMPLE, None).unwrap();
            // One step off is allowed: the real part of a shifted Nyquist frequency is not the shifted one.
            assert!((0..2).all(|i| (found[i] - shift[i]).abs() < 0.021), "{found:?}");
        }
    }

    #[test]
    fn cut_edges_bias_phase_correlation_but_not_the_windowed_one() {
        // Smooth blobs on a field larger than what is looked at.
        let field = Array2::from_shape_fn((140, 150), |(r, c)| {
            let v = (0..60).map(|k| {
                let (y, x) = ((k * 67 % 140) as f64, (k * 101 % 150) as f64);
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                sign * (-((r as f64 - y).powi(2) + (c as f64 - x).powi(2)) / 30.0).exp()
            });
            Complex32::new(v.sum::<f64>() as f32, 0.0)
        });
        let part =
            |image: &Array2<Complex32>| image.slice(ndarray::s![30..110, 30..118]).mapv(|v| f64::from(v.re));
        let (reference, moved) = (part(&field), part(&fourier_shift(field.view(), [0.6, -1.2])));
        let off = |s: [f64; 2]| (s[0] + 0.6).hypot(s[1] - 1.2);
        let windowed = cross_correlation(reference.view(), moved.view(), UPSAMPLE, None).unwrap();
        let plain = phase_correlation(reference.view(), moved.view(), UPSAMPLE, None).unwrap();
        assert!(off(windowed) < 0.1, "{windowed:?}");
        assert!(off(plain) > 0.5, "{plain:?}");
    }

    #[test]
    fn the_bound_keeps_far_peaks_out() {
        let reference = texture(40, 33);
        let moved = Array2::from_shape_fn((40, 33), |(r, c)| reference[[(r + 30) % 40, (c + 20) % 33]]);
        let free = phase_correlation(reference.view(), moved.view(), UPSAMPLE, None).unwrap();
        assert!(free[0].abs() > 5.0);
        let bound = phase_correlation(reference.view(), moved.view(), UPSAMPLE, Some(3.0)).unwrap();
        assert!(bound.iter().all(|s| s.abs() < 3.75), "{bound:?}");
    }

    #[test]
    fn undefined_input_is_named() {
        let a = texture(8, 8);
        let flat = Array2::from_elem((8, 8), 0.5);
        let mut nan = a.clone();
        nan[[2, 3]] = f64::NAN;
        let run = |b: &Array2<f64>| phase_correlation(a.view(), b.view(), 50, None);
        assert_eq!(run(&flat), Err(RegistrationError::Constant("moving")));
        assert!(matches!(
            run(&nan),
            Err(RegistrationError::NotFinite { which: "moving", row: 2, col: 3, .. })
        ));
        assert!(matches!(run(&texture(8, 9)), Err(RegistrationError::Shape(..))));
    }
}
