//! The child's side: a job comes in on standard input, messages go out on standard output, a line each.
//! The library touches neither itself; the binary passes them in.

mod message;
mod serve;

pub use message::{FromWorker, Produced};
pub use serve::serve;
