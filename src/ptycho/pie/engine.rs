//! State and sweep of a reconstruction.

use ndarray::{Array2, Array3, ArrayView2};
use num_complex::Complex32;

use super::scan::{Frame, Place, places};
use super::{PieError, Rule, Settings, Subpixel, kernels};
use crate::ptycho::fft::{Fft2, frequency, ifftshift2};

/// A reconstruction in progress. Buffers and plans are made once; a sweep allocates nothing.
pub struct Engine {
    settings: Settings,
    side: usize,
    frame: Frame,
    places: Vec<Place>,
    /// (M, N, N) amplitudes with the zero frequency at \[0, 0\].
    measured: Vec<f32>,
    /// Σ amplitudes², the residual's unit.
    energy: f64,
    /// Σ|P|² of the probe given.
    power: f64,
    object: Vec<Complex32>,
    probe: Vec<Complex32>,
    fft: Fft2<f32>,
    /// Object patch, exit wave, its revision, update.
    patch: Vec<Complex32>,
    exit: Vec<Complex32>,
    revised: Vec<Complex32>,
    change: Vec<Complex32>,
    /// The probe as this pattern sees it, the probe's transform, and the phases of a line's frequencies;
    /// used for probe shifts only.
    moved: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    phases: Vec<Complex32>,
    /// Sums over a batch; the object's is made when the first batch of more than one needs it.
    object_sum: Vec<Complex32>,
    probe_sum: Vec<Complex32>,
}

impl Engine {
    /// Sets up a reconstruction that starts from an object of ones.
    ///
    /// `diffraction` is (M, N, N) amplitude with the zero frequency at index N/2; `x`, `y` are the
    /// absolute columns and rows of the patch centres; `probe` is (N, N).
    pub fn new(
        diffraction: Array3<f32>,
        x: &[f64],
        y: &[f64],
        probe: ArrayView2<'_, Complex32>,
        frame: Frame,
        settings: Settings,
    ) -> Result<Self, PieError> {
        let (count, rows, side) = diffraction.dim();
        let shape = |what, found: String, expected: String| Err(PieError::Shape { what, found, expected });
        if diffraction.is_empty() {
            return Err(PieError::Empty);
        }
        if rows != side || probe.dim() != (side, side) {
            return shape("probe", format!("{:?}", probe.dim()), format!("({rows}, {side}), square"));
        }
        if x.len() != count || y.len() != count {
            return shape("positions", format!("{} and {}", x.len(), y.len()), count.to_string());
        }
        let mut measured: Vec<f32> = diffraction.iter().copied().collect();
        drop(diffraction);
        let mut energy = 0.0;
        for pattern in measured.chunks_exact_mut(side * side) {
            energy += pattern.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
            let shifted = ifftshift2(pattern, side, side);
            pattern.copy_from_slice(&shifted);
        }
        if energy == 0.0 {
            return Err(PieError::Dark("the data"));
        }
        let probe: Vec<Complex32> = probe.iter().copied().collect();
        if kernels::peak(&probe) == 0.0 {
            return Err(PieError::Dark("the probe"));
        }
        let one = Complex32::new(1.0, 0.0);
        let buffer = || vec![Complex32::default(); side * side];
        let mut engine = Self {
            settings,
            side,
            frame,
            places: places(x, y, side, frame, settings.subpixel)?,
            measured,
            energy,
            power: power(&probe),
            object: vec![one; frame.shape.0 * frame.shape.1],
            fft: Fft2::new(side, side),
            patch: buffer(),
            exit: buffer(),
            revised: buffer(),
            change: buffer(),
            moved: buffer(),
            spectrum: buffer(),
            phases: vec![Complex32::default(); side],
            object_sum: Vec::new(),
            probe_sum: buffer(),
            probe,
        };
        engine.remember_spectrum();
        Ok(engine)
    }

    /// Replaces the object, which must have the frame's shape. For tests, and for carrying on: a
    /// reconstruction that is to be compared starts from ones, so that no truth leaks into it.
    pub fn start_from(&mut self, object: ArrayView2<'_, Complex32>) -> Result<(), PieError> {
        if object.dim() != self.frame.shape {
            let (found, expected) = (format!("{:?}", object.dim()), format!("{:?}", self.frame.shape));
            return Err(PieError::Shape { what: "object", found, expected });
        }
        self.object = object.iter().copied().collect();
        Ok(())
    }

