//! Which points of a producer belong to a point of its consumer.
//!
//! On axes that both go over, the values must be equal; axes of only one of them do not matter. So
//! a consumer with fewer axes gets all producers (fan-in), and one with more shares them. `where`
//! takes the place of equality on the axes it names: it filters the producer's values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Axis, StageDecl};
use crate::table::Few;
use crate::table::Table;

/// Positions on some axes; studies with more than eight in one stage are rare.
pub(super) type Key = Few<u32, 8>;

/// Some columns of a row.
pub(super) fn select(row: &[u32], columns: &[usize]) -> Key {
    columns.iter().map(|column| row[*column]).collect()
}

/// Answers which points of one producer belong to a point of one consumer, at once.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    /// Names of the axes that consumer and producer share.
    axes: Vec<String>,
    /// Their columns in the consumer's rows.
    columns: Vec<usize>,
    groups: Arc<Groups>,
}

/// Values on the shared axes → positions among the producer's points.
type Groups = Table<Key, Vec<usize>>;

/// Axis → labels, from `where`.
type Filter = BTreeMap<String, Vec<String>>;

/// Makes matchers, and shares the work between consumers of one producer. One serves one study.
#[derive(Debug, Default)]
pub(super) struct Matchers {
    /// Producer, shared axes, filter → groups of the producer's points.
    groups: BTreeMap<(String, Vec<String>, Filter), Arc<Groups>>,
}

impl Matcher {
    /// Positions among the producer's points, ascending, for a row of the consumer's tuples.
    pub(super) fn for_row(&self, row: &[u32]) -> &[usize] {
        self.groups.get(&select(row, &self.columns)).map_or(&[], Vec::as_slice)
    }

    /// The shared axes and their columns in the consumer's rows.
    pub(super) fn shared(&self) -> impl Iterator<Item = (&str, usize)> {
        self.axes.iter().map(String::as_str).zip(self.columns.iter().copied())
    }
}

impl Matchers {
    /// The matcher of a consumer and a producer under a filter, from the axes of both in the study's order.
    pub(super) fn make(
        &mut self,
        consumer_axes: &[&Axis],
        producer: &StageDecl,
        producer_axes: &[&Axis],
        filter: &Filter,
    ) -> Matcher {
        let shared = consumer_axes
            .iter()
            .enumerate()
            .filter(|(_, axis)| producer.over.contains(&axis.name) && !filter.contains_key(&axis.name));
        let (columns, axes): (Vec<usize>, Vec<String>) =
            shared.map(|(column, axis)| (column, axis.name.clone())).unzip();
        let key = (producer.id.clone(), axes.clone(), filter.clone());
        let groups =
            self.groups.entry(key).or_insert_with(|| Arc::new(group(producer, producer_axes, &axes, filter)));
        Matcher { groups: Arc::clone(groups), axes, columns }
    }
}

fn group(producer: &StageDecl, axes: &[&Axis], shared: &[String], filter: &Filter) -> Groups {
    let column = |name: &str| axes.iter().position(|axis| axis.name == name);
    let key_columns: Vec<usize> = shared.iter().filter_map(|axis| column(axis)).collect();
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
    let mut groups = Groups::default();
    for (i, row) in producer.tuples.iter().enumerate() {
        if kept.iter().all(|(column, values)| values.binary_search(&row[*column]).is_ok()) {
            groups.entry(select(row, &key_columns)).or_default().push(i);
        }
    }
    groups
}
