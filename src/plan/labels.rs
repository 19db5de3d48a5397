//! Axis labels of a task.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Axis → label, sorted by axis. A study may have a hundred thousand of them, of few different texts, so
/// the texts are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Axes with their labels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(axis, label)| (&**axis, &**label))
    }

    /// Of pairs that are sorted by axis.
    pub(super) fn sorted(pairs: impl Iterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        Self(pairs.collect())
    }

    /// The label on an axis.
    pub fn get(&self, axis: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == axis).map(|(_, label)| label)
    }

    /// How many axes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a map of its own.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(axis, label)| (axis.to_owned(), label.to_owned())).collect()
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(labels: I) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort();
        Self(labels.into())
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(axis, label)| (axis.into(), label.into())).collect())
    }
}
