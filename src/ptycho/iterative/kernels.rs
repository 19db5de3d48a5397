//! The loops over pixels. All on C-order slices of equal length, without allocation.

use num_complex::Complex32;

use crate::ptycho::vector::kernel;

/// Accumulators used side by side, so that sums and maxima need not wait for one another. Their number
/// fixes the order of summation and thereby the result.
const LANES: usize = 8;

/// Pixels that are looked at together: their sum is in f32, and goes on in f64.
const STRIDE: usize = 256;

/// Keeps F·m/|F| finite where F is zero.
const TINY: f32 = 1e-20;

/// `sums!(count, |from, [a, b]| body)`: sums of some terms for each of `count` pixels, in fixed order. The body
/// writes the terms of the pixels from `from` on to the slices `a`, `b`, side by side, which a compiler turns into
/// vector instructions where it would not for running sums. (A macro, because a closure would not become part of
/// the function that is compiled for AVX2.)
macro_rules! sums {
    ($count:expr, |$from:ident, [$($term:ident),*]| $body:block) => {{
        let count: usize = $count;
        let mut totals = [$({ stringify!($term); 0.0f64 }),*];
        $(let mut $term = [0.0f32; STRIDE];)*
        let mut $from = 0;
        while $from < count {
            let length = STRIDE.min(count - $from);
            {
                $(let $term = &mut $term[..length];)*
                $body
            }
            let mut total = totals.iter_mut();
            $(if let Some(total) = total.next() {
                *total += f64::from(sum(&$term[..length]));
            })*
            $from += length;
        }
        totals
    }};
}

/// Sum in f32, in lanes.
#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    let mut total = 0.0;
    for value in lanes {
        total += value;
    }
    for value in rest {
        total += value;
    }
    total
}

kernel! {
    /// `out` = a·b.
    pub(super) fn product(a: &[Complex32], b: &[Complex32], out: &mut [Complex32]) {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b);
    }
}

kernel! {
    /// `field` −= a·b.
    pub(super) fn subtract_product(field: &mut [Complex32], a: &[Complex32], b: &[Complex32]) {
        field.iter_mut().zip(a).zip(b).for_each(|((f, a), b)| *f -= a * b);
    }
}

kernel! {
    /// `out` = 2·a·b − c.
    pub(super) fn reflect(a: &[Complex32], b: &[Complex32], c: &[Complex32], out: &mut [Complex32]) {
        for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *out = (a * b) * 2.0 - c;
        }
    }
}

kernel! {
    /// `wave` += `relax`·(`field` − a·b). Returns Σ|change|².
    pub(super) fn relax(
        wave: &mut [Complex32],
        field: &[Complex32],
        a: &[Complex32],
        b: &[Complex32],
        relax: f32,
    ) -> f64 {
        let n = wave.len();
        let (field, a, b) = (&field[..n], &a[..n], &b[..n]);
        for i in 0..n {
            wave[i] += (field[i] - a[i] * b[i]) * relax;
        }
        let [sum] = sums!(n, |from, [out]| {
            let n = out.len();
            let (field, a, b) = (&field[from..][..n], &a[from..][..n], &b[from..][..n]);
            for i in 0..n {
                out[i] = (field[i] - a[i] * b[i]).norm_sqr();
            }
        });
        sum * f64::from(relax).powi(2)
    }
}

kernel! {
    /// Largest Σ over modes of |v|², for modes of `pixels` values each.
    pub(super) fn peak(values: &[Complex32], pixels: usize) -> f32 {
        let mut squares = [0.0f32; STRIDE];
        let mut lanes = [0.0f32; LANES];
        let mut start = 0;
        while start < pixels {
            let squares = &mut squares[..STRIDE.min(pixels - start)];
            squares.fill(0.0);
            for mode in values.chunks_exact(pixels) {
                squares.iter_mut().zip(&mode[start..]).for_each(|(s, v)| *s += v.norm_sqr());
            }
            let (chunks, rest) = squares.as_chunks::<LANES>();
            for chunk in chunks {
                for (lane, s) in lanes.iter_mut().zip(chunk) {
                    *lane = if s > lane { *s } else { *lane };
                }
            }
            lanes[0] = rest.iter().fold(lanes[0], |most, s| most.max(*s));
            start += STRIDE;
        }
        lanes.into_iter().fold(0.0, f32::max)
    }
}

kernel! {
    /// `out` = Σ over modes of |v|².
    pub(super) fn intensity(values: &[Complex32], out: &mut [f32]) {
        let mut modes = values.chunks_exact(out.len());
        if let Some(first) = modes.next() {
            out.iter_mut().zip(first).for_each(|(out, v)| *out = v.norm_sqr());
        }
        for mode in modes {
            out.iter_mut().zip(mode).for_each(|(out, v)| *out += v.norm_sqr());
        }
    }
}

