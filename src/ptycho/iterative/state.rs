//! What every algorithm works on, and what keeps object and probe in their units.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use num_complex::Complex32;

use super::grid::{Stamp, spread};
use super::scan::{Place, places};
use super::{Frame, Rule, Scale, Settings, SetupError, Subpixel, kernels, modes};
use crate::ptycho::fft::{Fft2, ifftshift2};

/// Epochs between two that scale the object to a root mean square of 1, as in pty-chi.
const RESCALE_EVERY: u32 = 10;

/// Epochs up to which the illumination map follows the probe in every epoch, then every so many.
const FOLLOW_EVERY: u32 = 10;

/// What was measured, and where.
#[derive(Debug, Clone)]
pub struct Measured<'a> {
    /// (M, N, N) amplitudes with the zero frequency at index N/2.
    pub diffraction: Array3<f32>,
    /// (N, N), laid out as a pattern: true where pixels were measured.
    pub mask: Option<ArrayView2<'a, bool>>,
    /// (M,) absolute columns of the patch centres.
    pub x: &'a [f64],
    /// (M,) absolute rows of the patch centres.
    pub y: &'a [f64],
    /// s in counts = (amplitude·s)²; 1 if unknown. Only pty-chi's first illumination map depends on it.
    pub dose_scale: f64,
}

/// A reconstruction in progress.
pub(super) struct State {
    pub settings: Settings,
    /// N.
    pub side: usize,
    pub frame: Frame,
    /// (M,) positions, as refined.
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub places: Vec<Place>,
    /// (M, N, N) amplitudes, transposed and with the zero frequency at \[0, 0\], as spectra are left by
    /// [`Fft2::forward_transposed`].
    pub measured: Vec<f32>,
    /// (N, N), laid out like `measured`: 1 where pixels were measured, else 0.
    pub valid: Vec<f32>,
    /// Σ amplitudes² over valid pixels, the residual's unit.
    pub energy: f64,
    pub object: Vec<Complex32>,
    /// (modes, N, N).
    pub probe: Vec<Complex32>,
    /// The modes' transforms, not transposed; kept for probe shifts only, where they lead and `probe` follows.
    pub spectrum: Vec<Complex32>,
    pub fft: Fft2<f32>,
    /// Σ|P|² of the probe given.
    power: f64,
    /// Part of the first illumination map that pty-chi takes from the brightest pattern.
    first_illumination: f32,
    /// Illumination Σ|P₀|² over patterns, averaged over epochs; empty until an algorithm needs it.
    pub illumination: Vec<f32>,
    /// Epochs done.
    pub epoch: u32,
}

impl State {
    pub fn new(
        data: Measured<'_>,
        probe: ArrayView3<'_, Complex32>,
        frame: Frame,
        settings: Settings,
    ) -> Result<Self, SetupError> {
        let (count, rows, side) = data.diffraction.dim();
        let shape = |what, found: String, expected: String| Err(SetupError::Shape { what, found, expected });
        if data.diffraction.is_empty() {
            return Err(SetupError::Empty);
        }
        if rows != side || probe.len_of(ndarray::Axis(0)) == 0 || probe.shape()[1..] != [side, side] {
            return shape("probe", format!("{:?}", probe.dim()), format!("(modes, {rows}, {side}), square"));
        }
        if data.x.len() != count || data.y.len() != count {
            return shape("positions", format!("{} and {}", data.x.len(), data.y.len()), count.to_string());
        }
        if let Some(mask) = data.mask
            && mask.dim() != (side, side)
        {
            return shape("mask", format!("{:?}", mask.dim()), format!("({side}, {side})"));
        }
        if settings.rule == Rule::DifferenceMap && settings.subpixel == Subpixel::ProbeShift {
            return Err(SetupError::Unsupported(
                "the difference map has no probe shifts: positions between pixels are `bilinear` or `nearest`",
            ));
        }
        let valid = match data.mask {
            Some(mask) => detector(&mask.iter().map(|v| f32::from(u8::from(*v))).collect::<Vec<_>>(), side),
            None => vec![1.0; side * side],
        };
        let mut measured: Vec<f32> = data.diffraction.iter().copied().collect();
        drop(data.diffraction);
        let (mut energy, mut brightest) = (0.0, 0.0f64);
        for pattern in measured.chunks_exact_mut(side * side) {
            let turned = detector(pattern, side);
            pattern.copy_from_slice(&turned);
            let own: f64 = turned.iter().zip(&valid).map(|(a, v)| f64::from(a * v).powi(2)).sum();
            energy += own;
            brightest = brightest.max(own);
        }
        if energy == 0.0 {
            return Err(SetupError::Dark("the data"));
        }
        let probe: Vec<Complex32> = probe.iter().copied().collect();
        if kernels::peak(&probe, side * side) == 0.0 {
            return Err(SetupError::Dark("the probe"));
        }
        let pixels = (side * side) as f64;
        let mut state = Self {
            settings,
            side,
            frame,
            places: places(data.x, data.y, side, frame, settings.subpixel)?,
            x: data.x.to_vec(),
            y: data.y.to_vec(),
            measured,
            valid,
            energy,
            object: vec![Complex32::new(1.0, 0.0); frame.shape.0 * frame.shape.1],
            power: power(&probe),
            probe,
            spectrum: Vec::new(),
            fft: Fft2::new(side, side),
            first_illumination: (brightest * (data.dose_scale / pixels).powi(2) / 4.0) as f32,
            illumination: Vec::new(),
            epoch: 0,
        };
        state.remember_spectrum();
        Ok(state)
    }

