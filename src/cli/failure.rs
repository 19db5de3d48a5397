//! What ends a command early, and the exit code it ends with.

use std::io;
use std::path::PathBuf;

use phasegraph::cache::StoreError;
use phasegraph::diag::{StageError, exit};
use phasegraph::dossier::{GatherError, RunError};
use phasegraph::events::JournalError;
use phasegraph::exec::{self, LockError};
use phasegraph::plan::SelectError;
use phasegraph::provenance::{CrateError, PlaceError, WalkError};
use phasegraph::report::HtmlError;
use phasegraph::study::LoadError;

/// A command that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The study file.
    #[error(transparent)]
    Study(#[from] LoadError),
    /// Problems found after loading.
    #[error(transparent)]
    Plan(#[from] phasegraph::diag::Problems),
    /// `--select` and its like.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A task name.
    #[error("{message}")]
    NoSuchTask {
        /// What is wrong, with the nearest name.
        message: String,
    },
    /// Store, results.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// ONNX Runtime.
    #[error("{}", .0.message)]
    Runtime(StageError),
    /// Files of the output folder.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder that was asked for.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to report.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// A report.
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// The name of a run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Nothing was run yet.
    #[error("study `{study}` has not been run yet in {folder}")]
    NeverRun {
        /// The study.
        study: String,
        /// Its output folder.
        folder: PathBuf,
    },
    /// No folder to work on.
    #[error("there is no store in {looked}: expected a folder with `store` in it")]
    NoStore {
        /// Where it was looked for.
        looked: String,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// A result without a record.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// An RO-Crate.
    #[error(transparent)]
    Crate(#[from] CrateError),
    /// Something is not what was made.
    #[error("{}", .what.join("\nerror: "))]
    Damage {
        /// What, a line each.
        what: Vec<String>,
        /// What to do.
        hint: &'static str,
    },
    /// Standard output is gone: whoever read it has seen enough.
    #[error("{0}")]
    Output(io::Error),
}

impl Failure {
    /// Prints the failure and returns its exit code.
    pub fn tell(&self) -> u8 {
        match self {
            Failure::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => return exit::OK,
            // Problems carry their own "error:" on each line.
            Failure::Study(LoadError::Invalid(problems)) | Failure::Plan(problems) => eprintln!("{problems}"),
            other => eprintln!("error: {other}"),
        }
        if let Some(hint) = self.hint() {
            eprintln!("  hint: {hint}");
        }
        self.code()
    }

    fn hint(&self) -> Option<String> {
        match self {
            Failure::Runtime(error) => error.hint.clone(),
            Failure::Store(StoreError::Busy { .. }) => {
                Some("wait for it: the store is cleaned only when nobody counts on it".to_owned())
            }
            Failure::Lock(LockError::Held { .. }) => {
                Some("wait for it, or stop it; `phasegraph status` shows how far it is".to_owned())
            }
            Failure::Walk(WalkError::Damaged { .. }) => {
                Some("`phasegraph run` makes the record again, if it has to run the task".to_owned())
            }
            Failure::Walk(WalkError::Place(PlaceError::Elsewhere { .. })) => {
                Some("say with --dir where results and store are".to_owned())
            }
            Failure::NoStore { .. } => Some("say with --dir where results and store are".to_owned()),
            Failure::Damage { hint, .. } => Some((*hint).to_owned()),
            Failure::NeverRun { .. } | Failure::Gather(GatherError::NeverRun { .. }) => {
                Some("start it with `phasegraph run`".to_owned())
            }
            _ => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Study(_) | Failure::Plan(_) => exit::INVALID_STUDY,
            Failure::Select(_) | Failure::NoSuchTask { .. } => exit::NOTHING_SELECTED,
            Failure::Walk(WalkError::Place(_) | WalkError::NotAnOutput { .. }) => exit::NOTHING_SELECTED,
            Failure::Gather(GatherError::NoAxis { .. }) | Failure::Html(HtmlError::NoModel { .. }) => {
                exit::NOTHING_SELECTED
            }
            Failure::Run(RunError::NoRun { .. } | RunError::Ambiguous { .. }) => exit::NOTHING_SELECTED,
            Failure::Run(RunError::Read { .. })
            | Failure::Write { .. }
            | Failure::Gather(_)
            | Failure::Html(_) => exit::STORAGE,
            Failure::Usage(_) => exit::USAGE,
            Failure::Damage { .. }
            | Failure::Walk(WalkError::Damaged { .. })
            | Failure::Crate(CrateError::NotAsRecorded { .. }) => exit::DAMAGED,
            Failure::Walk(WalkError::Store(_)) | Failure::Crate(_) | Failure::NoStore { .. } => exit::STORAGE,
            Failure::Store(StoreError::Busy { .. }) => exit::LOCKED,
            Failure::Store(_) | Failure::Journal(_) | Failure::Read { .. } | Failure::NeverRun { .. } => {
                exit::STORAGE
            }
            Failure::Lock(LockError::Held { .. }) => exit::LOCKED,
            Failure::Lock(LockError::Io { .. }) | Failure::Output(_) => exit::STORAGE,
            Failure::Runtime(_) => exit::RUNTIME,
        }
    }
}

impl From<exec::RunError> for Failure {
    fn from(error: exec::RunError) -> Self {
        match error {
            exec::RunError::Lock(e) => e.into(),
            exec::RunError::Store(e) => e.into(),
        }
    }
}
