//! Running a plan: one owner of all state, one inbox, worker processes at the other end.

mod dispatcher;
mod host;
mod inbox;
mod job;
mod lock;
mod process;
mod publish;
mod run;
mod slots;
mod state;

pub use host::host;
pub use inbox::{Handle, Interrupt};
pub use lock::{LockError, RunLock};
pub use process::end_with_parent;
pub use run::{Options, RunError, RuntimeProvider, Summary, run};
pub use slots::Capacity;
pub use state::{Change, TaskState};
