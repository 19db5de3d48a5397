//! Stage kind `overlap`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `overlap` stage.
pub struct Overlap;

impl Stage for Overlap {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