    /// Puts object and probe where an earlier run left them; the energy to keep stays that of the probe given
    /// to [`new`](Self::new).
    pub fn go_on_from(
        &mut self,
        object: ArrayView2<'_, Complex32>,
        probe: ArrayView2<'_, Complex32>,
    ) -> Result<(), PieError> {
        if probe.dim() != (self.side, self.side) {
            let (found, expected) = (format!("{:?}", probe.dim()), format!("({0}, {0})", self.side));
            return Err(PieError::Shape { what: "probe", found, expected });
        }
        self.start_from(object)?;
        self.probe = probe.iter().copied().collect();
        self.remember_spectrum();
        Ok(())
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// One sweep over the patterns of `order`, in batches of `batch`. Returns the residual
    /// Σ(|FFT(P·O)|/N − A)² / ΣA², each pattern's taken just before its update and A over all patterns.
    pub fn epoch(&mut self, order: &[usize], batch: usize, update_probe: bool) -> f64 {
        let mut off = 0.0;
        for batch in order.chunks(batch.max(1)) {
            off += match *batch {
                [one] => self.single(one, update_probe),
                _ => self.batch(batch, update_probe),
            };
        }
        if update_probe {
            self.remember_probe();
        }
        off / self.energy
    }

    /// A batch of one: updates go straight into object and probe.
    fn single(&mut self, index: usize, update_probe: bool) -> f64 {
        let place = self.places[index];
        let off = self.revise(index);
        self.object_change();
        let (width, grid) = (self.frame.shape.1, self.grid(place));
        kernels::scatter(&mut self.object, width, grid, self.side, &self.change);
        if update_probe {
            self.probe_change(place);
            let target = match self.settings.subpixel {
                Subpixel::ProbeShift => &mut self.spectrum,
                _ => &mut self.probe,
            };
            target.iter_mut().zip(&self.change).for_each(|(p, d)| *p += d);
        }
        off
    }

    /// A batch of several: all see the same object and probe.
    fn batch(&mut self, batch: &[usize], update_probe: bool) -> f64 {
        self.object_sum.resize(self.object.len(), Complex32::default());
        let mut off = 0.0;
        for &index in batch {
            let place = self.places[index];
            off += self.revise(index);
            self.object_change();
            let (width, grid) = (self.frame.shape.1, self.grid(place));
            kernels::scatter(&mut self.object_sum, width, grid, self.side, &self.change);
            if update_probe {
                self.probe_change(place);
                self.probe_sum.iter_mut().zip(&self.change).for_each(|(s, d)| *s += d);
            }
        }
        let zero = Complex32::default();
        for (o, d) in self.object.iter_mut().zip(&mut self.object_sum) {
            *o += std::mem::replace(d, zero);
        }
        if update_probe {
            let target = match self.settings.subpixel {
                Subpixel::ProbeShift => &mut self.spectrum,
                _ => &mut self.probe,
            };
            for (p, d) in target.iter_mut().zip(&mut self.probe_sum) {
                *p += std::mem::replace(d, zero) / batch.len() as f32;
            }
        }
        off
    }

    /// Exit wave of a pattern and its revision with the measured modulus. Returns Σ(|F|/N − A)².
    fn revise(&mut self, index: usize) -> f64 {
        let place = self.places[index];
        kernels::gather(&self.object, self.frame.shape.1, self.grid(place), self.side, &mut self.patch);
        if self.settings.subpixel == Subpixel::ProbeShift {
            self.moved.copy_from_slice(&self.spectrum);
            let norm = 1.0 / (self.side * self.side) as f32;
            turn(&mut self.moved, &mut self.phases, place.fraction, norm);
            self.fft.inverse(&mut self.moved);
        }
        let probe = seen(self.settings.subpixel, &self.probe, &self.moved);
        kernels::product(probe, &self.patch, &mut self.exit);
        self.revised.copy_from_slice(&self.exit);
        self.fft.forward(&mut self.revised);
        let pixels = self.side * self.side;
        let measured = &self.measured[index * pixels..(index + 1) * pixels];
        let off = kernels::replace_modulus(&mut self.revised, measured, self.side);
        self.fft.inverse(&mut self.revised);
        off
    }

    /// The object's change from the pattern just revised, into `change`.
    fn object_change(&mut self) {
        let probe = seen(self.settings.subpixel, &self.probe, &self.moved);
        let weights = self.weights(self.settings.alpha, kernels::peak(probe));
        kernels::update(probe, &self.revised, &self.exit, weights, &mut self.change);
    }

    /// The probe's change from the pattern just revised, into `change`; for probe shifts, moved back and
    /// left as a transform.
    fn probe_change(&mut self, place: Place) {
        let weights = self.weights(self.settings.beta, kernels::peak(&self.patch));
        kernels::update(&self.patch, &self.revised, &self.exit, weights, &mut self.change);
        if self.settings.subpixel == Subpixel::ProbeShift {
            self.fft.forward(&mut self.change);
            turn(&mut self.change, &mut self.phases, place.fraction.map(|f| -f), 1.0);
        }
    }

    /// Gain, floor and slope of [`kernels::update`] for a regularisation α and the peak of |·|².
    fn weights(&self, alpha: f32, peak: f32) -> [f32; 3] {
        // An object that has vanished under the probe gives the probe nothing to learn.
        let peak = peak.max(f32::MIN_POSITIVE);
        match self.settings.rule {
            Rule::Epie => [self.settings.step * alpha, peak, 0.0],
            Rule::Rpie => [self.settings.step, alpha * peak, 1.0 - alpha],
        }
    }

    /// Where on the pixel grid a patch is read: the fraction belongs to the probe when that is shifted.
    fn grid(&self, place: Place) -> Place {
        match self.settings.subpixel {
            Subpixel::ProbeShift => Place { fraction: [0.0; 2], ..place },
            _ => place,
        }
    }

    fn remember_spectrum(&mut self) {
        self.spectrum.copy_from_slice(&self.probe);
        self.fft.forward(&mut self.spectrum);
    }

    /// Brings `probe` up to date with `spectrum`, which leads when probes are shifted.
    fn remember_probe(&mut self) {
        if self.settings.subpixel == Subpixel::ProbeShift {
            self.probe.copy_from_slice(&self.spectrum);
            self.fft.inverse(&mut self.probe);
            let norm = 1.0 / (self.side * self.side) as f32;
            self.probe.iter_mut().for_each(|p| *p *= norm);
        }
    }

    /// Gives the probe back the energy Σ|P|² it began with and lets the object take up the difference, so
    /// that a probe that is learnt does not leave the object's modulus without a unit.
    pub fn keep_power(&mut self) {
        let factor = (self.power / power(&self.probe)).sqrt();
        if factor.is_finite() && factor > 0.0 {
            self.exchange(factor as f32);
        }
    }

    /// Moves a factor between object and probe, which the data cannot tell apart: the object is divided
    /// by it, the probe multiplied.
    pub fn exchange(&mut self, factor: f32) {
        self.object.iter_mut().for_each(|o| *o /= factor);
        self.probe.iter_mut().for_each(|p| *p *= factor);
        self.remember_spectrum();
    }

    /// The object, in the frame given to [`new`](Self::new).
    pub fn object(&self) -> ArrayView2<'_, Complex32> {
        view(self.frame.shape, &self.object)
    }

