//! From a group's object patches to its diffraction patterns, and the gradient back.
//!
//! Patches a·exp(iφ) of one group are placed at their true sub-pixel positions relative to the group's
//! first image and averaged where they overlap; from that common object a patch is cut per image,
//! multiplied by the probe and Fourier-transformed; the amplitudes are compared with the measured ones.
//! Every linear step is differentiated by its exact adjoint. Gradients of real functions of complex
//! numbers are ∂L/∂Re + i·∂L/∂Im. A group is computed on its own canvas, always.

use num_complex::Complex;
use serde::{Deserialize, Serialize};

use super::bilinear::{Place, cut, place, place_ones};
use super::real::{Fourier, Real};
use super::workspace::Patches;

/// How predicted and measured patterns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Mean absolute difference of amplitudes.
    #[default]
    Mae,
    /// Poisson deviance of the counts, per photon.
    Poisson,
}

/// Weight of the background in the overlap average, against 1 for a patch. The reference adds 0.001 to
/// the denominator only; that drives what no patch covers to 0.
const BACKGROUND_WEIGHT: f64 = 1e-3;

/// What the physics of one dataset needs.
#[derive(Debug, Clone)]
pub struct Optics<T> {
    /// Probe times normalisation / N, so that the unnormalised transform of probe · object is in the
    /// unit of the network's input.
    pub probe: Vec<Complex<T>>,
    /// Object assumed where no patch of the group reaches: the mean amplitude, phase 0.
    pub background: T,
    /// How patterns are compared.
    pub likelihood: Likelihood,
    /// Added to every predicted intensity in the Poisson deviance, in squared units of the input, so
    /// that its logarithm and its slope stay finite.
    pub floor: T,
}

/// Working memory for groups. Each thread has its own.
pub struct Physics<T> {
    side: usize,
    drawn: usize,
    fft: Box<dyn Fourier<T>>,
    field: Vec<Complex<T>>,
    patch: Vec<Complex<T>>,
    canvas: Vec<Complex<T>>,
    gradient: Vec<Complex<T>>,
    weight: Vec<T>,
}

impl<T: Real> Physics<T> {
    /// For N×N patterns and patches of which the central `drawn` × `drawn` pixels are predicted.
    pub fn new(side: usize, drawn: usize) -> Self {
        let zero = Complex::new(T::zero(), T::zero());
        Self {
            side,
            drawn,
            fft: T::fourier(side),
            field: vec![zero; side * side],
            patch: vec![zero; drawn * drawn],
            canvas: Vec::new(),
            gradient: Vec::new(),
            weight: Vec::new(),
        }
    }

    /// Loss of one group, averaged over its images, and its gradient with respect to the patches.
    ///
    /// `positions`: (row, col) of each image's centre relative to the first one's, pixels.
    /// `measured`: normalised amplitudes, `[image][row][col]`, zero frequency at index N/2.
    pub fn loss(
        &mut self,
        optics: &Optics<T>,
        positions: &[(f64, f64)],
        measured: &[T],
        patches: &Patches<T>,
        gradient: &mut Patches<T>,
    ) -> f64 {
        let (n, m) = (self.side, self.drawn);
        let (width, origin) = self.lay_out(positions);
        let corner = |&(row, col): &(f64, f64), side: usize| {
            let half = (side / 2) as f64;
            Place::<T>::new(row - half - origin.0, col - half - origin.1)
        };
        self.assemble(optics, positions.iter().map(|p| corner(p, m)), patches, width);

        let count = T::of(positions.len() as f64);
        let mut loss = 0.0;
        for (position, measured) in positions.iter().zip(measured.chunks_exact(n * n)) {
            let at = corner(position, n);
            cut(&self.canvas, width, at, &mut self.field, n);
            self.field.iter_mut().zip(&optics.probe).for_each(|(f, p)| *f *= p);
            self.fft.forward(&mut self.field);
            loss += compare(optics, n, measured, &mut self.field, count);
            self.fft.inverse(&mut self.field);
            self.field.iter_mut().zip(&optics.probe).for_each(|(f, p)| *f *= p.conj());
            place(&mut self.gradient, width, at, &self.field, n);
        }

        let background = T::of(BACKGROUND_WEIGHT);
        self.gradient.iter_mut().zip(&self.weight).for_each(|(g, &w)| *g /= w + background);
        for (i, position) in positions.iter().enumerate() {
            cut(&self.gradient, width, corner(position, m), &mut self.patch, m);
            let part = i * m * m..(i + 1) * m * m;
            let values = patches.amplitude[part.clone()].iter().zip(&patches.phase[part.clone()]);
            let out = gradient.amplitude[part.clone()].iter_mut().zip(&mut gradient.phase[part]);
            for ((&g, (&a, &phi)), (to_a, to_phi)) in self.patch.iter().zip(values).zip(out) {
                // O = a·exp(iφ): ∂L/∂a = Re(ḡ·exp(iφ)), ∂L/∂φ = Re(ḡ·i·a·exp(iφ)), ḡ the conjugate of g.
                let turned = g * Complex::from_polar(T::one(), -phi);
                *to_a = turned.re;
                *to_phi = a * turned.im;
            }
        }
        loss
    }

