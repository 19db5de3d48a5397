//! What there is to tell about a study: its question, runs, scores, pictures, curves and proofs, read from
//! results, journals and records into plain data that reports render. It runs nothing and changes nothing.
//!
//! What is shown was read from the store, by the digests in the records beside the results, never from a file
//! that someone may have edited. What cannot be read is named in [`Trust::damage`] and left out, so that a
//! report of a study with a broken result can still be made.

mod colour;
mod contrast;
mod curves;
mod gather;
mod model;
mod overview;
mod past;
mod pictures;
mod raster;
mod records;
mod roles;
mod runs;
mod scales;
mod scans;
mod scores;
mod tasks;
mod timeline;
mod trust;

pub use contrast::{Contrast, FieldDifference, MetricDifference, Side, TaskDifference, contrast};
pub use gather::{Asking, GatherError, gather};
pub use model::{
    AxisFacts, Bar, Curve, DatasetFacts, Dossier, Role, RunFacts, ScoreRow, SourceFacts, StageFacts,
    StudyFacts, TaskFacts, TaskState, Timeline, Trust, WarningFacts, condition_text,
};
pub use overview::Overview;
pub use pictures::{Gallery, ModelPictures, Pictures, Scale};
pub use raster::Raster;
pub use runs::{RunError, RunPlace};
pub use scans::{Pattern, PatternSet, Positions, Scans};
pub use scores::{METRICS, Metric};
