//! Stage kind `import`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `import` stage.
pub struct Import;

impl Stage for Import {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
