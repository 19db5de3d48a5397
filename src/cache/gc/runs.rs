//! Folders of old runs, and what runs that died have left behind.

use std::path::Path;

use super::super::{Layout, StoreError};
use super::Going;

/// Runs beyond the newest `keep`.
pub(super) fn old(study: &Layout, keep: Option<usize>) -> Result<Vec<Going>, StoreError> {
    let Some(keep) = keep else { return Ok(Vec::new()) };
    let runs = study.list_runs().map_err(StoreError::io("read", &study.runs()))?;
    let old = runs.len().saturating_sub(keep);
    runs[..old].iter().map(|run| folder(&study.run(run), format!("run of study {}", study.study()))).collect()
}

/// Staging of runs that died, and folders of runs whose journal is gone, as a cleaning that was cut short
/// leaves them. Only to be asked about a study that is not being run.
pub(super) fn left_behind(study: &Layout) -> Result<Vec<Going>, StoreError> {
    let mut found = Vec::new();
    // The folder itself stays: it tells the next run to look for processes that outlived their run.
    for entry in entries(&study.staging())? {
        found.push(folder(&entry, format!("staging of study {}", study.study()))?);
    }
    for entry in entries(&study.runs())? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_run = entry.is_dir() && is_run_name(&name) && !study.journal(&name).is_file();
        if is_run {
            found.push(folder(&entry, format!("run of study {} without a journal", study.study()))?);
        }
    }
    Ok(found)
}

/// `20261123-141702.123`, as `exec` names runs.
fn is_run_name(name: &str) -> bool {
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape.starts_with("00000000-000000.000")
}

fn folder(path: &Path, what: String) -> Result<Going, StoreError> {
    Ok(Going { bytes: size(path)?, path: path.to_owned(), shown: false, what })
}

/// Size of a file, or of all files below a folder.
fn size(path: &Path) -> Result<u64, StoreError> {
    let meta = path.symlink_metadata().map_err(StoreError::io("read", path))?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    entries(path)?.iter().map(|entry| size(entry)).sum()
}

/// What is in a folder, by name; nothing if there is no folder.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StoreError::io("read", folder))?,
    };
    let paths = entries.map(|entry| entry.map(|e| e.path()).map_err(StoreError::io("read", folder)));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
