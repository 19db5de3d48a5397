//! Stage kind `register`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `register` stage.
pub struct Register;

impl Stage for Register {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
