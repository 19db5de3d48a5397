//! The child's side: jobs come in on standard input, one after another, messages go out on standard output,
//! a line each. The library touches neither itself; the binary passes them in.

mod listen;
mod message;
mod serve;

pub use listen::serve_all;
pub use message::{FromWorker, Produced, ToWorker};
pub use serve::serve;
