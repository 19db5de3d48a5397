//! What was computed before: fingerprints, the store of outputs, and why something must run.

mod decide;
mod explain;
mod fingerprint;
mod history;
mod layout;
mod manifest;
mod preview;
mod stat;
mod store;

pub use decide::{Decision, Known, Surroundings, Why, decide, fingerprint};
pub use explain::{Change, changes};
pub use fingerprint::{FINGERPRINT_VERSION, Fingerprint, InputDigest};
pub use history::History;
pub use layout::Layout;
pub use manifest::Manifest;
pub use preview::preview;
pub use stat::StatIndex;
pub use store::{Store, StoreError};
