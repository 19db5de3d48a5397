//! Stage kind `reconstruct`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `reconstruct` stage.
pub struct Reconstruct;

impl Stage for Reconstruct {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
