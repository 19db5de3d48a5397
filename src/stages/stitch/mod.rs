//! Stage kind `stitch`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `stitch` stage.
pub struct Stitch;

impl Stage for Stitch {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
