//! Whether tasks must run: decisions on tasks whose inputs are known, and what follows from them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::Change;
use super::dispatcher::Dispatcher;
use super::failing::Failed;
use super::inbox::Message;
use crate::cache::{Content, Deciding, Decision, Finished, Hashed, StoreError, ToHash, hash};
use crate::diag::StageError;
use crate::events::Event;

/// Decisions made together, at most; then they are acted upon.
const AT_ONCE: usize = 8192;

/// Threads of their own: those that decide together are partly the dispatcher's, which waits for its inbox.
fn hashers<'h>(made: &'h mut Option<ThreadPool>, store: &Path) -> Result<&'h ThreadPool, StoreError> {
    Ok(match made {
        Some(hashers) => hashers,
        None => {
            let hashers = ThreadPoolBuilder::new().build().map_err(io::Error::other);
            made.insert(hashers.map_err(StoreError::io("start threads to read", store))?)
        }
    })
}

impl Dispatcher<'_, '_> {
    /// Decides on tasks whose inputs are known, and on those that become so by that.
    pub(super) fn decide_all(&mut self) -> Result<(), StoreError> {
        while !self.undecided.is_empty() && !self.is_draining() {
            let some = self.undecided.len().min(AT_ONCE);
            let batch: Vec<usize> = self.undecided.drain(..some).collect();
            let (plan, layout, history) = (self.plan, self.layout, &self.history);
            let deciding = Deciding { plan, layout, history, around: &self.options.around };
            let decide = || deciding.decide_all(&batch, &self.known, &self.store, &self.options.forced);
            // What the batch before it led to is told meanwhile.
            let (decisions, told) = match self.book.has_noted() {
                true => rayon::join(decide, || self.book.settle()),
                false => (decide(), Ok(())),
            };
            told?;
            for (index, decision) in batch.into_iter().zip(decisions) {
                self.decided(index, decision)?;
            }
        }
        Ok(())
    }

    fn decided(&mut self, index: usize, decision: Result<Decision, StoreError>) -> Result<(), StoreError> {
        match decision {
            Ok(Decision::Cached { finished, shown, from_manifest }) => {
                if from_manifest {
                    self.store.learn_manifest(finished.fingerprint, finished.outputs.clone());
                }
                self.take_from_store(index, finished, shown)
            }
            Ok(Decision::Run(miss)) => {
                // Another task of the study may be doing the very same: then its outputs will do.
                if let Some(twins) = self.twins.get_mut(&miss.fingerprint) {
                    twins.push(index);
                    return Ok(());
                }
                self.twins.insert(miss.fingerprint, Vec::new());
                self.set(index, Change::Miss);
                self.misses.insert(index, miss);
                self.queue().push(index);
                Ok(())
            }
            Ok(Decision::Hash(files)) => self.hash(index, files),
            // A newer store is everyone's problem, an input file that of this one task.
            Err(error @ StoreError::Newer { .. }) => Err(error),
            Err(error) => self.fail(index, Failed::early(StageError::input(error.to_string()))),
        }
    }

    pub(super) fn deciding(&self) -> Deciding<'_> {
        Deciding {
            plan: self.plan,
            layout: self.layout,
            history: &self.history,
            around: &self.options.around,
        }
    }

    /// Hashes files elsewhere; the task is decided on again when all are done.
    fn hash(&mut self, index: usize, files: Vec<ToHash>) -> Result<(), StoreError> {
        // A task may read one file through two slots.
        let files: BTreeSet<ToHash> = files.into_iter().collect();
        self.unhashed.insert(index, files.len());
        for file in files {
            if let Some(waiting) = self.hashing.get_mut(&file) {
                waiting.push(index);
                continue;
            }
            self.hashing.insert(file.clone(), vec![index]);
            let sender = self.sender.clone();
            hashers(&mut self.hashers, self.store.root())?.spawn(move || {
                let hashed = hash(file.path()).map_err(StoreError::io("read", file.path()));
                let _ = sender.send(Message::Hashed { file, hashed });
            });
        }
        Ok(())
    }

    pub(super) fn hashed(
        &mut self,
        file: &ToHash,
        hashed: Result<Hashed, StoreError>,
    ) -> Result<(), StoreError> {
        let waiting = self.hashing.remove(file).unwrap_or_default();
        let unreadable = match hashed {
            Err(error) => Some(error.to_string()),
            Ok(hashed) => {
                self.store.learn(file, hashed)?;
                None
            }
        };
        for index in waiting {
            let Some(left) = self.unhashed.get_mut(&index) else { continue };
            *left -= 1;
            if let Some(error) = &unreadable {
                self.unhashed.remove(&index);
                self.fail(index, Failed::early(StageError::input(error.clone())))?;
            } else if *left == 0 {
                self.unhashed.remove(&index);
                self.undecided.push_back(index);
            }
        }
        Ok(())
    }

    fn take_from_store(&mut self, index: usize, finished: Finished, shown: bool) -> Result<(), StoreError> {
        let task = &self.plan.tasks[index];
        if !shown {
            let files = task.outputs.values().map(String::as_str);
            let outputs: Vec<(&Content, &str)> = finished.outputs.iter().zip(files).collect();
            let folder = self.layout.results().join(&task.folder);
            self.store.show(&folder, &finished.fingerprint, &outputs)?;
        }
        self.remember(index, &finished, None)?;
        if task.resumes {
            self.staging.not_needed(&task.id)?;
        }
        self.set(index, Change::Hit);
        let fingerprint = finished.fingerprint;
        self.book.note(Event::TaskCached { task: self.name(index), fingerprint });
        self.done(index, finished);
        Ok(())
    }
}
