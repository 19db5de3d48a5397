//! The two ways to train: on labels cut from a known object, and on the patterns themselves.

use ndarray::Array2;
use num_complex::{Complex, Complex32};

use super::bilinear::{Place, cut};
use super::physics::{Beam, BeamGradient, Physics};
use super::real::Real;
use super::samples::Samples;
use super::train::{Shot, Slopes, Task};

/// Physics-informed: the patches of a group must explain its patterns. No labels.
pub struct PhysicsTask<T>(pub Samples<T>);

/// Working memory of the physics-informed loss.
pub struct Bench<T> {
    physics: Physics<T>,
    probe: Vec<Complex<T>>,
    turned: Vec<Complex<T>>,
    gradient: Vec<Complex<T>>,
    mask: Vec<T>,
}

impl<T: Real> Task<T> for PhysicsTask<T> {
    type Scratch = Bench<T>;

    fn scratch(&self) -> Bench<T> {
        let physics = Physics::new(self.0.side, self.0.drawn);
        let [probe, turned, gradient] = [const { Vec::new() }; 3];
        Bench { physics, probe, turned, gradient, mask: Vec::new() }
    }

    fn physical(&self) -> usize {
        self.0.physical()
    }

    fn samples(&self) -> usize {
        self.0.groups.len() - self.0.held_out
    }

    fn held_out(&self) -> usize {
        self.0.held_out
    }

    fn input(&self, sample: usize, draw: u64, input: &mut [T]) {
        self.0.input(sample, draw, input);
    }

    fn loss(&self, shot: Shot<'_, T>, slopes: Slopes<'_, T>, scratch: &mut Bench<T>) -> f64 {
        let (samples, n) = (&self.0, self.0.side);
        let (group, symmetry) = (&samples.groups[shot.sample], samples.symmetry(shot.sample, shot.draw));
        let scan = &samples.scans[group.scan];
        let seed = group.images[0];
        let positions: Vec<(f64, f64)> = group
            .images
            .iter()
            .map(|&i| symmetry.target(scan.y[i] - scan.y[seed], scan.x[i] - scan.x[seed]))
            .collect();
        // A pattern turned is that of the turned object under the turned probe.
        let Bench { physics, probe, turned, gradient, mask } = scratch;
        let source = |i: usize| symmetry.index(n, i / n, i % n);
        samples.probe(group.scan, shot.physical, probe);
        turned.clear();
        turned.extend((0..n * n).map(|i| probe[source(i)]));
        mask.clear();
        mask.extend(scan.optics.mask.iter().flat_map(|mask| (0..n * n).map(|i| mask[source(i)])));
        let beam = Beam {
            probe: turned,
            mask: scan.optics.mask.is_some().then_some(mask),
            scale: samples.scale(shot.physical),
        };
        let (optics, images) = ((&scan.optics, beam), (&positions[..], shot.input));
        if slopes.physical.is_empty() {
            return physics.loss(optics, images, shot.prediction, slopes.patches, None);
        }
        gradient.clear();
        gradient.resize(n * n, Complex::new(T::zero(), T::zero()));
        let mut to = BeamGradient { probe: gradient, log_scale: T::zero() };
        let loss = physics.loss(optics, images, shot.prediction, slopes.patches, Some(&mut to));
        slopes.physical.fill(T::zero());
        if samples.beam.scale {
            slopes.physical[0] = to.log_scale;
        }
        if samples.beam.probe {
            let step = samples.probe_step(group.scan);
            let part = &mut slopes.physical[samples.probe_part(group.scan)];
            for (i, g) in to.probe.iter().enumerate() {
                let at = 2 * source(i);
                part[at] = g.re * step;
                part[at + 1] = g.im * step;
            }
        }
        loss
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
        self.0.groups.len() - self.0.held_out
    }

    fn held_out(&self) -> usize {
        self.0.held_out
    }

    fn input(&self, sample: usize, draw: u64, input: &mut [T]) {
        self.0.input(sample, draw, input);
    }

    fn loss(&self, shot: Shot<'_, T>, slopes: Slopes<'_, T>, label: &mut Vec<Complex32>) -> f64 {
        let (group, m) = (&self.0.groups[shot.sample], self.0.drawn);
        let (scan, symmetry) = (&self.0.scans[group.scan], self.0.symmetry(shot.sample, shot.draw));
        let (prediction, gradient) = (shot.prediction, slopes.patches);
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
