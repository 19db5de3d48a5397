//! GPUs shared by all phasegraph processes of a machine, whole or by their memory.
//!
//! Every GPU has a file, and every MiB of its memory is one byte of that file's *lock space*. A lease is a
//! set of kernel locks: on everything for a whole GPU, on so many bytes for a share of its memory, one
//! after the other or in pieces. The kernel never grants a byte twice, so the shares of all processes
//! never exceed the memory, whatever the processes do; and it drops the locks of a process the moment that
//! ends, however it ends, so nothing is ever stale and there is nothing to clean up. In particular:
//!
//! - killed before the locks were taken: nothing has happened;
//! - killed with some of the pieces of a share: they are free again;
//! - killed between the locks and the holder's name: only the name was missing.
//!
//! Processes that a holder starts do not inherit its leases: their copies of its files are closed when they
//! begin another program. One that is on the way to that moment when its parent is killed puts it off by
//! as much.
//!
//! The contents of the file are names alone, for messages: the holder of a range writes its name into the
//! slot of the range's first byte, which is its own as long as it has the lock. A name is read only when a
//! lock is found, so those of former holders do no harm.
//!
//! The folder may be shared by users: it is made with mode 1777 and its files with 0666, whatever the
//! umask. Who wants it private makes the folder beforehand. It should be on a local file system that is
//! gone after a restart and is not tidied by age (`/dev/shm`, `/run/lock`): a file that is deleted while a
//! lease on it is held is forgotten. (systemd's tidying is kept off by a lock on the folder.)
//!
//! Leases bind those who ask for them. They do not reserve memory in the driver.

mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::os::{EVERYTHING, RangeLocks};
use crate::study::Resources;

/// One byte of lock space: shares are rounded up to it, totals down.
const UNIT: u64 = 1 << 20;
/// Room for a holder's name.
const NAME: usize = 256;
/// Attempts before a GPU counts as busy although no holder could be found: whoever is in the way comes and
/// goes faster than one can look.
const ROUNDS: usize = 16;

/// A GPU that leases are given on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// What CUDA calls it in this process and in those it starts.
    pub index: u32,
    /// What all processes of the machine call it; see [`visible_gpus`](super::visible_gpus).
    pub id: String,
    /// Its memory in bytes, if known. If not, every lease is for the whole GPU.
    pub memory: Option<u64>,
}

impl Gpu {
    /// A GPU of which no more than its number is known.
    pub fn numbered(index: u32) -> Self {
        Self { index, id: index.to_string(), memory: None }
    }
}

/// What is wanted of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// All of it, alone.
    Whole,
    /// So many bytes of its memory, beside others. As much as there is, or more, is the whole GPU.
    Share(u64),
}

impl Want {
    /// A share if the stage says how much GPU memory it needs.
    pub fn of(resources: &Resources) -> Self {
        resources.gpu_memory.map_or(Self::Whole, Self::Share)
    }
}

/// The GPUs of a machine and the folder in which leases on them are kept.
#[derive(Debug)]
pub struct Leases {
    dir: PathBuf,
    gpus: Vec<Gpu>,
    host: String,
    /// The folder, locked so that systemd-tmpfiles passes over it.
    kept: Arc<File>,
}

impl Leases {
    /// Uses the folder `dir`, which is made if need be; `host` is told to those who wait.
    pub fn open(dir: &Path, gpus: Vec<Gpu>, host: &str) -> io::Result<Self> {
        let kept = Arc::new(files::folder(dir)?);
        Ok(Self { dir: dir.to_owned(), gpus, host: host.to_owned(), kept })
    }

    /// Takes what is wanted on the GPU of that index, or on the first that has it, or says who is in the
    /// way. Never waits. `task` is told to those who do.
    pub fn try_take(&self, index: Option<u32>, want: Want, task: &str) -> io::Result<Result<Lease, Busy>> {
        let mut busy = Busy { holders: Vec::new() };
        let mut asked =
            self.gpus.iter().filter(|gpu| index.is_none_or(|index| gpu.index == index)).peekable();
        if asked.peek().is_none() {
            let what = index.map_or_else(|| "no GPU".to_owned(), |index| format!("no GPU {index}"));
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is {what} to lease")));
        }
        for gpu in asked {
            match self.take(gpu, want, task)? {
                Ok(lease) => return Ok(Ok(lease)),
                Err(names) => {
                    busy.holders.extend(names.into_iter().map(|name| Holder { gpu: gpu.index, name }));
                }
            }
        }
        Ok(Err(busy))
    }

