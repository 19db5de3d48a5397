//! Least-squares maximum likelihood (Odstrčil, Menzel & Guizar-Sicairos 2018), with pty-chi 2.2's choices.

use num_complex::Complex32;

use super::crew::{Changes, Crew, sum_rows};
use super::grid::{gather, spread};
use super::refine::Pulls;
use super::state::State;
use super::{Batches, Batching, Learn, kernels};

/// Damping of the object's preconditioner, in units of the largest illumination.
const DAMPING: f32 = 0.1;

/// Part of the batch's mean added to the diagonal of every pattern's 2×2 equations.
const REGULARISATION: f64 = 0.1;

/// Part of the least-squares steps that is taken.
const TAKEN: f64 = 0.9;

/// Share of the object's steps left out of their mean, half at each end.
const TRIMMED: f64 = 0.1;

/// Buffers of the algorithm. Images have the object's shape.
#[derive(Default)]
pub(super) struct Lsqml {
    /// 1/√(W² + (0.1·max W)²), W the illumination map.
    precondition: Vec<f32>,
    /// ΣP*·χ over all modes; in compact batches over the epoch so far.
    sum: Vec<Complex32>,
    /// The same of the first mode alone (plus what `sum` held before); for several modes only.
    first_sum: Vec<Complex32>,
    /// ΔÔ, the preconditioned sums.
    change: Vec<Complex32>,
    first_change: Vec<Complex32>,
    /// (modes, N, N): P*.
    weights: Vec<Complex32>,
    /// (modes, N, N): ΔP̂, a transform if probes are shifted.
    probe_change: Vec<Complex32>,
}

