//! Adding one patch to a canvas: the inner loops of stitching.
//!
//! A patch between pixels shares each value among four neighbours, so a canvas line gets a part of two patch lines,
//! each of which was spread along its line first: one pass over patch and canvas instead of four. Limited by the
//! bandwidth of the memory that patches come from.

use ndarray::{Array2, ArrayView2};
use num_complex::{Complex32, Complex64};

/// A patch line times its weights, spread along the line.
#[derive(Debug, Clone, Default)]
struct Line {
    values: Vec<Complex64>,
    weights: Vec<f64>,
}

impl Line {
    fn reset(&mut self, length: usize) {
        self.values.clear();
        self.values.resize(length, Complex64::default());
        self.weights.clear();
        self.weights.resize(length, 0.0);
    }
}

/// Where a patch goes: canvas pixel of its index \[0, 0\] and the fraction beyond, both (row, column).
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub at: [i64; 2],
    pub fraction: [f64; 2],
}

/// Scratch for lines, used again and again.
#[derive(Debug, Clone, Default)]
pub(super) struct Deposit {
    now: Line,
    before: Line,
}

impl Deposit {
    /// Adds weights times patch to `sum`, and the weights to `weight`. What falls outside is dropped.
    pub fn add(
        &mut self,
        sum: &mut Array2<Complex64>,
        weight: &mut Array2<f64>,
        patch: ArrayView2<'_, Complex32>,
        weights: ArrayView2<'_, f64>,
        place: Place,
    ) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just said that it has these instructions.
            return unsafe { self.add_avx2(sum, weight, patch, weights, place) };
        }
        self.add_lines(sum, weight, patch, weights, place);
    }

    /// The same operations in the same order, four at a time: not one bit differs.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_avx2(
        &mut self,
        sum: &mut Array2<Complex64>,
        weight: &mut Array2<f64>,
        patch: ArrayView2<'_, Complex32>,
        weights: ArrayView2<'_, f64>,
        place: Place,
    ) {
        self.add_lines(sum, weight, patch, weights, place);
    }

    #[inline(always)]
    fn add_lines(
        &mut self,
        sum: &mut Array2<Complex64>,
        weight: &mut Array2<f64>,
        patch: ArrayView2<'_, Complex32>,
        weights: ArrayView2<'_, f64>,
        Place { at: [top, left], fraction: [fy, fx] }: Place,
    ) {
        let (room, width) = weight.dim();
        let (rows, cols) = patch.dim();
        let (tall, wide) = (rows + usize::from(fy > 0.0), cols + usize::from(fx > 0.0));
        let (from, to) = within(left, wide, width);
        if from >= to {
            return;
        }
        let start = (left + from as i64) as usize;
        if fy == 0.0 && fx == 0.0 {
            let (first, last) = within(top, rows, room);
            for r in first..last {
                let row = (top + r as i64) as usize;
                let target = start..start + (to - from);
                let sums = sum.row_mut(row).into_slice().map(|all| &mut all[target.clone()]);
                let totals = weight.row_mut(row).into_slice().map(|all| &mut all[target]);
                let (Some(sums), Some(totals)) = (sums, totals) else { return };
                let (values, weights) = (patch.row(r), weights.row(r));
                let (Some(values), Some(weights)) = (values.as_slice(), weights.as_slice()) else { return };
                whole(sums, totals, &values[from..to], &weights[from..to]);
            }
            return;
        }
        self.before.reset(wide);
        self.now.reset(wide);
        for r in 0..tall {
            if r < rows {
                spread(patch.row(r).as_slice(), weights.row(r).as_slice(), fx, &mut self.now);
            } else {
                self.now.reset(wide);
            }
            let row = top + r as i64;
            if (0..room as i64).contains(&row) {
                let target = start..start + (to - from);
                let sums = sum.row_mut(row as usize).into_slice().unwrap_or_default();
                let totals = weight.row_mut(row as usize).into_slice().unwrap_or_default();
                let parts = (&self.now, &self.before);
                share(&mut sums[target.clone()], &mut totals[target], parts, from..to, fy);
            }
            std::mem::swap(&mut self.now, &mut self.before);
        }
    }
}

/// Adds a patch line on whole pixels.
#[inline(always)]
fn whole(sums: &mut [Complex64], totals: &mut [f64], values: &[Complex32], weights: &[f64]) {
    for (((sum, total), v), w) in sums.iter_mut().zip(totals).zip(values).zip(weights) {
        sum.re += w * f64::from(v.re);
        sum.im += w * f64::from(v.im);
        *total += w;
    }
}

/// A patch line times its weights; between pixels each value goes to two.
#[inline(always)]
fn spread(values: Option<&[Complex32]>, weights: Option<&[f64]>, fx: f64, line: &mut Line) {
    // Callers pass arrays in row order, whose lines are slices.
    let (Some(values), Some(weights)) = (values, weights) else { return };
    let product = |v: Complex32, w: f64| Complex64::new(w * f64::from(v.re), w * f64::from(v.im));
    if fx == 0.0 {
        for ((to, v), w) in line.values.iter_mut().zip(values).zip(weights) {
            *to = product(*v, *w);
        }
        line.weights[..weights.len()].copy_from_slice(weights);
        return;
    }
    let (stays, moves) = (1.0 - fx, fx);
    let n = values.len();
    for i in 1..n {
        let (here, left) = (product(values[i], weights[i]), product(values[i - 1], weights[i - 1]));
        line.values[i] = here * stays + left * moves;
        line.weights[i] = weights[i] * stays + weights[i - 1] * moves;
    }
    (line.values[0], line.weights[0]) = (product(values[0], weights[0]) * stays, weights[0] * stays);
    (line.values[n], line.weights[n]) =
        (product(values[n - 1], weights[n - 1]) * moves, weights[n - 1] * moves);
}

/// Adds a part of this line and the rest of the one before to a line of the canvas.
#[inline(always)]
fn share(
    sums: &mut [Complex64],
    totals: &mut [f64],
    (now, before): (&Line, &Line),
    columns: std::ops::Range<usize>,
    fy: f64,
) {
    let (values, weights) = (&now.values[columns.clone()], &now.weights[columns.clone()]);
    if fy == 0.0 {
        sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
        totals.iter_mut().zip(weights).for_each(|(total, w)| *total += w);
        return;
    }
    let (stays, moves) = (1.0 - fy, fy);
    let (above, heavier) = (&before.values[columns.clone()], &before.weights[columns]);
    for ((sum, v), a) in sums.iter_mut().zip(values).zip(above) {
        *sum += v * stays + a * moves;
    }
    for ((total, w), a) in totals.iter_mut().zip(weights).zip(heavier) {
        *total += w * stays + a * moves;
    }
}

/// Which indices of a line of `n` samples, placed at `at`, fall on a line of `room`.
fn within(at: i64, n: usize, room: usize) -> (usize, usize) {
    let from = (-at).clamp(0, n as i64);
    let to = (room as i64 - at).clamp(0, n as i64);
    (from as usize, to as usize)
}
