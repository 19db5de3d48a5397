//! Amplitude and phase to real and imaginary part, for as many values as a network says in a second.
//!
//! Computed in f64 without a branch, so that a compiler can do several at a time, and rounded once: the result
//! is within 0.51 units of the last place of `a·cos φ` and `a·sin φ`, and depends on no library.

/// Phases beyond this go the slow way: the reduction to an eighth of a turn keeps all its digits below.
const LARGE: f32 = 1e4;

/// π/2 in two parts; the product of the first with a whole number up to 2^20 is exact.
const HALF_PI: [f64; 2] = [1.570_796_326_734_125_6, 6.077_100_506_506_192e-11];

/// Adding and taking it away again rounds to the nearest whole number, whose last bits are then those of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `a·cos φ` and `a·sin φ` for phases in radians.
#[inline(always)]
fn one(amplitude: f32, phase: f32) -> (f32, f32) {
    let x = f64::from(phase);
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
    let quarter = shifted.to_bits();
    let turns = shifted - ROUND;
    let r = (x - turns * HALF_PI[0]) - turns * HALF_PI[1];
    let s = r * r;
    // Taylor's series: the first term left out is below 1e-12 for |r| ≤ π/4.
    let sin = r + r
        * s
        * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362_880.0 - s / 39_916_800.0))));
    let cos = 1.0
        + s * (-0.5
            + s * (1.0 / 24.0
                + s * (-1.0 / 720.0 + s * (1.0 / 40_320.0 + s * (-1.0 / 3_628_800.0 + s / 479_001_600.0)))));
    let odd = quarter & 1 == 1;
    let (c, s) = if odd { (sin, cos) } else { (cos, sin) };
    // The signs of the four quarters: cosine + − − +, sine + + − −.
    let c = f64::from_bits(c.to_bits() ^ ((quarter.wrapping_add(1) & 2) << 62));
    let s = f64::from_bits(s.to_bits() ^ ((quarter & 2) << 62));
    let a = f64::from(amplitude);
    ((a * c) as f32, (a * s) as f32)
}

/// Appends `amplitude·exp(i·phase)` as little-endian bytes of the real and the imaginary part, as in a NumPy
/// array of `<c8`. Both have the same length; phases are in radians.
pub fn append(amplitude: &[f32], phase: &[f32], to: &mut Vec<u8>) {
    let start = to.len();
    to.resize(start + 8 * amplitude.len(), 0);
    let (places, _) = to[start..].as_chunks_mut::<8>();
    if !phase.iter().fold(true, |all, phase| all & (phase.abs() <= LARGE)) {
        return each(far, amplitude, phase, places);
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        // SAFETY: the processor has just said that it has these instructions.
        return unsafe { near_avx512(amplitude, phase, places) };
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has these instructions.
        return unsafe { near_avx2(amplitude, phase, places) };
    }
    each(one, amplitude, phase, places);
}

#[inline(always)]
fn each(one: impl Fn(f32, f32) -> (f32, f32), amplitude: &[f32], phase: &[f32], to: &mut [[u8; 8]]) {
    for ((place, a), phase) in to.iter_mut().zip(amplitude).zip(phase) {
        let (re, im) = one(*a, *phase);
        *place = (u64::from(re.to_bits()) | u64::from(im.to_bits()) << 32).to_le_bytes();
    }
}

/// The same operations in the same order, four at a time: not one bit differs.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn near_avx2(amplitude: &[f32], phase: &[f32], to: &mut [[u8; 8]]) {
    each(one, amplitude, phase, to);
}

/// Eight at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn near_avx512(amplitude: &[f32], phase: &[f32], to: &mut [[u8; 8]]) {
    each(one, amplitude, phase, to);
}

/// The same for any phase, by the standard library.
fn far(amplitude: f32, phase: f32) -> (f32, f32) {
    let (sin, cos) = f64::from(phase).sin_cos();
    ((f64::from(amplitude) * cos) as f32, (f64::from(amplitude) * sin) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(amplitude: &[f32], phase: &[f32]) -> Vec<(f32, f32)> {
        let mut bytes = vec![7];
        append(amplitude, phase, &mut bytes);
        let (places, rest) = bytes[1..].as_chunks::<8>();
        assert!(rest.is_empty() && places.len() == amplitude.len());
        let half = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        places.iter().map(|place| (half(&place[..4]), half(&place[4..]))).collect()
    }

    #[test]
    fn agrees_with_f64_to_the_last_place() {
        let phase: Vec<f32> = (-400_000..400_000).map(|i| i as f32 * 3.1e-4).collect();
        let amplitude: Vec<f32> = (0..phase.len()).map(|i| 0.01 + (i % 977) as f32 * 1e-3).collect();
        for (i, (re, im)) in values(&amplitude, &phase).into_iter().enumerate() {
            let (sin, cos) = f64::from(phase[i]).sin_cos();
            for (found, expected) in [(re, cos), (im, sin)] {
                let exact = f64::from(amplitude[i]) * expected;
                let unit = f64::from((exact as f32).next_up() - exact as f32).abs().max(1e-14);
                let off = (f64::from(found) - exact).abs() / unit;
                assert!(off <= 0.51, "{} at {}: {found} for {exact}", amplitude[i], phase[i]);
            }
        }
    }

    #[test]
    fn the_processor_makes_no_difference() {
        let phase: Vec<f32> = (0..999).map(|i| (i as f32 * 0.7).sin() * 50.0).collect();
        let amplitude: Vec<f32> = (0..999).map(|i| i as f32 * 0.01).collect();
        let plainly: Vec<(f32, f32)> = amplitude.iter().zip(&phase).map(|(a, p)| one(*a, *p)).collect();
        assert_eq!(values(&amplitude, &phase), plainly);
        // What this processor would not choose is tried, too.
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            let mut places = vec![[0; 8]; phase.len()];
            // SAFETY: the processor has just said that it has these instructions.
            unsafe { near_avx2(&amplitude, &phase, &mut places) };
            let mut bytes = Vec::new();
            append(&amplitude, &phase, &mut bytes);
            assert_eq!(places.concat(), bytes);
        }
    }

    #[test]
    fn every_quarter_and_far_away() {
        use std::f32::consts::PI;
        let phase = [0.0, PI / 2.0, PI, -PI / 2.0, 2.0 * PI, -PI, 1e6, -3e9];
        for ((re, im), phase) in values(&[2.0; 8], &phase).into_iter().zip(phase) {
            let (sin, cos) = f64::from(phase).sin_cos();
            assert!(
                (f64::from(re) - 2.0 * cos).abs() < 2e-7 && (f64::from(im) - 2.0 * sin).abs() < 2e-7,
                "{phase}"
            );
        }
        let odd = values(&[1.0, 1.0, 0.0], &[f32::NAN, f32::INFINITY, 1.0]);
        assert!(odd[0].0.is_nan() && odd[1].1.is_nan() && odd[2] == (0.0, 0.0));
    }
}
