//! From a group's object patches to its diffraction patterns, and the gradient back.
//!
//! Patches a·exp(iφ) of one group are placed at their true sub-pixel positions relative to the group's
//! first image and averaged where they overlap; from that common object a patch is cut per image,
//! multiplied by the probe and Fourier-transformed; the amplitudes are compared with the measured ones.
//! Every linear step is differentiated by its exact adjoint. Gradients of real functions of complex
//! numbers are ∂L/∂Re + i·∂L/∂Im. A group is computed on its own canvas, always.
//!
//! The beam, probe and intensity, may be learnt with the network: its gradients come out beside those of the
//! patches.

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
    /// 1 for every pixel that was measured, 0 for the others, zero frequency at index N/2; all, if absent.
    pub mask: Option<Vec<T>>,
    /// Object assumed where no patch of the group reaches: the mean amplitude, phase 0.
    pub background: T,
    /// How patterns are compared.
    pub likelihood: Likelihood,
    /// Added to every predicted intensity in the Poisson deviance, in squared units of the input, so
    /// that its logarithm and its slope stay finite.
    pub floor: T,
}

/// What lights the object, as it is for one sample.
#[derive(Debug, Clone, Copy)]
pub struct Beam<'a, T> {
    /// As [`Optics::probe`].
    pub probe: &'a [Complex<T>],
    /// As [`Optics::mask`].
    pub mask: Option<&'a [T]>,
    /// Factor on all predicted amplitudes.
    pub scale: T,
}

/// Gradients with respect to a [`Beam`].
#[derive(Debug)]
pub struct BeamGradient<'a, T> {
    /// With respect to the probe; what is there is added to.
    pub probe: &'a mut [Complex<T>],
    /// With respect to the logarithm of the scale.
    pub log_scale: T,
}

/// Working memory for groups. Each thread has its own.
pub struct Physics<T> {
    side: usize,
    drawn: usize,
    fft: Box<dyn Fourier<T>>,
    field: Vec<Complex<T>>,
    /// The object under the probe, once more: a learnt probe's gradient needs it.
    lit: Vec<Complex<T>>,
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
            lit: Vec::new(),
            patch: vec![zero; drawn * drawn],
            canvas: Vec::new(),
            gradient: Vec::new(),
            weight: Vec::new(),
        }
    }

    /// Bytes that a group takes at most whose canvas is not wider than two patterns.
    pub fn bytes(side: usize, drawn: usize) -> u64 {
        let complex = 2 * side * side + drawn * drawn + 2 * (2 * side).pow(2);
        ((2 * complex + (2 * side).pow(2)) * size_of::<T>()) as u64
    }

    /// Loss of one group, averaged over its images, and its gradient with respect to the patches, and to the
    /// beam if that is asked for.
    ///
    /// `positions`: (row, col) of each image's centre relative to the first one's, pixels.
    /// `measured`: normalised amplitudes, `[image][row][col]`, zero frequency at index N/2.
    pub fn loss(
        &mut self,
        (optics, beam): (&Optics<T>, Beam<'_, T>),
        (positions, measured): (&[(f64, f64)], &[T]),
        patches: &Patches<T>,
        gradient: &mut Patches<T>,
        mut to_beam: Option<&mut BeamGradient<'_, T>>,
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
            if to_beam.is_some() {
                self.lit.clone_from(&self.field);
            }
            self.field.iter_mut().zip(beam.probe).for_each(|(f, p)| *f *= p * beam.scale);
            self.fft.forward(&mut self.field);
            let (own, slope) = compare(optics, beam.mask, measured, &mut self.field, count);
            loss += own;
            self.fft.inverse(&mut self.field);
            // The field is s·F(P·O): ∂L/∂O = s·conj(P)·F*(g), ∂L/∂P = s·conj(O)·F*(g).
            if let Some(to) = to_beam.as_deref_mut() {
                to.log_scale += slope;
                let pairs = to.probe.iter_mut().zip(self.field.iter().zip(&self.lit));
                pairs.for_each(|(to, (g, o))| *to += g * o.conj() * beam.scale);
            }
            self.field.iter_mut().zip(beam.probe).for_each(|(f, p)| *f *= p.conj() * beam.scale);
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

/// Loss of one pattern divided by `count`, and its slope over the logarithm of the field's scale. `field`, the
/// predicted far field with the zero frequency at [0, 0], is replaced by the gradient with respect to it.
fn compare<T: Real>(
    optics: &Optics<T>,
    mask: Option<&[T]>,
    measured: &[T],
    field: &mut [Complex<T>],
    count: T,
) -> (f64, T) {
    let n = measured.len().isqrt();
    let pixels = T::of((n * n) as f64) * count;
    // A normalised pattern sums to (N/2)² in the mean: that many units are the photons of one image.
    let photons = T::of((n * n) as f64 / 4.0) * count;
    let two = T::one() + T::one();
    let (mut loss, mut slope) = (0.0, T::zero());
    for (r, row) in field.chunks_exact_mut(n).enumerate() {
        let from = (r + n / 2) % n * n;
        let mut sum = T::zero();
        for (c, value) in row.iter_mut().enumerate() {
            let at = from + (c + n / 2) % n;
            let x = measured[at];
            let weight = mask.map_or(T::one(), |mask| mask[at]);
            let squared = value.norm_sqr();
            let factor = match optics.likelihood {
                Likelihood::Mae => {
                    let amplitude = squared.sqrt();
                    let difference = amplitude - x;
                    sum += weight * difference.abs();
                    let sign = if difference > T::zero() { T::one() } else { -T::one() };
                    // The amplitude has no slope at 0; any direction is as good as none.
                    let safe = if amplitude > T::zero() { amplitude } else { T::one() };
                    weight * sign / (safe * pixels)
                }
                Likelihood::Poisson => {
                    let (expected, counted) = (squared + optics.floor, x * x);
                    let mut deviance = expected - counted;
                    if counted > T::zero() {
                        deviance += counted * (counted / expected).ln();
                    }
                    sum += weight * deviance;
                    weight * two * (T::one() - counted / expected) / photons
                }
            };
            slope += factor * squared;
            *value *= factor;
        }
        loss += sum.wide();
    }
    let unit = match optics.likelihood {
        Likelihood::Mae => pixels.wide(),
        Likelihood::Poisson => photons.wide(),
    };
    (loss / unit, slope)
}
