//! Where a run is kept.

use std::path::{Path, PathBuf};

use crate::cache::Layout;
use crate::diag::nearest;

/// A run of a study.
#[derive(Debug, Clone)]
pub struct RunPlace {
    /// The paths of its study.
    pub layout: Layout,
    /// Its name.
    pub run: String,
}

/// No such run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The path leads to no journal.
    #[error(
        "{path} is no run: expected DIR/runs/<study>/<run>, or the name of a run of a study in {root}{hint}"
    )]
    NoRun {
        /// What was asked for.
        path: String,
        /// Where names were looked up.
        root: String,
        /// The nearest name.
        hint: String,
    },
    /// Two studies have a run of that name.
    #[error("`{run}` is a run of {studies}: say which with STUDY/RUN")]
    Ambiguous {
        /// The name.
        run: String,
        /// The studies.
        studies: String,
    },
    /// The folder of all runs.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl RunPlace {
    /// The run that someone named: its folder, its journal, `RUN` or `STUDY/RUN` of the studies in `root`, or
    /// `STUDY` for the last run of a study.
    pub fn find(named: &str, root: Option<&Path>) -> Result<Self, RunError> {
        if let Some(place) = Self::at(Path::new(named)) {
            return Ok(place);
        }
        let Some(root) = root else { return Err(Self::none(named, "no folder", &[])) };
        let read = |source| RunError::Read { path: root.to_owned(), source };
        let mut all = Vec::new();
        for layout in Layout::all(root).map_err(read)? {
            let runs = layout.list_runs().map_err(read)?;
            if layout.study() == named
                && let Some(run) = runs.last()
            {
                return Ok(Self { run: run.clone(), layout });
            }
            all.extend(runs.into_iter().map(|run| Self { layout: layout.clone(), run }));
        }
        let full = |place: &Self| format!("{}/{}", place.layout.study(), place.run);
        let mut matching = all.iter().filter(|place| place.run == named || full(place) == named);
        match (matching.next(), matching.next()) {
            (Some(place), None) => Ok(place.clone()),
            (Some(a), Some(b)) => {
                let studies = format!("`{}` and of `{}`", a.layout.study(), b.layout.study());
                Err(RunError::Ambiguous { run: named.to_owned(), studies })
            }
            _ => Err(Self::none(named, &root.display().to_string(), &all)),
        }
    }

    /// The run whose folder or journal that is.
    fn at(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let folder = if path.is_file() { path.parent()?.to_owned() } else { path };
        if !folder.join("journal.jsonl").is_file() {
            return None;
        }
        let mut above = folder.ancestors();
        let text = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
        let (run, study) = (text(above.next()?)?, text(above.next()?)?);
        let root = above.nth(1)?;
        let layout = Layout::new(root, study);
        (layout.run(&run) == folder).then_some(Self { layout, run })
    }

    fn none(named: &str, root: &str, all: &[Self]) -> RunError {
        let hint = nearest(named, all.iter().map(|place| place.run.as_str()));
        let hint = hint.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        RunError::NoRun { path: named.to_owned(), root: root.to_owned(), hint }
    }
}
