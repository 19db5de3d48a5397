//! Groups of C images chosen at random among K neighbours: more groups than images, and none twice.

use std::collections::BTreeSet;

use ndarray::Array2;
use rand::RngExt;
use rayon::prelude::*;

use super::Neighbours;
use crate::diag::{StageError, StageResult};
use crate::ptycho::rng::{Pcg64, keyed};

/// What groups are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Images in a group, C.
    pub members: usize,
    /// Nearest others K of a seed image, among which members are chosen.
    pub neighbours: usize,
    /// Whether the seed image is a member of its own group, and its first. The reference's training groups are
    /// without it.
    pub with_seed: bool,
}

impl Pool {
    /// Members that are chosen.
    fn picked(&self) -> usize {
        self.members - usize::from(self.with_seed)
    }
}

/// `n_groups` groups; shape (`n_groups`, C), members in the order of their distance from the seed image, groups in
/// the order of their seed images.
///
/// Every image is the seed of ⌊`n_groups`/n⌋ groups, and as many more as are missing, drawn as NumPy's
/// `default_rng(seed).choice` does without repetition, of one more each. So no image is a seed twice before all are
/// once, and `n_groups` > n (oversampling) asks for several combinations of one image's neighbours: which ones is
/// drawn without repetition, by a stream of its own for every image. (The reference draws all combinations of a few
/// images instead, and leaves two thirds of a scan unused.) Groups of one image are the seed images alone.
///
/// # Errors
/// Of class `Input` if the scan or K is too small for such groups, or has fewer combinations than are asked for.
pub fn chosen(scan: &Neighbours, pool: Pool, n_groups: u32, seed: u64) -> StageResult<Array2<u32>> {
    // `Neighbours` holds at most u32::MAX images.
    let n = scan.images() as u32;
    let alone = pool.members == 1;
    let neighbours = pool.neighbours.min(scan.images() - 1);
    if pool.members == 0 || (!alone && neighbours < pool.picked()) {
        return Err(StageError::input(format!(
            "groups of {} images cannot be chosen among {neighbours} neighbours in a scan of {n}",
            pool.members
        ))
        .hint("raise the number of neighbours, K; a scan must hold at least gridsize² images"));
    }
    let combinations = if alone { 1 } else { binomial(neighbours, pool.picked()) };
    let (each, more) = (n_groups / n, n_groups % n);
    if u64::from(each) + u64::from(more > 0) > combinations {
        return Err(StageError::input(format!(
            "{n_groups} different groups asked of {n} images with {combinations} combinations each"
        ))
        .hint("raise the number of neighbours, K, or ask for fewer groups"));
    }
    let mut counts = vec![each; n as usize];
    for image in Pcg64::new(seed).choice(n, more).unwrap_or_default() {
        counts[image as usize] += 1;
    }
    let groups = |(image, count): (usize, &u32)| {
        let around = scan.around(image, neighbours + 1);
        let mut flat = Vec::with_capacity(*count as usize * pool.members);
        for rank in distinct(seed, image, combinations, *count) {
            if pool.with_seed || alone {
                flat.push(image as u32);
            }
            if !alone {
                // The first is the image itself.
                let picked = combination(rank, neighbours, pool.picked());
                flat.extend(picked.into_iter().map(|i| around[i + 1].image));
            }
        }
        flat
    };
    let flat: Vec<u32> = counts.par_iter().enumerate().flat_map_iter(groups).collect();
    Array2::from_shape_vec((n_groups as usize, pool.members), flat)
        .map_err(|e| StageError::input(e.to_string()))
}

/// `count` different numbers below `total`, ascending (Floyd's method).
fn distinct(seed: u64, image: usize, total: u64, count: u32) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    if count > 0 {
        let mut rng = keyed(seed, "group members", image as u64);
        for last in total - u64::from(count)..total {
            if !found.insert(rng.random_range(0..=last)) {
                found.insert(last);
            }
        }
    }
    found
}

