//! Refining positions: where moving a patch along the object's gradient explains χ, it is moved.

use num_complex::Complex32;

use super::crew::{Slot, Worker};
use super::scan::places;
use super::state::State;
use super::{Subpixel, kernels};
use crate::ptycho::fft::frequency;

/// Part of the least-squares move that is made.
const STEP: f64 = 0.3;

/// No move is longer than this, pixels an axis and epoch.
const LONGEST: f64 = 0.1;

/// Nor than so many median absolute deviations of the moves of all patterns.
const DEVIATIONS: f64 = 10.0;

/// What a pattern has to say about its position: Re Σ(∂O·P)*·χ and Σ|∂O·P|², down and right.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pull {
    along: [f64; 2],
    stiffness: [f64; 2],
}

/// The pull of a pattern, by the first mode. The gradient is taken in Fourier space, without the Nyquist
/// frequency, whose derivative is not real.
pub(super) fn pull(worker: &mut Worker, patch: &[Complex32], probe: &[Complex32], chi: &[Complex32]) -> Pull {
    let pixels = patch.len();
    let mut pull = Pull::default();
    let mut gradient = std::mem::take(&mut worker.patch);
    for axis in 0..2 {
        gradient.copy_from_slice(patch);
        let spectrum = &mut worker.spectrum[..pixels];
        worker.fft.forward_transposed(&mut gradient, spectrum);
        let side = worker.fft.shape().0;
        for (k, line) in spectrum.chunks_exact_mut(side).enumerate() {
            for (j, value) in line.iter_mut().enumerate() {
                // Transposed: k is the frequency across, j the one down.
                let index = if axis == 0 { j } else { k };
                let nyquist = 2 * index == side;
                let slope = if nyquist { 0.0 } else { std::f64::consts::TAU * frequency(index, side) };
                *value *= Complex32::new(0.0, (slope / pixels as f64) as f32);
            }
        }
        worker.fft.inverse_transposed(spectrum, &mut gradient);
        let [along, stiffness] = kernels::shift_sums(&gradient, &probe[..pixels], &chi[..pixels]);
        pull.along[axis] = along;
        pull.stiffness[axis] = stiffness;
    }
    worker.patch = gradient;
    pull
}

/// The pulls of all patterns over an epoch. They are acted on together at its end, so that what is one pattern's
/// outlier does not depend on its batch.
pub(super) struct Pulls(Vec<Pull>);

impl Pulls {
    /// Of `count` patterns; of none if positions stay.
    pub fn new(count: usize) -> Self {
        Self(vec![Pull::default(); count])
    }

    /// Takes note of a batch, if positions are refined.
    pub fn take(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Some(pull) = self.0.get_mut(slot.index) {
                *pull = slot.pull;
            }
        }
    }

    /// Moves the positions by 0.3·along/(stiffness + max stiffness), within limits, and so that their mean stays:
    /// a shift of all is one of the object, which the data cannot tell.
    pub fn act(&self, state: &mut State) {
        let down = self.moves(0);
        let right = self.moves(1);
        let (rows, cols) = state.frame.shape;
        let [top, left] = state.frame.origin;
        let side = state.side;
        // Bilinear sampling reads a pixel more.
        let reach = side - side / 2 + usize::from(state.settings.subpixel == Subpixel::Bilinear);
        let moved = |old: &[f64], by: &[f64], origin: i64, room: usize| -> Vec<f64> {
            let lowest = origin as f64 + (side / 2) as f64;
            let highest = (origin as f64 + room as f64 - reach as f64).max(lowest);
            old.iter().zip(by).map(|(v, by)| (v + by).clamp(lowest, highest)).collect()
        };
        let y = moved(&state.y, &down, top, rows);
        let x = moved(&state.x, &right, left, cols);
        // A frame without room for a pixel more keeps positions as they were.
        if let Ok(places) = places(&x, &y, side, state.frame, state.settings.subpixel) {
            (state.x, state.y, state.places) = (x, y, places);
        }
    }

    fn moves(&self, axis: usize) -> Vec<f64> {
        let stiffest = self.0.iter().map(|p| p.stiffness[axis]).fold(0.0, f64::max);
        if stiffest <= 0.0 {
            return vec![0.0; self.0.len()];
        }
        let mut moves: Vec<f64> = self
            .0
            .iter()
            .map(|p| STEP * p.along[axis] / (p.stiffness[axis] + stiffest))
            .map(|m| if m.is_finite() { m } else { 0.0 })
            .collect();
        let centre = median(moves.clone());
        let deviation = median(moves.iter().map(|m| (m - centre).abs()).collect());
        let limit = (DEVIATIONS * deviation).min(LONGEST);
        moves.iter_mut().for_each(|m| *m = m.clamp(-limit, limit));
        let mean = moves.iter().sum::<f64>() / moves.len() as f64;
        moves.iter_mut().for_each(|m| *m -= mean);
        moves
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
