//! Poisson-distributed photon counts.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

/// Largest mean that is drawn from: counts beyond 2⁵³ are no longer whole numbers in f64.
pub const LARGEST: f64 = 1e15;

/// Below this mean most pixels get no photon.
const FEW: f64 = 1.0;

/// From this mean on rejection is quicker than adding up.
const MANY: f64 = 10.0;

/// A draw from the Poisson distribution of a mean in 0..=[`LARGEST`].
///
/// Three methods, all exact to the rounding of f64: for small means Knuth's, which mostly takes one random number and
/// no exponential; then the distribution function, added up until it passes one random number; from 10 on Hörmann's
/// transformed rejection (PTRS; Insurance: Mathematics and Economics 12, 39 (1993)).
pub fn poisson(mean: f64, rng: &mut impl Rng) -> f64 {
    if mean < FEW {
        few(mean, rng)
    } else if mean < MANY {
        some(mean, rng)
    } else {
        many(mean, rng)
    }
}

/// Knuth's method, from the same random numbers as `rand_distr`; but that no photon came is mostly known without the
/// exponential: e^−λ ≥ 1 − λ.
fn few(mean: f64, rng: &mut impl Rng) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let mut product: f64 = rng.random();
    if product <= 1.0 - mean {
        return 0.0;
    }
    let limit = (-mean).exp();
    let mut count = 0.0;
    while product > limit {
        product *= rng.random::<f64>();
        count += 1.0;
    }
    count
}

/// Inversion.
fn some(mean: f64, rng: &mut impl Rng) -> f64 {
    let mut rest: f64 = rng.random();
    let (mut count, mut probability) = (0.0, (-mean).exp());
    // A rest that rounding leaves over ends where the law does: at mean 10, more than 100 have probability 10⁻⁶⁰.
    while rest > probability && count < 100.0 {
        rest -= probability;
        count += 1.0;
        probability *= mean / count;
    }
    count
}

fn many(mean: f64, rng: &mut impl Rng) -> f64 {
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.02483 * b;
    loop {
        let u = rng.random::<f64>() - 0.5;
        let v: f64 = rng.random();
        let edge = 0.5 - u.abs();
        let count = ((2.0 * a / edge + b) * u + mean + 0.43).floor();
        if edge >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2.0) {
            return count;
        }
        if count < 0.0 || (edge < 0.013 && v > edge) {
            continue;
        }
        let inverse = 1.1239 + 1.1328 / (b - 3.4);
        let proposed = (v * inverse / (a / (edge * edge) + b)).ln();
        if proposed <= log_probability(count, mean) {
            return count;
        }
    }
}

/// ln(λ^k·e^−λ/k!), without the loss of digits that large terms of opposite signs would bring: with k! by Stirling's
/// series it is −½·ln 2πk − k·D(λ/k) − series, D(x) = x − 1 − ln x.
fn log_probability(count: f64, mean: f64) -> f64 {
    if count < 1.0 {
        return -mean;
    }
    let off = (mean - count) / count;
    let deviance = if off.abs() < 0.01 {
        // −ln(1 + x) + x to x⁷, the next term being below 10⁻¹⁶.
        let terms = [1.0 / 2.0, -1.0 / 3.0, 1.0 / 4.0, -1.0 / 5.0, 1.0 / 6.0, -1.0 / 7.0];
        off * off * terms.iter().rev().fold(0.0, |sum, term| sum * off + term)
    } else {
        off - off.ln_1p()
    };
    let square = 1.0 / (count * count);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / count;
    -0.5 * (TAU * count).ln() - count * deviance - series
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, Poisson};

    use super::*;
    use crate::ptycho::rng::keyed;

    #[test]
    fn few_photons_are_those_of_rand_distr() {
        for mean in [1e-9, 1e-3, 0.1, 0.5, 0.999] {
            let (mut ours, mut theirs) = (keyed(1, "few", 0), keyed(1, "few", 0));
            let law = Poisson::new(mean).unwrap();
            for _ in 0..20_000 {
                assert_eq!(few(mean, &mut ours), law.sample(&mut theirs));
            }
        }
    }

    #[test]
    fn probabilities_are_those_of_the_law() {
        for mean in [10.0f64, 55.5, 1e3, 1e6] {
            // By the recurrence, in logarithms; the mode is where a draw most often looks.
            let mut log = -mean;
            for k in 0..=(mean + 5.0 * mean.sqrt()) as u64 {
                if k > 0 {
                    log += (mean / k as f64).ln();
                }
                let off = (log_probability(k as f64, mean) - log).abs();
                // The series is 3·10⁻⁴ off at k = 1 and the recurrence adds up rounding.
                assert!(
                    off < if k < 3 { 1e-3 } else { 1e-5 + 1e-13 * mean * mean.ln() },
                    "{mean} {k}: {off:e}"
                );
            }
        }
    }

    #[test]
    fn moments_are_those_of_the_law() {
        let draws = 200_000;
        for (i, mean) in [0.02, 0.7, 1.0, 3.3, 9.99, 10.0, 30.0, 1234.5, 1e7].into_iter().enumerate() {
            let mut rng = keyed(9, "moments", i as u64);
            let (mut first, mut second, mut third) = (0.0, 0.0, 0.0);
            for _ in 0..draws {
                let off = (poisson(mean, &mut rng) - mean) / mean.sqrt();
                first += off;
                second += off * off;
                third += off * off * off;
            }
            let n = f64::from(draws);
            // Standard deviations of the means, with the law's own higher moments; five of them.
            assert!((first / n).abs() < 5.0 / n.sqrt(), "{mean}: mean off by {}", first / n);
            let spread = (2.0 + 1.0 / mean).sqrt() / n.sqrt();
            assert!((second / n - 1.0).abs() < 5.0 * spread, "{mean}: variance {}", second / n);
            let spread = (15.0 + 25.0 / mean + 1.0 / (mean * mean)).sqrt() / n.sqrt();
            let skew = third / n - 1.0 / mean.sqrt();
            assert!(skew.abs() < 5.0 * spread, "{mean}: skewness off by {skew}");
        }
        assert_eq!(poisson(0.0, &mut keyed(1, "none", 0)), 0.0);
        assert!((poisson(LARGEST, &mut keyed(1, "most", 0)) / LARGEST - 1.0).abs() < 1e-6);
    }
}
