//! What a run would do now, without doing it.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::stat::hash;
use super::{Deciding, Decision, Known, Miss, Store, StoreError, ToHash};
use crate::plan::Outlook;

impl Deciding<'_> {
    /// The outlook of every task. `selected` holds the tasks that would be looked at (targets and what they
    /// need), `forced` those that would run whatever the store holds.
    pub fn preview(
        &self,
        selected: &BTreeSet<usize>,
        forced: &BTreeSet<usize>,
        store: &mut Store,
    ) -> Result<Vec<Outlook>, StoreError> {
        let tasks = &self.plan.tasks;
        let mut known = Known::new(tasks.len());
        let mut outlook = vec![Outlook::NotSelected; tasks.len()];
        let mut left: Vec<usize> = selected.iter().copied().collect();
        // A pass over the plan decides what it can; files to hash are gathered and hashed together, in
        // parallel, before the next pass looks at what waited for them.
        while !left.is_empty() {
            let mut wanted = BTreeSet::new();
            let mut again = Vec::new();
            let mut waiting = BTreeSet::new();
            for index in left {
                let upstream = tasks[index].upstream();
                if upstream.iter().any(|up| waiting.contains(up)) {
                    waiting.insert(index);
                    again.push(index);
                    continue;
                }
                let awaits: Vec<usize> = upstream.into_iter().filter(|up| known.get(*up).is_none()).collect();
                if !awaits.is_empty() {
                    outlook[index] = Outlook::AwaitsUpstream { on: awaits };
                    continue;
                }
                match self.decide(index, &known, store, forced.contains(&index))? {
                    Decision::Cached { finished, .. } => {
                        known.insert(index, finished);
                        outlook[index] = Outlook::Cached;
                    }
                    Decision::Run(Miss { why, .. }) => outlook[index] = Outlook::Run { why: why.lines() },
                    Decision::Hash(files) => {
                        wanted.extend(files);
                        waiting.insert(index);
                        again.push(index);
                    }
                }
            }
            hash_all(wanted, store)?;
            left = again;
        }
        store.flush();
        Ok(outlook)
    }
}

/// Hashes files in parallel and tells the store.
fn hash_all(files: BTreeSet<ToHash>, store: &mut Store) -> Result<(), StoreError> {
    let files: Vec<ToHash> = files.into_iter().collect();
    let hashed: Vec<_> = files.par_iter().map(|file| hash(file.path())).collect();
    for (file, hashed) in files.iter().zip(hashed) {
        let hashed = hashed.map_err(StoreError::io("read", file.path()))?;
        match file {
            ToHash::Input(path) => store.learn_input(path, hashed),
            ToHash::Object(_, digest) => store.learn_object(digest, hashed)?,
        }
    }
    Ok(())
}
