//! `priority:` of a stage.

use std::ops::RangeInclusive;

use super::fields::{integer, mismatch};
use super::node::Node;
use crate::diag::Problems;

/// Priorities; a stage that names none has the middle one.
pub(super) const RANGE: RangeInclusive<i32> = -1000..=1000;

/// Reads `priority`, if it is there.
pub(super) fn read(node: Option<&Node>, problems: &mut Problems) -> i32 {
    let Some(node) = node else {
        return 0;
    };
    let expected = format!("an integer from {} to {}", RANGE.start(), RANGE.end());
    match integer::<i32>(node, "`priority`", &expected, problems) {
        Some(priority) if RANGE.contains(&priority) => priority,
        Some(_) => {
            problems.push(mismatch(node, "`priority`", &expected));
            0
        }
        None => 0,
    }
}
