//! Collections that are quick to fill and to ask.

/// A map in the order of insertion: unlike a hash map's of the standard library that does not change from run
/// to run, so it may reach a plan or a file. The hash is fixed: keys come from the user's own study and store.
pub type Table<K, V> = indexmap::IndexMap<K, V, foldhash::fast::FixedState>;

/// A list that takes memory of its own only when it has more than `N` entries.
pub type Few<T, const N: usize> = smallvec::SmallVec<[T; N]>;
