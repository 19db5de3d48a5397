//! Stage kind `compare`.

#[cfg(test)]
pub(in crate::stages) mod harness;

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `compare` stage.
pub struct Compare;

impl Stage for Compare {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
