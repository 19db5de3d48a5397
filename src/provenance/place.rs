//! From a path that someone typed to the task that made it.

use std::path::{Path, PathBuf};

use crate::cache::{History, Layout, provenance, task_of_folder};
use crate::kind::PROVENANCE;

/// A result, or the folder of a task's results.
#[derive(Debug, Clone)]
pub struct Place {
    /// The paths of its study.
    pub layout: Layout,
    /// The task's folder.
    pub folder: PathBuf,
    /// The task's folder below `results/<study>`.
    pub below: PathBuf,
    /// The file below that, unless the folder itself was meant.
    pub file: Option<PathBuf>,
}

/// A path that is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It lies elsewhere.
    #[error(
        "{path} is no result: expected a path below DIR/results/<study>/<stage>/, where DIR also has `store`"
    )]
    Elsewhere {
        /// What was asked for.
        path: PathBuf,
    },
    /// No task has made anything there.
    #[error(
        "no task has left a record in {folder} or above it: expected `provenance.json` beside the results"
    )]
    NoRecord {
        /// Where it was looked for.
        folder: PathBuf,
    },
}

impl Place {
    /// Finds the task's folder. `root` is the folder with the store, which is found by walking up where it
    /// is not given. The file itself may be gone.
    pub fn find(path: &Path, root: Option<&Path>) -> Result<Self, PlaceError> {
        let root = root.map(plain);
        let elsewhere = || PlaceError::Elsewhere { path: path.to_owned() };
        let absolute = std::path::absolute(path).map_err(|_| elsewhere())?;
        // As it was typed, which may lead through a link on purpose; else where it really is.
        let (layout, below) = Layout::of_result(&absolute, root.as_deref())
            .or_else(|| Layout::of_result(&resolved(&absolute), root.as_deref().map(resolved).as_deref()))
            .ok_or_else(elsewhere)?;
        let Some(made) = made(&layout, &below) else {
            return Err(PlaceError::NoRecord { folder: layout.results().join(&below) });
        };
        let file = below.strip_prefix(&made).ok().filter(|f| !f.as_os_str().is_empty());
        // Asked about the record: about all that it is the record of.
        let file = file.filter(|f| *f != Path::new(PROVENANCE)).map(Path::to_owned);
        Ok(Self { folder: layout.results().join(&made), file, below: made, layout })
    }
}

/// The task's folder above a result: the one with a record in it, or, where somebody has deleted that, one
/// whose task the study's history knows. An output may lie in folders of its own below the task's.
fn made(layout: &Layout, below: &Path) -> Option<PathBuf> {
    let above: Vec<&Path> = below.ancestors().filter(|a| !a.as_os_str().is_empty()).collect();
    if let Some(made) = above.iter().find(|a| provenance(&layout.results().join(a)).exists()) {
        return Some(made.to_path_buf());
    }
    let history = History::load(&layout.history()).ok()?;
    let known = |folder: &Path| task_of_folder(folder).is_some_and(|task| history.last(&task).is_some());
    above.into_iter().find(|folder| known(folder)).map(Path::to_owned)
}

fn plain(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Without links; the last part may be gone.
fn resolved(path: &Path) -> PathBuf {
    let parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(parent).unwrap_or_else(|| path.to_owned())
}
