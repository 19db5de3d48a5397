//! The two precisions: `f32` to train, `f64` to check gradients against finite differences.

use ndarray::NdFloat;
use num_complex::Complex;

use crate::ptycho::fft::Fft2;

/// Fourier transforms of one square shape; unnormalised both ways, zero frequency at index [0, 0].
pub trait Fourier<T>: Send {
    /// Forward transform in place.
    fn forward(&mut self, data: &mut [Complex<T>]);
    /// Inverse transform in place; also the adjoint of [`Fourier::forward`].
    fn inverse(&mut self, data: &mut [Complex<T>]);
}

/// A precision the trainer computes in. `gemm` and `rustfft` know both by type, hence no other implementations.
pub trait Real: NdFloat {
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// The value as `f64`, exactly.
    fn wide(self) -> f64;
    /// Transforms of `side × side` arrays.
    fn fourier(side: usize) -> Box<dyn Fourier<Self>>;
}

macro_rules! real {
    ($($t:ty),*) => {$(
        impl Fourier<$t> for Fft2<$t> {
            fn forward(&mut self, data: &mut [Complex<$t>]) {
                Fft2::forward(self, data);
            }

            fn inverse(&mut self, data: &mut [Complex<$t>]) {
                Fft2::inverse(self, data);
            }
        }

        impl Real for $t {
            fn of(x: f64) -> Self {
                x as $t
            }

            fn wide(self) -> f64 {
                f64::from(self)
            }

            fn fourier(side: usize) -> Box<dyn Fourier<Self>> {
                Box::new(Fft2::<$t>::new(side, side))
            }
        }
    )*};
}

real!(f32, f64);
