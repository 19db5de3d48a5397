//! Running a plan: one owner of all state, one inbox, worker processes at the other end.

mod dispatcher;
mod inbox;
mod job;
mod lock;
mod ended;
mod pool;
mod process;
mod publisher;
mod queue;
mod run;
mod slots;
mod starting;
mod state;

pub use inbox::{Handle, Interrupt};
pub use lock::{LockError, RunLock};
pub use run::{Options, RunError, RuntimeProvider, Summary, run};
pub use slots::Capacity;
pub use state::{Change, TaskState};
