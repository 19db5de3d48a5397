//! ePIE and rPIE: steps weighted with probe and object, straight into both.

use num_complex::Complex32;

use super::crew::{Changes, Crew, sum_rows};
use super::grid::spread;
use super::refine::Pulls;
use super::state::State;
use super::{Batches, Learn, Rule, kernels};

/// Buffers of the algorithm.
#[derive(Default)]
pub(super) struct Pie {
    /// (modes, N, N): the object update's weights.
    weights: Vec<Complex32>,
}

impl Pie {
    /// One epoch. Returns Σ(|F|/N − A)², each pattern's taken before its batch's update.
    pub fn epoch(
        &mut self,
        state: &mut State,
        crew: &mut Crew,
        batches: &Batches,
        learn: Learn,
        pulls: &mut Pulls,
    ) -> f64 {
        let mut misfit = 0.0;
        for batch in batches.iter() {
            misfit += crew.solve(state, batch, learn.positions);
            pulls.take(crew.batch());
            // χ is there for the whole batch, so object and probe can be changed one after the other.
            self.change_object(state, crew);
            if learn.probe {
                change_probe(state, crew);
            }
        }
        misfit
    }

    fn change_object(&mut self, state: &mut State, crew: &mut Crew) {
        let (pixels, modes) = (state.pixels(), state.modes());
        if state.shifts() {
            crew.each(|_, worker, slot| {
                let [gain, floor, slope] =
                    gains(state, state.settings.alpha, kernels::peak(&slot.seen, pixels));
                worker.field.copy_from_slice(&slot.seen);
                kernels::weights(&worker.field, gain, floor, slope, &mut slot.seen);
            });
        } else {
            self.weights.resize(modes * pixels, Complex32::default());
            let [gain, floor, slope] =
                gains(state, state.settings.alpha, kernels::peak(&state.probe, pixels));
            kernels::weights(&state.probe, gain, floor, slope, &mut self.weights);
        }
        let mut object = std::mem::take(&mut state.object);
        let weights = (!state.shifts()).then_some(&self.weights[..]);
        let changes = Changes { state, slots: crew.batch(), weights, modes };
        spread(&mut object, state.width(), state.side, &changes);
        state.object = object;
    }
}

fn change_probe(state: &mut State, crew: &mut Crew) {
    let (side, pixels) = (state.side, state.pixels());
    let share = 1.0 / crew.batch().len() as f32;
    crew.each(|_, worker, slot| {
        let [gain, floor, slope] = gains(state, state.settings.beta, kernels::peak(&slot.patch, pixels));
        slot.notes[0] = f64::from(floor);
        if state.shifts() {
            slot.turn_back(worker, [gain * share, floor, slope]);
        }
    });
    let slots = crew.batch();
    if state.shifts() {
        sum_rows(side, slots.len(), &mut state.spectrum, |i, mode, rows, _, sum| {
            let start = mode * pixels;
            kernels::add_scaled(&slots[i].back[start + rows.start * side..start + rows.end * side], 1.0, sum);
        });
        return;
    }
    let [gain, _, slope] = gains(state, state.settings.beta, 1.0);
    sum_rows(side, slots.len(), &mut state.probe, |i, mode, rows, _, sum| {
        let (slot, start) = (&slots[i], mode * pixels);
        let at = rows.start * side..rows.end * side;
        let chi = &slot.chi[start + at.start..start + at.end];
        // ePIE's gain is α, rPIE's 1: neither depends on the peak, which the slot has noted.
        kernels::add_weighted(&slot.patch[at], chi, gain * share, slot.notes[0] as f32, slope, sum);
    });
}

/// Gain, floor and slope of the weight p*·gain/(floor + slope·|p|²) for a regularisation α and the peak of |·|².
fn gains(state: &State, alpha: f32, peak: f32) -> [f32; 3] {
    // An object that has vanished under the probe gives the probe nothing to learn.
    let peak = peak.max(f32::MIN_POSITIVE);
    match state.settings.rule {
        Rule::Epie => [state.settings.step * alpha, peak, 0.0],
        _ => [state.settings.step, alpha * peak, 1.0 - alpha],
    }
}