    /// One GPU; names of holders if it is busy.
    fn take(&self, gpu: &Gpu, want: Want, task: &str) -> io::Result<Result<Lease, BTreeSet<String>>> {
        let path = self.dir.join(files::name(&gpu.id));
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let total = gpu.memory.map(|bytes| bytes / UNIT);
        let share = match (want, total) {
            (Want::Share(bytes), Some(total)) => Some(bytes.div_ceil(UNIT).max(1)).filter(|n| *n < total),
            _ => None,
        };
        for _ in 0..ROUNDS {
            let held = RangeLocks::new(files::open(&path).map_err(told)?);
            let survey = match share {
                Some(_) => held.survey(0..total.unwrap_or(0)),
                None => held.survey(EVERYTHING),
            };
            let survey = survey.map_err(told)?;
            let Some(pieces) = pieces(&survey.free, share) else {
                return Ok(Err(survey.taken.iter().map(|start| name_at(held.file(), *start)).collect()));
            };
            if !held.lock(&pieces).map_err(told)? || !files::is_still(held.file(), &path) {
                continue;
            }
            let bytes = share.map(|units| units * UNIT);
            // The lease is the lock; without a name it is as good, should the disk be full.
            let name = self.name(task, bytes);
            let _ = pieces.iter().try_for_each(|piece| write_name(held.file(), piece.start, &name));
            let (index, id) = (gpu.index, gpu.id.clone());
            return Ok(Ok(Lease { index, id, bytes, _held: held, _kept: Arc::clone(&self.kept) }));
        }
        Ok(Err(BTreeSet::from(["processes that come and go".to_owned()])))
    }

    fn name(&self, task: &str, bytes: Option<u64>) -> String {
        let share = bytes.map_or_else(String::new, |bytes| format!(" ({} MiB)", bytes / UNIT));
        format!("process {} on {}, task {task}{share}", std::process::id(), self.host)
    }
}

/// What to lock, given what is free: everything (`None`) or so many units, from the lowest on. `None` if
/// there is not enough.
fn pieces(free: &[Range<u64>], share: Option<u64>) -> Option<Vec<Range<u64>>> {
    let Some(mut missing) = share else {
        return (free == [EVERYTHING]).then(|| vec![EVERYTHING]);
    };
    let mut pieces = Vec::new();
    for range in free {
        let length = missing.min(range.end - range.start);
        if length > 0 {
            pieces.push(range.start..range.start + length);
            missing -= length;
        }
    }
    (missing == 0).then_some(pieces)
}

fn write_name(file: &File, start: u64, name: &str) -> io::Result<()> {
    let mut slot = [0; NAME];
    // A byte remains 0 as the end.
    let name = &name[..name.floor_char_boundary(NAME - 1)];
    slot[..name.len()].copy_from_slice(name.as_bytes());
    file.write_all_at(&slot, start.saturating_mul(NAME as u64))
}

/// The name of whoever has locked the range that begins at `start`.
fn name_at(file: &File, start: u64) -> String {
    let mut slot = [0; NAME];
    let read = file.read_at(&mut slot, start.saturating_mul(NAME as u64)).unwrap_or(0);
    let name = slot[..read].split(|byte| *byte == 0).next().unwrap_or_default();
    // Written by another user, perhaps: it must not be able to steer a terminal.
    let name: String = String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "another process".to_owned() } else { name }
}

/// A GPU, or a share of its memory, until dropped.
#[derive(Debug)]
#[must_use = "a lease ends when it is dropped"]
pub struct Lease {
    index: u32,
    id: String,
    bytes: Option<u64>,
    _held: RangeLocks,
    _kept: Arc<File>,
}

impl Lease {
    /// What CUDA calls the GPU.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What all processes of the machine call it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes of its memory; `None` for a whole GPU.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

/// Nothing could be had now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Busy {
    /// Who is in the way.
    pub holders: Vec<Holder>,
}

/// Who has a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Index of the GPU.
    pub gpu: u32,
    /// `process 123 on host, task X`, with its share if it has one.
    pub name: String,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, holder) in self.holders.iter().enumerate() {
            let before = if i == 0 { "" } else { "; " };
            write!(f, "{before}GPU {} is held by {}", holder.gpu, holder.name)?;
        }
        Ok(())
    }
}
