//! Difference map: exit waves that satisfy detector and overlap in turn.

use num_complex::Complex32;

use super::crew::{Crew, share, sum_rows};
use super::grid::{Rows, gather, gather_row, spread};
use super::scan::Place;
use super::state::State;
use super::{Learn, kernels};

/// Damping of the divisions by illumination, in units of its largest value (pty-chi).
const DAMPING: f32 = 0.05;

/// Largest modulus of the object (pty-chi).
const LARGEST: f32 = 1000.0;

/// The algorithm's state.
#[derive(Default)]
pub(super) struct DifferenceMap {
    /// (M, modes, N, N): exit waves ψ; empty before the first epoch.
    pub waves: Vec<Complex32>,
    /// (modes, N, N): P*.
    weights: Vec<Complex32>,
    /// (N, N): Σ|O|² under the probe.
    seen: Vec<f32>,
}

impl DifferenceMap {
    /// One epoch. Returns Σ|Δψ|², which is the misfit Σ(|F|/N − A)² in the first epoch and measures later how far
    /// the map is from a fixed point.
    pub fn epoch(&mut self, state: &mut State, crew: &mut Crew, learn: Learn) -> f64 {
        let (pixels, modes, count) = (state.pixels(), state.modes(), state.places.len());
        let fresh = self.waves.is_empty();
        self.waves.resize(count * modes * pixels, Complex32::default());
        let mut items: Vec<(&mut [Complex32], f64)> =
            self.waves.chunks_exact_mut(modes * pixels).map(|wave| (wave, 0.0)).collect();
        share(crew.workers(state, count), &mut items, |i, worker, (wave, moved)| {
            let (mut patch, mut field) =
                (std::mem::take(&mut worker.patch), std::mem::take(&mut worker.field));
            gather(&state.object, state.width(), state.places[i], state.side, &mut patch);
            let each = |m: usize| m * pixels..(m + 1) * pixels;
            for m in 0..modes {
                if fresh {
                    kernels::product(&state.probe[each(m)], &patch, &mut wave[each(m)]);
                }
                kernels::reflect(&state.probe[each(m)], &patch, &wave[each(m)], &mut field[each(m)]);
            }
            worker.revise(state, i, &mut field);
            *moved = (0..modes)
                .map(|m| {
                    let (wave, field) = (&mut wave[each(m)], &field[each(m)]);
                    kernels::relax(wave, field, &state.probe[each(m)], &patch, state.settings.step)
                })
                .sum();
            (worker.patch, worker.field) = (patch, field);
        });
        let moved = items.iter().map(|(_, moved)| moved).sum();
        if learn.probe {
            self.find_probe(state);
        }
        self.find_object(state);
        moved
    }

    /// P = ΣO*ψ / √((Σ|O|²)² + (0.05·max)²).
    fn find_probe(&mut self, state: &mut State) {
        let (side, pixels, modes, width) = (state.side, state.pixels(), state.modes(), state.width());
        let (object, places, waves) = (&state.object, &state.places, &self.waves);
        let count = places.len();
        state.probe.fill(Complex32::default());
        sum_rows(side, count, &mut state.probe, |i, mode, rows, line, sum| {
            let start = (i * modes + mode) * pixels;
            for (r, sum) in rows.zip(sum.chunks_exact_mut(side)) {
                gather_row(object, width, places[i], r, line);
                kernels::add_conjugate_product(line, &waves[start + r * side..][..side], sum);
            }
        });
        self.seen.clear();
        self.seen.resize(pixels, 0.0);
        sum_rows(side, count, &mut self.seen, |i, _, rows, line, sum| {
            for (r, sum) in rows.zip(sum.chunks_exact_mut(side)) {
                gather_row(object, width, places[i], r, line);
                kernels::add_intensity(line, sum);
            }
        });
        state.probe.chunks_exact_mut(pixels).for_each(|mode| divide(mode, &self.seen));
    }

    /// O = ΣP*ψ / √((Σ|P|²)² + (0.05·max)²).
    fn find_object(&mut self, state: &mut State) {
        let modes = state.modes();
        self.weights.clear();
        self.weights.extend(state.probe.iter().map(Complex32::conj));
        let mut object = std::mem::take(&mut state.object);
        object.fill(Complex32::default());
        let waves = Waves { state, waves: &self.waves, weights: &self.weights };
        spread(&mut object, state.width(), state.side, &waves);
        state.object = object;
        let lit = state.lit(modes);
        divide(&mut state.object, &lit);
        for value in &mut state.object {
            let modulus = value.norm();
            if modulus > LARGEST {
                *value *= LARGEST / modulus;
            }
        }
    }
}

/// The exit waves as patches P*·ψ, summed over modes.
struct Waves<'a> {
    state: &'a State,
    waves: &'a [Complex32],
    weights: &'a [Complex32],
}

impl Rows<Complex32> for Waves<'_> {
    fn len(&self) -> usize {
        self.state.places.len()
    }
    fn place(&self, i: usize) -> Place {
        self.state.places[i]
    }
    fn row(&self, i: usize, r: usize, line: &mut [Complex32]) {
        let (side, pixels, modes) = (self.state.side, self.state.pixels(), self.state.modes());
        let wave = &self.waves[i * modes * pixels..(i + 1) * modes * pixels];
        let of = |m: usize| m * pixels + r * side..m * pixels + (r + 1) * side;
        kernels::product(&self.weights[of(0)], &wave[of(0)], line);
        for m in 1..modes {
            kernels::add_product(&self.weights[of(m)], &wave[of(m)], line);
        }
    }
}

/// `values` / √(`by`² + (0.05·max `by`)²); nothing where nothing ever was.
fn divide(values: &mut [Complex32], by: &[f32]) {
    let floor = (DAMPING * by.iter().copied().fold(0.0, f32::max)).max(f32::MIN_POSITIVE.sqrt());
    values.iter_mut().zip(by).for_each(|(v, by)| *v /= by.hypot(floor));
}
