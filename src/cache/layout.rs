//! Where everything lies on disk. No other file joins these paths.

use std::path::{Path, PathBuf};

use crate::io::digest::Digest;
use crate::kind::PROVENANCE;

/// What people open.
const RESULTS: &str = "results";
/// What is sent to others.
const REPORTS: &str = "reports";
/// Journals, logs and histories.
const RUNS: &str = "runs";
/// What results link to.
const STORE: &str = "store";

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

    /// The layout that a file or folder below `results/<study>` belongs to, and its path below that. Without
    /// `root`, the folder is found by walking up.
    pub fn of_result(path: &Path, root: Option<&Path>) -> Option<(Self, PathBuf)> {
        let within = |root: &Path| {
            let mut rest = path.strip_prefix(root.join(RESULTS)).ok()?.components();
            let study = rest.next()?.as_os_str().to_str()?.to_owned();
            let below = rest.as_path();
            (!below.as_os_str().is_empty()).then(|| (Self::new(root, study), below.to_owned()))
        };
        match root {
            Some(root) => within(root),
            // A stage may be called `store`, so that `results` must be there, too.
            None => path.ancestors().skip(1).filter(|a| a.join(STORE).is_dir()).find_map(within),
        }
    }

    /// Layouts of all studies that were run in a folder, by name.
    pub fn all(root: &Path) -> std::io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(root.join(RUNS)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.path().is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names.into_iter().map(|name| Self::new(root, name)).collect())
    }

    /// The folder of everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Name of the study.
    pub fn study(&self) -> &str {
        &self.study
    }

    /// `results/<study>`: what people open.
    pub fn results(&self) -> PathBuf {
        self.root.join(RESULTS).join(&self.study)
    }

    /// `reports/<study>`: pages about its results.
    pub fn report(&self) -> PathBuf {
        self.root.join(REPORTS).join(&self.study)
    }

    /// `store`: shared by all studies under the same root.
    pub fn store(&self) -> PathBuf {
        Self::store_in(&self.root)
    }

    /// The store of all studies in a folder.
    pub fn store_in(root: &Path) -> PathBuf {
        root.join(STORE)
    }

    /// `runs/<study>`.
    pub fn runs(&self) -> PathBuf {
        self.root.join(RUNS).join(&self.study)
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

    /// Where stages that resume leave checkpoints: a folder for each task, in it one for each fingerprint.
    pub fn checkpoints(&self) -> PathBuf {
        self.runs().join("checkpoints")
    }

    /// The checkpoints of a task, whatever its fingerprint was.
    pub fn checkpoints_of(&self, task: &str) -> PathBuf {
        self.checkpoints().join(file_name(task))
    }

    /// What was learnt for later tasks, append-only.
    pub fn facts(&self) -> PathBuf {
        self.runs().join("facts.jsonl")
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
    sharded(&objects(store), digest, "")
}

/// Folder of all objects.
pub(super) fn objects(store: &Path) -> PathBuf {
    store.join("objects")
}

/// Ends the names of manifests.
pub(super) const ACTION: &str = ".json";

/// Folder of all manifests.
pub(super) fn actions(store: &Path) -> PathBuf {
    store.join("actions")
}

/// Path of a manifest below `store`.
pub(super) fn action(store: &Path, fingerprint: &Digest) -> PathBuf {
    sharded(&actions(store), fingerprint, ACTION)
}

/// Version of the store's format.
pub(super) fn format(store: &Path) -> PathBuf {
    store.join("format")
}

/// The lock of everyone who counts on the store.
pub(super) fn store_lock(store: &Path) -> PathBuf {
    store.join("lock")
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

/// Folder of a task below `results/<study>`, from its id: a stage, then a point.
pub fn task_folder(task: &str) -> PathBuf {
    let (stage, point) = task.split_once('@').unwrap_or((task, ""));
    Path::new(stage).join(point)
}

/// The task whose folder that is.
pub fn task_of_folder(folder: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = folder.iter().map(|part| part.to_str()).collect();
    match parts?.as_slice() {
        [stage] => Some((*stage).to_owned()),
        [stage, point] => Some(format!("{stage}@{point}")),
        _ => None,
    }
}

/// The record of how the files in a results folder were made.
pub fn provenance(folder: &Path) -> PathBuf {
    folder.join(PROVENANCE)
}

fn sharded(folder: &Path, digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.to_string();
    folder.join(&hex[..2]).join(format!("{}{suffix}", &hex[2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_tells_its_layout() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("out");
        // A stage called `store` must not be taken for the store.
        let result = root.join("results/s/store/n=1/a.txt");
        std::fs::create_dir_all(result.parent().unwrap()).unwrap();
        std::fs::create_dir_all(root.join("store")).unwrap();
        let (layout, below) = Layout::of_result(&result, None).unwrap();
        assert_eq!((layout.root(), layout.study()), (&*root, "s"));
        assert_eq!(below, Path::new("store/n=1/a.txt"));
        assert_eq!(Layout::of_result(&result, Some(&root)).unwrap().1, below);
        assert!(Layout::of_result(&root.join("results/s"), None).is_none(), "no task");
        assert!(Layout::of_result(&root.join("runs/s/x"), None).is_none());
        assert!(Layout::of_result(&result, Some(dir.path())).is_none());
    }

    #[test]
    fn folders_and_ids_of_tasks_are_each_others() {
        for (task, folder) in [("sum", "sum"), ("double@n=1,m=a", "double/n=1,m=a")] {
            assert_eq!(task_folder(task), Path::new(folder).join(""));
            assert_eq!(task_of_folder(Path::new(folder)).as_deref(), Some(task));
        }
    }
}