    /// Number of probe modes.
    pub fn modes(&self) -> usize {
        self.probe.len() / self.pixels()
    }

    /// Pixels of a pattern.
    pub fn pixels(&self) -> usize {
        self.side * self.side
    }

    /// Columns of the object.
    pub fn width(&self) -> usize {
        self.frame.shape.1
    }

    /// Whether each pattern sees a probe of its own.
    pub fn shifts(&self) -> bool {
        self.settings.subpixel == Subpixel::ProbeShift
    }

    /// Amplitudes of pattern `index`.
    pub fn pattern(&self, index: usize) -> &[f32] {
        &self.measured[index * self.pixels()..(index + 1) * self.pixels()]
    }

    /// Where on the pixel grid a patch is read: the fraction belongs to the probe when that is shifted.
    pub fn grid(&self, place: Place) -> Place {
        match self.settings.subpixel {
            Subpixel::ProbeShift => Place { fraction: [0.0; 2], ..place },
            _ => place,
        }
    }

    /// Rows of the object that patches at these places touch.
    pub fn touched(&self, places: impl Iterator<Item = Place>) -> std::ops::Range<usize> {
        let (first, last) =
            places.fold((usize::MAX, 0), |(f, l), p| (f.min(p.corner[0]), l.max(p.corner[0])));
        first.min(last)..(last + self.side + 1).min(self.frame.shape.0)
    }

    /// Brings the transforms up to date with `probe`.
    pub fn remember_spectrum(&mut self) {
        if self.shifts() {
            self.spectrum.clone_from(&self.probe);
            let pixels = self.pixels();
            self.spectrum.chunks_exact_mut(pixels).for_each(|mode| self.fft.forward(mode));
        }
    }

    /// Brings `probe` up to date with its transforms, which lead when probes are shifted.
    pub fn remember_probe(&mut self) {
        if self.shifts() {
            self.probe.copy_from_slice(&self.spectrum);
            let pixels = self.pixels();
            self.probe.chunks_exact_mut(pixels).for_each(|mode| self.fft.inverse(mode));
            let norm = 1.0 / pixels as f32;
            self.probe.iter_mut().for_each(|p| *p *= norm);
        }
    }

    /// Σ over all patterns of the intensity of the first `modes` probe modes, at every object pixel.
    pub fn lit(&self, modes: usize) -> Vec<f32> {
        let mut patch = vec![0.0; self.pixels()];
        kernels::intensity(&self.probe[..modes * self.pixels()], &mut patch);
        let places: Vec<Place> = self.places.iter().map(|p| self.grid(*p)).collect();
        let mut sum = vec![0.0; self.object.len()];
        spread(&mut sum, self.width(), self.side, &Stamp { places: &places, patch: &patch, side: self.side });
        sum
    }

