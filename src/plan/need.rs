//! How much memory a task will take, as far as that can be told before it runs.

use serde::Serialize;

/// The forecast for one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Need {
    /// It is known.
    Foreseen(Foreseen),
    /// It cannot be told yet, or never.
    Unknown {
        /// What is in the way.
        why: String,
    },
}

/// How much a task will do at a time, and what that takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// Units at a time; 0 if not even one fits.
    pub chunk: u64,
    /// What is counted.
    pub unit: &'static str,
    /// Resident peak of the process with that chunk, bytes; with one unit if not even one fits.
    pub predicted_peak: u64,
    /// Memory that there is, bytes: what the task is promised, else what is free now.
    pub limit: Option<u64>,
    /// Whether the limit is a promise.
    pub promised: bool,
    /// What stays free of the limit, bytes.
    pub margin: u64,
    /// Whether peak and margin are within the limit.
    pub fits: bool,
    /// On what the forecast rests.
    pub basis: Basis,
}

/// On what a forecast rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// An earlier run: right to a few percent.
    Measured,
    /// The shapes in the model's file: roughly right.
    Model,
    /// The shapes that the model will have when it is trained: the same.
    Parameters,
}
