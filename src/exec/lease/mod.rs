//! GPUs shared by all phasegraph processes of a machine, whole or by their memory.
//!
//! Every GPU has a file, and every MiB of its memory is one byte of that file's *lock space*. A lease is a
//! set of kernel locks: on all of it for a whole GPU, on so many bytes for a share of its memory, one
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
//! Who has to wait stands in line ([`Place`]): nobody who comes later is served before, whether it wants more
//! or less, of this process or of another.
//!
//! Leases bind those who ask for them. They do not reserve memory in the driver.

mod files;
mod line;
#[cfg(test)]
mod tests;
mod wish;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::os::RangeLocks;

pub use line::Place;
pub use wish::{Busy, Holder, Want, Wish};

/// One byte of lock space: shares are rounded up to it, totals down.
const UNIT: u64 = 1 << 20;
/// The lock space of a GPU's memory, whether that is known or not; places in line come behind it.
const SPACE: Range<u64> = 0..1 << 30;
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

/// The GPUs of a machine and the folder in which leases on them are kept.
#[derive(Debug)]
pub struct Leases {
    dir: PathBuf,
    gpus: Vec<Gpu>,
    host: String,
    /// The folder, locked so that systemd-tmpfiles passes over it.
    kept: Arc<File>,
}

/// What could be locked of a GPU when it was looked at.
struct Offer<'a> {
    gpu: &'a Gpu,
    path: PathBuf,
    bytes: Option<u64>,
    pieces: Vec<Range<u64>>,
    locks: RangeLocks,
}

impl Leases {
    /// Uses the folder `dir`, which is made if need be; `host` is told to those who wait. A GPU that is named
    /// twice is there once.
    pub fn open(dir: &Path, mut gpus: Vec<Gpu>, host: &str) -> io::Result<Self> {
        let kept = Arc::new(files::folder(dir)?);
        let mut seen = BTreeSet::new();
        gpus.retain(|gpu| seen.insert(files::name(&gpu.id)));
        Ok(Self { dir: dir.to_owned(), gpus, host: host.to_owned(), kept })
    }

