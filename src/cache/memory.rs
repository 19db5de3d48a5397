//! What is remembered of earlier runs, read all at once.

use super::{History, Layout, Store, StoreError, StoreLock};

/// Store and history of a study.
#[derive(Debug)]
pub struct Memory {
    /// Outputs and manifests, shared by all studies in the folder.
    pub store: Store,
    /// Last fingerprints of this study's tasks.
    pub history: History,
    /// Keeps the store from being cleaned, once this was read in order to run.
    pub lock: Option<StoreLock>,
}

impl Memory {
    /// Reads it; where there is nothing yet, it is empty. `afresh` trusts no record of what was hashed in
    /// the past.
    pub fn load(layout: &Layout, afresh: bool) -> Result<Self, StoreError> {
        let file = layout.history();
        let (store, history) = rayon::join(|| Store::open(layout.store(), afresh), || History::load(&file));
        Ok(Self { store: store?, history: history.map_err(StoreError::io("read", &file))?, lock: None })
    }

    /// The same, in order to run: from before the first look to the end, nothing in the store is removed.
    pub fn load_to_run(layout: &Layout, afresh: bool) -> Result<Self, StoreError> {
        let lock = StoreLock::share_if_there(&layout.store())?;
        Ok(Self { lock, ..Self::load(layout, afresh)? })
    }
}
