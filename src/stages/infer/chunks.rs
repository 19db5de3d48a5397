//! How many groups go through the network at a time.

use std::num::NonZeroUsize;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Groups in a chunk. In a study file: a whole number from 1, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Chunk {
    /// At most that many.
    Groups(NonZeroUsize),
    /// All at once.
    All(All),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum All {
    /// `all`.
    All,
}

impl Default for Chunk {
    /// 32: on a processor larger chunks are no faster, and memory grows with them.
    fn default() -> Self {
        Self::Groups(const { NonZeroUsize::new(32).unwrap() })
    }
}

/// Cuts 0..groups into as few ranges as `chunk` allows, of sizes that differ by one at most: there is no
/// small remainder, which would cost as much overhead as a whole chunk.
pub(super) fn split(groups: usize, chunk: Chunk) -> impl Iterator<Item = Range<usize>> {
    let count = match chunk {
        Chunk::Groups(most) => groups.div_ceil(most.get()),
        Chunk::All(_) => groups.min(1),
    };
    // The first `larger` ranges have one group more.
    let (size, larger) = (groups.checked_div(count).unwrap_or(0), groups.checked_rem(count).unwrap_or(0));
    let start = move |i: usize| i * size + i.min(larger);
    (0..count).map(move |i| start(i)..start(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(groups: usize) -> Chunk {
        Chunk::Groups(NonZeroUsize::new(groups).unwrap())
    }

    proptest! {
        #[test]
        fn ranges_tile_evenly(groups in 0usize..2000, most in 1usize..300) {
            let ranges: Vec<_> = split(groups, of(most)).collect();
            prop_assert_eq!(ranges.len(), groups.div_ceil(most));
            let flat: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(flat, (0..groups).collect::<Vec<_>>());
            if let (Some(a), Some(b)) = (ranges.iter().map(Range::len).max(), ranges.iter().map(Range::len).min()) {
                prop_assert!(a <= most && b > 0 && a - b <= 1);
            }
        }
    }

    #[test]
    fn all_is_one_chunk_and_reads_as_a_word() {
        let all: Chunk = serde_json::from_str("\"all\"").unwrap();
        assert!(split(7, all).eq(std::iter::once(0..7)));
        assert_eq!(split(0, all).count(), 0);
        assert_eq!(serde_json::from_str::<Chunk>("3").unwrap(), of(3));
        for wrong in ["0", "-1", "1.5", "\"some\""] {
            assert!(serde_json::from_str::<Chunk>(wrong).is_err(), "{wrong}");
        }
    }
}
