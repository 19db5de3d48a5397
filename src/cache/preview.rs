//! What a run would do now, without doing it.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::stat::hash;
use super::{Deciding, Decision, Known, Miss, Store, StoreError, ToHash};
use crate::plan::{Outlook, TaskSet};

impl Deciding<'_> {
    /// The outlook of every task. `selected` holds the tasks that would be looked at (targets and what they
    /// need), `forced` those that would run whatever the store holds.
    pub fn preview(
        &self,
        selected: &TaskSet,
        forced: &TaskSet,
        store: &mut Store,
    ) -> Result<Vec<Outlook>, StoreError> {
        let tasks = &self.plan.tasks;
        let mut known = Known::new(tasks.len());
        let mut outlook = vec![Outlook::NotSelected; tasks.len()];
        let edges = self.plan.edges();
        let mut missing = edges.missing();
        let mut wave: Vec<usize> = selected.iter().filter(|i| missing[*i] == 0).collect();
        // A wave holds tasks whose producers are all cached; files to hash are gathered and hashed together
        // before their tasks come round again.
        while !wave.is_empty() {
            let decisions = self.decide_all(&wave, &known, store, forced);
            let mut next = Vec::new();
            let mut wanted = BTreeSet::new();
            for (index, decision) in wave.into_iter().zip(decisions) {
                match decision? {
                    Decision::Cached { finished, from_manifest, .. } => {
                        if from_manifest {
                            store.learn_manifest(finished.fingerprint, finished.outputs.clone());
                        }
                        known.insert(index, finished);
                        outlook[index] = Outlook::Cached;
                        for after in edges.downstream(index) {
                            missing[after] -= 1;
                            if missing[after] == 0 && selected.contains(after) {
                                next.push(after);
                            }
                        }
                    }
                    Decision::Run(Miss { why, .. }) => outlook[index] = Outlook::Run { why: why.lines() },
                    Decision::Hash(files) => {
                        wanted.extend(files);
                        next.push(index);
                    }
                }
            }
            hash_all(wanted, store)?;
            wave = next;
        }
        store.flush();
        // Whatever was not reached waits for a task that will run, or for one that waits itself.
        for index in selected.iter() {
            if outlook[index] != Outlook::NotSelected {
                continue;
            }
            let on = edges.upstream(index).filter(|up| known.get(*up).is_none()).collect();
            outlook[index] = Outlook::AwaitsUpstream { on };
        }
        Ok(outlook)
    }
}

/// Hashes files in parallel and tells the store.
fn hash_all(files: BTreeSet<ToHash>, store: &mut Store) -> Result<(), StoreError> {
    let files: Vec<ToHash> = files.into_iter().collect();
    let hashed: Vec<_> = files.par_iter().map(|file| hash(file.path())).collect();
    for (file, hashed) in files.iter().zip(hashed) {
        let hashed = hashed.map_err(StoreError::io("read", file.path()))?;
        store.learn(file, hashed)?;
    }
    Ok(())
}
