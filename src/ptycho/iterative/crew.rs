//! Exit waves of a batch of patterns, and what the detector asks of them. Patterns are independent of one
//! another here, so threads share them in any way.

use std::ops::Range;

use num_complex::Complex32;
use rayon::prelude::*;

use super::grid::{Rows, gather};
use super::refine::{self, Pull};
use super::scan::Place;
use super::state::State;
use super::{Noise, Rule, kernels};
use crate::ptycho::fft::{Fft2, frequency};

/// Rounds of the Poisson line search and the share of the old step that is kept, as in pty-chi.
const SEARCHES: usize = 2;

/// Part of a pattern's mean intensity below which the Poisson gradient takes no denominator: where the model is
/// all but dark, one photon would outweigh the rest of the pattern.
const POISSON_FLOOR: f64 = 1e-3;

/// One thread's buffers.
pub(super) struct Worker {
    pub fft: Fft2<f32>,
    /// (modes, N, N): transposed spectra.
    pub spectrum: Vec<Complex32>,
    pub intensity: Vec<f32>,
    pub factors: Vec<f32>,
    gradient: Vec<f32>,
    /// (N, N) and (modes, N, N): scratch.
    pub patch: Vec<Complex32>,
    pub field: Vec<Complex32>,
    phases: Vec<Complex32>,
}

impl Worker {
    fn new(state: &State) -> Self {
        let (pixels, modes) = (state.pixels(), state.modes());
        let zero = Complex32::default();
        Self {
            fft: state.fft.clone(),
            spectrum: vec![zero; modes * pixels],
            intensity: vec![0.0; pixels],
            factors: vec![0.0; pixels],
            gradient: vec![0.0; pixels],
            patch: vec![zero; pixels],
            field: vec![zero; modes * pixels],
            phases: vec![zero; state.side],
        }
    }

    /// Transforms exit waves in `field` to the detector; leaves spectra and their total intensity.
    fn propagate(&mut self, field: &mut [Complex32]) {
        let pixels = self.intensity.len();
        for (mode, spectrum) in field.chunks_exact_mut(pixels).zip(self.spectrum.chunks_exact_mut(pixels)) {
            self.fft.forward_transposed(mode, spectrum);
        }
        kernels::intensity(&self.spectrum, &mut self.intensity);
    }

    /// Replaces exit waves by what the detector makes of them. Returns Σ(|F|/N − A)² over valid pixels, of
    /// the waves given.
    pub fn revise(&mut self, state: &State, index: usize, field: &mut [Complex32]) -> f64 {
        self.propagate(field);
        let (measured, side) = (state.pattern(index), state.side);
        let misfit =
            kernels::modulus_factors(&self.intensity, measured, &state.valid, side, &mut self.factors);
        if state.settings.rule == Rule::Lsqml && state.settings.noise == Noise::Poisson {
            self.poisson(state, index);
        }
        kernels::scale_modes(&mut self.spectrum, &self.factors);
        let pixels = self.intensity.len();
        for (mode, spectrum) in field.chunks_exact_mut(pixels).zip(self.spectrum.chunks_exact_mut(pixels)) {
            self.fft.inverse_transposed(spectrum, mode);
        }
        misfit
    }

    /// Factors for a step along the Poisson likelihood's gradient g = ξ·F, ξ = 1 − I/y. Along it the likelihood
    /// is largest where α·Σξ²y = Σξ(y − I/(1 − αξ)), which is iterated from α = ½ (the Gaussian step),
    /// each time going half way, as PtychoShelves and pty-chi do.
    fn poisson(&mut self, state: &State, index: usize) {
        let (measured, side) = (state.pattern(index), state.side);
        let mean = state.energy / state.measured.len() as f64;
        let floor = (POISSON_FLOOR * mean) as f32;
        kernels::poisson_gradient(&self.intensity, measured, floor, side, &mut self.gradient);
        let mut alpha = 0.5f64;
        for _ in 0..SEARCHES {
            let [slope, square] = kernels::poisson_line_search(
                &self.gradient,
                &self.intensity,
                measured,
                &state.valid,
                alpha as f32,
                side,
            );
            if square > 0.0 && slope.is_finite() {
                alpha = (0.5 * alpha + 0.5 * slope / square).clamp(0.0, 1.0);
            }
        }
        kernels::poisson_factors(&self.gradient, &state.valid, alpha as f32, side, &mut self.factors);
    }

    /// Moves transforms by `fraction` and returns to real space.
    pub fn moved(&mut self, spectra: &[Complex32], fraction: [f32; 2], out: &mut [Complex32]) {
        let pixels = self.intensity.len();
        out.copy_from_slice(spectra);
        for mode in out.chunks_exact_mut(pixels) {
            turn(mode, &mut self.phases, fraction, 1.0 / pixels as f32);
            self.fft.inverse(mode);
        }
    }

