//! Reporters: events in, text out. They see nothing else, and write only where they are told.

mod plain;
mod rescues;
mod text;

pub use plain::Plain;
pub use rescues::{given, rescues};
pub use text::{status, tally};
