//! The eight symmetries of the square, about pixel N/2: free extra training data.
//!
//! If the probe looks the same after a symmetry, the pattern of the mirrored object is the mirrored
//! pattern, exactly: |F(P·SO)| = |F(S(P·O))| = S|F(P·O)|. Whether the probe does is measured, not assumed.

use num_complex::Complex32;

/// A symmetry: optional flips, behind an optional exchange of rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symmetry(u8);

impl Symmetry {
    /// Leaves everything as it is.
    pub const IDENTITY: Self = Self(0);

    /// All eight, the identity first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self)
    }

    /// Where the value comes from that lands at offset (row, col) from the centre.
    pub fn source<N: std::ops::Neg<Output = N>>(self, row: N, col: N) -> (N, N) {
        let row = if self.0 & 1 != 0 { -row } else { row };
        let col = if self.0 & 2 != 0 { -col } else { col };
        if self.0 & 4 != 0 { (col, row) } else { (row, col) }
    }

    /// Where the value lands that was at offset (row, col) from the centre: the inverse of [`Symmetry::source`].
    pub fn target<N: std::ops::Neg<Output = N>>(self, row: N, col: N) -> (N, N) {
        let (row, col) = if self.0 & 4 != 0 { (col, row) } else { (row, col) };
        (if self.0 & 1 != 0 { -row } else { row }, if self.0 & 2 != 0 { -col } else { col })
    }

    /// Index in a square array of that side whose value lands at (row, col). The centre is pixel side/2,
    /// and the array repeats, so for even sides the first row and column stay where they are when flipped.
    pub fn index(self, side: usize, row: usize, col: usize) -> usize {
        let (n, centre) = (side as isize, (side / 2) as isize);
        let (r, c) = self.source(row as isize - centre, col as isize - centre);
        ((r + centre).rem_euclid(n) * n + (c + centre).rem_euclid(n)) as usize
    }

    /// Those symmetries under which the probe changes by no more than `tolerance` of its norm.
    pub fn of_probe(probe: &[Complex32], side: usize, tolerance: f64) -> Vec<Self> {
        let norm: f64 = probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
        let changed = |symmetry: Self| -> f64 {
            (0..probe.len())
                .map(|i| f64::from((probe[i] - probe[symmetry.index(side, i / side, i % side)]).norm_sqr()))
                .sum()
        };
        Self::all().filter(|s| changed(*s) <= tolerance * tolerance * norm).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_undoes_source_and_all_eight_differ() {
        let mut seen = Vec::new();
        for s in Symmetry::all() {
            let there = s.source(3, 5);
            assert_eq!(s.target(there.0, there.1), (3, 5));
            assert!(!seen.contains(&there));
            seen.push(there);
        }
    }

    #[test]
    fn keeps_the_symmetries_that_a_probe_has() {
        let side = 8;
        let probe = |f: &dyn Fn(f32, f32) -> f32| -> Vec<Complex32> {
            (0..side * side)
                .map(|i| {
                    let (r, c) = ((i / side) as f32 - 4.0, (i % side) as f32 - 4.0);
                    Complex32::from_polar(f(r, c), 0.2 * (r * r + c * c))
                })
                .collect()
        };
        let round = probe(&|r, c| (-(r * r + c * c) / 4.0).exp());
        assert_eq!(Symmetry::of_probe(&round, side, 1e-3).len(), 8);
        let oval = probe(&|r, c| (-(r * r + 2.0 * c * c) / 4.0).exp());
        assert_eq!(Symmetry::of_probe(&oval, side, 1e-3).len(), 4);
        let skew = probe(&|r, c| (-(r * r + 2.0 * c * c + r * c) / 4.0).exp() * (1.0 + 0.1 * r));
        assert_eq!(Symmetry::of_probe(&skew, side, 1e-3), [Symmetry::IDENTITY]);
    }
}
