//! Gathers a dossier.

use std::io;
use std::path::{Path, PathBuf};

use super::model::{AxisFacts, Dossier, RunFacts, StudyFacts, TaskState, Timeline};
use super::past::Past;
use super::records::Records;
use super::{curves, pictures, roles, scans, scores, tasks, timeline, trust};
use crate::cache::{Layout, StoreError};
use crate::events::{Event, JournalError};
use crate::plan::Plan;
use crate::study::Study;

/// What to gather about.
pub struct Asking<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its plan.
    pub plan: &'a Plan,
    /// Where its results are.
    pub layout: &'a Layout,
    /// The axis whose points only repeat others, if its name does not tell.
    pub trial_axis: Option<&'a str>,
    /// The commands that make it all again.
    pub commands: Vec<String>,
    /// An existing folder for what is only needed meanwhile.
    pub scratch: &'a Path,
}

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The study was never run.
    #[error("study `{study}` has not been run yet in {}", .folder.display())]
    NeverRun {
        /// Its name.
        study: String,
        /// Where its runs would be.
        folder: PathBuf,
    },
    /// Not one task of the study has results.
    #[error("study `{study}` has no results yet: expected at least one task that succeeded")]
    NoResults {
        /// Its name.
        study: String,
    },
    /// There is no such axis.
    #[error("study `{study}` has no axis `{axis}`; it has {known}")]
    NoAxis {
        /// Its name.
        study: String,
        /// What was asked for.
        axis: String,
        /// Its axes.
        known: String,
    },
    /// The folder of the runs.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gathers what there is to tell. Reads results, journals and records, and hashes what the final results were
/// made from.
///
/// # Errors
/// If nothing was run yet, or the store or the last journal cannot be read. A single result that cannot be read
/// is no error: it is named in [`Trust::damage`](super::Trust::damage).
pub fn gather(asking: Asking<'_>) -> Result<Dossier, GatherError> {
    let Asking { study, plan, layout, trial_axis, commands, scratch } = asking;
    if let Some(axis) = trial_axis.filter(|axis| study.axes.iter().all(|a| a.name != *axis)) {
        let known: Vec<String> = study.axes.iter().map(|a| format!("`{}`", a.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(GatherError::NoAxis { study: study.name.clone(), axis: axis.to_owned(), known });
    }
    let mut past = Past::load(layout)?;
    let records = Records::load(plan, layout)?;
    if (0..plan.tasks.len()).all(|task| records.of(task).is_none()) {
        return Err(GatherError::NoResults { study: study.name.clone() });
    }
    let axes = roles::axes(study, plan, trial_axis);
    let order: Vec<String> = study.stages.iter().map(|stage| stage.id.clone()).collect();
    let tasks = tasks::tasks(&records, &past, &study.name);
    let saved = tasks.iter().filter(|task| task.state == TaskState::Cached).filter_map(|task| task.seconds);
    let dossier = Dossier {
        run: run(&past, saved.sum()),
        stages: tasks::stages(plan, &order),
        timeline: match past.last_at_work()? {
            Some((run, records)) => timeline::of(&run, &records),
            None => Timeline::default(),
        },
        scores: scores::scores(&records, &axes),
        datasets: scans::datasets(&records),
        pictures: pictures::pictures(&records, &axes),
        scans: scans::scans(&records, &axes, scratch),
        training: curves::histories(&records, "train"),
        convergence: curves::histories(&records, "reconstruct"),
        // Last, since it tells what all others could not read.
        trust: trust::trust(&records, &mut past, layout, commands),
        study: about(study, axes),
        tasks,
    };
    Ok(dossier)
}

fn about(study: &Study, axes: Vec<AxisFacts>) -> StudyFacts {
    let name = study.file.file_name().map(|name| name.to_string_lossy().into_owned());
    StudyFacts {
        name: study.name.clone(),
        title: study.title.clone(),
        file: name.unwrap_or_default(),
        text: trust::study_text(&study.file),
        seed: study.seed,
        axes,
    }
}

fn run(past: &Past<'_>, saved_seconds: f64) -> RunFacts {
    let version = past.records.iter().find_map(|record| match &record.event {
        Event::RunStarted { version, .. } => Some(version.clone()),
        _ => None,
    });
    let view = &past.view;
    RunFacts {
        name: past.last.clone(),
        host: view.host.clone(),
        version: version.unwrap_or_default(),
        started: view.started,
        seconds: view.seconds,
        outcome: view.outcome.map_or("unfinished".to_owned(), |o| format!("{o:?}").to_lowercase()),
        rescued: view.rescued,
        saved_seconds,
    }
}
