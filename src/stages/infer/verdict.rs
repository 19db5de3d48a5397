//! Whether what a network said can be a prediction at all.

use ndarray::{ArrayView2, ArrayView4, Axis, s};
use serde::{Deserialize, Serialize};

use crate::diag::{StageError, StageResult};
use crate::stages::Context;

/// An amplitude below this is darkness: objects transmit a fraction of the order of 1.
const DARK: f32 = 1e-6;

/// What was seen in all patches so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    patches: usize,
    /// Patches whose drawn part is dark everywhere.
    blank: usize,
    /// Patches whose drawn part has one amplitude and one phase.
    flat: usize,
}

impl Verdict {
    /// Looks at the outputs for the groups from `first` on, each [group, member, row, col].
    ///
    /// A value that is not finite is a failed check: it would spread over the whole stitched image.
    pub fn add(
        &mut self,
        first: usize,
        amplitude: ArrayView4<'_, f32>,
        phase: ArrayView4<'_, f32>,
    ) -> StageResult {
        for (name, output) in [("amplitude", amplitude), ("phase", phase)] {
            // Almost always all are, and looking at them in a row takes a tenth of the time.
            if output.as_slice().is_some_and(all_finite) {
                continue;
            }
            if let Some(((group, member, row, col), value)) =
                output.indexed_iter().find(|(_, v)| !v.is_finite())
            {
                return Err(StageError::check(format!(
                    "the network's {name} is {value} at row {row}, column {col} of image {member} of group {}",
                    first + group
                ))
                .hint("the network was trained badly, or for data of another kind"));
            }
        }
        for (amplitude, phase) in amplitude.axis_iter(Axis(0)).zip(phase.axis_iter(Axis(0))) {
            for (amplitude, phase) in amplitude.axis_iter(Axis(0)).zip(phase.axis_iter(Axis(0))) {
                let ((low, high), (from, to)) = (extremes(drawn(amplitude)), extremes(drawn(phase)));
                self.patches += 1;
                self.blank += usize::from(low.abs().max(high.abs()) < DARK);
                self.flat += usize::from(high - low < DARK && to - from < DARK);
            }
        }
        Ok(())
    }

    /// Records what was seen; nothing but blank patches is a failed check.
    pub fn report(&self, cx: &mut Context<'_>) -> StageResult {
        let Self { patches, blank, flat } = *self;
        cx.measure("patches", patches);
        cx.measure("blank_patch_fraction", blank as f64 / patches.max(1) as f64);
        if blank == patches {
            return Err(StageError::check(format!("the network's amplitude is 0 in all {patches} patches"))
                .hint("the network did not learn, or expects its input at another scale"));
        }
        if blank > 0 {
            cx.warn(format!("{blank} of {patches} patches are blank: their amplitude is 0 everywhere"));
        }
        if flat == patches {
            cx.warn(format!("all {patches} patches are uniform: the network draws nothing"));
        }
        Ok(())
    }
}

/// Whether all are finite: of those that are not, all bits of the exponent are set.
fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

/// The central half of a patch, which is what stitching uses. Outside it some networks leave zeros.
fn drawn(patch: ArrayView2<'_, f32>) -> ArrayView2<'_, f32> {
    let range = |side: usize| side / 4..(3 * side).div_ceil(4);
    let (rows, cols) = patch.dim();
    patch.slice_move(s![range(rows), range(cols)])
}

fn extremes(values: ArrayView2<'_, f32>) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}
