//! The records beside the results, and the contents that they name.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::cache::{Layout, Manifest, NoManifest, Shelf, StoreError, provenance, read_manifest};
use crate::diag::StageResult;
use crate::plan::{Plan, Source};

/// Records of all tasks of a plan that have results.
pub(super) struct Records<'a> {
    pub(super) plan: &'a Plan,
    shelf: Shelf,
    manifests: Vec<Option<Manifest>>,
    /// What could not be read, a line each.
    damage: RefCell<Vec<String>>,
}

impl<'a> Records<'a> {
    /// Reads the record of every task.
    pub(super) fn load(plan: &'a Plan, layout: &Layout) -> Result<Self, StoreError> {
        let (mut manifests, mut damage) = (Vec::with_capacity(plan.tasks.len()), Vec::new());
        for task in &plan.tasks {
            let path = provenance(&layout.results().join(&task.folder));
            manifests.push(match read_manifest(&path)? {
                Ok(manifest) => Some(manifest),
                Err(NoManifest::Gone) => None,
                Err(NoManifest::Damaged) => {
                    damage.push(format!("the record beside the results of {} is damaged", task.id));
                    None
                }
                Err(NoManifest::Older) => {
                    damage
                        .push(format!("the record of {} has an older format and counts as missing", task.id));
                    None
                }
            });
        }
        Ok(Self { plan, shelf: Shelf::at(layout.store()), manifests, damage: RefCell::new(damage) })
    }

    /// The record of a task, if it has results.
    pub(super) fn of(&self, task: usize) -> Option<&Manifest> {
        self.manifests.get(task)?.as_ref()
    }

    /// Where the store keeps an output.
    pub(super) fn file(&self, task: usize, output: &str) -> Option<PathBuf> {
        let record = self.of(task)?.outputs.get(output)?;
        Some(self.shelf.object(&record.digest))
    }

    /// Reads an output; what cannot be read is taken note of. None if there is no such output.
    pub(super) fn read<T>(
        &self,
        task: usize,
        output: &str,
        read: impl FnOnce(&std::path::Path) -> StageResult<T>,
    ) -> Option<T> {
        let path = self.file(task, output)?;
        match read(&path) {
            Ok(value) => Some(value),
            Err(error) => {
                let id = &self.plan.tasks[task].id;
                self.note(format!("`{output}` of {id} could not be read: {}", error.message));
                None
            }
        }
    }

    /// Takes note of something that could not be read.
    pub(super) fn note(&self, what: String) {
        self.damage.borrow_mut().push(what);
    }

    /// All that was taken note of.
    pub(super) fn damage(&self) -> Vec<String> {
        self.damage.borrow().clone()
    }

    /// The tasks that an input slot reads from, with the outputs.
    pub(super) fn inputs(&self, task: usize, slot: &str) -> Vec<(usize, &str)> {
        let inputs = &self.plan.tasks[task].inputs;
        let sources = inputs.iter().find(|(name, _)| *name == slot).map_or(&[][..], |(_, sources)| sources);
        sources.iter().filter_map(of_task).collect()
    }

    /// The first of them.
    pub(super) fn input(&self, task: usize, slot: &str) -> Option<(usize, &str)> {
        self.inputs(task, slot).into_iter().next()
    }

    /// Tasks of a kind, in the order of the plan.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = usize> {
        let matches =
            move |(index, task): (usize, &crate::plan::Task)| (*task.kind == *kind).then_some(index);
        self.plan.tasks.iter().enumerate().filter_map(matches)
    }
}

fn of_task(source: &Source) -> Option<(usize, &str)> {
    match source {
        Source::Task { task, output } => Some((*task, output)),
        Source::File { .. } => None,
    }
}
