//! The loops over pixels. All on C-order slices of equal length, without allocation.

use num_complex::Complex32;

/// Accumulators used side by side, so that sums and maxima need not wait for one another. Their number
/// fixes the order of summation and thereby the result.
const LANES: usize = 8;

/// Pixels summed in f32 before the sum goes on in f64.
const STRIDE: usize = 256;

/// Keeps F·m/|F| finite where F is zero.
const TINY: f32 = 1e-20;

/// Defines a loop and compiles it twice: for any processor, and for those with AVX2. The operations and their
/// order are the same (nothing is fused), so the results are the same to the bit.
macro_rules! kernel {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        pub(super) fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide($($arg: $type),*) $(-> $result)? {
                plain($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has just said that it has these instructions.
                return unsafe { wide($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

/// Σ over `values` mapped to several real terms each, in fixed order: lanes in f32 along a stride, strides in f64.
#[inline(always)]
fn sums<const K: usize>(count: usize, term: impl Fn(usize) -> [f32; K]) -> [f64; K] {
    let mut total = [0.0f64; K];
    let mut start = 0;
    while start < count {
        let end = (start + STRIDE).min(count);
        let mut lanes = [[0.0f32; LANES]; K];
        let mut at = start;
        while at + LANES <= end {
            for lane in 0..LANES {
                let terms = term(at + lane);
                for k in 0..K {
                    lanes[k][lane] += terms[k];
                }
            }
            at += LANES;
        }
        for lane in at..end {
            let terms = term(lane);
            for k in 0..K {
                lanes[k][lane - at] += terms[k];
            }
        }
        for k in 0..K {
            total[k] += lanes[k].iter().map(|v| f64::from(*v)).sum::<f64>();
        }
        start = end;
    }
    total
}

kernel! {
    /// `out` = a·b.
    fn product(a: &[Complex32], b: &[Complex32], out: &mut [Complex32]) {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b);
    }
}

kernel! {
    /// `field` −= a·b.
    fn subtract_product(field: &mut [Complex32], a: &[Complex32], b: &[Complex32]) {
        field.iter_mut().zip(a).zip(b).for_each(|((f, a), b)| *f -= a * b);
    }
}

kernel! {
    /// `out` = 2·a·b − c.
    fn reflect(a: &[Complex32], b: &[Complex32], c: &[Complex32], out: &mut [Complex32]) {
        for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *out = (a * b) * 2.0 - c;
        }
    }
}

kernel! {
    /// `wave` += `relax`·(`field` − a·b). Returns Σ|change|².
    fn relax(
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
        let [sum] = sums(n, |i| [(field[i] - a[i] * b[i]).norm_sqr()]);
        sum * f64::from(relax).powi(2)
    }
}

kernel! {
    /// Largest Σ over modes of |v|², for modes of `pixels` values each.
    fn peak(values: &[Complex32], pixels: usize) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let mut start = 0;
        while start < pixels {
            let width = LANES.min(pixels - start);
            let mut square = [0.0f32; LANES];
            for mode in values.chunks_exact(pixels) {
                for (s, v) in square.iter_mut().zip(&mode[start..start + width]) {
                    *s += v.norm_sqr();
                }
            }
            for (lane, s) in lanes.iter_mut().zip(square) {
                *lane = if s > *lane { s } else { *lane };
            }
            start += LANES;
        }
        lanes.into_iter().fold(0.0, f32::max)
    }
}

kernel! {
    /// `out` = Σ over modes of |v|².
    fn intensity(values: &[Complex32], out: &mut [f32]) {
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
    fn modulus_factors(
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
        let [misfit] = sums(n, |i| {
            let off = intensity[i].sqrt() * per_side - measured[i];
            [valid[i] * off * off]
        });
        misfit
    }
}

kernel! {
    /// Factors of a step of −`alpha`·ξ·F down the Poisson likelihood's gradient, ξ = 1 − I/(y + floor), scaled as
    /// [`modulus_factors`]. Intensities in the dataset's own unit (`intensity`/side²).
    fn poisson_factors(
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
    fn poisson_gradient(intensity: &[f32], measured: &[f32], floor: f32, side: usize, xi: &mut [f32]) {
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
    fn poisson_line_search(
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
        sums(n, |i| {
            let (x, y) = (xi[i] * valid[i], intensity[i] * norm);
            [x * (y - measured[i] * measured[i] / (1.0 - alpha * x)), x * x * y]
        })
    }
}

kernel! {
    /// Σ `values`·`weights`.
    fn weighted_sum(values: &[f32], weights: &[f32]) -> f64 {
        let weights = &weights[..values.len()];
        let [sum] = sums(values.len(), |i| [values[i] * weights[i]]);
        sum
    }
}

kernel! {
    /// Multiplies every mode of `field` with real `factors`.
    fn scale_modes(field: &mut [Complex32], factors: &[f32]) {
        for mode in field.chunks_exact_mut(factors.len()) {
            mode.iter_mut().zip(factors).for_each(|(v, f)| *v *= f);
        }
    }
}

kernel! {
    /// `out` = p*·gain/(floor + slope·|p|²).
    fn weights(p: &[Complex32], gain: f32, floor: f32, slope: f32, out: &mut [Complex32]) {
        for (out, p) in out.iter_mut().zip(p) {
            *out = p.conj() * (gain / (floor + slope * p.norm_sqr()));
        }
    }
}

kernel! {
    /// `sum` += p*·χ·gain/(floor + slope·|p|²).
    fn add_weighted(
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
    fn add_conjugate_product(p: &[Complex32], chi: &[Complex32], sum: &mut [Complex32]) {
        sum.iter_mut().zip(p).zip(chi).for_each(|((sum, p), chi)| *sum += p.conj() * chi);
    }
}

kernel! {
    /// `sum` += w·χ.
    fn add_product(w: &[Complex32], chi: &[Complex32], sum: &mut [Complex32]) {
        sum.iter_mut().zip(w).zip(chi).for_each(|((sum, w), chi)| *sum += w * chi);
    }
}

kernel! {
    /// `sum` += `factor`·`values`.
    fn add_scaled(values: &[Complex32], factor: f32, sum: &mut [Complex32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v * factor);
    }
}

kernel! {
    /// `sum` += |v|².
    fn add_intensity(values: &[Complex32], sum: &mut [f32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v.norm_sqr());
    }
}

kernel! {
    /// `sum` += `factor`·`values`.
    fn add_scaled_real(values: &[f32], factor: f32, sum: &mut [f32]) {
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v * factor);
    }
}

kernel! {
    /// `out` = `values`·`factors`, the factors real.
    fn scaled(values: &[Complex32], factors: &[f32], out: &mut [Complex32]) {
        out.iter_mut().zip(values).zip(factors).for_each(|((out, v), f)| *out = v * f);
    }
}

kernel! {
    /// The sums of the least-squares steps (Odstrčil 2018, eq. 22), with u = ΔO·P and v = ΔP·O:
    /// \[Σ|u|², Σ|v|², Re Σu·v*, Im Σu·v*, Re Σu*·χ, Re Σv*·χ\].
    fn step_sums(
        object_change: &[Complex32],
        probe: &[Complex32],
        probe_change: &[Complex32],
        patch: &[Complex32],
        chi: &[Complex32],
    ) -> [f64; 6] {
        let n = chi.len();
        let (object_change, probe) = (&object_change[..n], &probe[..n]);
        let (probe_change, patch) = (&probe_change[..n], &patch[..n]);
        sums(n, |i| {
            let (u, v, chi) = (object_change[i] * probe[i], probe_change[i] * patch[i], chi[i]);
            let cross = u * v.conj();
            [
                u.norm_sqr(),
                v.norm_sqr(),
                cross.re,
                cross.im,
                u.re * chi.re + u.im * chi.im,
                v.re * chi.re + v.im * chi.im,
            ]
        })
    }
}

kernel! {
    /// \[Re Σ(g·p)*·χ, Σ|g·p|²\]: how far along the gradient g of the object χ asks a position to move.
    fn shift_sums(gradient: &[Complex32], probe: &[Complex32], chi: &[Complex32]) -> [f64; 2] {
        let n = chi.len();
        let (gradient, probe) = (&gradient[..n], &probe[..n]);
        sums(n, |i| {
            let (d, chi) = (gradient[i] * probe[i], chi[i]);
            [d.re * chi.re + d.im * chi.im, d.norm_sqr()]
        })
    }
}
