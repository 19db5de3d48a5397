//! What can go wrong, and how it is told: located problems, exit codes, nearest names.

mod failure;
pub mod exit;
mod problem;
mod suggest;
mod words;

pub use failure::{FailureClass, StageError, StageResult};
pub use problem::{Location, Problem, Problems};
pub use suggest::nearest;
pub use words::{duration, memory};
