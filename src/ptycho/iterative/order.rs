//! Seeded choices: the order of patterns in an epoch, their batches, and a subset of them.

use rand::Rng;

use super::Batching;
use crate::ptycho::rng::keyed;

/// The batches of one epoch: every pattern in exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    order: Vec<usize>,
    /// Where in `order` each batch ends.
    ends: Vec<usize>,
    /// How patterns came together.
    pub kind: Batching,
}

impl Batches {
    /// `order` cut into batches of `size`, the last of which may be smaller.
    pub fn random(order: Vec<usize>, size: usize) -> Self {
        let size = size.max(1);
        let ends = (0..order.len().div_ceil(size)).map(|i| ((i + 1) * size).min(order.len())).collect();
        Self { order, ends, kind: Batching::Random }
    }

    /// Neighbours together, at most `size` of them: the scan is halved across its longer side until its parts
    /// are small enough. The parts are the same in every epoch, their order is epoch `epoch`'s own.
    pub fn compact(x: &[f64], y: &[f64], size: usize, seed: u64, epoch: u64) -> Self {
        let mut parts = vec![(0..x.len().min(y.len())).collect::<Vec<usize>>()];
        while let Some(at) = parts.iter().position(|part| part.len() > size.max(1)) {
            let mut part = parts.swap_remove(at);
            let span = |of: &[f64]| {
                let (lo, hi) = part
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), i| (l.min(of[*i]), h.max(of[*i])));
                hi - lo
            };
            let along = if span(x) > span(y) { x } else { y };
            part.sort_by(|a, b| along[*a].total_cmp(&along[*b]).then(a.cmp(b)));
            // As many batches on either side as their share of the patterns asks for.
            let batches = part.len().div_ceil(size.max(1));
            let rest = part.split_off(part.len() * (batches / 2) / batches);
            parts.extend([part, rest]);
        }
        parts.iter_mut().for_each(|part| part.sort_unstable());
        parts.sort_unstable();
        let (mut order, mut ends) = (Vec::new(), Vec::new());
        for at in shuffled(seed, "batch order", epoch, parts.len()) {
            order.extend_from_slice(&parts[at]);
            ends.push(order.len());
        }
        Self { order, ends, kind: Batching::Compact }
    }

    /// The batches in turn.
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.order[start..*end])
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

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
    fn batches_hold_every_pattern_once() {
        let batches = Batches::random(epoch_order(1, 0, 10), 4);
        assert_eq!(batches.iter().map(<[usize]>::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(batches.iter().flatten().copied().collect::<Vec<_>>(), epoch_order(1, 0, 10));
        let (x, y): (Vec<f64>, Vec<f64>) = (0..70).map(|i| (f64::from(i % 10), f64::from(i / 10))).unzip();
        let compact = Batches::compact(&x, &y, 20, 3, 0);
        let mut all: Vec<usize> = compact.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..70).collect::<Vec<_>>());
        assert!(compact.iter().all(|b| (15..=20).contains(&b.len())), "{compact:?}");
        for batch in compact.iter() {
            let span = |of: &[f64]| {
                batch.iter().map(|i| of[*i]).fold(f64::NEG_INFINITY, f64::max)
                    - batch.iter().map(|i| of[*i]).fold(f64::INFINITY, f64::min)
            };
            assert!(span(&x) <= 5.0 && span(&y) <= 4.0, "{batch:?}");
        }
        let later = Batches::compact(&x, &y, 20, 3, 1);
        let sorted = |b: &Batches| {
            let mut parts: Vec<Vec<usize>> = b.iter().map(<[usize]>::to_vec).collect();
            parts.sort();
            parts
        };
        assert_eq!(sorted(&compact), sorted(&later));
        assert_ne!(compact, later);
        assert!(Batches::compact(&[], &[], 5, 1, 0).iter().all(<[usize]>::is_empty));
    }

    #[test]
    fn subsets_are_sorted_and_complete_when_large() {
        let some = subset(3, 50, 7);
        assert_eq!(some.len(), 7);
        assert!(some.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(subset(3, 5, 9), [0, 1, 2, 3, 4]);
    }
}
