//! Seeded choices: the order of patterns in an epoch, and a subset of them.

use rand::Rng;

use crate::ptycho::rng::keyed;

/// The order in which epoch `epoch` visits `n` patterns: a Fisher–Yates shuffle of its own stream, so
/// that a run cut short and one carried on see the same orders.
pub fn epoch_order(seed: u64, epoch: u64, n: usize) -> Vec<usize> {
    shuffled(seed, "epoch order", epoch, n)
}

/// `keep` of `n` patterns, chosen at random and sorted; all of them if `keep` ≥ `n`.
pub fn subset(seed: u64, n: usize, keep: usize) -> Vec<usize> {
    if keep >= n {
        return (0..n).collect();
    }
    let mut chosen = shuffled(seed, "image subset", 0, n);
    chosen.truncate(keep);
    chosen.sort_unstable();
    chosen
}

fn shuffled(seed: u64, purpose: &str, index: u64, n: usize) -> Vec<usize> {
    let mut rng = keyed(seed, purpose, index);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // High half of a 128-bit product: uniform on 0..=i to within 2⁻⁶⁴·n, and one draw a swap.
        let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_that_differ_by_epoch_and_seed() {
        let first = epoch_order(1, 0, 100);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, epoch_order(1, 0, 100));
        assert_ne!(first, epoch_order(1, 1, 100));
        assert_ne!(first, epoch_order(2, 0, 100));
        assert!(epoch_order(1, 0, 0).is_empty());
    }

    #[test]
    fn subsets_are_sorted_and_complete_when_large() {
        let some = subset(3, 50, 7);
        assert_eq!(some.len(), 7);
        assert!(some.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(subset(3, 5, 9), [0, 1, 2, 3, 4]);
    }
}
