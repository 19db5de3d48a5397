//! What a run would do now, without doing it.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Known;
use super::{Decision, History, Store, StoreError, Surroundings, decide};
use crate::plan::{Outlook, Plan};

/// The outlook of every task. `selected` holds the tasks that would be looked at (targets and what they
/// need), `forced` those that would run whatever the store holds.
pub fn preview(
    plan: &Plan,
    selected: &BTreeSet<usize>,
    forced: &BTreeSet<usize>,
    store: &mut Store,
    history: &History,
    around: &Surroundings,
) -> Result<Vec<Outlook>, StoreError> {
    let mut known: Known = BTreeMap::new();
    let mut outlook = Vec::with_capacity(plan.tasks.len());
    for (index, task) in plan.tasks.iter().enumerate() {
        if !selected.contains(&index) {
            outlook.push(Outlook::NotSelected);
            continue;
        }
        let waits: Vec<String> = task
            .upstream()
            .into_iter()
            .filter(|up| !known.contains_key(up))
            .map(|up| plan.tasks[up].id.clone())
            .collect();
        if !waits.is_empty() {
            outlook.push(Outlook::AwaitsUpstream { on: waits });
            continue;
        }
        outlook.push(match decide(plan, index, &known, store, history, around, forced.contains(&index))? {
            Decision::Cached(manifest) => {
                known.insert(index, manifest.outputs);
                Outlook::Cached
            }
            Decision::Run { why, .. } => Outlook::Run { why: why.lines() },
        });
    }
    Ok(outlook)
}
