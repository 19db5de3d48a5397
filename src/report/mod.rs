//! Reporters: events or a dossier in, text out. They see nothing else, and write only where they are told.

mod contrast;
mod html;
mod plain;
mod rescues;
mod summary;
mod tables;
mod text;

pub use contrast::contrast;
pub use html::{HtmlError, html};
pub use plain::Plain;
pub use rescues::{given, rescues};
pub use tables::{Table, tables};
pub use text::{status, tally};
