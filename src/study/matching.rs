//! Which points of a producer belong to a point of its consumer.
//!
//! On axes that both go over, the values must be equal; axes of only one of them do not matter. So
//! a consumer with fewer axes gets all producers (fan-in), and one with more shares them. `where`
//! takes the place of equality on the axes it names: it filters the producer's values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Axis, Point, StageDecl, Study};

/// Answers which points of one producer belong to a point of one consumer, in logarithmic time.
#[derive(Debug, Clone)]
pub struct Matcher {
    shared: Vec<Shared>,
    groups: Arc<Groups>,
}

/// An axis that consumer and producer share.
#[derive(Debug, Clone)]
struct Shared {
    axis: String,
    /// Its column in the consumer's rows.
    column: usize,
    by_label: Arc<BTreeMap<String, u32>>,
}

/// Values on the shared axes → positions among the producer's points.
type Groups = BTreeMap<Vec<u32>, Vec<usize>>;

/// Axis → labels, from `where`.
type Filter = BTreeMap<String, Vec<String>>;

/// Makes matchers, and shares the work between consumers of one producer.
#[derive(Debug, Default)]
pub struct Matchers {
    /// Producer, shared axes, filter → groups of the producer's points.
    groups: BTreeMap<(String, Vec<String>, Filter), Arc<Groups>>,
}

impl Matcher {
    /// Positions in [`Study::points`] of the producer, ascending, for a point of the consumer.
    pub fn producers(&self, point: &Point) -> &[usize] {
        let key: Option<Vec<u32>> =
            self.shared.iter().map(|shared| shared.by_label.get(point.get(&shared.axis)?).copied()).collect();
        key.and_then(|key| self.groups.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// The same for a row of the consumer's tuples.
    pub(super) fn for_row(&self, row: &[u32]) -> &[usize] {
        let key: Vec<u32> = self.shared.iter().map(|shared| row[shared.column]).collect();
        self.groups.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The shared axes and their columns in the consumer's rows.
    pub(super) fn shared(&self) -> impl Iterator<Item = (&str, usize)> {
        self.shared.iter().map(|shared| (shared.axis.as_str(), shared.column))
    }
}

impl Matchers {
    /// The matcher of a consumer and a producer of a study under the filter of their
    /// [`Reference`](super::Reference). One `Matchers` serves one study.
    pub fn get(
        &mut self,
        study: &Study,
        consumer: &StageDecl,
        producer: &StageDecl,
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Matcher {
        self.make(&study.axes_of(consumer), producer, &study.axes_of(producer), filter)
    }

    /// The same from the axes of both, in the study's order.
    pub(super) fn make(
        &mut self,
        consumer_axes: &[&Axis],
        producer: &StageDecl,
        producer_axes: &[&Axis],
        filter: &Filter,
    ) -> Matcher {
        let shared: Vec<Shared> = consumer_axes
            .iter()
            .enumerate()
            .filter(|(_, axis)| producer.over.contains(&axis.name) && !filter.contains_key(&axis.name))
            .map(|(column, axis)| Shared {
                axis: axis.name.clone(),
                column,
                by_label: Arc::clone(&axis.by_label),
            })
            .collect();
        let names = shared.iter().map(|shared| shared.axis.clone()).collect();
        let key = (producer.id.clone(), names, filter.clone());
        let groups = self
            .groups
            .entry(key)
            .or_insert_with(|| Arc::new(group(producer, producer_axes, &shared, filter)));
        Matcher { groups: Arc::clone(groups), shared }
    }
}

impl Study {
    /// [`Matchers::get`] for a single pair.
    pub fn matcher(
        &self,
        consumer: &StageDecl,
        producer: &StageDecl,
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Matcher {
        Matchers::default().get(self, consumer, producer, filter)
    }
}

fn group(producer: &StageDecl, axes: &[&Axis], shared: &[Shared], filter: &Filter) -> Groups {
    let column = |name: &str| axes.iter().position(|axis| axis.name == name);
    let key_columns: Vec<usize> = shared.iter().filter_map(|s| column(&s.axis)).collect();
    let kept: Vec<(usize, Vec<u32>)> = filter
        .iter()
        .filter_map(|(name, labels)| {
            let column = column(name)?;
            let position = |label: &String| axes[column].by_label.get(label).copied();
            let mut positions: Vec<u32> = labels.iter().filter_map(position).collect();
            positions.sort_unstable();
            Some((column, positions))
        })
        .collect();
    let mut groups = Groups::new();
    for (i, row) in producer.tuples.iter().enumerate() {
        if kept.iter().all(|(column, values)| values.binary_search(&row[*column]).is_ok()) {
            let key = key_columns.iter().map(|column| row[*column]).collect();
            groups.entry(key).or_default().push(i);
        }
    }
    groups
}
