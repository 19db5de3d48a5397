//! How a task starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Change;
use super::dispatcher::{Dispatcher, Runtime};
use super::inbox::Message;
use super::job::{Place, job};
use super::pool;
use crate::cache::StoreError;
use crate::diag::{FailureClass, StageError};
use crate::events::Event;
use crate::plan::{Plan, Task};
use crate::stages::Device;

/// A task in the hands of a worker.
pub(super) struct Running {
    pub(super) task: usize,
    pub(super) began: Instant,
    /// Seconds since 1970.
    pub(super) started: f64,
    pub(super) deadline: Option<Instant>,
    pub(super) timed_out: bool,
    /// Whether the worker has said that the job arrived.
    pub(super) arrived: bool,
    /// Whether its worker is for this job only.
    pub(super) alone: bool,
    pub(super) attempt: u32,
    pub(super) device: Device,
    pub(super) threads: usize,
    pub(super) staging: PathBuf,
    pub(super) log: PathBuf,
    pub(super) measured: BTreeMap<String, Value>,
}

/// Classes of tasks that ask for the same.
pub(super) fn classes(plan: &Plan) -> Vec<usize> {
    let mut known: Vec<&Task> = Vec::new();
    let alike = |a: &Task, b: &Task| a.resources == b.resources && a.needs_runtime == b.needs_runtime;
    let class = |task| match known.iter().position(|k| alike(k, task)) {
        Some(class) => class,
        None => {
            known.push(task);
            known.len() - 1
        }
    };
    plan.tasks.iter().map(class).collect()
}

/// `cpu`, `cuda:0`.
pub(super) fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
    }
}

impl Dispatcher<'_, '_> {
    /// Starts what fits.
    pub(super) fn start_all(&mut self) -> Result<(), StoreError> {
        while !self.is_draining() {
            let mut wanted = false;
            let (plan, slots, runtime) = (self.plan, &self.slots, &self.runtime);
            let next = self.queue.pop(|index| {
                let task = &plan.tasks[index];
                let waits = task.needs_runtime && matches!(runtime, Runtime::Unknown | Runtime::Fetching);
                wanted |= waits;
                // One that can never be served is taken, and fails.
                !waits && (slots.can_serve(&task.resources).is_err() || slots.fits(&task.resources))
            });
            if wanted && matches!(self.runtime, Runtime::Unknown) {
                self.provide_runtime();
            }
            let Some(index) = next else { return Ok(()) };
            self.begin(index)?;
        }
        Ok(())
    }

    /// Whether something outside this run is waited for, other than a worker.
    pub(super) fn waits_for_others(&self) -> bool {
        false
    }

    /// When to look again for what others hold.
    pub(super) fn next_look(&self) -> Option<Instant> {
        None
    }

    fn provide_runtime(&mut self) {
        self.runtime = Runtime::Fetching;
        let (provide, sender) = (self.options.runtime.clone(), self.sender.clone());
        // A download takes seconds: the inbox must stay open meanwhile.
        std::thread::spawn(move || {
            let _ = sender.send(Message::Runtime(provide()));
        });
    }

    /// Takes a task that fits from the queue to a worker.
    fn begin(&mut self, index: usize) -> Result<(), StoreError> {
        let task = &self.plan.tasks[index];
        if let Err(message) = self.slots.can_serve(&task.resources) {
            let error = StageError::new(FailureClass::Runtime, format!("{} {message}", task.id));
            return self.fail(index, error, 0.0, None);
        }
        let runtime = match (task.needs_runtime, &self.runtime) {
            (true, Runtime::Here(path)) => Some(path.clone()),
            (true, Runtime::Unavailable(error)) => {
                let error = error.clone();
                return self.fail(index, error, 0.0, None);
            }
            _ => None,
        };
        let Some((device, threads)) = self.slots.take(index, &task.resources) else {
            // Somebody took it in between: back into the queue.
            self.queue.push(index);
            return Ok(());
        };
        let attempt = self.attempts.get(&index).map_or(0, Vec::len) as u32 + 1;
        let log = self.layout.log(self.run, &task.id, attempt);
        let staging = self.layout.staging().join(index.to_string());
        std::fs::create_dir_all(&staging).map_err(StoreError::io("create", &staging))?;
        let place = Place { device, threads, runtime, staging: staging.clone(), log: log.clone() };
        let job = job(self.plan, index, self.layout, place);
        let alone = pool::is_alone(&job);
        // Stages that watch their own limit (`command`) get time to end in order and say why.
        let limit = job.timeout_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let limit = limit.map(|limit| limit + 2 * self.options.grace);
        let began = Instant::now();
        match self.pool.give(job, index) {
            Ok((worker, pid)) => {
                self.started(index, attempt, device, &log, pid)?;
                let running = Running {
                    task: index,
                    began,
                    started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
                    // A limit beyond what the clock can tell is none.
                    deadline: limit.and_then(|limit| began.checked_add(limit)),
                    timed_out: false,
                    arrived: false,
                    alone,
                    attempt,
                    device,
                    threads,
                    staging,
                    log,
                    measured: BTreeMap::new(),
                };
                self.running.insert(worker, running);
                Ok(())
            }
            Err(error) => {
                self.slots.release(index);
                let error = StageError::from(error).hint("the worker process could not be started");
                self.fail(index, error, 0.0, Some(log))
            }
        }
    }

    fn started(
        &mut self,
        index: usize,
        attempt: u32,
        device: Device,
        log: &std::path::Path,
        worker: u32,
    ) -> Result<(), StoreError> {
        self.set(index, Change::Start);
        let why = match (attempt, self.misses.get(&index)) {
            (1, Some(miss)) => miss.why.lines(),
            _ => vec![format!("attempt {attempt}")],
        };
        self.book.write(Event::TaskStarted {
            task: self.name(index),
            attempt,
            why,
            device: device_name(device),
            log: log.to_owned(),
            worker,
        })
    }
}