impl Lsqml {
    /// One epoch. Returns Σ(|F|/N − A)², each pattern's taken before its batch's update.
    pub fn epoch(
        &mut self,
        state: &mut State,
        crew: &mut Crew,
        batches: &Batches,
        learn: Learn,
        pulls: &mut Pulls,
    ) -> f64 {
        if state.epoch == 0 {
            return scale_probe(state, crew, batches);
        }
        self.prepare(state);
        let compact = batches.kind == Batching::Compact;
        let (mut misfit, mut smallest) = (0.0, f64::INFINITY);
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            misfit += crew.solve(state, batch, learn.positions);
            pulls.take(crew.batch());
            let rows = state.touched(crew.batch().iter().map(|slot| slot.place));
            let pixels = rows.start * state.width()..rows.end * state.width();
            self.find_object_change(state, crew, pixels.clone(), compact);
            if learn.probe {
                self.find_probe_change(state, crew);
            }
            let [object_step, probe_step] = self.steps(state, crew, learn.probe);
            if compact {
                smallest = smallest.min(object_step);
            } else {
                let change = if state.modes() == 1 { &self.first_change } else { &self.change };
                let step = object_step as f32;
                kernels::add_scaled(&change[pixels.clone()], step, &mut state.object[pixels]);
            }
            if learn.probe {
                let share = if compact { probe_step / batches.len() as f64 } else { probe_step };
                let target = if state.shifts() { &mut state.spectrum } else { &mut state.probe };
                kernels::add_scaled(&self.probe_change, share as f32, target);
            }
        }
        if compact && smallest.is_finite() {
            kernels::scaled(&self.sum, &self.precondition, &mut self.change);
            kernels::add_scaled(&self.change, smallest as f32, &mut state.object);
        }
        misfit
    }

    /// The preconditioner of the epoch, and empty sums.
    fn prepare(&mut self, state: &State) {
        let floor = DAMPING * state.illumination.iter().copied().fold(0.0, f32::max);
        let floor = floor.max(f32::MIN_POSITIVE.sqrt());
        self.precondition.clear();
        self.precondition.extend(state.illumination.iter().map(|w| 1.0 / w.hypot(floor)));
        let (zero, object) = (Complex32::default(), state.object.len());
        self.sum.clear();
        self.sum.resize(object, zero);
        self.change.resize(object, zero);
        self.first_change.resize(object, zero);
        if state.modes() > 1 {
            self.first_sum.resize(object, zero);
        }
        self.weights.resize(state.probe.len(), zero);
        self.probe_change.resize(state.probe.len(), zero);
    }

    /// ΔÔ of the batch on some of the object's pixels, of all modes and of the first.
    fn find_object_change(
        &mut self,
        state: &State,
        crew: &mut Crew,
        at: std::ops::Range<usize>,
        compact: bool,
    ) {
        let conjugate = |values: &mut [Complex32]| values.iter_mut().for_each(|v| *v = v.conj());
        if state.shifts() {
            crew.each(|_, _, slot| conjugate(&mut slot.seen));
        } else {
            self.weights.copy_from_slice(&state.probe);
            conjugate(&mut self.weights);
        }
        let weights = (!state.shifts()).then_some(&self.weights[..]);
        let (width, side, modes) = (state.width(), state.side, state.modes());
        if !compact {
            self.sum[at.clone()].fill(Complex32::default());
        }
        if modes > 1 {
            self.first_sum[at.clone()].copy_from_slice(&self.sum[at.clone()]);
            let first = Changes { state, slots: crew.batch(), weights, modes: 1 };
            spread(&mut self.first_sum, width, side, &first);
        }
        spread(&mut self.sum, width, side, &Changes { state, slots: crew.batch(), weights, modes });
        let first = if modes > 1 { &self.first_sum } else { &self.sum };
        let precondition = &self.precondition[at.clone()];
        kernels::scaled(&first[at.clone()], precondition, &mut self.first_change[at.clone()]);
        if modes > 1 {
            kernels::scaled(&self.sum[at.clone()], precondition, &mut self.change[at]);
        }
        if state.shifts() {
            crew.each(|_, _, slot| conjugate(&mut slot.seen));
        }
    }

    /// ΔP̂ = ΣO*·χ / batch.
    fn find_probe_change(&mut self, state: &State, crew: &mut Crew) {
        let (side, pixels) = (state.side, state.pixels());
        let share = 1.0 / crew.batch().len() as f32;
        self.probe_change.fill(Complex32::default());
        if state.shifts() {
            crew.each(|_, worker, slot| slot.turn_back(worker, [1.0, 1.0, 0.0]));
        }
        let slots = crew.batch();
        sum_rows(side, slots.len(), &mut self.probe_change, |i, mode, rows, _, sum| {
            let (slot, start) = (&slots[i], mode * pixels);
            let at = rows.start * side..rows.end * side;
            let all = start + at.start..start + at.end;
            if state.shifts() {
                kernels::add_scaled(&slot.back[all], 1.0, sum);
            } else {
                kernels::add_conjugate_product(&slot.patch[at], &slot.chi[all], sum);
            }
        });
        self.probe_change.iter_mut().for_each(|v| *v *= share);
    }

    /// Steps of object and probe: least squares for every pattern, by the first mode, then a mean.
    fn steps(&self, state: &State, crew: &mut Crew, probe: bool) -> [f64; 2] {
        let pixels = state.pixels();
        crew.each(|_, worker, slot| {
            let mut patch = std::mem::take(&mut worker.patch);
            gather(&self.first_change, state.width(), state.grid(slot.place), state.side, &mut patch);
            let mut field = std::mem::take(&mut worker.field);
            let probe_change = if state.shifts() {
                worker.moved(&self.probe_change[..pixels], slot.place.fraction, &mut field[..pixels]);
                &field[..pixels]
            } else {
                &self.probe_change[..pixels]
            };
            let first = &slot.probe(state)[..pixels];
            let notes = kernels::step_sums(&patch, first, probe_change, &slot.patch, &slot.chi[..pixels]);
            slot.notes = notes;
            (worker.patch, worker.field) = (patch, field);
        });
        let slots = crew.batch();
        let count = slots.len() as f64;
        let mean = |k: usize| slots.iter().map(|slot| slot.notes[k]).sum::<f64>() / count;
        let extra = [REGULARISATION * mean(0), REGULARISATION * mean(1)];
        let mut object_steps = Vec::with_capacity(slots.len());
        let mut probe_steps = 0.0;
        for slot in slots {
            let [u, v, re, im, by_u, by_v] = slot.notes;
            let (a, d) = (u + extra[0], v + extra[1]);
            let determinant = a * d - (re * re + im * im);
            let [object, change] = if probe && determinant > 0.0 {
                [(d * by_u - re * by_v) / determinant, (a * by_v - re * by_u) / determinant]
            } else if a > 0.0 {
                [by_u / a, 0.0]
            } else {
                [0.0; 2]
            };
            object_steps.push(TAKEN * object.max(0.0) / state.modes() as f64);
            probe_steps += TAKEN * change.max(0.0);
        }
        let step = f64::from(state.settings.step);
        [step * trimmed_mean(object_steps), step * probe_steps / count]
    }
}

/// The first epoch: the probe is given the measured energy. Returns the misfit before.
fn scale_probe(state: &mut State, crew: &mut Crew, batches: &Batches) -> f64 {
    let (mut misfit, mut predicted) = (0.0, 0.0);
    for batch in batches.iter() {
        let [off, energy] = crew.predict(state, batch);
        misfit += off;
        predicted += energy;
    }
    let factor = (state.energy / predicted).sqrt();
    if factor.is_finite() && factor > 0.0 {
        state.probe.iter_mut().for_each(|p| *p *= factor as f32);
        state.remember_spectrum();
    }
    misfit
}

/// Mean without the smallest and the largest twentieth, their number rounded half down (MATLAB's `trimmean`).
fn trimmed_mean(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let cut = (values.len() as f64 * TRIMMED / 2.0 - 0.5).ceil().max(0.0) as usize;
    let kept = &values[cut..values.len() - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

#[cfg(test)]
mod tests {
    use super::trimmed_mean;

    #[test]
    fn the_trimmed_mean_leaves_out_both_ends() {
        assert_eq!(trimmed_mean(vec![3.0]), 3.0);
        assert_eq!(trimmed_mean((0..10).map(f64::from).collect()), 4.5);
        // 20 values: one at each end.
        let mut values: Vec<f64> = vec![2.0; 18];
        values.extend([1e9, -1e9]);
        assert_eq!(trimmed_mean(values), 2.0);
        // 10 % of 10 is half a value at each end, which is rounded down.
        assert!(trimmed_mean(vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0]) > 0.9);
    }
}