kernel! {
    /// Factors that give a field of `side`² samples, transformed without a norm, the measured modulus, and scale by
    /// 1/side² for the inverse transform. `intensity` is Σ|F|² over modes; pixels where `valid` is 0 keep what
    /// they have. Returns Σ(|F|/side − measured)² over valid pixels.
    pub(super) fn modulus_factors(
        intensity: &[f32],
        measured: &[f32],
        valid: &[f32],
        side: usize,
        factors: &mut [f32],
    ) -> f64 {
        let n = factors.len();
        let (intensity, measured, valid) = (&intensity[..n], &measured[..n], &valid[..n]);
        let (per_side, keep) = (1.0 / side as f32, 1.0 / (side * side) as f32);
        for i in 0..n {
            let wanted = measured[i] * per_side / (intensity[i].sqrt() + TINY);
            factors[i] = if valid[i] > 0.0 { wanted } else { keep };
        }
        let [misfit] = sums!(n, |from, [out]| {
            let n = out.len();
            let (intensity, measured) = (&intensity[from..][..n], &measured[from..][..n]);
            let valid = &valid[from..][..n];
            for i in 0..n {
                let off = intensity[i].sqrt() * per_side - measured[i];
                out[i] = valid[i] * off * off;
            }
        });
        misfit
    }
}

kernel! {
    /// Factors of a step of −`alpha`·ξ·F down the Poisson likelihood's gradient, ξ = 1 − I/(y + floor), scaled as
    /// [`modulus_factors`]. Intensities in the dataset's own unit (`intensity`/side²).
    pub(super) fn poisson_factors(
        xi: &[f32],
        valid: &[f32],
        alpha: f32,
        side: usize,
        factors: &mut [f32],
    ) {
        let n = factors.len();
        let (xi, valid) = (&xi[..n], &valid[..n]);
        let keep = 1.0 / (side * side) as f32;
        for i in 0..n {
            factors[i] = keep * (1.0 - alpha * xi[i] * valid[i]);
        }
    }
}

kernel! {
    /// `xi` = 1 − measured²/(y + floor), y = `intensity`/side².
    pub(super) fn poisson_gradient(intensity: &[f32], measured: &[f32], floor: f32, side: usize, xi: &mut [f32]) {
        let n = xi.len();
        let (intensity, measured) = (&intensity[..n], &measured[..n]);
        let norm = 1.0 / (side * side) as f32;
        for i in 0..n {
            xi[i] = 1.0 - measured[i] * measured[i] / (intensity[i] * norm + floor);
        }
    }
}

kernel! {
    /// \[Σ ξ·(y − I/(1 − α·ξ)), Σ ξ²·y\] over valid pixels: the fixed-point equation of the Poisson step.
    pub(super) fn poisson_line_search(
        xi: &[f32],
        intensity: &[f32],
        measured: &[f32],
        valid: &[f32],
        alpha: f32,
        side: usize,
    ) -> [f64; 2] {
        let n = xi.len();
        let (intensity, measured, valid) = (&intensity[..n], &measured[..n], &valid[..n]);
        let norm = 1.0 / (side * side) as f32;
        sums!(n, |from, [slope, square]| {
            let n = slope.len();
            let (xi, intensity) = (&xi[from..][..n], &intensity[from..][..n]);
            let (measured, valid, square) = (&measured[from..][..n], &valid[from..][..n], &mut square[..n]);
            for i in 0..n {
                let (x, y) = (xi[i] * valid[i], intensity[i] * norm);
                slope[i] = x * (y - measured[i] * measured[i] / (1.0 - alpha * x));
                square[i] = x * x * y;
            }
        })
    }
}

kernel! {
    /// Σ `values`·`weights`.
    pub(super) fn weighted_sum(values: &[f32], weights: &[f32]) -> f64 {
        let [sum] = sums!(values.len(), |from, [out]| {
            let pairs = values[from..].iter().zip(&weights[from..]);
            out.iter_mut().zip(pairs).for_each(|(out, (v, w))| *out = v * w);
        });
        sum
    }
}

kernel! {
    /// Multiplies every mode of `field` with real `factors`.
    pub(super) fn scale_modes(field: &mut [Complex32], factors: &[f32]) {
        for mode in field.chunks_exact_mut(factors.len()) {
            mode.iter_mut().zip(factors).for_each(|(v, f)| *v *= f);
        }
    }
}

