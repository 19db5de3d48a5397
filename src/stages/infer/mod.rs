//! Stage kind `infer`.

mod arena;
mod contract;
mod library;
mod session;

pub use contract::{ModelMeta, Normalisation};
pub use library::{OLDEST_MINOR, Provider, Providers, providers};
pub use session::Model;

use super::{Context, Stage};
use crate::diag::StageResult;
use crate::kind::Kind;

/// The `infer` stage.
pub struct Infer;

impl Stage for Infer {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn run(&self, _cx: &mut Context<'_>) -> StageResult {
        todo!()
    }
}
