//! How many groups are in hand at a time.

use std::num::NonZeroUsize;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stages::Device;

/// Above this a processor is no faster, and memory grows: measured, 4 groups through the network at once are as
/// fast as 8, and faster than 16 or 64 (`benches/inference`).
const FASTEST: usize = 8;

/// The same on a GPU, which wants more to do at a time.
const FASTEST_ON_GPU: usize = 256;

/// Groups in a chunk. In a study file: a whole number from 1, `auto` or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Chunk {
    /// At most that many, fewer where memory is short.
    Groups(NonZeroUsize),
    /// In a word.
    Word(Word),
}

/// A chunk in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Word {
    /// As many as are of use, and fit.
    Auto,
    /// All at once, whether they fit or not.
    All,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Word(Word::Auto)
    }
}

/// What a chunk may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Most groups.
    pub most: usize,
    /// Whether fewer are taken where memory is short.
    pub shrinks: bool,
}

/// What the study asks for, and what earlier attempts that ran out of memory leave of it.
pub(super) fn bounds(asked: Chunk, most: Option<u64>, groups: usize, device: Device) -> Bounds {
    let asked_for = match asked {
        Chunk::Groups(number) => number.get(),
        Chunk::Word(Word::Auto) if device == Device::Cpu => FASTEST,
        Chunk::Word(Word::Auto) => FASTEST_ON_GPU,
        Chunk::Word(Word::All) => groups,
    };
    let left = most.map_or(usize::MAX, |m| usize::try_from(m).unwrap_or(usize::MAX).max(1));
    let shrinks = asked != Chunk::Word(Word::All) || most.is_some();
    Bounds { most: asked_for.min(left).min(groups), shrinks }
}

/// Groups that go through the network together, of chunks of that size out of `left`: half a chunk, so that one
/// half computes while the other is written; or all.
pub(super) fn at_once(chunk: usize, left: usize) -> usize {
    if chunk < left { (chunk / 2).max(1) } else { chunk }
}

/// A chunk no larger than `most` that needs as few runs and leaves no small remainder, which would cost as much as
/// a whole one.
pub(super) fn even(groups: usize, most: usize) -> usize {
    if most < 2 || most >= groups {
        return most.min(groups);
    }
    let runs = groups.div_ceil(at_once(most, groups));
    // Never all groups: half of less than all takes three runs at least.
    2 * groups.div_ceil(runs)
}

/// Cuts `groups` into ranges of `size`, the last of what is left.
pub(super) fn split(groups: Range<usize>, size: usize) -> Vec<Range<usize>> {
    let end = groups.end;
    groups.step_by(size.max(1)).map(|start| start..start.saturating_add(size.max(1)).min(end)).collect()
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
        fn ranges_tile_evenly(first in 0usize..50, groups in 0usize..2000, most in 1usize..300) {
            let chunk = even(groups, most);
            prop_assert!(chunk <= most);
            let size = at_once(chunk, groups);
            let ranges = split(first..first + groups, size);
            let runs = groups.div_ceil(at_once(most.min(groups), groups).max(1));
            prop_assert_eq!(ranges.len(), runs);
            prop_assert!(ranges.iter().cloned().flatten().eq(first..first + groups));
            // What computes and what is written are a chunk together.
            let buffers = if size < chunk { 2 } else { 1 };
            let in_hand = ranges.windows(buffers).map(|some| some.iter().map(Range::len).sum::<usize>());
            prop_assert!(in_hand.max().unwrap_or(0) <= chunk);
            if let Some((last, whole)) = ranges.split_last() {
                prop_assert!(whole.iter().all(|r| r.len() == size) && last.len() <= size && !last.is_empty());
            }
        }
    }

    #[test]
    fn words_and_numbers_bound_the_chunk() {
        let bounds_of = |asked, most, groups| bounds(asked, most, groups, Device::Cpu);
        let read = |text: &str| serde_json::from_str::<Chunk>(text).unwrap();
        assert_eq!(bounds_of(read("\"all\""), None, 700), Bounds { most: 700, shrinks: false });
        assert_eq!(bounds_of(read("\"all\""), Some(350), 700), Bounds { most: 350, shrinks: true });
        assert_eq!(bounds_of(read("\"auto\""), None, 700), Bounds { most: FASTEST, shrinks: true });
        assert_eq!(bounds_of(read("3"), Some(8), 700), Bounds { most: 3, shrinks: true });
        assert_eq!(bounds_of(read("30"), Some(0), 7), Bounds { most: 1, shrinks: true });
        assert_eq!((read("3"), Chunk::default()), (of(3), read("\"auto\"")));
        for wrong in ["0", "-1", "1.5", "\"some\""] {
            assert!(serde_json::from_str::<Chunk>(wrong).is_err(), "{wrong}");
        }
    }
}
