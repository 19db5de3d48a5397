//! Stage kind `simulate`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `simulate` stage.
pub struct Simulate;

impl Stage for Simulate {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
