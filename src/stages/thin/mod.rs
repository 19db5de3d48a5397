//! Stage kind `thin`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `thin` stage.
pub struct Thin;

impl Stage for Thin {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