    /// The probe.
    pub fn probe(&self) -> ArrayView2<'_, Complex32> {
        view((self.side, self.side), &self.probe)
    }

    /// Illumination of every object pixel: Σ|P|² over all patterns, in units of max|P|², so that 1 means
    /// one pattern with the brightest part of the probe there.
    pub fn coverage(&self) -> Array2<f32> {
        let peak = kernels::peak(&self.probe).max(f32::MIN_POSITIVE);
        let intensity: Vec<Complex32> =
            self.probe.iter().map(|p| Complex32::new(p.norm_sqr() / peak, 0.0)).collect();
        let mut sum = vec![Complex32::default(); self.object.len()];
        for place in &self.places {
            kernels::scatter(&mut sum, self.frame.shape.1, self.grid(*place), self.side, &intensity);
        }
        view(self.frame.shape, &sum).mapv(|v| v.re)
    }
}

/// The probe that a pattern sees.
fn seen<'a>(subpixel: Subpixel, probe: &'a [Complex32], moved: &'a [Complex32]) -> &'a [Complex32] {
    match subpixel {
        Subpixel::ProbeShift => moved,
        _ => probe,
    }
}

/// Multiplies a transform with exp(−2πi(dy·ky + dx·kx))·scale: a shift by (dy, dx). `phases` is scratch
/// for one line.
fn turn(spectrum: &mut [Complex32], phases: &mut [Complex32], [dy, dx]: [f32; 2], scale: f32) {
    let side = phases.len();
    let phase = |i: usize, d: f32| {
        let angle = -std::f64::consts::TAU * frequency(i, side) * f64::from(d);
        Complex32::new(angle.cos() as f32, angle.sin() as f32)
    };
    phases.iter_mut().enumerate().for_each(|(c, p)| *p = phase(c, dx));
    for (r, line) in spectrum.chunks_exact_mut(side).enumerate() {
        let down = phase(r, dy) * scale;
        line.iter_mut().zip(&*phases).for_each(|(v, across)| *v *= down * across);
    }
}

/// Σ|P|².
fn power(probe: &[Complex32]) -> f64 {
    probe.iter().map(|p| f64::from(p.norm_sqr())).sum()
}

fn view(shape: (usize, usize), data: &[Complex32]) -> ArrayView2<'_, Complex32> {
    // INVARIANT: object and probe are made with these shapes and keep their lengths.
    ArrayView2::from_shape(shape, data).expect("buffers are made with the shapes they are viewed in")
}
