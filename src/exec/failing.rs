//! How a task fails: what is tried next, and what becomes of the tasks after it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::dispatcher::Dispatcher;
use super::starting::Running;
use super::{Change, TaskState, wait_before_retry};
use crate::cache::StoreError;
use crate::diag::{FailureClass, StageError};
use crate::events::{Event, Had, Next, Room};

/// A failure that stands.
pub(super) struct Failed {
    pub(super) error: StageError,
    /// Wall time of the last attempt.
    pub(super) seconds: f64,
    pub(super) log: Option<PathBuf>,
    pub(super) had: Had,
    pub(super) room: Room,
}

/// When another attempt is made, and what is different about it.
struct Again {
    wait: Duration,
    next: Option<Next>,
}

/// Who else had memory of the task's GPU when it failed.
fn held_by_others(room: &Room, before: &Room) -> Option<String> {
    let gpu = room.gpu.as_ref()?;
    let others = gpu.others(before.gpu.as_ref());
    (!others.is_empty()).then(|| gpu.held_by(&others))
}

impl Failed {
    /// Before there was an attempt.
    pub(super) fn early(error: StageError) -> Self {
        Self { error, seconds: 0.0, log: None, had: Had::default(), room: Room::default() }
    }
}

impl Dispatcher<'_, '_> {
    /// An attempt has failed: once more, if something else can be tried or the stage's policy says so, else
    /// the task has failed. `room` is what else was there.
    pub(super) fn attempt_failed(
        &mut self,
        running: Running,
        mut error: StageError,
        peak: Option<u64>,
        room: Room,
    ) -> Result<(), StoreError> {
        let (index, plan) = (running.task, self.plan);
        let task = &plan.tasks[index];
        self.staging.failed(&running.staging, error.class);
        if self.stopping.is_some() {
            return self.cancel(index);
        }
        let had = running.had(peak);
        let before = self.attempts.entry(index).or_default();
        before.push(error.class);
        let mut alike = before.iter().filter(|class| **class == error.class).count() as u32;
        let mut again = Again { wait: Duration::ZERO, next: None };
        if error.class == FailureClass::OutOfMemory {
            if let Some(by) = held_by_others(&room, &running.room) {
                error = error.hint(format!("others had GPU memory: {by}"));
                // Less at a time would only hide that: first they are waited for.
                if let Some(wait) = self.around.wait(self.rescues.waits(index)) {
                    let same = self.rescues.measure(index, task);
                    self.rescues.waited(index, same);
                    error.message += &format!("\n  others have GPU memory: {by}");
                    again.wait = wait;
                    return self.again(&running, error, had, again, room);
                }
            }
            // Another attempt, not the same again: nothing is to be waited for.
            if let Some(next) = self.rescues.next(index, task, running.attempt, had.clone()) {
                let device = next.device.map(|device| device.to_string());
                again.next = Some(Next { chunk: next.chunk, memory: next.memory, device });
                return self.again(&running, error, had, again, room);
            }
            alike -= self.rescues.steps(index) + self.rescues.waits(index);
        }
        if let Some(wait) = wait_before_retry(&task.retries, error.class, alike) {
            again.wait = wait;
            return self.again(&running, error, had, again, room);
        }
        if error.class == FailureClass::OutOfMemory {
            error = self.rescues.exhausted(index, task, error);
        }
        let seconds = running.began.elapsed().as_secs_f64();
        self.fail(index, Failed { error, seconds, log: Some(running.log), had, room })
    }

    /// Has a task tried again.
    fn again(
        &mut self,
        running: &Running,
        error: StageError,
        had: Had,
        again: Again,
        room: Room,
    ) -> Result<(), StoreError> {
        self.set(running.task, Change::Retry);
        self.delayed.insert((Instant::now() + again.wait, running.task));
        self.book.write(Event::TaskRetried {
            task: self.name(running.task),
            attempt: running.attempt,
            class: error.class,
            message: error.message,
            seconds: running.began.elapsed().as_secs_f64(),
            wait: again.wait.as_secs_f64(),
            log: running.log.clone(),
            had,
            next: again.next,
            room,
        })
    }

    /// Fails a task and blocks everything that needs it.
    pub(super) fn fail(&mut self, index: usize, failed: Failed) -> Result<(), StoreError> {
        let Failed { error, seconds, log, had, room } = failed;
        if self.state(index) == TaskState::Ready {
            self.queue().remove(index);
        }
        if let Some(miss) = self.misses.remove(&index) {
            self.release_twins(&miss.fingerprint);
        }
        self.set(index, Change::Fail);
        self.failed += 1;
        self.runtime_missing |= error.class == FailureClass::Runtime;
        let task = self.name(index);
        self.book.write(Event::TaskFailed {
            task: task.clone(),
            class: error.class,
            message: error.message,
            hint: error.hint,
            seconds,
            log,
            had,
            room,
        })?;
        let mut blocked = BTreeSet::new();
        let mut reached = vec![index];
        while let Some(from) = reached.pop() {
            reached.extend(self.edges.downstream(from).filter(|next| blocked.insert(*next)));
        }
        for next in blocked {
            if self.options.selected.contains(next) && self.state(next) == TaskState::Waiting {
                self.set(next, Change::Block);
                self.book.write(Event::TaskBlocked { task: self.name(next), by: task.clone() })?;
            }
        }
        Ok(())
    }
}
