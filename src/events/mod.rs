//! What happens during a run, in one vocabulary: the journal keeps it, reporters show it, `status` folds it.

mod event;
mod journal;
mod listener;
mod room;
mod view;

pub use event::{Event, Had, Next, Outcome, OutputRecord, Record};
pub use journal::{Journal, JournalError, read};
pub use listener::Listener;
pub use room::{GpuProcess, GpuRoom, Room};
pub use view::{AttemptView, RunView, TaskDetails, TaskPhase, TaskView};
