//! Which points of a producer belong to a point of its consumer.
//!
//! On axes that both go over, the values must be equal; axes of only one of them do not matter. So
//! a consumer with fewer axes gets all producers (fan-in), and one with more shares them. `where`
//! takes the place of equality on the axes it names: it filters the producer's values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Point, StageDecl, Study};

/// Answers which points of one producer belong to a point of one consumer. Made once per pair, it
/// answers each question in logarithmic time.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The shared axes: their names and value positions, and their columns in the consumer's rows.
    shared: Vec<Shared>,
    groups: Arc<Groups>,
}

#[derive(Debug, Clone)]
struct Shared {
    axis: String,
    column: usize,
    by_label: Arc<BTreeMap<String, u32>>,
}

/// Values on the shared axes → positions among the producer's points.
type Groups = BTreeMap<Vec<u32>, Vec<usize>>;

impl Matcher {
    /// Positions in [`Study::points`] of the producer, ascending, for a point of the consumer.
    pub fn producers(&self, point: &Point) -> &[usize] {
        let key: Option<Vec<u32>> = self
            .shared
            .iter()
            .map(|shared| shared.by_label.get(point.get(&shared.axis)?).copied())
            .collect();
        key.and_then(|key| self.groups.get(&key))
            .map_or(&[], Vec::as_slice)
    }

    /// The same for a row of the consumer's tuples.
    pub(super) fn for_row(&self, row: &[u32]) -> &[usize] {
        let key: Vec<u32> = self
            .shared
            .iter()
            .map(|shared| row[shared.column])
            .collect();
        self.groups.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl Study {
    /// Prepares the matching of a consumer's points with those of a producer, under the filter of
    /// their [`Reference`](super::Reference).
    pub fn matcher(
        &self,
        consumer: &StageDecl,
        producer: &StageDecl,
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Matcher {
        let shared = self.shared(consumer, producer, filter);
        let groups = Arc::new(self.groups(producer, &shared, filter));
        Matcher { shared, groups }
    }

    fn shared(
        &self,
        consumer: &StageDecl,
        producer: &StageDecl,
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Vec<Shared> {
        let axes = self.axes_of(consumer);
        axes.into_iter()
            .enumerate()
            .filter(|(_, axis)| {
                producer.over.contains(&axis.name) && !filter.contains_key(&axis.name)
            })
            .map(|(column, axis)| Shared {
                axis: axis.name.clone(),
                column,
                by_label: Arc::clone(&axis.by_label),
            })
            .collect()
    }

    fn groups(
        &self,
        producer: &StageDecl,
        shared: &[Shared],
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Groups {
        let axes = self.axes_of(producer);
        let column = |name: &str| axes.iter().position(|axis| axis.name == name);
        let key_columns: Vec<usize> = shared.iter().filter_map(|s| column(&s.axis)).collect();
        let kept: Vec<(usize, Vec<u32>)> = filter
            .iter()
            .filter_map(|(name, labels)| {
                let column = column(name)?;
                let position = |label: &String| axes[column].by_label.get(label).copied();
                Some((column, labels.iter().filter_map(position).collect()))
            })
            .collect();
        let mut groups = Groups::new();
        for (i, row) in producer.tuples.iter().enumerate() {
            if kept
                .iter()
                .all(|(column, values)| values.contains(&row[*column]))
            {
                let key = key_columns.iter().map(|column| row[*column]).collect();
                groups.entry(key).or_default().push(i);
            }
        }
        groups
    }
}
