#![doc = include_str!("ARCHITECTURE.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

// Modules in the order of the data flow; `tests/architecture.rs` asserts who may import whom.
pub mod diag;
pub mod os;
pub mod table;
pub mod kind;
pub mod study;
pub mod plan;
pub mod cache;
pub mod events;
pub mod exec;
pub mod worker;
pub mod stages;
pub mod runtime;
pub mod provenance;
pub mod dossier;
pub mod report;
pub mod nn;
pub mod ptycho;
pub mod io;
