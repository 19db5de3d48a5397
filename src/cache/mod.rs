//! What was computed before: fingerprints, the store of outputs, and why something must run.

mod compact;
mod decide;
mod explain;
mod fingerprint;
mod gc;
mod history;
mod index;
mod intake;
mod known;
mod layout;
mod lock;
mod manifest;
mod memory;
mod preview;
mod quarantine;
mod shelf;
mod stat;
mod store;
mod verify;

pub use decide::{Deciding, Decision, Miss, Surroundings, ToHash, Why};
pub use explain::{Change, changes};
pub use fingerprint::{FINGERPRINT_VERSION, Fingerprint, InputDigest};
pub use gc::{Going, Policy, Sweep, Swept};
pub use history::History;
pub use index::{Content, Contents};
pub use intake::{Intake, Publication, Published};
pub use known::{Finished, Known};
pub use layout::{Layout, provenance, task_folder, task_of_folder};
pub use lock::StoreLock;
pub use manifest::{Manifest, Origin, Unreadable};
pub use memory::Memory;
pub use shelf::{Kept, NoManifest, Shelf, Stock, read_manifest};
pub use stat::{Hashed, Stamp, StatIndex, hash};
pub use store::{Presence, Shown, Store, StoreError};
pub use verify::{Fault, Owner, Step, Verdict, verify};
