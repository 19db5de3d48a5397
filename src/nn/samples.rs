//! Datasets and groups, as training sees them.

use ndarray::{Array2, Array3};
use num_complex::{Complex, Complex32};

use super::physics::Optics;
use super::real::Real;
use super::symmetry::Symmetry;

/// A dataset as training sees it.
#[derive(Debug, Clone)]
pub struct Scan<T> {
    /// Amplitudes (M, N, N), zero frequency at index N/2, in the file's unit.
    pub patterns: Array3<f32>,
    /// Factor on the amplitudes that makes the mean of ΣX² over the dataset (N/2)².
    pub normalisation: f64,
    /// Object row of each image's centre, pixels.
    pub y: Vec<f64>,
    /// Object column of each image's centre, pixels.
    pub x: Vec<f64>,
    /// Symmetries that its images may be turned by; contains at least the identity.
    pub symmetries: Vec<Symmetry>,
    /// Probe, normalisation and likelihood, for training on patterns.
    pub optics: Optics<T>,
    /// The object and the weight of each pixel of the drawn patch (summing to 1), for training on labels.
    pub labels: Option<Labels>,
}

/// What supervised training compares with.
#[derive(Debug, Clone)]
pub struct Labels {
    /// The true object, un-illuminated.
    pub object: Array2<Complex32>,
    /// Weight of each pixel of the drawn patch: how much light falls on it; sums to 1.
    pub weights: Vec<f32>,
}

/// Images that the network sees together, by index, the seed image first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which dataset.
    pub scan: usize,
    /// C images of it.
    pub images: Vec<usize>,
}

/// Samples of several datasets.
#[derive(Debug, Clone)]
pub struct Samples<T> {
    /// N.
    pub side: usize,
    /// Side of the drawn part of patches.
    pub drawn: usize,
    /// Datasets.
    pub scans: Vec<Scan<T>>,
    /// Groups, over all datasets; the last ones are held out.
    pub groups: Vec<Group>,
    /// How many are held out: not learnt from, but looked at after every epoch.
    pub held_out: usize,
    /// What is learnt of the beam.
    pub beam: Learns,
}

/// What is learnt of the beam, beside the network.
///
/// The numbers follow those of the network's convolutions: the logarithm of the intensity scale, then per
/// dataset the change of the probe, `[row][col][re, im]`, in tenths of its largest amplitude, so that one
/// learning rate suits all. All begin at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learns {
    /// A factor on all predicted amplitudes, by whose inverse the network's input is multiplied.
    pub scale: bool,
    /// The probe of each dataset.
    pub probe: bool,
}

/// A step of a learnt probe, as share of its largest amplitude.
const PROBE_STEP: f64 = 0.1;

impl<T: Real> Samples<T> {
    /// Numbers that are learnt of the beam.
    pub fn physical(&self) -> usize {
        let probes = if self.beam.probe { 2 * self.side * self.side * self.scans.len() } else { 0 };
        usize::from(self.beam.scale) + probes
    }

    /// Where a dataset's probe lies among them.
    pub(super) fn probe_part(&self, scan: usize) -> std::ops::Range<usize> {
        let size = 2 * self.side * self.side;
        let start = usize::from(self.beam.scale) + scan * size;
        start..start + size
    }

    /// What one step of each number of a dataset's probe amounts to.
    pub(super) fn probe_step(&self, scan: usize) -> T {
        let squares = self.scans[scan].optics.probe.iter().map(|p| p.norm_sqr().wide());
        T::of(PROBE_STEP * squares.fold(0.0, f64::max).sqrt())
    }

    /// The factor on predicted amplitudes, from the learnt numbers.
    pub fn scale(&self, physical: &[T]) -> T {
        if self.beam.scale { physical[0].exp() } else { T::one() }
    }

    /// A dataset's probe, as [`Optics::probe`], from the learnt numbers.
    pub fn probe(&self, scan: usize, physical: &[T], to: &mut Vec<Complex<T>>) {
        to.clone_from(&self.scans[scan].optics.probe);
        if self.beam.probe {
            let step = self.probe_step(scan);
            let changes = physical[self.probe_part(scan)].as_chunks::<2>().0;
            to.iter_mut().zip(changes).for_each(|(p, [re, im])| *p += Complex::new(*re, *im) * step);
        }
    }

    /// How the images of a sample are turned.
    pub(super) fn symmetry(&self, sample: usize, draw: u64) -> Symmetry {
        let symmetries = &self.scans[self.groups[sample].scan].symmetries;
        symmetries[(draw % symmetries.len() as u64) as usize]
    }

    /// The group's patterns, turned as `draw` says and normalised: `[channel][row][col]`.
    pub fn input(&self, sample: usize, draw: u64, input: &mut [T]) {
        let (group, symmetry, n) = (&self.groups[sample], self.symmetry(sample, draw), self.side);
        let scan = &self.scans[group.scan];
        let factor = T::of(scan.normalisation);
        for (&image, plane) in group.images.iter().zip(input.chunks_exact_mut(n * n)) {
            let pattern = scan.patterns.index_axis(ndarray::Axis(0), image);
            for (i, value) in plane.iter_mut().enumerate() {
                let source = symmetry.index(n, i / n, i % n);
                *value = factor * T::of(f64::from(pattern[[source / n, source % n]]));
            }
        }
    }
}
