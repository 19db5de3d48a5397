//! Tasks for which memory ran out: what their next attempt is given, and what is remembered of it.

use std::collections::BTreeMap;

use super::facts::{Conditions, Facts, Measure};
use super::rescue;
use super::starting::Running;
use crate::cache::{Layout, StoreError};
use crate::diag::StageError;
use crate::events::Had;
use crate::os;
use crate::plan::Task;
use crate::study::Rescue;

/// Rescues of a run.
#[derive(Debug)]
pub(super) struct Rescues {
    pub(super) facts: Facts,
    /// Memory of this machine, or as much of it as may be used, bytes.
    machine: Option<u64>,
    /// Tasks for which memory ran out in this run.
    tasks: BTreeMap<usize, OfTask>,
}

#[derive(Debug, Default)]
struct OfTask {
    /// The attempts that ran out of memory, by their numbers.
    tried: Vec<(u32, Had)>,
    /// What the next attempt is given.
    next: Measure,
    /// How many attempts were made otherwise than the one before.
    steps: u32,
    /// How often it was waited for others to give memory back.
    waits: u32,
}

impl Rescues {
    /// `most` is what the user lets a run have, bytes.
    pub(super) fn load(layout: &Layout, most: Option<u64>) -> Result<Self, StoreError> {
        let file = layout.facts();
        let facts = Facts::load(&file).map_err(StoreError::io("read", &file))?;
        let machine = os::total_memory().into_iter().chain(most).min();
        Ok(Self { facts, machine, tasks: BTreeMap::new() })
    }

    /// With what the next attempt at a task is made, where that differs from what the study says.
    pub(super) fn measure(&self, index: usize, task: &Task) -> Measure {
        if let Some(of_task) = self.tasks.get(&index) {
            return of_task.next;
        }
        // Most stages were never rescued, and then there is nothing to compare.
        if !self.facts.knows(&task.stage) || task.rescue.as_deref().is_some_and(|r| *r == Rescue::none()) {
            return Measure::default();
        }
        self.facts.fitting(&task.id, &task.stage, &self.conditions(task)).unwrap_or_default()
    }

    /// Memory that the next attempt at a task is promised, bytes.
    pub(super) fn memory(&self, index: usize, task: &Task) -> Option<u64> {
        self.measure(index, task).memory.or(task.resources.memory)
    }

    /// Memory ran out: the next attempt, or `None` when there is nothing left to try.
    pub(super) fn next(&mut self, index: usize, task: &Task, attempt: u32, had: Had) -> Option<Measure> {
        let usual = Rescue::usual();
        let policy = task.rescue.as_deref().unwrap_or(&usual);
        let device = self.measure(index, task).device;
        let next = rescue::next(policy, &had, device.unwrap_or(task.resources.device), self.machine);
        let of_task = self.tasks.entry(index).or_default();
        of_task.next = Measure { chunk: had.chunk, memory: had.memory, device };
        of_task.tried.push((attempt, had));
        if let Some(next) = next {
            of_task.next = next;
            of_task.steps += 1;
        }
        next
    }

    /// How many of a task's attempts ran out of memory and were followed by a different one: these do not
    /// count against `retries`.
    pub(super) fn steps(&self, index: usize) -> u32 {
        self.tasks.get(&index).map_or(0, |of_task| of_task.steps)
    }

    /// How often a task waited for others to give GPU memory back.
    pub(super) fn waits(&self, index: usize) -> u32 {
        self.tasks.get(&index).map_or(0, |of_task| of_task.waits)
    }

    /// It will do so once more, and then try the same again.
    pub(super) fn waited(&mut self, index: usize, measure: Measure) {
        let of_task = self.tasks.entry(index).or_default();
        of_task.waits += 1;
        of_task.next = measure;
    }

    /// The failure that stands, with what was tried.
    pub(super) fn exhausted(&self, index: usize, task: &Task, mut error: StageError) -> StageError {
        let Some(of_task) = self.tasks.get(&index) else { return error };
        if of_task.steps > 0 {
            error.message += "\nnothing is left to try:";
            error.message += &rescue::tried(&of_task.tried);
        }
        let hint = match (&task.rescue, of_task.tried.last().and_then(|(_, had)| had.chunk)) {
            (None, None) if task.resources.memory.is_some() => {
                "raise `resources.memory` of the stage, or let it grow: `on_out_of_memory: {memory: {factor: 2}}`"
            }
            (None, None) => "have the program work on less at a time: `on_out_of_memory: {chunk: halve}`",
            _ => "give the stage more memory, or run it on a larger machine",
        };
        if error.hint.is_none() { error.hint(hint) } else { error }
    }

    /// A task has finished: if it was rescued, later runs begin with what it fitted with.
    pub(super) fn finished(&mut self, task: &Task, running: &Running) -> std::io::Result<()> {
        if self.steps(running.task) == 0 {
            return Ok(());
        }
        let grown = running.memory.filter(|_| running.memory != task.resources.memory);
        let device = self.tasks.get(&running.task).and_then(|of_task| of_task.next.device);
        let with = Measure { chunk: running.chunk.as_ref().map(|(size, _)| *size), memory: grown, device };
        self.facts.fit(&task.id, &task.stage, self.conditions(task), with)
    }

    fn conditions(&self, task: &Task) -> Conditions {
        Conditions {
            kind: task.kind.to_string(),
            device: task.resources.device.to_string(),
            memory: task.resources.memory,
            gpu_memory: task.resources.gpu_memory,
            tuning: (*task.tuning).clone(),
            machine: self.machine,
        }
    }
}

/// The tuning value that the study has halved for a command: its name, and what the study says it is.
pub(super) fn declared(task: &Task) -> Option<(&str, u64)> {
    let halve = task.rescue.as_deref()?.halve.as_ref()?;
    let value = task.tuning.get("tuning")?.get(&halve.name)?;
    Some((&halve.name, value.as_u64()?))
}
