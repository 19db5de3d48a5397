//! The state of a stage that works in epochs, saved now and then, so that a later attempt goes on from there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Context;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::Arrays;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};

/// Times as long as the last saving took goes by before the next: what is saved may be large and the disk slow,
/// and both together cost 2 % of the time at most.
const PAUSE: u32 = 50;

/// Bounds of that pause.
const BOUNDS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(120)];

/// Name of the file in the staging folder.
const FILE: &str = "checkpoint.npz";

/// Key that tells what a file belongs to.
const ORIGIN: &str = "origin";

/// The file, written atomically and durably.
pub(super) struct Checkpoint {
    path: PathBuf,
    origin: String,
    saved: Instant,
    pause: Duration,
}

impl Checkpoint {
    /// That of this job. `origin` tells all that the state depends on; another's is not used.
    pub fn new(cx: &Context<'_>, origin: String) -> Self {
        let path = cx.job().staging.join(FILE);
        crate::io::atomic::clear_unfinished(&path);
        Self { path, origin, saved: Instant::now(), pause: BOUNDS[0] }
    }

    /// What an earlier attempt left, if it did and it is whole and of the same origin. A file that cannot be
    /// read costs the work and nothing else.
    pub fn load<T>(&self, read: impl FnOnce(&mut NpzReader) -> Result<T, NpzError>) -> Option<T> {
        let mut npz = NpzReader::open(&self.path).ok()?;
        let ours = npz.text(ORIGIN).ok().flatten().is_some_and(|origin| origin == self.origin);
        if ours { read(&mut npz).ok() } else { None }
    }

    /// After an epoch: saves if it is time, or if the stage is asked to end, which then ends it.
    pub fn after_epoch(
        &mut self,
        cx: &Context<'_>,
        epoch: u32,
        write: impl FnOnce(&mut NpzWriter) -> Result<(), NpzError>,
    ) -> StageResult {
        self.offer(cx, || format!("epoch {epoch}"), write)
    }

    /// The same after any step; `done` tells what is done.
    pub fn offer(
        &mut self,
        cx: &Context<'_>,
        done: impl FnOnce() -> String,
        write: impl FnOnce(&mut NpzWriter) -> Result<(), NpzError>,
    ) -> StageResult {
        let ends = cx.is_stopping();
        if ends || self.saved.elapsed() >= self.pause {
            let start = Instant::now();
            let mut npz = NpzWriter::create(&self.path)?;
            npz.text(ORIGIN, &self.origin)?;
            write(&mut npz)?;
            npz.finish()?;
            self.saved = Instant::now();
            self.pause = (start.elapsed() * PAUSE).clamp(BOUNDS[0], BOUNDS[1]);
        }
        match ends {
            false => Ok(()),
            true => Err(StageError::new(
                FailureClass::Signal,
                format!("asked to end after {}, whose state is kept", done()),
            )),
        }
    }

    /// Removes the file; the outputs are there.
    pub fn remove(self) -> StageResult {
        match crate::io::disk::remove_file(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }
}
