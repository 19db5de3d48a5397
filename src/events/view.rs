//! The state of a run, folded from its events: what `status` prints and live reporters show.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::{Event, Had, Outcome, Record};
use crate::diag::FailureClass;

/// Where a task stands, as seen from its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// Started, not ended.
    Running,
    /// Waits for another attempt, or for what someone else holds.
    Delayed,
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

/// One task of a run. Of most tasks of most runs nothing is to be said but that they were cached, so the
/// rest takes memory only where there is something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskView {
    /// Where it stands.
    pub phase: TaskPhase,
    #[serde(flatten, serialize_with = "with_defaults")]
    details: Option<Box<TaskDetails>>,
}

/// What there is to say about a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskDetails {
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
    /// The attempt that is running or was the last, from 1.
    pub attempt: u32,
    /// Latest progress: done, total, unit, note.
    pub progress: Option<(u64, u64, String, Option<String>)>,
    /// Measured facts.
    pub measured: BTreeMap<String, serde_json::Value>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// How much it holds at a time: units, and what is counted.
    pub chunk: Option<(u64, String)>,
    /// Its memory limit, bytes.
    pub memory: Option<u64>,
    /// Where it computes: `cpu`, `cuda:0`.
    pub device: Option<String>,
    /// All its attempts, if there was more than one.
    pub attempts: Vec<AttemptView>,
    /// Whether an attempt was given less at a time, or more memory, than the one before.
    pub rescued: bool,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptView {
    /// From 1.
    pub attempt: u32,
    /// What it had.
    #[serde(flatten)]
    pub had: Had,
    /// Wall time, seconds.
    pub seconds: f64,
    /// The class of its failure; `None` if it succeeded.
    pub failure: Option<FailureClass>,
}

impl TaskDetails {
    fn last_attempt(&mut self, had: Had, seconds: f64, failure: Option<FailureClass>) {
        self.attempts.push(AttemptView { attempt: self.attempt, had, seconds, failure });
    }
}

static NOTHING_TO_SAY: TaskDetails = TaskDetails {
    started: None,
    seconds: None,
    message: None,
    hint: None,
    log: None,
    attempt: 1,
    progress: None,
    measured: BTreeMap::new(),
    warnings: Vec::new(),
    chunk: None,
    memory: None,
    device: None,
    attempts: Vec::new(),
    rescued: false,
};

impl Deref for TaskView {
    type Target = TaskDetails;

    fn deref(&self) -> &TaskDetails {
        self.details.as_deref().unwrap_or(&NOTHING_TO_SAY)
    }
}

fn with_defaults<S: Serializer>(
    details: &Option<Box<TaskDetails>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    details.as_deref().unwrap_or(&NOTHING_TO_SAY).serialize(serializer)
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
    /// How long it will still take, seconds, as last told.
    #[serde(skip)]
    pub remaining: Option<f64>,
    /// Why it could not go on, if it could not.
    pub aborted: Option<String>,
    /// Tasks that have had an event, by id.
    pub tasks: BTreeMap<String, TaskView>,
    /// Tasks that ran out of memory and then fitted.
    pub rescued: usize,
    /// How many tasks are in each phase.
    #[serde(skip)]
    counts: BTreeMap<TaskPhase, usize>,
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
            Event::TaskStarted { task, log, attempt, memory, device, .. } => {
                self.set(task, TaskPhase::Running);
                let view = self.details(task);
                (view.started, view.log, view.attempt) = (Some(record.time), Some(log.clone()), *attempt);
                (view.message, view.progress) = (None, None);
                (view.memory, view.chunk) = (*memory, None);
                view.device = Some(device.clone());
            }
            Event::TaskChunk { task, size, unit, .. } => {
                self.details(task).chunk = Some((*size, unit.clone()));
            }
            Event::TaskRetried { task, attempt, class, message, seconds, had, next, .. } => {
                self.set(task, TaskPhase::Delayed);
                let view = self.details(task);
                (view.message, view.seconds) = (Some(message.clone()), Some(*seconds));
                view.rescued |= next.is_some();
                let (had, failure) = (had.clone(), Some(*class));
                view.attempts.push(AttemptView { attempt: *attempt, had, seconds: *seconds, failure });
            }
            Event::TaskHeldUp { task, by } => {
                self.set(task, TaskPhase::Delayed);
                self.details(task).message = Some(by.clone());
            }
            Event::Progress { task, done, total, unit, note } => {
                self.details(task).progress = Some((*done, *total, unit.clone(), note.clone()));
            }
            Event::Forecast { seconds } => self.remaining = Some(*seconds),
            Event::Measured { task, name, value } => {
                self.details(task).measured.insert(name.clone(), value.clone());
            }
            Event::Warned { task, message } => self.details(task).warnings.push(message.clone()),
            Event::TaskSucceeded { task, seconds, peak_memory, .. } => {
                self.set(task, TaskPhase::Succeeded);
                let view = self.details(task);
                view.seconds = Some(*seconds);
                if !view.attempts.is_empty() {
                    let (chunk, unit) = view.chunk.clone().unzip();
                    let device = view.device.clone();
                    let had = Had { chunk, unit, memory: view.memory, peak: *peak_memory, device };
                    view.last_attempt(had, *seconds, None);
                    self.rescued += usize::from(view.rescued);
                }
            }
            Event::TaskFailed { task, class, message, hint, seconds, log, had, room: _ } => {
                self.set(task, TaskPhase::Failed);
                let view = self.details(task);
                (view.message, view.hint) = (Some(message.clone()), hint.clone());
                (view.seconds, view.log) = (Some(*seconds), log.clone());
                if !view.attempts.is_empty() {
                    view.last_attempt(had.clone(), *seconds, Some(*class));
                }
            }
            Event::TaskBlocked { task, by } => {
                self.set(task, TaskPhase::Blocked);
                self.details(task).message = Some(by.clone());
            }
            Event::TaskCancelled { task } => self.set(task, TaskPhase::Cancelled),
            Event::RunAborted { message, seconds } => {
                (self.outcome, self.seconds) = (Some(Outcome::Failed), Some(*seconds));
                self.aborted = Some(message.clone());
            }
            Event::RunFinished { outcome, seconds } => {
                (self.outcome, self.seconds) = (Some(*outcome), Some(*seconds));
            }
        }
    }

    /// Number of tasks in a phase.
    pub fn count(&self, phase: TaskPhase) -> usize {
        self.counts.get(&phase).copied().unwrap_or(0)
    }

    /// Number of tasks that nothing more will happen to.
    pub fn ended(&self) -> usize {
        self.tasks.len() - self.count(TaskPhase::Running) - self.count(TaskPhase::Delayed)
    }

    fn set(&mut self, task: &str, phase: TaskPhase) {
        let before = std::mem::replace(&mut self.task(task).phase, phase);
        if let Some(count) = self.counts.get_mut(&before) {
            *count -= 1;
        }
        *self.counts.entry(phase).or_default() += 1;
    }

    fn details(&mut self, task: &str) -> &mut TaskDetails {
        self.task(task).details.get_or_insert_with(|| Box::new(NOTHING_TO_SAY.clone()))
    }

    fn task(&mut self, task: &str) -> &mut TaskView {
        if !self.tasks.contains_key(task) {
            *self.counts.entry(TaskPhase::Running).or_default() += 1;
            let view = TaskView { phase: TaskPhase::Running, details: None };
            self.tasks.insert(task.to_owned(), view);
        }
        // INVARIANT: it was just put there if it was not there.
        self.tasks.get_mut(task).expect("a task that was just inserted")
    }
}
