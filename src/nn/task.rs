//! The two ways to train: on labels cut from a known object, and on the patterns themselves.

use ndarray::{Array2, Array3};
use num_complex::{Complex, Complex32};

use super::bilinear::{Place, cut};
use super::physics::{Optics, Physics};
use super::real::Real;
use super::symmetry::Symmetry;
use super::train::Task;
use super::workspace::Patches;

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
    /// Groups, over all datasets.
    pub groups: Vec<Group>,
}

impl<T: Real> Samples<T> {
    fn symmetry(&self, sample: usize, draw: u64) -> Symmetry {
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

/// Physics-informed: the patches of a group must explain its patterns. No labels.
pub struct PhysicsTask<T>(pub Samples<T>);

impl<T: Real> Task<T> for PhysicsTask<T> {
    type Scratch = Physics<T>;

    fn scratch(&self) -> Physics<T> {
        Physics::new(self.0.side, self.0.drawn)
    }

    fn samples(&self) -> usize {
        self.0.groups.len()
    }

    fn input(&self, sample: usize, draw: u64, input: &mut [T]) {
        self.0.input(sample, draw, input);
    }

    fn loss(
        &self,
        sample: usize,
        draw: u64,
        input: &[T],
        prediction: &Patches<T>,
        gradient: &mut Patches<T>,
        scratch: &mut Physics<T>,
    ) -> f64 {
        let (group, symmetry) = (&self.0.groups[sample], self.0.symmetry(sample, draw));
        let scan = &self.0.scans[group.scan];
        let seed = group.images[0];
        let positions: Vec<(f64, f64)> = group
            .images
            .iter()
            .map(|&i| symmetry.target(scan.y[i] - scan.y[seed], scan.x[i] - scan.x[seed]))
            .collect();
        scratch.loss(&scan.optics, &positions, input, prediction, gradient)
    }
}

/// Supervised: each patch must equal the patch of the true object. The label is the object itself, not
/// illuminated; pixels count by the light that falls on them, since the pattern knows nothing of the others.
pub struct LabelTask<T>(pub Samples<T>);

impl<T: Real> Task<T> for LabelTask<T> {
    /// A label patch, one pixel larger than the drawn part so that it can be turned about its centre.
    type Scratch = Vec<Complex32>;

    fn scratch(&self) -> Vec<Complex32> {
        vec![Complex32::default(); (self.0.drawn + 1).pow(2)]
    }

    fn samples(&self) -> usize {
        self.0.groups.len()
    }

    fn input(&self, sample: usize, draw: u64, input: &mut [T]) {
        self.0.input(sample, draw, input);
    }

    fn loss(
        &self,
        sample: usize,
        draw: u64,
        _input: &[T],
        prediction: &Patches<T>,
        gradient: &mut Patches<T>,
        label: &mut Vec<Complex32>,
    ) -> f64 {
        let (group, m) = (&self.0.groups[sample], self.0.drawn);
        let (scan, symmetry) = (&self.0.scans[group.scan], self.0.symmetry(sample, draw));
        gradient.amplitude.fill(T::zero());
        gradient.phase.fill(T::zero());
        let Some(labels) = &scan.labels else { return 0.0 };
        // Both errors in units in which a flat guess is off by about 1.
        let per_amplitude = 1.0 / scan.optics.background.wide();
        let share = 1.0 / group.images.len() as f64;
        let (half, mut loss) = ((m / 2) as isize, 0.0);
        for (channel, &image) in group.images.iter().enumerate() {
            cut_label(&labels.object, scan.y[image], scan.x[image], label, m + 1);
            for i in 0..m * m {
                let (r, c) = symmetry.source((i / m) as isize - half, (i % m) as isize - half);
                let truth = label[((r + half) * (m as isize + 1) + c + half) as usize];
                let weight = f64::from(labels.weights[i]) * share;
                let at = channel * m * m + i;
                let mut score = |value: T, truth: f32, unit: f64, slope: &mut T| {
                    let difference = value.wide() - f64::from(truth);
                    loss += weight * unit * difference.abs();
                    *slope = T::of(weight * unit * difference.signum());
                };
                score(prediction.amplitude[at], truth.norm(), per_amplitude, &mut gradient.amplitude[at]);
                score(prediction.phase[at], truth.arg(), 1.0, &mut gradient.phase[at]);
            }
        }
        loss
    }
}

/// The object patch of that side whose index side/2 lies at (y, x), sampled bilinearly, 0 outside.
fn cut_label(object: &Array2<Complex32>, y: f64, x: f64, patch: &mut [Complex32], side: usize) {
    let half = (side / 2) as f64;
    let (row, col) = (y - half, x - half);
    let (rows, cols) = object.dim();
    let inside = |v: f64, len: usize| v >= 0.0 && v + side as f64 + 1.0 <= len as f64;
    if let (Some(flat), true) = (object.as_slice(), inside(row, rows) && inside(col, cols)) {
        return cut(flat, cols, Place::new(row, col), patch, side);
    }
    let (r0, c0) = (row.floor(), col.floor());
    let (rp, cp) = ((row - r0) as f32, (col - c0) as f32);
    let at = |r: f64, c: f64| {
        let ok = r >= 0.0 && c >= 0.0 && r < rows as f64 && c < cols as f64;
        if ok { object[[r as usize, c as usize]] } else { Complex::default() }
    };
    for (i, value) in patch.iter_mut().enumerate() {
        let (r, c) = (r0 + (i / side) as f64, c0 + (i % side) as f64);
        let top = at(r, c) * (1.0 - cp) + at(r, c + 1.0) * cp;
        let bottom = at(r + 1.0, c) * (1.0 - cp) + at(r + 1.0, c + 1.0) * cp;
        *value = top * (1.0 - rp) + bottom * rp;
    }
}
