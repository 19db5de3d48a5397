//! Stage kind `split`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `split` stage.
pub struct Split;

impl Stage for Split {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
