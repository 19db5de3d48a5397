//! All pairs of points nearer than a diameter, and the overlap of discs around them, many at a time.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};
use std::ops::Range;

use rayon::prelude::*;

use crate::ptycho::vector::kernel;

/// Strips a diameter: more of them hold fewer points that are too far, and cost more bookkeeping.
const FINENESS: f64 = 2.0;

/// Sums that run side by side; their number fixes the order of summation.
const LANES: usize = 8;

/// Points in horizontal strips, in each by x, so that what may be near a point is one run in a few strips. Takes any
/// extent and any clustering.
pub(super) struct Strips {
    diameter: f64,
    /// Number of the strip (y by its height) and its points, ascending.
    strips: Vec<(i64, Range<usize>)>,
    x: Vec<f64>,
    y: Vec<f64>,
    /// Index of each point as it was given.
    index: Vec<usize>,
}

impl Strips {
    /// Sorts points, which must be finite; `diameter` is positive.
    pub fn new(x: &[f64], y: &[f64], diameter: f64) -> Self {
        let strip = |i: usize| (y[i] * FINENESS / diameter).floor() as i64;
        let mut index: Vec<usize> = (0..x.len()).collect();
        index.sort_unstable_by(|a, b| strip(*a).cmp(&strip(*b)).then(x[*a].total_cmp(&x[*b])).then(a.cmp(b)));
        let mut strips: Vec<(i64, Range<usize>)> = Vec::new();
        for (at, point) in index.iter().enumerate() {
            match strips.last_mut() {
                Some((number, range)) if *number == strip(*point) => range.end = at + 1,
                _ => strips.push((strip(*point), at..at + 1)),
            }
        }
        let pick = |of: &[f64]| index.iter().map(|i| of[*i]).collect();
        Self { diameter, strips, x: pick(x), y: pick(y), index }
    }

    /// For each point its index and the mean overlap with all others nearer than the diameter; 0 if there are none.
    pub fn means(&self) -> Vec<(usize, f64)> {
        self.strips.par_iter().enumerate().flat_map_iter(|(s, _)| self.of_strip(s)).collect()
    }

    fn of_strip(&self, s: usize) -> Vec<(usize, f64)> {
        let (number, own) = (self.strips[s].0, self.strips[s].1.clone());
        let mut sums = vec![(0.0, 0usize); own.len()];
        let mut squares = Vec::new();
        let reach = FINENESS as i64;
        let first = self.strips.partition_point(|(n, _)| *n < number.saturating_sub(reach));
        let near = self.strips[first..].iter().take_while(|(n, _)| *n <= number.saturating_add(reach));
        for (_, strip) in near {
            // Both ends of the run move on with the points, which ascend.
            let (mut from, mut to) = (strip.start, strip.start);
            for (i, sum) in own.clone().zip(&mut sums) {
                let x = self.x[i];
                while from < strip.end && self.x[from] < x - self.diameter {
                    from += 1;
                }
                to = to.max(from);
                while to < strip.end && self.x[to] <= x + self.diameter {
                    to += 1;
                }
                squares.resize(to - from, 0.0);
                let at = [x, self.y[i]];
                // Not with itself.
                let parts = if (from..to).contains(&i) { [from..i, i + 1..to] } else { [from..to, to..to] };
                let mut count = 0;
                for part in parts {
                    let (xs, ys) = (&self.x[part.clone()], &self.y[part]);
                    count += keep_near(xs, ys, at, self.diameter * self.diameter, &mut squares[count..]);
                }
                sum.0 += sum_of_overlaps(&squares[..count], self.diameter);
                sum.1 += count;
            }
        }
        let mean = |(sum, count): (f64, usize)| if count == 0 { 0.0 } else { sum / count as f64 };
        self.index[own].iter().copied().zip(sums.into_iter().map(mean)).collect()
    }
}

/// Writes squared distances below `limit` to `out`, which has room for all; returns how many they are.
fn keep_near(x: &[f64], y: &[f64], [x0, y0]: [f64; 2], limit: f64, out: &mut [f64]) -> usize {
    let mut count = 0;
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - x0, y - y0);
        let square = dx * dx + dy * dy;
        // Written in any case and counted if near: no branch to guess.
        out[count] = square;
        count += usize::from(square < limit);
    }
    count
}