/// n over k, or as much as fits.
fn binomial(n: usize, k: usize) -> u64 {
    let step = |value: u128, i: usize| value.saturating_mul((n - i) as u128) / (i as u128 + 1);
    let value = (0..k.min(n - k)).fold(1u128, |value, i| step(value, i).min(u128::from(u64::MAX)));
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// The combination of `k` of 0..n that is number `rank` in lexicographic order, ascending.
fn combination(mut rank: u64, n: usize, k: usize) -> Vec<usize> {
    let mut picked = Vec::with_capacity(k);
    let mut next = 0;
    while picked.len() < k {
        // Combinations that go on with `next`.
        let with = binomial(n - next - 1, k - picked.len() - 1);
        if rank < with {
            picked.push(next);
        } else {
            rank -= with;
        }
        next += 1;
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::super::coverage;
    use super::*;

    fn scan(n: usize) -> Neighbours {
        let at =
            |k: usize| (0..n).map(|i| ((i * k) % 97) as f64 + (i * k % 11) as f64 / 7.0).collect::<Vec<_>>();
        Neighbours::new(&at(31), &at(57)).unwrap()
    }

    #[test]
    fn combinations_are_counted_and_numbered() {
        assert_eq!([binomial(7, 4), binomial(7, 3), binomial(4, 4), binomial(5, 0)], [35, 35, 1, 1]);
        assert_eq!(binomial(10_000, 300), u64::MAX);
        let all: Vec<Vec<usize>> = (0..10).map(|rank| combination(rank, 5, 3)).collect();
        assert!(all.is_sorted() && all[0] == [0, 1, 2] && all[9] == [2, 3, 4]);
        assert!(all.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn members_are_neighbours_with_or_without_the_seed_image() {
        let scan = scan(120);
        for with_seed in [true, false] {
            let pool = Pool { members: 4, neighbours: 7, with_seed };
            let groups = chosen(&scan, pool, 120, 9).unwrap();
            for (image, group) in groups.outer_iter().enumerate() {
                let around: Vec<u32> = scan.around(image, 8).iter().map(|n| n.image).collect();
                let others = if with_seed { &group.to_vec()[1..] } else { &group.to_vec()[..] };
                assert_eq!(group.iter().any(|m| *m as usize == image), with_seed);
                assert!(!with_seed || group[0] as usize == image);
                let ranks: Vec<_> =
                    others.iter().map(|m| around[1..].iter().position(|a| a == m).unwrap()).collect();
                assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
            }
        }
        // K = C without the seed image: exactly the nearest.
        let nearest = chosen(&scan, Pool { members: 4, neighbours: 4, with_seed: false }, 120, 1).unwrap();
        let around: Vec<u32> = scan.around(5, 5).iter().skip(1).map(|n| n.image).collect();
        assert_eq!(nearest.row(5).to_vec(), around);
    }

    #[test]
    fn oversampling_uses_every_image_and_repeats_no_group() {
        let scan = scan(50);
        let pool = Pool { members: 4, neighbours: 7, with_seed: false };
        let groups = chosen(&scan, pool, 1_234, 3).unwrap();
        assert_eq!(groups.dim(), (1_234, 4));
        // 24 of the 35 combinations of every image, 25 of 34 images; no image's combination twice.
        let own: Vec<Vec<Vec<u32>>> = (0..50)
            .map(|i| {
                let around: BTreeSet<u32> = scan.around(i, 8).iter().skip(1).map(|n| n.image).collect();
                groups
                    .outer_iter()
                    .filter(|g| g.iter().all(|m| around.contains(m)))
                    .map(|g| g.to_vec())
                    .collect()
            })
            .collect();
        assert!(own.iter().all(|groups| groups.len() >= 24));
        // All that are among anyone's seven nearest.
        let near: BTreeSet<u32> =
            (0..50).flat_map(|i| scan.around(i, 8).into_iter().skip(1).map(|n| n.image)).collect();
        let used = coverage(&groups, 50);
        assert_eq!((used.groups, used.used), (1_234, near.len()));
        let all = chosen(&scan, pool, 50 * 35, 3).unwrap();
        let first: BTreeSet<Vec<u32>> = all.outer_iter().take(35).map(|g| g.to_vec()).collect();
        assert_eq!(first.len(), 35);
        let error = chosen(&scan, pool, 50 * 35 + 1, 3).unwrap_err();
        assert!(error.message.contains("1751 different groups asked of 50 images with 35 combinations each"));
    }

    #[test]
    fn the_draw_follows_the_seed_alone() {
        let scan = scan(80);
        let pool = Pool { members: 4, neighbours: 9, with_seed: true };
        let draw = |seed: u64, threads: usize| {
            let pool_of = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool_of.install(|| chosen(&scan, pool, 200, seed).unwrap())
        };
        assert_eq!(draw(1, 1), draw(1, 3));
        assert_ne!(draw(1, 1), draw(2, 1));
        // Fewer groups than images: different seed images, as NumPy draws them.
        let few = chosen(&scan, pool, 20, 5).unwrap();
        let mut seeds = Pcg64::new(5).choice(80, 20).unwrap();
        seeds.sort_unstable();
        assert_eq!(few.column(0).to_vec(), seeds);
    }

    #[test]
    fn single_images_and_scans_that_are_too_small() {
        let scan = scan(3);
        let alone = Pool { members: 1, neighbours: 7, with_seed: false };
        assert_eq!(chosen(&scan, alone, 3, 1).unwrap().column(0).to_vec(), [0, 1, 2]);
        let pool = |with_seed| Pool { members: 4, neighbours: 7, with_seed };
        let error = chosen(&scan, pool(true), 3, 1).unwrap_err();
        assert!(
            error.message.contains("groups of 4 images cannot be chosen among 2 neighbours in a scan of 3")
        );
        assert!(chosen(&scan, pool(false), 3, 1).is_err());
    }
}
