//! Groups of C images that a network sees together, and what share of a scan they cover.

mod choose;
mod neighbours;

use ndarray::Array2;
use rayon::prelude::*;

pub use choose::{Pool, chosen};
pub use neighbours::{Neighbour, Neighbours, distance};

use super::rng::Pcg64;
use crate::diag::{StageError, StageResult};

/// One group around every image: row g holds image g first, then its `c` − 1 nearest others, by
/// distance and equal distances by index. Shape (n, `c`), indices in file order.
///
/// Unlike the reference's training groups, the seed belongs to its own group and every image is
/// covered, so that there is one answer per measured image.
pub fn around_every_image(x: &[f64], y: &[f64], c: usize) -> StageResult<Array2<u32>> {
    let scan = Neighbours::new(x, y)?;
    let seeds: Vec<u32> = (0..scan.images() as u32).collect();
    around(&scan, &seeds, c)
}

/// The reference's groups for overlap metrics: `n_groups` seeds drawn as NumPy's
/// `default_rng(seed).choice(n, n_groups)` does, repetitions only if `n_groups` > n; each group is the
/// seed image, first, and its `c` − 1 nearest others. Shape (`n_groups`, `c`).
pub fn sampled(scan: &Neighbours, c: usize, n_groups: u32, seed: u64) -> StageResult<Array2<u32>> {
    // `Neighbours` holds at most u32::MAX images.
    let n = scan.images() as u32;
    let mut rng = Pcg64::new(seed);
    let seeds = match rng.choice(n, n_groups) {
        Some(seeds) => seeds,
        None => rng.choice_with_replacement(n, n_groups).unwrap_or_default(),
    };
    around(scan, &seeds, c)
}

fn around(scan: &Neighbours, seeds: &[u32], c: usize) -> StageResult<Array2<u32>> {
    if c == 0 || c > scan.images() {
        let n = scan.images();
        return Err(StageError::input(format!("groups of {c} images out of a scan of {n}"))
            .hint("a scan must hold at least gridsize² images"));
    }
    let flat: Vec<u32> = seeds
        .par_iter()
        .flat_map_iter(|seed| scan.around(*seed as usize, c).into_iter().map(|n| n.image))
        .collect();
    Array2::from_shape_vec((seeds.len(), c), flat).map_err(|e| StageError::input(e.to_string()))
}

/// How well groups use a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Images in the scan.
    pub images: usize,
    /// Groups.
    pub groups: usize,
    /// Images that are in at least one group.
    pub used: usize,
    /// Groups that hold the image used most often.
    pub most_used: usize,
}

/// Counts how often each of `images` images occurs in `groups`. Indices beyond the scan count nowhere.
pub fn coverage(groups: &Array2<u32>, images: usize) -> Coverage {
    let mut uses = vec![0usize; images];
    for image in groups {
        if let Some(count) = uses.get_mut(*image as usize) {
            *count += 1;
        }
    }
    Coverage {
        images,
        groups: groups.nrows(),
        used: uses.iter().filter(|c| **c > 0).count(),
        most_used: uses.iter().copied().max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTRA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/golden_extra.json");

    #[test]
    fn equals_the_golden_neighbours() {
        let extra: serde_json::Value = serde_json::from_slice(&std::fs::read(EXTRA).unwrap()).unwrap();
        let points: Vec<[f64; 2]> = serde_json::from_value(extra["knn"]["points"].clone()).unwrap();
        let expected: Vec<Vec<u32>> =
            serde_json::from_value(extra["knn"]["k8_indices_self_first"].clone()).unwrap();
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p[0], p[1])).unzip();
        let groups = around_every_image(&x, &y, 8).unwrap();
        assert_eq!(groups.nrows(), expected.len());
        for (row, expected) in groups.rows().into_iter().zip(&expected) {
            assert_eq!(row.to_vec(), *expected);
        }
        let all = coverage(&groups, x.len());
        assert_eq!((all.images, all.groups, all.used), (200, 200, 200));
    }

    #[test]
    fn a_lattice_breaks_ties_by_index_and_keeps_the_seed_first() {
        let x = [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 1.0];
        let y = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let groups = around_every_image(&x, &y, 4).unwrap();
        assert_eq!(groups.row(0).to_vec(), [0, 1, 3, 4]);
        assert_eq!(groups.row(4).to_vec(), [4, 6, 1, 3]);
        assert_eq!(groups.row(6).to_vec(), [6, 4, 1, 3]);
    }

    #[test]
    fn sampling_follows_numpy_and_repeats_only_when_it_must() {
        let x: Vec<f64> = (0..10).map(f64::from).collect();
        let scan = Neighbours::new(&x, &x).unwrap();
        let many = sampled(&scan, 1, 12, 42).unwrap();
        let numpy = Pcg64::new(42).choice_with_replacement(10, 12).unwrap();
        assert_eq!(many.column(0).to_vec(), numpy);
        let few = sampled(&scan, 2, 3, 42).unwrap();
        assert_eq!(few.column(0).to_vec(), Pcg64::new(42).choice(10, 3).unwrap());
        let part = coverage(&few, 10);
        assert!(part.used <= 6 && part.used >= 3 && part.groups == 3);
        assert!(sampled(&scan, 16, 3, 42).is_err());
    }
}
