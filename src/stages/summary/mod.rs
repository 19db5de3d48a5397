//! Stage kind `summary`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `summary` stage.
pub struct Summary;

impl Stage for Summary {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