kernel! {
    /// Σ of the shares in which discs of `diameter` overlap whose centres are √`squares` apart: with t = d/D,
    /// f = (acos t − t·√(1 − t²))·2/π, 0 from t = 1 on.
    ///
    /// acos by the rational approximation of FreeBSD's libm (`e_acos.c`, Sun Microsystems 1993), error below 1 ulp,
    /// without branches.
    pub(super) fn sum_of_overlaps(squares: &[f64], diameter: f64) -> f64 {
        let scale = 1.0 / (diameter * diameter);
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = squares.as_chunks::<LANES>();
        let mut last = [f64::INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for chunk in chunks.iter().chain([&last]) {
            for i in 0..LANES {
                let square = chunk[i] * scale;
                let square = if square < 1.0 { square } else { 1.0 };
                let t = square.sqrt();
                let small = t < 0.5;
                let z = if small { square } else { (1.0 - t) * 0.5 };
                let base = if small { t } else { z.sqrt() };
                let p = z * (P[0] + z * (P[1] + z * (P[2] + z * (P[3] + z * (P[4] + z * P[5])))));
                let q = 1.0 + z * (Q[0] + z * (Q[1] + z * (Q[2] + z * Q[3])));
                let arc = base + base * (p / q);
                let acos = if small { FRAC_PI_2 - arc } else { 2.0 * arc };
                lanes[i] += (acos - t * (1.0 - square).sqrt()) * FRAC_2_PI;
            }
        }
        lanes.iter().sum()
    }
}

const P: [f64; 6] = [
    0.16666666666666666,
    -0.3255658186224009,
    0.20121253213486293,
    -0.04005553450067941,
    0.0007915349942898145,
    3.479331075960212e-05,
];
const Q: [f64; 4] = [-2.403394911734414, 2.0209457602335057, -0.6882839716054533, 0.07703815055590194];

#[cfg(test)]
mod tests {
    use super::super::disc_overlap;
    use super::*;

    #[test]
    fn overlaps_are_those_of_the_formula() {
        for i in 0..=2000 {
            let d = f64::from(i) * 0.011;
            let off = sum_of_overlaps(&[d * d], 20.0) - disc_overlap(d, 20.0);
            assert!(off.abs() < 4e-16 * 4.0, "{d}: {off:e}");
        }
        let squares: Vec<f64> = (0..37).map(|i| f64::from(i * i) * 0.3).collect();
        let each: f64 = squares.iter().map(|d| disc_overlap(d.sqrt(), 20.0)).sum();
        assert!((sum_of_overlaps(&squares, 20.0) - each).abs() < 1e-13);
        assert_eq!(sum_of_overlaps(&[], 20.0), 0.0);
    }

    #[test]
    fn means_are_those_of_all_pairs_wherever_points_lie() {
        let scattered = |n: usize, spread: f64, k: usize| -> Vec<f64> {
            (0..n).map(|i| ((i * k) % 101) as f64 * spread - 3.0 * spread).collect()
        };
        let mut far = scattered(60, 0.3, 17);
        far.extend([1e7, -1e7, 9e6]);
        let mut far_y = scattered(60, 0.3, 29);
        far_y.extend([-1e7, 1e7, 0.0]);
        for (x, y) in [
            (scattered(150, 1.3, 37), scattered(150, 0.9, 53)),
            (vec![2.0; 40], scattered(40, 0.5, 7)),
            (scattered(40, 0.5, 7), vec![-2.0; 40]),
            (vec![1.0; 20], vec![1.0; 20]),
            (far, far_y),
        ] {
            let found = Strips::new(&x, &y, 10.0).means();
            assert_eq!(found.len(), x.len());
            for (i, mean) in found {
                let near: Vec<f64> = (0..x.len())
                    .filter(|j| *j != i)
                    .map(|j| (x[i] - x[j]).hypot(y[i] - y[j]))
                    .filter(|d| *d < 10.0)
                    .map(|d| disc_overlap(d, 10.0))
                    .collect();
                let expected = near.iter().sum::<f64>() / near.len().max(1) as f64;
                assert!((mean - expected).abs() < 1e-13, "{i}: {mean} instead of {expected}");
            }
        }
    }
}
