//! Maps that are quick to fill and to ask. Their order is that of insertion: unlike a hash map's of the
//! standard library it does not change from run to run, so it may reach a plan or a file.

/// A map in the order of insertion. The hash is fixed: keys come from the user's own study and store.
pub type Table<K, V> = indexmap::IndexMap<K, V, foldhash::fast::FixedState>;