    /// At the beginning of an epoch: the illumination map follows the probe, if anything looks at it. As in
    /// pty-chi, the first map is averaged with one in which the probe has another unit.
    pub fn follow_illumination(&mut self) {
        let needed = self.settings.rule == Rule::Lsqml || self.settings.scale == Scale::ObjectRms;
        let due = self.epoch < FOLLOW_EVERY || self.epoch.is_multiple_of(FOLLOW_EVERY);
        if !needed || !(due || self.illumination.is_empty()) {
            return;
        }
        let now = self.lit(1);
        if self.illumination.is_empty() {
            self.illumination = now.iter().map(|v| v * self.first_illumination).collect();
        }
        self.illumination.iter_mut().zip(&now).for_each(|(w, v)| *w = (*w + v) / 2.0);
    }

    /// At the end of an epoch: modes made orthogonal, the free factor put where it belongs.
    pub fn finish_epoch(&mut self, probe_changed: bool) {
        self.remember_probe();
        if probe_changed {
            let pixels = self.pixels();
            modes::orthogonalise(&mut self.probe, pixels);
        }
        match self.settings.scale {
            Scale::ProbePower if probe_changed => self.keep_power(),
            Scale::ObjectRms if self.epoch.is_multiple_of(RESCALE_EVERY) => self.normalise_object(),
            _ => {}
        }
        self.remember_spectrum();
        self.epoch += 1;
    }

    fn keep_power(&mut self) {
        self.exchange((self.power / power(&self.probe)).sqrt());
    }

    fn normalise_object(&mut self) {
        let [rows, cols] = self.centres();
        let width = self.width();
        let (mut squares, mut values, mut count) = (0.0f64, 0.0f64, 0.0f64);
        for i in rows.flat_map(|r| cols.clone().map(move |c| r * width + c)) {
            let weight = f64::from(self.illumination[i]);
            squares += weight * weight;
            values += weight * f64::from(self.object[i].norm_sqr());
            count += 1.0;
        }
        let weighted = values / count / (squares / count).sqrt();
        self.exchange(weighted.sqrt());
    }

    /// Rows and columns of the object between the outermost patches' centres (index (N − 1)/2, rounded down).
    fn centres(&self) -> [std::ops::Range<usize>; 2] {
        let axis = |of: &[f64], origin: i64, room: usize| {
            let (lo, hi) =
                of.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            let centre = |v: f64| ((v - 0.5).floor() - origin as f64).clamp(0.0, room as f64) as usize;
            centre(lo)..centre(hi).max(centre(lo) + 1).min(room)
        };
        let ([top, left], (rows, cols)) = (self.frame.origin, self.frame.shape);
        [axis(&self.y, top, rows), axis(&self.x, left, cols)]
    }

    /// Moves a factor between object and probe, which the data cannot tell apart: the object is divided
    /// by it, the probe multiplied.
    pub fn exchange(&mut self, factor: f64) {
        if factor.is_finite() && factor > 0.0 {
            let factor = factor as f32;
            self.object.iter_mut().for_each(|o| *o /= factor);
            self.probe.iter_mut().for_each(|p| *p *= factor);
        }
    }

    /// Illumination of every object pixel in units of max Σ|P|².
    pub fn coverage(&self) -> Array2<f32> {
        let peak = kernels::peak(&self.probe, self.pixels()).max(f32::MIN_POSITIVE);
        let lit = self.lit(self.modes()).iter().map(|v| v / peak).collect();
        // INVARIANT: the sum has the object's length, which is that of the frame.
        Array2::from_shape_vec(self.frame.shape, lit).expect("one value for each pixel of the frame")
    }
}

/// A pattern with the zero frequency at index N/2, as a transposed spectrum with it at \[0, 0\].
fn detector(pattern: &[f32], side: usize) -> Vec<f32> {
    let shifted = ifftshift2(pattern, side, side);
    (0..side * side).map(|i| shifted[i % side * side + i / side]).collect()
}

/// Σ|P|².
fn power(probe: &[Complex32]) -> f64 {
    probe.iter().map(|p| f64::from(p.norm_sqr())).sum()
}
