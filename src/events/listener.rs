//! Who hears of events as they happen.

use super::{Record, RunView};

/// A live reporter.
pub trait Listener {
    /// Called for every event, in order, by the one owner of the run's state; `view` has it folded in.
    fn hear(&mut self, record: &Record, view: &RunView);
}

/// For runs that nobody watches.
impl Listener for () {
    fn hear(&mut self, _: &Record, _: &RunView) {}
}
