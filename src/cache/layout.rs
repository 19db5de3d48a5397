//! Where everything lies on disk. No other file joins these paths.

use std::path::{Path, PathBuf};

use crate::io::digest::Digest;
use crate::kind::PROVENANCE;

/// The paths of one study's output folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    study: String,
}

impl Layout {
    /// Paths of `study` under `root` (usually `phasegraph-out` beside the study file).
    pub fn new(root: impl Into<PathBuf>, study: impl Into<String>) -> Self {
        Self { root: root.into(), study: study.into() }
    }

    /// `results/<study>`: what people open.
    pub fn results(&self) -> PathBuf {
        self.root.join("results").join(&self.study)
    }

    /// `store`: shared by all studies under the same root.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// `runs/<study>`.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs").join(&self.study)
    }

    /// The lock that a running process holds.
    pub fn lock(&self) -> PathBuf {
        self.runs().join("lock")
    }

    /// Task → last fingerprint, append-only.
    pub fn history(&self) -> PathBuf {
        self.runs().join("history.jsonl")
    }

    /// Folder in which workers write before publication.
    pub fn staging(&self) -> PathBuf {
        self.runs().join("staging")
    }

    /// Folder of one run.
    pub fn run(&self, run: &str) -> PathBuf {
        self.runs().join(run)
    }

    /// Journal of one run.
    pub fn journal(&self, run: &str) -> PathBuf {
        self.run(run).join("journal.jsonl")
    }

    /// Logs of one run.
    pub fn logs(&self, run: &str) -> PathBuf {
        self.run(run).join("logs")
    }

    /// Log of one attempt at a task.
    pub fn log(&self, run: &str, task: &str, attempt: u32) -> PathBuf {
        let name = file_name(task);
        self.logs(run).join(format!("{name}.{attempt}.log"))
    }

    /// Names of all runs, oldest first (names begin with their time).
    pub fn list_runs(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(self.runs()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.path().join("journal.jsonl").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// A task id as a file name: ids hold no character that a file name may not, but may be too long.
fn file_name(task: &str) -> String {
    if task.len() <= 200 {
        return task.to_owned();
    }
    let head: String = task.chars().take(180).collect();
    format!("{head}~{}", Digest::of(task.as_bytes()).short())
}

/// Path of an object below `store`.
pub(super) fn object(store: &Path, digest: &Digest) -> PathBuf {
    sharded(&store.join("objects"), digest, "")
}

/// Path of a manifest below `store`.
pub(super) fn action(store: &Path, fingerprint: &Digest) -> PathBuf {
    sharded(&store.join("actions"), fingerprint, ".json")
}

/// Version of the store's format.
pub(super) fn format(store: &Path) -> PathBuf {
    store.join("format")
}

/// Stamps of files that were hashed.
pub(super) fn stat(store: &Path) -> PathBuf {
    store.join("stat.jsonl")
}

/// Fingerprint → contents of outputs.
pub(super) fn index(store: &Path) -> PathBuf {
    store.join("index.jsonl")
}

/// Objects found damaged.
pub(super) fn quarantine(store: &Path) -> PathBuf {
    store.join("quarantine")
}

/// The record of how the files in a results folder were made.
pub fn provenance(folder: &Path) -> PathBuf {
    folder.join(PROVENANCE)
}

fn sharded(folder: &Path, digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.to_string();
    folder.join(&hex[..2]).join(format!("{}{suffix}", &hex[2..]))
}
