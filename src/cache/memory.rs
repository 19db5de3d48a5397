//! What is remembered of earlier runs, read all at once.

use super::{History, Layout, Store, StoreError};

/// Store and history of a study.
#[derive(Debug)]
pub struct Memory {
    /// Outputs and manifests, shared by all studies in the folder.
    pub store: Store,
    /// Last fingerprints of this study's tasks.
    pub history: History,
}

impl Memory {
    /// Reads it; where there is nothing yet, it is empty. `afresh` trusts no record of what was hashed in
    /// the past.
    pub fn load(layout: &Layout, afresh: bool) -> Result<Self, StoreError> {
        let file = layout.history();
        let (store, history) = rayon::join(|| Store::open(layout.store(), afresh), || History::load(&file));
        Ok(Self { store: store?, history: history.map_err(StoreError::io("read", &file))? })
    }
}