    /// Sizes the canvas for these positions and clears it: its side, and the coordinates of its pixel [0, 0].
    fn lay_out(&mut self, positions: &[(f64, f64)]) -> (usize, (f64, f64)) {
        let range = |pick: fn(&(f64, f64)) -> f64| {
            let values = positions.iter().map(pick);
            let low = values.clone().fold(f64::INFINITY, f64::min).floor();
            let high = values.fold(f64::NEG_INFINITY, f64::max).ceil();
            (low, high - low)
        };
        let ((row, rows), (col, cols)) = (range(|p| p.0), range(|p| p.1));
        let half = (self.side / 2) as f64;
        // One pixel more: bilinear sampling reads a neighbour beyond the patch.
        let width = self.side + rows.max(cols) as usize + 1;
        let zero = Complex::new(T::zero(), T::zero());
        self.canvas.clear();
        self.canvas.resize(width * width, zero);
        self.gradient.clear();
        self.gradient.resize(width * width, zero);
        self.weight.clear();
        self.weight.resize(width * width, T::zero());
        (width, (row - half, col - half))
    }

    /// The group's object on the canvas: overlap average of its patches and a little background.
    fn assemble(
        &mut self,
        optics: &Optics<T>,
        corners: impl Iterator<Item = Place<T>>,
        patches: &Patches<T>,
        width: usize,
    ) {
        let m = self.drawn;
        let planes = patches.amplitude.chunks_exact(m * m).zip(patches.phase.chunks_exact(m * m));
        for (at, (amplitude, phase)) in corners.zip(planes) {
            for (o, (&a, &phi)) in self.patch.iter_mut().zip(amplitude.iter().zip(phase)) {
                *o = Complex::from_polar(a, phi);
            }
            place(&mut self.canvas, width, at, &self.patch, m);
            place_ones(&mut self.weight, width, at, m);
        }
        let little = T::of(BACKGROUND_WEIGHT);
        let background = Complex::new(optics.background * little, T::zero());
        for (o, &w) in self.canvas.iter_mut().zip(&self.weight) {
            *o = (*o + background) / (w + little);
        }
    }
}

/// Loss of one pattern divided by `count`; `field`, the predicted far field with the zero frequency at
/// [0, 0], is replaced by the gradient with respect to it.
fn compare<T: Real>(optics: &Optics<T>, n: usize, measured: &[T], field: &mut [Complex<T>], count: T) -> f64 {
    let pixels = T::of((n * n) as f64) * count;
    // A normalised pattern sums to (N/2)² in the mean: that many units are the photons of one image.
    let photons = T::of((n * n) as f64 / 4.0) * count;
    let mut loss = 0.0;
    for (r, row) in field.chunks_exact_mut(n).enumerate() {
        let from = (r + n / 2) % n * n;
        let measured = &measured[from..from + n];
        let mut sum = T::zero();
        for (c, value) in row.iter_mut().enumerate() {
            let x = measured[(c + n / 2) % n];
            match optics.likelihood {
                Likelihood::Mae => {
                    let amplitude = value.norm();
                    let difference = amplitude - x;
                    sum += difference.abs();
                    let slope = if difference > T::zero() { T::one() } else { -T::one() };
                    // The amplitude has no slope at 0; any direction is as good as none.
                    let safe = if amplitude > T::zero() { amplitude } else { T::one() };
                    *value *= slope / (safe * pixels);
                }
                Likelihood::Poisson => {
                    let (expected, counted) = (value.norm_sqr() + optics.floor, x * x);
                    sum += expected - counted;
                    if counted > T::zero() {
                        sum += counted * (counted / expected).ln();
                    }
                    let two = T::one() + T::one();
                    *value *= two * (T::one() - counted / expected) / photons;
                }
            }
        }
        loss += sum.wide();
    }
    loss / match optics.likelihood {
        Likelihood::Mae => pixels.wide(),
        Likelihood::Poisson => photons.wide(),
    }
}
