//! Stage kind `train`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `train` stage.
pub struct Train;

impl Stage for Train {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
