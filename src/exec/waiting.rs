//! Asking for GPUs, and waiting for those that others have.

use std::time::{Duration, Instant};

use super::dispatcher::Dispatcher;
use super::{Busy, Lease, Leases, Place, Wish};
use crate::cache::StoreError;
use crate::diag::{FailureClass, StageError};
use crate::events::Event;
use crate::plan::Task;
use crate::study::{DeviceKind, Resources};

/// How often it is asked for a GPU that another process has.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A place in the lines for GPUs. A run has one at most, for the task that would start first, or for those
/// that ask for the same.
#[derive(Debug)]
pub(super) struct Waiting {
    resources: Resources,
    priority: i32,
    task: String,
    place: Option<Place>,
}

impl Waiting {
    /// Whether the place is as good for this task.
    pub(super) fn is_for(&self, task: &Task) -> bool {
        self.resources == *task.resources
    }
}

/// What became of asking for GPUs.
pub(super) enum Leased {
    /// None is wanted.
    Nothing,
    Here(Lease),
    /// Others have them, or are to have them first.
    Busy(Busy),
    /// They will never be had.
    Refused(StageError),
}

/// Asks for the GPUs that a task wants, if `device`, where it is to compute, is one.
pub(super) fn lease(
    task: &Task,
    device: DeviceKind,
    leases: Option<&Leases>,
    waiting: Option<&Waiting>,
) -> Leased {
    if device == DeviceKind::Cpu {
        return Leased::Nothing;
    }
    let refused = |message: String| Leased::Refused(StageError::new(FailureClass::Runtime, message));
    let Some(leases) = leases else {
        let none = "asks for a CUDA device, but none was found (nor named with --gpus)";
        return refused(format!("{} {none}", task.id));
    };
    let place = waiting.filter(|waiting| waiting.is_for(task)).and_then(|waiting| waiting.place.as_ref());
    match leases.try_take(Wish::of(&task.resources), place, &task.id) {
        Ok(Ok(lease)) => Leased::Here(lease),
        Ok(Err(busy)) => Leased::Busy(busy),
        Err(error) => refused(format!("{}: no GPU could be leased: {error}", task.id)),
    }
}

impl Dispatcher<'_, '_> {
    /// A task could start if a GPU were free: one has to look again, for no other process tells when it is.
    pub(super) fn held_up(&mut self, index: usize, by: &Busy) -> Result<(), StoreError> {
        self.next_look = Some(Instant::now() + LOOK_AGAIN);
        // That our own tasks use the GPUs is no news.
        let ours = self.running.values().any(|r| r.lease.is_some()) || !self.leaving.is_empty();
        if ours {
            return Ok(());
        }
        let told = (index, by.to_string());
        if self.told_held_up.as_ref() != Some(&told) {
            self.book.write(Event::TaskHeldUp { task: self.name(index), by: told.1.clone() })?;
            self.told_held_up = Some(told);
        }
        Ok(())
    }

    /// Nothing more can start; `busy` is the first task that could if GPUs were free. It joins their lines, or
    /// who has joined them for this run gets on: one at a time, in which only a task of higher priority takes
    /// its place.
    pub(super) fn wait_in_line(&mut self, busy: Option<usize>) {
        let (plan, Some(leases)) = (self.plan, self.options.leases.as_ref()) else { return };
        let queue = self.queue.as_ref();
        let wanted = |w: &Waiting| queue.is_some_and(|q| q.heads().any(|task| w.is_for(&plan.tasks[task])));
        let mut waiting = self.waiting.take().filter(wanted);
        if let Some(index) = busy {
            let task = &plan.tasks[index];
            if waiting.as_ref().is_none_or(|w| !w.is_for(task) && task.priority > w.priority) {
                let (resources, priority) = ((*task.resources).clone(), task.priority);
                waiting = Some(Waiting { resources, priority, task: task.id.to_string(), place: None });
            }
        }
        if let Some(Waiting { resources, task, place, .. }) = &mut waiting {
            // Who cannot stand in line is served later, but is served: asking tells what is wrong.
            let _ = leases.line_up(Wish::of(resources), place, task);
        }
        self.waiting = waiting;
    }
}
