//! What will become of a task, as far as can be known before anything runs.

use serde::Serialize;

/// The outlook of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outlook {
    /// Its outputs are in the store.
    Cached,
    /// It will run, for these reasons.
    Run {
        /// A line per reason.
        why: Vec<String>,
    },
    /// Whether it runs depends on what these tasks produce.
    AwaitsUpstream {
        /// Indices in the plan, ascending.
        on: Vec<usize>,
    },
    /// Not part of the selection.
    NotSelected,
}

impl Outlook {
    /// Whether the task will run, or may.
    pub fn is_to_come(&self) -> bool {
        matches!(self, Self::Run { .. } | Self::AwaitsUpstream { .. })
    }
}