    /// Takes what is wanted, on the first GPUs that have it, all or nothing, or says who is in the way: who
    /// has a lease there, and who stands in line before `place`, or at all. Never waits. `task` is told to
    /// those who do.
    pub fn try_take(&self, wish: Wish, place: Option<&Place>, task: &str) -> io::Result<Result<Lease, Busy>> {
        let count = wish.count();
        if count > self.gpus.len() {
            let there = match self.gpus.len() {
                0 => "there is no GPU to lease".to_owned(),
                one_or_more => format!("it asks for {count} GPUs at a time, and there are {one_or_more}"),
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, there));
        }
        for _ in 0..ROUNDS {
            let mut offers = Vec::new();
            let mut busy = Busy { holders: Vec::new() };
            for gpu in &self.gpus {
                match self.look(gpu, wish.each, place)? {
                    Ok(offer) => offers.push(offer),
                    Err(holders) => busy.holders.extend(holders),
                }
                if offers.len() == count {
                    break;
                }
            }
            if offers.len() < count {
                return Ok(Err(busy));
            }
            if let Some(lease) = self.take(offers, task)? {
                return Ok(Ok(lease));
            }
        }
        let name = "processes that come and go".to_owned();
        let gpu = self.gpus.first().map_or(0, |gpu| gpu.index);
        Ok(Err(Busy { holders: vec![Holder { gpu, name, waits: false }] }))
    }

    /// Looks at one GPU: what can be locked there, or who is in the way.
    fn look<'a>(
        &self,
        gpu: &'a Gpu,
        want: Want,
        place: Option<&Place>,
    ) -> io::Result<Result<Offer<'a>, Vec<Holder>>> {
        let name = files::name(&gpu.id);
        let path = self.dir.join(&name);
        let total = gpu.memory.map(|bytes| bytes / UNIT);
        let share = match (want, total) {
            (Want::Share(bytes), Some(total)) => Some(bytes.div_ceil(UNIT).max(1)).filter(|n| *n < total),
            _ => None,
        };
        let look = || {
            let locks = RangeLocks::new(files::open(&path)?);
            let ahead = line::ahead(&locks, place.and_then(|place| place.number(&name)))?;
            // Its own place is before whoever has none.
            let survey = locks.survey(if share.is_some() { 0..total.unwrap_or(0) } else { SPACE })?;
            Ok((locks, ahead, survey))
        };
        let (locks, ahead, survey) = look().map_err(|error| told(&path, error))?;
        let pieces = pieces(&survey.free, share).filter(|_| ahead.is_empty());
        let Some(pieces) = pieces else {
            let names = |starts: &[u64]| starts.iter().map(|at| name_at(locks.file(), *at)).collect();
            let (held, before): (BTreeSet<_>, BTreeSet<_>) = (names(&survey.taken), names(&ahead));
            let holder = |waits| move |name| Holder { gpu: gpu.index, name, waits };
            return Ok(Err(held
                .into_iter()
                .map(holder(false))
                .chain(before.into_iter().map(holder(true)))
                .collect()));
        };
        Ok(Ok(Offer { gpu, path, bytes: share.map(|units| units * UNIT), pieces, locks }))
    }

    /// Locks all that was offered, or nothing if another was faster.
    fn take(&self, offers: Vec<Offer<'_>>, task: &str) -> io::Result<Option<Lease>> {
        for Offer { path, pieces, locks, .. } in &offers {
            let locked = locks.lock(pieces).map_err(|error| told(path, error))?;
            if !locked || !files::is_still(locks.file(), path) {
                return Ok(None);
            }
        }
        let part = |offer: Offer<'_>| {
            let Offer { gpu, bytes, pieces, locks, .. } = offer;
            // The lease is the lock; without a name it is as good, should the disk be full.
            let name = self.name(task, bytes);
            let _ = pieces.iter().try_for_each(|piece| write_name(locks.file(), piece.start, &name));
            Part { index: gpu.index, id: gpu.id.clone(), bytes, _locks: locks }
        };
        let parts = offers.into_iter().map(part).collect();
        Ok(Some(Lease { parts, _kept: Arc::clone(&self.kept) }))
    }

    fn name(&self, task: &str, bytes: Option<u64>) -> String {
        let share = bytes.map_or_else(String::new, |bytes| format!(" ({} MiB)", bytes / UNIT));
        format!("process {} on {}, task {task}{share}", std::process::id(), self.host)
    }
}

fn told(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What to lock, given what is free: all there is (`None`) or so many units, from the lowest on. `None` if
/// there is not enough.
fn pieces(free: &[Range<u64>], share: Option<u64>) -> Option<Vec<Range<u64>>> {
    let Some(mut missing) = share else {
        return (free == [SPACE]).then(|| vec![SPACE]);
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

/// GPUs, or shares of their memory, until dropped.
#[derive(Debug)]
#[must_use = "a lease ends when it is dropped"]
pub struct Lease {
    /// One for each GPU, at least one.
    parts: Vec<Part>,
    _kept: Arc<File>,
}

/// What is leased of one GPU.
#[derive(Debug)]
struct Part {
    index: u32,
    id: String,
    bytes: Option<u64>,
    _locks: RangeLocks,
}

impl fmt::Display for Lease {
    /// `cuda:0`, `cuda:0,2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "cuda:";
        for index in self.indices() {
            write!(f, "{before}{index}")?;
            before = ",";
        }
        Ok(())
    }
}

impl Lease {
    /// What CUDA calls the GPUs.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().map(|part| part.index)
    }

    /// What all processes of the machine call them.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| &*part.id)
    }

    /// Bytes of the memory of each; `None` for whole GPUs.
    pub fn bytes(&self) -> Option<u64> {
        self.parts.first().and_then(|part| part.bytes)
    }
}