    /// The adjoint: transforms, and moves back. What comes out is a transform.
    fn moved_back(&mut self, fields: &mut [Complex32], fraction: [f32; 2]) {
        for mode in fields.chunks_exact_mut(self.intensity.len()) {
            self.fft.forward(mode);
            turn(mode, &mut self.phases, fraction.map(|f| -f), 1.0);
        }
    }

    /// What pattern `index` predicts without changing anything: \[Σ(|F|/N − A)², Σ|F|²/N²\] over valid pixels.
    fn predict(&mut self, state: &State, index: usize, slot: &mut Slot) -> [f64; 2] {
        slot.look(state, self, index);
        self.propagate(&mut slot.chi);
        let measured = state.pattern(index);
        let misfit =
            kernels::modulus_factors(&self.intensity, measured, &state.valid, state.side, &mut self.factors);
        let power = kernels::weighted_sum(&self.intensity, &state.valid);
        [misfit, power / state.pixels() as f64]
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

/// One pattern of a batch.
pub(super) struct Slot {
    pub index: usize,
    pub place: Place,
    /// (N, N): the object there.
    pub patch: Vec<Complex32>,
    /// (modes, N, N): the probe moved to the pattern; empty unless probes are shifted.
    pub seen: Vec<Complex32>,
    /// (modes, N, N): the change of the exit waves that the detector asks for.
    pub chi: Vec<Complex32>,
    /// (modes, N, N): the probe's change as a transform, moved back; empty unless probes are shifted.
    pub back: Vec<Complex32>,
    /// What the pattern's position would gain.
    pub pull: Pull,
    pub misfit: f64,
    /// What the algorithm wants to remember of the pattern.
    pub notes: [f64; 6],
}

impl Slot {
    fn new(state: &State) -> Self {
        let zero = Complex32::default();
        let all = state.modes() * state.pixels();
        let moved = if state.shifts() { all } else { 0 };
        Self {
            index: 0,
            place: Place { corner: [0; 2], fraction: [0.0; 2] },
            patch: vec![zero; state.pixels()],
            seen: vec![zero; moved],
            chi: vec![zero; all],
            back: vec![zero; moved],
            pull: Pull::default(),
            misfit: 0.0,
            notes: [0.0; 6],
        }
    }

    /// The probe this pattern sees.
    pub fn probe<'a>(&'a self, state: &'a State) -> &'a [Complex32] {
        if self.seen.is_empty() { &state.probe } else { &self.seen }
    }

    /// Cuts out patch and probe, and leaves their exit waves in `chi`.
    fn look(&mut self, state: &State, worker: &mut Worker, index: usize) {
        self.index = index;
        self.place = state.places[index];
        gather(&state.object, state.width(), state.grid(self.place), state.side, &mut self.patch);
        if state.shifts() {
            worker.moved(&state.spectrum, self.place.fraction, &mut self.seen);
        }
        let probe = if self.seen.is_empty() { &state.probe } else { &self.seen };
        for (p, exit) in probe.chunks_exact(state.pixels()).zip(self.chi.chunks_exact_mut(state.pixels())) {
            kernels::product(p, &self.patch, exit);
        }
    }

    /// Patch, probe and χ of pattern `index`.
    fn solve(&mut self, state: &State, worker: &mut Worker, index: usize, refines: bool) {
        self.look(state, worker, index);
        self.misfit = worker.revise(state, index, &mut self.chi);
        let probe = if self.seen.is_empty() { &state.probe } else { &self.seen };
        for (p, chi) in probe.chunks_exact(state.pixels()).zip(self.chi.chunks_exact_mut(state.pixels())) {
            kernels::subtract_product(chi, p, &self.patch);
        }
        if refines {
            self.pull = refine::pull(worker, &self.patch, probe, &self.chi);
        }
    }

    /// Fills `back` with O*·χ·gain/(floor + slope·|O|²), moved back.
    pub fn turn_back(&mut self, worker: &mut Worker, [gain, floor, slope]: [f32; 3]) {
        self.back.fill(Complex32::default());
        let pixels = self.patch.len();
        for (chi, back) in self.chi.chunks_exact(pixels).zip(self.back.chunks_exact_mut(pixels)) {
            kernels::add_weighted(&self.patch, chi, gain, floor, slope, back);
        }
        worker.moved_back(&mut self.back, self.place.fraction);
    }
}

/// The threads' buffers and the batch's slots, made once.
pub(super) struct Crew {
    workers: Vec<Worker>,
    pub slots: Vec<Slot>,
    /// Patterns in the batch at hand.
    size: usize,
}

impl Crew {
    pub fn new() -> Self {
        Self { workers: Vec::new(), slots: Vec::new(), size: 0 }
    }

    /// Room for a batch of `size` and for every thread.
    fn make_room(&mut self, state: &State, size: usize) {
        self.workers(state, size);
        while self.slots.len() < size {
            self.slots.push(Slot::new(state));
        }
        self.size = size;
    }

    /// The slots of the batch at hand.
    pub fn batch(&self) -> &[Slot] {
        &self.slots[..self.size]
    }

    /// Fills a slot for every pattern of `batch`. Returns the sum of their misfits.
    pub fn solve(&mut self, state: &State, batch: &[usize], refines: bool) -> f64 {
        self.make_room(state, batch.len());
        self.each(|i, worker, slot| slot.solve(state, worker, batch[i], refines));
        self.batch().iter().map(|slot| slot.misfit).sum()
    }

    /// Misfit and predicted energy of a batch; the slots hold nothing of use afterwards.
    pub fn predict(&mut self, state: &State, batch: &[usize]) -> [f64; 2] {
        self.make_room(state, batch.len());
        self.each(|i, worker, slot| {
            let [misfit, power] = worker.predict(state, batch[i], slot);
            (slot.misfit, slot.notes[0]) = (misfit, power);
        });
        self.batch().iter().fold([0.0; 2], |[m, p], slot| [m + slot.misfit, p + slot.notes[0]])
    }

    /// Does something for every slot of the batch at hand.
    pub fn each(&mut self, act: impl Fn(usize, &mut Worker, &mut Slot) + Sync) {
        let slots = &mut self.slots[..self.size];
        share(&mut self.workers, slots, |i, worker, slot| act(i, worker, slot));
    }

    /// The threads' buffers, for work on `count` patterns that is not on slots.
    pub fn workers(&mut self, state: &State, count: usize) -> &mut [Worker] {
        let threads = if count > 1 { rayon::current_num_threads() } else { 1 };
        while self.workers.len() < threads {
            self.workers.push(Worker::new(state));
        }
        &mut self.workers
    }
}

/// Does something for every item, each thread with a worker of its own and a run of neighbouring items.
pub(super) fn share<T: Send>(
    workers: &mut [Worker],
    items: &mut [T],
    act: impl Fn(usize, &mut Worker, &mut T) + Sync,
) {
    let threads = workers.len().min(rayon::current_num_threads()).min(items.len()).max(1);
    let run = items.len().div_ceil(threads).max(1);
    let work = |(part, (worker, items)): (usize, (&mut Worker, &mut [T]))| {
        for (i, item) in items.iter_mut().enumerate() {
            act(part * run + i, worker, item);
        }
    };
    match threads {
        1 => {
            if let Some(worker) = workers.first_mut() {
                work((0, (worker, items)));
            }
        }
        _ => workers.par_iter_mut().zip(items.par_chunks_mut(run)).enumerate().for_each(work),
    }
}

/// Object patches Σ_m w_m·χ_m of a batch, over the first `modes` modes.
pub(super) struct Changes<'a> {
    pub state: &'a State,
    pub slots: &'a [Slot],
    /// (modes, N, N) weights for all patterns; if absent, each slot's `seen` holds them.
    pub weights: Option<&'a [Complex32]>,
    pub modes: usize,
}

impl Rows<Complex32> for Changes<'_> {
    fn len(&self) -> usize {
        self.slots.len()
    }
    fn place(&self, i: usize) -> Place {
        self.state.grid(self.slots[i].place)
    }
    fn row(&self, i: usize, r: usize, line: &mut [Complex32]) {
        let (side, pixels) = (self.state.side, self.state.pixels());
        let slot = &self.slots[i];
        let weights = self.weights.unwrap_or(&slot.seen);
        let of = |m: usize| m * pixels + r * side..m * pixels + (r + 1) * side;
        kernels::product(&weights[of(0)], &slot.chi[of(0)], line);
        for m in 1..self.modes {
            kernels::add_product(&weights[of(m)], &slot.chi[of(m)], line);
        }
    }
}

/// Adds up something like a probe over `count` patterns: `add(i, mode, rows, line, sum)` adds pattern i's part of
/// some rows of a mode, with a line of scratch. Threads share rows, so every pixel gets its terms in the order of the patterns.
pub(super) fn sum_rows<T: Send>(
    side: usize,
    count: usize,
    sum: &mut [T],
    add: impl Fn(usize, usize, Range<usize>, &mut [Complex32], &mut [T]) + Sync,
) {
    let modes = sum.len() / (side * side);
    let threads = if count > 1 { rayon::current_num_threads() } else { 1 };
    let band = side.div_ceil(threads.div_ceil(modes));
    let work = |(mode, first, sum): (usize, usize, &mut [T])| {
        let rows = first..first + sum.len() / side;
        let mut line = vec![Complex32::default(); side];
        (0..count).for_each(|i| add(i, mode, rows.clone(), &mut line, sum));
    };
    let pieces = sum.chunks_exact_mut(side * side).enumerate().flat_map(|(mode, values)| {
        values.chunks_mut(band * side).enumerate().map(move |(i, values)| (mode, i * band, values))
    });
    match threads {
        1 => pieces.for_each(work),
        _ => pieces.collect::<Vec<_>>().into_par_iter().for_each(work),
    }
}