kernel! {
    /// `out` = p*·gain/(floor + slope·|p|²).
    pub(super) fn weights(p: &[Complex32], gain: f32, floor: f32, slope: f32, out: &mut [Complex32]) {
        for (out, p) in out.iter_mut().zip(p) {
            *out = p.conj() * (gain / (floor + slope * p.norm_sqr()));
        }
    }
}

kernel! {
    /// `sum` += p*·χ·gain/(floor + slope·|p|²).
    pub(super) fn add_weighted(
        p: &[Complex32],
        chi: &[Complex32],
        gain: f32,
        floor: f32,
        slope: f32,
        sum: &mut [Complex32],
    ) {
        for ((sum, p), chi) in sum.iter_mut().zip(p).zip(chi) {
            *sum += p.conj() * chi * (gain / (floor + slope * p.norm_sqr()));
        }
    }
}

kernel! {
    /// `sum` += p*·χ.
    pub(super) fn add_conjugate_product(p: &[Complex32], chi: &[Complex32], sum: &mut [Complex32]) {
        sum.iter_mut().zip(p).zip(chi).for_each(|((sum, p), chi)| *sum += p.conj() * chi);
    }
}

kernel! {
    /// `sum` += w·χ.
    pub(super) fn add_product(w: &[Complex32], chi: &[Complex32], sum: &mut [Complex32]) {
        sum.iter_mut().zip(w).zip(chi).for_each(|((sum, w), chi)| *sum += w * chi);
    }
}

kernel! {
    /// `sum` += `factor`·`values`.
    pub(super) fn add_scaled(values: &[Complex32], factor: f32, sum: &mut [Complex32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v * factor);
    }
}

kernel! {
    /// `sum` += |v|².
    pub(super) fn add_intensity(values: &[Complex32], sum: &mut [f32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v.norm_sqr());
    }
}

kernel! {
    /// `sum` += `factor`·`values`.
    pub(super) fn add_scaled_real(values: &[f32], factor: f32, sum: &mut [f32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v * factor);
    }
}

kernel! {
    /// `out` = `values`·`factors`, the factors real.
    pub(super) fn scaled(values: &[Complex32], factors: &[f32], out: &mut [Complex32]) {
        out.iter_mut().zip(values).zip(factors).for_each(|((out, v), f)| *out = v * f);
    }
}

kernel! {
    /// The sums of the least-squares steps (Odstrčil 2018, eq. 22), with u = ΔO·P and v = ΔP·O:
    /// \[Σ|u|², Σ|v|², Re Σu·v*, Im Σu·v*, Re Σu*·χ, Re Σv*·χ\].
    pub(super) fn step_sums(
        object_change: &[Complex32],
        probe: &[Complex32],
        probe_change: &[Complex32],
        patch: &[Complex32],
        chi: &[Complex32],
    ) -> [f64; 6] {
        let n = chi.len();
        let (object_change, probe) = (&object_change[..n], &probe[..n]);
        let (probe_change, patch) = (&probe_change[..n], &patch[..n]);
        sums!(n, |from, [uu, vv, re, im, by_u, by_v]| {
            let n = uu.len();
            let (object_change, probe) = (&object_change[from..][..n], &probe[from..][..n]);
            let (probe_change, patch) = (&probe_change[from..][..n], &patch[from..][..n]);
            let (chi, vv, re, im) = (&chi[from..][..n], &mut vv[..n], &mut re[..n], &mut im[..n]);
            let (by_u, by_v) = (&mut by_u[..n], &mut by_v[..n]);
            for i in 0..n {
                let (u, v, chi) = (object_change[i] * probe[i], probe_change[i] * patch[i], chi[i]);
                let cross = u * v.conj();
                uu[i] = u.norm_sqr();
                vv[i] = v.norm_sqr();
                re[i] = cross.re;
                im[i] = cross.im;
                by_u[i] = u.re * chi.re + u.im * chi.im;
                by_v[i] = v.re * chi.re + v.im * chi.im;
            }
        })
    }
}

kernel! {
    /// \[Re Σ(g·p)*·χ, Σ|g·p|²\]: how far along the gradient g of the object χ asks a position to move.
    pub(super) fn shift_sums(gradient: &[Complex32], probe: &[Complex32], chi: &[Complex32]) -> [f64; 2] {
        let n = chi.len();
        let (gradient, probe) = (&gradient[..n], &probe[..n]);
        sums!(n, |from, [along, stiffness]| {
            let n = along.len();
            let (gradient, probe) = (&gradient[from..][..n], &probe[from..][..n]);
            let (chi, stiffness) = (&chi[from..][..n], &mut stiffness[..n]);
            for i in 0..n {
                let (d, chi) = (gradient[i] * probe[i], chi[i]);
                along[i] = d.re * chi.re + d.im * chi.im;
                stiffness[i] = d.norm_sqr();
            }
        })
    }
}
