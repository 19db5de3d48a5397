//! The folders that workers write to.
//!
//! Most are numbered, empty, and used by one task after another. A stage that resumes has one of its own, by
//! the task's fingerprint: what it leaves there survives a failed attempt, a `kill -9` and the run, until the
//! task has succeeded.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::{Layout, StoreError};
use crate::diag::FailureClass;
use crate::io::digest::Digest;

/// Staging folders of a run.
#[derive(Debug)]
pub(super) struct Staging {
    layout: Layout,
    /// Empty again.
    empty: Vec<PathBuf>,
    /// How many were ever made.
    made: usize,
    /// Folders of tasks with checkpoints.
    kept: BTreeSet<PathBuf>,
}

impl Staging {
    /// Takes stock of the checkpoints that earlier runs left, and removes those of tasks that are not among
    /// `resuming`, the tasks of the plan that resume.
    pub(super) fn open<'t>(
        layout: &Layout,
        resuming: impl Iterator<Item = &'t str>,
    ) -> Result<Self, StoreError> {
        let wanted: BTreeSet<PathBuf> = resuming.map(|task| layout.checkpoints_of(task)).collect();
        let mut kept = BTreeSet::new();
        for folder in folders(&layout.checkpoints()).map_err(StoreError::io("read", &layout.checkpoints()))? {
            if wanted.contains(&folder) {
                kept.insert(folder);
            } else {
                remove(&folder)?;
            }
        }
        Ok(Self { layout: layout.clone(), empty: Vec::new(), made: 0, kept })
    }

    /// An empty folder.
    pub(super) fn empty(&mut self) -> Result<PathBuf, StoreError> {
        if let Some(empty) = self.empty.pop() {
            return Ok(empty);
        }
        let staging = self.layout.staging().join(self.made.to_string());
        self.made += 1;
        std::fs::create_dir_all(&staging).map_err(StoreError::io("create", &staging))?;
        Ok(staging)
    }

    /// The folder of a task that resumes, with the checkpoints of this very fingerprint, unless it is to
    /// begin `afresh`. Those of other fingerprints are of no use any more.
    pub(super) fn kept(
        &mut self,
        task: &str,
        fingerprint: &Digest,
        afresh: bool,
    ) -> Result<PathBuf, StoreError> {
        let of_task = self.layout.checkpoints_of(task);
        let staging = of_task.join(fingerprint.to_string());
        for other in folders(&of_task).map_err(StoreError::io("read", &of_task))? {
            if afresh || other != staging {
                remove(&other)?;
            }
        }
        // Its being there tells the next run to look for processes that have outlived this one.
        for folder in [&self.layout.staging(), &staging] {
            std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        self.kept.insert(of_task);
        Ok(staging)
    }

    /// An attempt has failed. What it wrote goes, unless a later attempt can go on from it: after a failed
    /// check, or with an input that cannot be used, going on would only fail again.
    pub(super) fn failed(&self, staging: &Path, class: FailureClass) {
        let for_good = matches!(class, FailureClass::Check | FailureClass::Input);
        if for_good || !self.is_kept(staging) {
            // Best effort: the next run clears staging anyway, and the next attempt checkpoints.
            let _ = std::fs::remove_dir_all(staging);
        }
    }

    /// A task's outputs were taken from `staging`.
    pub(super) fn finished(&mut self, staging: PathBuf) -> Result<(), StoreError> {
        if !self.is_kept(&staging) {
            self.empty.push(staging);
            return Ok(());
        }
        staging.parent().map_or(Ok(()), |of_task| self.forget(of_task.to_owned()))
    }

    /// A task's outputs are in the store: it will not go on from anything.
    pub(super) fn not_needed(&mut self, task: &str) -> Result<(), StoreError> {
        match self.kept.is_empty() {
            true => Ok(()),
            false => self.forget(self.layout.checkpoints_of(task)),
        }
    }

    fn forget(&mut self, of_task: PathBuf) -> Result<(), StoreError> {
        if self.kept.remove(&of_task) { remove(&of_task) } else { Ok(()) }
    }

    fn is_kept(&self, staging: &Path) -> bool {
        staging.starts_with(self.layout.checkpoints())
    }
}

fn remove(folder: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

/// What is in a folder; nothing if there is no folder.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|e| e.path())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) {
        std::fs::write(folder.join("checkpoint"), "half").unwrap();
    }

    #[test]
    fn checkpoints_stay_until_nobody_wants_them() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), "s");
        let open = |tasks: &[&str]| Staging::open(&layout, tasks.iter().copied()).unwrap();
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));

        let mut first = open(&["a", "b"]);
        let a = first.kept("a", &one, false).unwrap();
        let b = first.kept("b", &two, false).unwrap();
        write(&a);
        write(&b);
        first.failed(&a, FailureClass::OutOfMemory);
        assert!(a.join("checkpoint").exists(), "an attempt that failed");
        assert!(layout.staging().is_dir(), "processes that outlive the run are looked for");

        let mut second = open(&["a"]);
        assert!(!b.exists(), "no task wants it");
        assert_eq!(second.kept("a", &one, false).unwrap(), a);
        assert!(a.join("checkpoint").exists(), "another run");
        let changed = second.kept("a", &two, false).unwrap();
        assert!(!a.exists() && changed.read_dir().unwrap().next().is_none(), "another fingerprint");

        write(&changed);
        assert_eq!(second.kept("a", &two, true).unwrap(), changed);
        assert!(!changed.join("checkpoint").exists(), "afresh");
        write(&changed);
        second.failed(&changed, FailureClass::Check);
        assert!(!changed.exists(), "going on would fail the same check");

        let changed = second.kept("a", &two, false).unwrap();
        second.finished(changed.clone()).unwrap();
        assert!(!changed.parent().unwrap().exists());
        let mut third = open(&["a"]);
        third.kept("a", &two, false).unwrap();
        third.not_needed("a").unwrap();
        assert!(layout.checkpoints().read_dir().unwrap().next().is_none());
    }

    #[test]
    fn other_folders_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::open(&Layout::new(dir.path(), "s"), std::iter::empty()).unwrap();
        let (one, two) = (staging.empty().unwrap(), staging.empty().unwrap());
        assert_ne!(one, two);
        staging.finished(one.clone()).unwrap();
        assert_eq!(staging.empty().unwrap(), one);
        staging.failed(&two, FailureClass::Signal);
        assert!(!two.exists());
    }
}
