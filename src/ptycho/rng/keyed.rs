//! One independent stream for every (seed, purpose, index).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::io::digest::Hasher;

/// The random stream for `purpose` number `index` under `seed`.
///
/// Every draw in phasegraph names its purpose (`"poisson"`, `"epoch order"`, …), so that adding a draw
/// somewhere never shifts the numbers seen elsewhere, and work may be batched or spread over threads
/// without changing a value: image 17 has its own stream however many images share its batch.
pub fn keyed(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hasher = Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(&index.to_le_bytes());
    ChaCha8Rng::from_seed(*hasher.finish().bytes())
}

#[cfg(test)]
mod tests {
    use super::keyed;
    use rand::Rng;

    #[test]
    fn streams_differ_by_each_part_and_repeat() {
        let first = |s, p, i| keyed(s, p, i).next_u64();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for i in 0..4 {
            for j in 0..i {
                assert_ne!(all[i], all[j]);
            }
        }
    }
}
