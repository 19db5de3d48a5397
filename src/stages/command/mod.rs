//! Stage kind `command`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `command` stage.
pub struct Command;

impl Stage for Command {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
