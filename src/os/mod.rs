//! What the operating system is asked directly: processes, signals, memory, locks, the host's name. The only
//! home of nix.

mod cgroup;
mod folder;
mod free;
mod limits;
mod lock;
mod memory;
mod process;
mod ranges;

pub use cgroup::{Group as MemoryGroup, kernel_kills, total_memory};
pub use folder::{FileFacts, Folder};
pub use free::free_memory;
pub use limits::{DataLimit, limit_program};
pub use lock::{FileLock, Refused};
pub use memory::{data_memory, give_back_freed_memory, peak_memory, reset_peak_memory, resident_memory};
pub use process::{
    adopt_orphans, end_children, end_marked, end_own_group, host, is_descendant, kill_group, redirect_stderr,
    signal_name, terminate_group, wait_unreaped, wait_with_peak,
};
pub use ranges::{RangeLocks, Survey, open_no_link};
