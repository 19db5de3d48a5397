//! Running a plan: one owner of all state, one inbox, worker processes at the other end.

mod around;
mod deciding;
mod dispatcher;
mod gpu_room;
mod gpus;
mod inbox;
mod job;
mod lease;
mod ended;
mod facts;
mod failing;
mod forecast;
mod loss;
mod pool;
mod process;
mod publisher;
mod queue;
mod rescue;
mod rescuing;
mod retry;
mod run;
mod slots;
mod staging;
mod starting;
mod state;
mod waiting;

pub use forecast::foresee;
pub use gpu_room::{GpuWatch, Look, look_at_gpu};
pub use gpus::{InstalledGpu, installed_gpus, visible_gpus};
pub use inbox::{Handle, Interrupt};
pub use lease::{Busy, Gpu, Holder, Lease, Leases, Place, Want, Wish};
pub use retry::wait_before_retry;
pub use run::{LockError, Options, RunError, RuntimeProvider, Summary, run};
pub use slots::Capacity;
pub use state::{Change, TaskState};
