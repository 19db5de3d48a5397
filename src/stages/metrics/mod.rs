//! Stage kind `metrics`.

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `metrics` stage.
pub struct Metrics;

impl Stage for Metrics {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
