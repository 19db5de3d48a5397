//! Stage kinds: each reads its inputs, writes its outputs into its staging folder, and knows nothing
//! of graph, cache, scheduler or terminal.

mod checkpoint;
pub mod command;
pub mod compare;
pub mod context;
pub mod export;
pub mod import;
pub mod infer;
pub mod metrics;
pub mod oom;
pub mod overlap;
pub mod reconstruct;
pub mod register;
pub mod simulate;
pub mod split;
pub mod stitch;
pub mod summary;
pub mod thin;
pub mod train;

pub use context::{Context, Device, Job, JobInput, Report};

use crate::diag::StageResult;
use crate::kind::{Catalog, Kind};

/// A kind of stage: what it is, and how it runs.
pub trait Stage: Sync {
    /// What the study file may say about it.
    fn kind(&self) -> Kind;
    /// Does the work of one task. Outputs go to [`Context::output`] paths and nowhere else.
    fn run(&self, cx: &mut Context<'_>) -> StageResult;
}

/// Every stage kind, in the order of the phases.
pub fn all() -> &'static [&'static dyn Stage] {
    &[
        &simulate::Simulate,
        &import::Import,
        &thin::Thin,
        &split::Split,
        &overlap::Overlap,
        &train::Train,
        &reconstruct::Reconstruct,
        &infer::Infer,
        &stitch::Stitch,
        &register::Register,
        &metrics::Metrics,
        &compare::Compare,
        &summary::Summary,
        &export::Export,
        &command::Command,
    ]
}

/// The kinds as data.
pub fn catalog() -> Catalog {
    Catalog(all().iter().map(|s| s.kind()).collect())
}

/// The stage of that kind name.
pub fn find(name: &str) -> Option<&'static dyn Stage> {
    all().iter().copied().find(|s| s.kind().name == name)
}
