//! What is remembered of earlier runs.

use super::{History, Store, StoreLock};

/// Store and history of a study.
#[derive(Debug)]
pub struct Memory {
    /// Outputs and manifests, shared by all studies in the folder.
    pub store: Store,
    /// Last fingerprints of this study's tasks.
    pub history: History,
    /// Keeps the store from being cleaned, from before the first look at it, once this was read in order to
    /// run and there was a store.
    pub lock: Option<StoreLock>,
}
