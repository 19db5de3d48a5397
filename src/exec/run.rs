//! One run of a plan, from taking the lock to the last event.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::dispatcher::Dispatcher;
use super::process::LEASH;
use super::{Capacity, GpuWatch, Handle, Leases, TaskState};
use crate::cache::{Layout, Memory, StoreError, StoreLock, Surroundings};
use crate::diag::StageError;
use crate::events::{Event, Journal, Listener, Outcome, Record, RunView};
use crate::os::{self, FileLock, Refused};
use crate::plan::{Plan, TaskSet};

/// Finds or fetches ONNX Runtime when the first task needs it.
pub type RuntimeProvider = Arc<dyn Fn() -> Result<PathBuf, StageError> + Send + Sync>;

/// How to run.
pub struct Options {
    /// Tasks to look at: targets and all they need.
    pub selected: TaskSet,
    /// Tasks that run whatever the store holds.
    pub forced: TaskSet,
    /// Whether independent tasks go on after a failure.
    pub keep_going: bool,
    /// What may be used at the same time.
    pub capacity: Capacity,
    /// The GPUs that may be used; none if there are none.
    pub leases: Option<Leases>,
    /// How GPUs are looked at.
    pub gpu_watch: GpuWatch,
    /// Command that starts a worker.
    pub worker: Vec<OsString>,
    /// Name of this machine, for the journal and the lock.
    pub host: String,
    /// Values outside the study file that decide results.
    pub around: Surroundings,
    /// Where ONNX Runtime comes from.
    pub runtime: RuntimeProvider,
    /// Time between asking a task to stop and ending it.
    pub grace: Duration,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the run.
    pub run: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// Final state of every task, in plan order; `None` if not selected.
    pub states: Vec<Option<TaskState>>,
    /// Whether a task failed for want of ONNX Runtime.
    pub runtime_missing: bool,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Its events, folded.
    pub view: RunView,
}

/// The lock of a study could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else runs this study.
    #[error("this study is being run by {holder}")]
    Held {
        /// `process 123 on host`, as its lock says.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A run that could not be carried out; a failed task is not one.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Someone else runs the study.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Store, journal or results cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs a plan. `memory` is what is remembered of earlier runs; `started` is given a handle for interrupting
/// the run from another thread.
pub fn run(
    plan: &Plan,
    layout: &Layout,
    options: &Options,
    memory: Memory,
    listener: &mut (dyn Listener + Send),
    started: impl FnOnce(Handle),
) -> Result<Summary, RunError> {
    let runs = layout.runs();
    std::fs::create_dir_all(&runs).map_err(StoreError::io("create", &runs))?;
    let _lock = lock(&layout.lock(), &options.host)?;
    let Memory { store, history, lock } = memory;
    // Held to the end: what this run counts on must not be cleaned away.
    let _shared = lock.map_or_else(|| StoreLock::share(store.root()), Ok)?;
    let clock = SystemTime::now();
    let name = run_name(clock);
    let journal = open_journal(layout, &name)?;
    clear_staging(layout)?;
    let logs = layout.logs(&name);
    std::fs::create_dir_all(&logs).map_err(StoreError::io("create", &logs))?;
    store.prepare()?;

    let mut book = Book { journal, view: RunView::default(), listener, noted: Vec::new() };
    book.write(Event::RunStarted {
        run: name.clone(),
        study: plan.study.clone(),
        tasks: options.selected.len(),
        pid: std::process::id(),
        host: options.host.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    let ended = Dispatcher::new(plan, layout, &name, options, store, history, &mut book)
        .inspect(|dispatcher| started(dispatcher.handle()))
        .and_then(Dispatcher::run);
    let seconds = clock.elapsed().unwrap_or_default().as_secs_f64();
    match ended {
        Ok(end) => {
            book.write(Event::RunFinished { outcome: end.outcome, seconds })?;
            // That nothing happened need not survive a power cut, and waiting for the disk would be most of
            // the time that such a run takes.
            let idle = end.states.iter().flatten().all(|state| *state == TaskState::Cached);
            if idle {
                book.flush()?
            } else {
                book.sync()?
            }
            // Its absence says that nothing was left behind.
            let _ = std::fs::remove_dir_all(layout.staging());
            Ok(Summary { run: name, seconds, view: book.view, ..end })
        }
        Err(error) => {
            // The disk may be what failed, so this is a try.
            let _ = book.write(Event::RunAborted { message: error.to_string(), seconds });
            let _ = book.sync();
            Err(error.into())
        }
    }
}

/// One run at a time per study.
fn lock(path: &Path, host: &str) -> Result<FileLock, LockError> {
    FileLock::own(path, host).map_err(|refused| match refused {
        Refused::Held => {
            let holder = FileLock::owner(path).filter(|name| !name.is_empty());
            LockError::Held { holder: holder.unwrap_or_else(|| "another process".to_owned()) }
        }
        Refused::Io(source) => LockError::Io { path: path.to_owned(), source },
    })
}

/// From so many events on, waking another thread is worth it.
const MANY: usize = 512;

/// Journal and listener: every event goes through here.
pub(super) struct Book<'a> {
    journal: Journal,
    view: RunView,
    listener: &'a mut (dyn Listener + Send),
    /// Events that have happened and were not told yet.
    noted: Vec<Record>,
}

impl Book<'_> {
    /// Keeps an event, then tells it. It reaches the file with the next flush at the latest; a crash before
    /// that costs the line, not what the line is about.
    pub(super) fn write(&mut self, event: Event) -> Result<(), StoreError> {
        self.note(event);
        self.settle()
    }

    /// Takes note of an event, of which there are thousands at once: kept and told before the next one that
    /// is written, or when there is time.
    pub(super) fn note(&mut self, event: Event) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.noted.push(Record { time, event });
    }

    /// Whether something was noted.
    pub(super) fn has_noted(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Keeps and tells what was noted.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut self.noted);
        let Self { journal, view, listener, .. } = self;
        let mut keep = || noted.iter().try_for_each(|record| journal.append(record));
        let mut tell = || {
            for record in &noted {
                view.apply(record);
                listener.hear(record, view);
            }
        };
        // The file need not wait for the listener, nor the other way round.
        let kept = match noted.len() {
            0..MANY => {
                let kept = keep();
                tell();
                kept
            }
            _ => rayon::join(keep, tell).0,
        };
        kept.map_err(|e| StoreError::io("write", self.journal.path())(e))
    }

    /// Writes what was kept to the file.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        self.journal.flush().map_err(|e| StoreError::io("write", self.journal.path())(e))
    }

    /// Makes what was kept durable.
    fn sync(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        self.journal.sync().map_err(|e| StoreError::io("make durable", self.journal.path())(e))
    }
}

/// Removes what a run that died left behind: this is under its lock, so it is no longer there to do so.
fn clear_staging(layout: &Layout) -> Result<(), StoreError> {
    let staging = layout.staging();
    if !staging.exists() {
        return Ok(());
    }
    os::end_marked(LEASH, layout.runs().as_os_str());
    std::fs::remove_dir_all(&staging).map_err(StoreError::io("clear", &staging))
}

/// Names sort by time: `20261123-141702.123`.
fn run_name(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let stamp = jiff::Timestamp::from_second(since.as_secs() as i64).unwrap_or_default();
    format!("{}.{:03}", stamp.strftime("%Y%m%d-%H%M%S"), since.subsec_millis())
}

fn open_journal(layout: &Layout, name: &str) -> Result<Journal, StoreError> {
    let folder = layout.run(name);
    std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let path = layout.journal(name);
    Journal::create(&path).map_err(StoreError::io("create", &path))
}
