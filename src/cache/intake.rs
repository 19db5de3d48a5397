//! From staging folders into the store and the results folder, many tasks at a time: what costs is waiting
//! for the disk, and the disk takes many requests as quickly as one.
//!
//! Order: objects and manifests are written and made durable under temporary names; objects get their
//! names; those names are made durable; manifests get theirs; links appear in the results folder. A crash
//! in between costs recomputation at most.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::layout;
use super::store::{create_parent, show};
use super::{Contents, Manifest, Shown, StoreError};
use crate::io::digest::Digest;
use crate::io::{atomic, disk};

/// Threads that wait for the disk at the same time.
const WAITING: usize = 8;

/// A finished task, to be published.
#[derive(Debug)]
pub struct Publication {
    /// Index of the task in its plan.
    pub task: usize,
    /// Where the worker wrote.
    pub staging: PathBuf,
    /// Its folder in the results.
    pub folder: PathBuf,
    /// The record, complete.
    pub manifest: Manifest,
    /// Objects that the store holds already.
    pub held: BTreeSet<Digest>,
}

/// A published task.
#[derive(Debug)]
pub struct Published {
    /// Index of the task in its plan.
    pub task: usize,
    /// Digest of its fingerprint.
    pub fingerprint: Digest,
    /// Contents of its outputs.
    pub outputs: Contents,
    /// What the store must take note of.
    pub shown: Vec<Shown>,
    /// The record.
    pub manifest: Manifest,
    /// The folder that the worker wrote to, empty now.
    pub staging: PathBuf,
}

/// Puts finished tasks into a store.
#[derive(Debug)]
pub struct Intake {
    root: PathBuf,
    /// Objects put there by this very intake.
    taken: BTreeSet<Digest>,
}

impl Intake {
    /// Into the store at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), taken: BTreeSet::new() }
    }

    /// Publishes tasks together. On an error none of them counts as published; what reached the store by
    /// then is found again, or cleared, by the next run.
    pub fn publish(&mut self, batch: Vec<Publication>) -> Result<Vec<Published>, StoreError> {
        let mut objects = Vec::new();
        let mut manifests = Vec::new();
        let mut coming = BTreeSet::new();
        let mut grown = BTreeSet::new();
        for one in &batch {
            for record in one.manifest.outputs.values() {
                let from = one.staging.join(&record.file);
                let to = layout::object(&self.root, &record.digest);
                // One that was put there may have been found damaged since, and moved aside.
                let taken = self.taken.contains(&record.digest) && to.exists();
                if !one.held.contains(&record.digest) && !taken && coming.insert(record.digest) {
                    objects.push(Move { from, to });
                } else {
                    std::fs::remove_file(&from).map_err(StoreError::io("remove", &from))?;
                }
            }
            manifests.push(self.write(one, &mut grown)?);
        }
        sync_all(objects.iter().chain(&manifests))?;
        finish(&objects, &mut grown)?;
        finish(&manifests, &mut grown)?;
        self.taken.extend(coming);
        batch.into_iter().map(|one| self.show(one)).collect()
    }

    /// Writes a manifest under a temporary name.
    fn write(&self, one: &Publication, grown: &mut BTreeSet<PathBuf>) -> Result<Move, StoreError> {
        let to = layout::action(&self.root, &one.manifest.fingerprint.digest());
        grow(&to, grown)?;
        let from = to.with_extension(format!("{}.tmp", std::process::id()));
        let sealed = one.manifest.seal().map_err(|e| StoreError::io("write", &to)(e.into()))?;
        let written = File::create(&from).and_then(|mut file| disk::write(&mut file, &sealed));
        written.map_err(StoreError::io("write", &from))?;
        Ok(Move { from, to })
    }

    fn show(&self, one: Publication) -> Result<Published, StoreError> {
        let mut shown = Vec::with_capacity(one.manifest.outputs.len());
        for record in one.manifest.outputs.values() {
            shown.push(show(&self.root, &record.digest, &one.folder.join(&record.file))?);
        }
        let fingerprint = one.manifest.fingerprint.digest();
        let record = layout::provenance(&one.folder);
        atomic::link_or_copy(&layout::action(&self.root, &fingerprint), &record)
            .map_err(StoreError::io("write", &record))?;
        let outputs = super::store::contents(&one.manifest);
        empty(&one.staging)?;
        let Publication { task, staging, manifest, .. } = one;
        Ok(Published { task, fingerprint, outputs, shown, manifest, staging })
    }
}

/// Empties a staging folder for the next task: a program may have written more than it declared.
fn empty(staging: &Path) -> Result<(), StoreError> {
    let left = std::fs::read_dir(staging).map_err(StoreError::io("read", staging))?.next().is_some();
    if left {
        std::fs::remove_dir_all(staging).map_err(StoreError::io("clear", staging))?;
        disk::create_dir_all(staging).map_err(StoreError::io("create", staging))?;
    }
    Ok(())
}

/// A file that will get its final name once it is durable.
#[derive(Debug)]
struct Move {
    from: PathBuf,
    to: PathBuf,
}

/// Makes files durable, several at a time.
fn sync_all<'a>(moves: impl Iterator<Item = &'a Move>) -> Result<(), StoreError> {
    let paths: Vec<&Path> = moves.map(|m| m.from.as_path()).collect();
    together(&paths, |path| {
        // Read-only, so that editing a result in place fails instead of spoiling the object it links to.
        File::open(path)
            .and_then(|file| {
                file.set_permissions(Permissions::from_mode(0o444))?;
                disk::sync(&file)
            })
            .map_err(StoreError::io("make durable", path))
    })
}

/// Gives files their names, and makes the names durable, with those of folders in `grown`.
fn finish(moves: &[Move], grown: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
    for Move { from, to } in moves {
        grow(to, grown)?;
        disk::rename(from, to).map_err(StoreError::io("publish", to))?;
    }
    let mut folders: BTreeSet<PathBuf> = std::mem::take(grown);
    folders.extend(moves.iter().filter_map(|m| Some(m.to.parent()?.to_owned())));
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    together(&folders, |folder| disk::sync_dir(folder).map_err(StoreError::io("make durable", folder)))
}

/// Makes the folder of a file if it is the first in it; the folder above has grown by a name then.
fn grow(file: &Path, grown: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    if !folder.is_dir() {
        create_parent(file)?;
        grown.extend(folder.ancestors().skip(1).take(2).map(Path::to_owned));
    }
    Ok(())
}

/// Does `work` for every path on a few threads.
fn together(
    paths: &[&Path],
    work: impl Fn(&Path) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    // A few are done before a thread has started.
    let threads = WAITING.min(paths.len() / 2);
    if threads < 2 {
        return paths.iter().try_for_each(|path| work(path));
    }
    let work = &work;
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|n| scope.spawn(move || paths.iter().skip(n).step_by(threads).try_for_each(|p| work(p))))
            .collect();
        handles.into_iter().try_for_each(|handle| {
            handle.join().unwrap_or_else(|_| {
                Err(StoreError::io("make durable", Path::new("a file"))(std::io::Error::other(
                    "a thread panicked",
                )))
            })
        })
    })
}
