//! The state of a run, folded from its events: what `status` prints and live reporters show.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::{Event, Outcome, Record};

/// Where a task stands, as seen from its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// Started, not ended.
    Running,
    /// Taken from the store.
    Cached,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// Cannot run: one before it failed.
    Blocked,
    /// Stopped, or not started.
    Cancelled,
}

/// One task of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskView {
    /// Where it stands.
    pub phase: TaskPhase,
    /// When it started, seconds since 1970.
    pub started: Option<f64>,
    /// Wall time, seconds.
    pub seconds: Option<f64>,
    /// Failure, or the task that blocks it.
    pub message: Option<String>,
    /// What to do about a failure.
    pub hint: Option<String>,
    /// Its log.
    pub log: Option<PathBuf>,
    /// Latest progress: done, total, unit, note.
    pub progress: Option<(u64, u64, String, Option<String>)>,
    /// Measured facts.
    pub measured: BTreeMap<String, serde_json::Value>,
    /// Warnings.
    pub warnings: Vec<String>,
}

impl TaskView {
    fn new(phase: TaskPhase) -> Self {
        Self {
            phase,
            started: None,
            seconds: None,
            message: None,
            hint: None,
            log: None,
            progress: None,
            measured: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

/// A run, folded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunView {
    /// Name of the run.
    pub run: String,
    /// Name of the study.
    pub study: String,
    /// Selected tasks in all.
    pub tasks_total: usize,
    /// Process id of the orchestrator.
    pub pid: u32,
    /// Host.
    pub host: String,
    /// When it started, seconds since 1970.
    pub started: f64,
    /// How it ended; `None` while it goes on, or after it was killed.
    pub outcome: Option<Outcome>,
    /// Wall time, seconds.
    pub seconds: Option<f64>,
    /// Tasks that have had an event, by id.
    pub tasks: BTreeMap<String, TaskView>,
}

impl RunView {
    /// Folds all records of a journal.
    pub fn of(records: &[Record]) -> Self {
        let mut view = Self::default();
        records.iter().for_each(|r| view.apply(r));
        view
    }

    /// Folds one more event.
    pub fn apply(&mut self, record: &Record) {
        match &record.event {
            Event::RunStarted { run, study, tasks, pid, host, .. } => {
                (self.run, self.study, self.host) = (run.clone(), study.clone(), host.clone());
                (self.tasks_total, self.pid, self.started) = (*tasks, *pid, record.time);
            }
            Event::TaskCached { task, .. } => self.set(task, TaskPhase::Cached),
            Event::TaskStarted { task, log, .. } => {
                self.set(task, TaskPhase::Running);
                let view = self.task(task);
                (view.started, view.log) = (Some(record.time), Some(log.clone()));
            }
            Event::Progress { task, done, total, unit, note } => {
                self.task(task).progress = Some((*done, *total, unit.clone(), note.clone()));
            }
            Event::Measured { task, name, value } => {
                self.task(task).measured.insert(name.clone(), value.clone());
            }
            Event::Warned { task, message } => self.task(task).warnings.push(message.clone()),
            Event::TaskSucceeded { task, seconds, .. } => {
                self.set(task, TaskPhase::Succeeded);
                self.task(task).seconds = Some(*seconds);
            }
            Event::TaskFailed { task, message, hint, seconds, log, .. } => {
                self.set(task, TaskPhase::Failed);
                let view = self.task(task);
                (view.message, view.hint) = (Some(message.clone()), hint.clone());
                (view.seconds, view.log) = (Some(*seconds), Some(log.clone()));
            }
            Event::TaskBlocked { task, by } => {
                self.set(task, TaskPhase::Blocked);
                self.task(task).message = Some(by.clone());
            }
            Event::TaskCancelled { task } => self.set(task, TaskPhase::Cancelled),
            Event::RunFinished { outcome, seconds } => {
                (self.outcome, self.seconds) = (Some(*outcome), Some(*seconds));
            }
        }
    }

    /// Number of tasks in a phase.
    pub fn count(&self, phase: TaskPhase) -> usize {
        self.tasks.values().filter(|t| t.phase == phase).count()
    }

    /// Number of tasks that nothing more will happen to.
    pub fn ended(&self) -> usize {
        self.tasks.len() - self.count(TaskPhase::Running)
    }

    fn set(&mut self, task: &str, phase: TaskPhase) {
        self.task(task).phase = phase;
    }

    fn task(&mut self, task: &str) -> &mut TaskView {
        self.tasks.entry(task.to_owned()).or_insert_with(|| TaskView::new(TaskPhase::Running))
    }
}
