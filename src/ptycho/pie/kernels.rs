//! The loops over pixels. All on C-order slices, without allocation.

use num_complex::Complex32;

use super::scan::Place;

/// Accumulators used side by side, so that sums and maxima need not wait for one another. Their number
/// fixes the order of summation and thereby the result.
const LANES: usize = 8;

/// Keeps F·m/|F| finite where F is zero.
const TINY: f32 = 1e-20;

/// Copies the patch at `place` out of an object of `width` columns, with bilinear weights.
pub(super) fn gather(object: &[Complex32], width: usize, place: Place, side: usize, patch: &mut [Complex32]) {
    let Place { corner: [row, col], fraction: [fy, fx] } = place;
    let taps = weights(fy, fx);
    for (r, line) in patch.chunks_exact_mut(side).enumerate() {
        let start = (row + r) * width + col;
        let upper = &object[start..];
        if fy == 0.0 && fx == 0.0 {
            line.copy_from_slice(&upper[..side]);
        } else if fx == 0.0 {
            for ((out, a), b) in line.iter_mut().zip(upper).zip(&upper[width..]) {
                *out = a * taps[0] + b * taps[2];
            }
        } else if fy == 0.0 {
            for (out, a) in line.iter_mut().zip(upper.windows(2)) {
                *out = a[0] * taps[0] + a[1] * taps[1];
            }
        } else {
            for ((out, a), b) in line.iter_mut().zip(upper.windows(2)).zip(upper[width..].windows(2)) {
                *out = a[0] * taps[0] + a[1] * taps[1] + b[0] * taps[2] + b[1] * taps[3];
            }
        }
    }
}

/// Adds a patch to an object with the same weights: the adjoint of [`gather`].
pub(super) fn scatter(
    object: &mut [Complex32],
    width: usize,
    place: Place,
    side: usize,
    patch: &[Complex32],
) {
    let Place { corner: [row, col], fraction: [fy, fx] } = place;
    let taps = weights(fy, fx);
    for (r, line) in patch.chunks_exact(side).enumerate() {
        for (tap, offset) in taps.iter().zip([0, 1, width, width + 1]) {
            if *tap > 0.0 {
                let start = (row + r) * width + col + offset;
                let target = &mut object[start..start + side];
                target.iter_mut().zip(line).for_each(|(o, v)| *o += v * tap);
            }
        }
    }
}

/// Weights of the pixel, its right, its lower and its lower right neighbour.
fn weights(fy: f32, fx: f32) -> [f32; 4] {
    [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx]
}

/// Largest |v|².
pub(super) fn peak(values: &[Complex32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            let square = v.norm_sqr();
            *lane = if square > *lane { square } else { *lane };
        }
    }
    lanes.into_iter().chain(rest.iter().map(|v| v.norm_sqr())).fold(0.0, f32::max)
}

/// Replaces the modulus of `field` (an unnormalised transform of N² samples) by `measured`·N, and scales
/// by 1/N² for the inverse transform. Returns Σ(|field|/N − measured)².
pub(super) fn replace_modulus(field: &mut [Complex32], measured: &[f32], side: usize) -> f64 {
    let per_side = 1.0 / side as f32;
    let mut lanes = [0.0f32; LANES];
    let pixel = |v: &mut Complex32, m: f32, lane: &mut f32| {
        let modulus = v.norm_sqr().sqrt();
        let off = modulus * per_side - m;
        *lane += off * off;
        *v *= m * per_side / (modulus + TINY);
    };
    let mut sum = 0.0f64;
    for (line, measured) in field.chunks_exact_mut(side).zip(measured.chunks_exact(side)) {
        let mut fields = line.chunks_exact_mut(LANES);
        let mut targets = measured.chunks_exact(LANES);
        for (f, m) in (&mut fields).zip(&mut targets) {
            for ((v, m), lane) in f.iter_mut().zip(m).zip(&mut lanes) {
                pixel(v, *m, lane);
            }
        }
        for (v, m) in fields.into_remainder().iter_mut().zip(targets.remainder()) {
            pixel(v, *m, &mut lanes[0]);
        }
        // A line at a time into f64: 4096 squares in f32 would lose digits.
        sum += lanes.iter().map(|l| f64::from(*l)).sum::<f64>();
        lanes = [0.0; LANES];
    }
    sum
}

/// `out` = a·b.
pub(super) fn product(a: &[Complex32], b: &[Complex32], out: &mut [Complex32]) {
    out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b);
}

/// `out` = `by`*·χ · gain/(floor + slope·|by|²), where χ = `revised` − `exit`.
pub(super) fn update(
    by: &[Complex32],
    revised: &[Complex32],
    exit: &[Complex32],
    [gain, floor, slope]: [f32; 3],
    out: &mut [Complex32],
) {
    for (((out, by), revised), exit) in out.iter_mut().zip(by).zip(revised).zip(exit) {
        let weight = gain / (floor + slope * by.norm_sqr());
        *out = by.conj() * (revised - exit) * weight;
    }
}
