//! Journals of the runs that made the results.

use std::collections::BTreeMap;

use crate::cache::{Layout, Manifest};
use crate::events::{Event, Record, RunView, read};

use super::gather::GatherError;

/// What journals tell.
pub(super) struct Past<'a> {
    layout: &'a Layout,
    /// Name of the last run.
    pub(super) last: String,
    /// Its journal.
    pub(super) records: Vec<Record>,
    /// Its state.
    pub(super) view: RunView,
    /// (study, run) → task → warnings.
    warnings: BTreeMap<(String, String), BTreeMap<String, Vec<String>>>,
}

impl<'a> Past<'a> {
    /// Reads the journal of the last run.
    pub(super) fn load(layout: &'a Layout) -> Result<Self, GatherError> {
        let last = runs(layout)?.pop().ok_or_else(|| GatherError::NeverRun {
            study: layout.study().to_owned(),
            folder: layout.runs(),
        })?;
        let records = read(&layout.journal(&last))?;
        let view = RunView::of(&records);
        let mut past = Self { layout, last, records, view, warnings: BTreeMap::new() };
        let key = (layout.study().to_owned(), past.last.clone());
        past.warnings.insert(key, warnings(&past.records));
        Ok(past)
    }

    /// The newest run that started a task, with its journal.
    pub(super) fn last_at_work(&self) -> Result<Option<(String, Vec<Record>)>, GatherError> {
        let works = |records: &[Record]| records.iter().any(|r| matches!(r.event, Event::TaskStarted { .. }));
        if works(&self.records) {
            return Ok(Some((self.last.clone(), self.records.clone())));
        }
        for run in runs(self.layout)?.into_iter().rev().skip(1) {
            // Only the last journal has to be whole: an old one that is damaged is passed over.
            match read(&self.layout.journal(&run)) {
                Ok(records) if works(&records) => return Ok(Some((run, records))),
                _ => {}
            }
        }
        Ok(None)
    }

    /// What the task warned of when it made its results, as far as the journal of that run is still there.
    pub(super) fn warnings(&mut self, record: &Manifest) -> Vec<String> {
        let key = (record.study.clone(), record.run.clone());
        let layout = Layout::new(self.layout.root(), &record.study);
        let of_run = self.warnings.entry(key).or_insert_with(|| {
            read(&layout.journal(&record.run)).map(|records| warnings(&records)).unwrap_or_default()
        });
        of_run.get(&record.task).cloned().unwrap_or_default()
    }

    /// What a task without results warned of in the last run.
    pub(super) fn last_warnings(&self, task: &str) -> Vec<String> {
        self.view.tasks.get(task).map(|view| view.warnings.clone()).unwrap_or_default()
    }
}

fn runs(layout: &Layout) -> Result<Vec<String>, GatherError> {
    layout.list_runs().map_err(|source| GatherError::Read { path: layout.runs(), source })
}

/// Task → its warnings, each once.
fn warnings(records: &[Record]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        if let Event::Warned { task, message } = &record.event {
            let of_task = found.entry(task.clone()).or_default();
            if !of_task.contains(message) {
                of_task.push(message.clone());
            }
        }
    }
    found
}
