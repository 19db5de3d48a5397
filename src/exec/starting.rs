//! How a task starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::dispatcher::{Dispatcher, Runtime};
use super::failing::Failed;
use super::inbox::Message;
use super::job::{Place, job};
use super::pool;
use super::queue::Fit;
use super::rescuing::declared;
use super::waiting::{Leased, lease};
use super::{Change, Lease};
use crate::cache::StoreError;
use crate::diag::StageError;
use crate::events::{Event, Had, Room};
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
    pub(super) lease: Option<Lease>,
    /// `cpu`, `cuda:0`, `cuda:0,2`.
    pub(super) device: String,
    pub(super) threads: usize,
    pub(super) staging: PathBuf,
    pub(super) log: PathBuf,
    pub(super) measured: BTreeMap<String, Value>,
    /// How much it holds at a time, and what is counted, once that is known.
    pub(super) chunk: Option<(u64, String)>,
    /// Its memory limit, bytes.
    pub(super) memory: Option<u64>,
    /// What else was there when it began.
    pub(super) room: Room,
}

impl Running {
    /// What it has.
    pub(super) fn had(&self, peak: Option<u64>) -> Had {
        let (chunk, unit) = self.chunk.clone().unzip();
        Had { chunk, unit, memory: self.memory, peak, device: Some(self.device.to_string()) }
    }
}

/// Classes of tasks that ask for the same: if one does not fit, none does.
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

impl Dispatcher<'_, '_> {
    /// Starts what fits.
    pub(super) fn start_all(&mut self) -> Result<(), StoreError> {
        self.next_look = None;
        while !self.is_draining() {
            let mut wants_runtime = false;
            let mut leased = Leased::Nothing;
            let mut busy = None;
            let (plan, slots, runtime, leases) =
                (self.plan, &self.slots, &self.runtime, self.options.leases.as_ref());
            let (rescues, waiting) = (&self.rescues, self.waiting.as_ref());
            let Some(queue) = &mut self.queue else { break };
            let next = queue.pop(|index| {
                let task = &plan.tasks[index];
                if task.needs_runtime && matches!(runtime, Runtime::Unknown | Runtime::Fetching) {
                    wants_runtime = true;
                    return Fit::Elsewhere;
                }
                if !slots.fits(task.resources.cores, rescues.memory(index, task)) {
                    return Fit::NotNow;
                }
                let device = rescues.measure(index, task).device.unwrap_or(task.resources.device);
                leased = lease(task, device, leases, waiting);
                if let Leased::Busy(by) = &leased {
                    busy.get_or_insert_with(|| (index, by.clone()));
                    return Fit::Elsewhere;
                }
                Fit::Yes
            });
            if wants_runtime && matches!(self.runtime, Runtime::Unknown) {
                self.provide_runtime();
            }
            let busy = match busy {
                Some((index, by)) => {
                    self.held_up(index, &by)?;
                    Some(index)
                }
                None => None,
            };
            match (next, leased) {
                (Some(index), Leased::Refused(error)) => self.fail(index, Failed::early(error))?,
                (Some(index), Leased::Here(lease)) => {
                    self.waiting.take_if(|waiting| waiting.is_for(&plan.tasks[index]));
                    self.begin(index, Some(lease))?;
                }
                (Some(index), _) => self.begin(index, None)?,
                (None, _) => {
                    self.wait_in_line(busy);
                    return Ok(());
                }
            }
        }
        self.waiting = None;
        Ok(())
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
    fn begin(&mut self, index: usize, lease: Option<Lease>) -> Result<(), StoreError> {
        let task = &self.plan.tasks[index];
        let runtime = match (task.needs_runtime, &self.runtime) {
            (true, Runtime::Here(path)) => Some(path.clone()),
            (true, Runtime::Unavailable(error)) => {
                let error = error.clone();
                return self.fail(index, Failed::early(error));
            }
            _ => None,
        };
        let gpu = lease.as_ref().and_then(|lease| lease.indices().next());
        let device = gpu.map_or(Device::Cpu, Device::Cuda);
        let gpus: Vec<String> = lease.iter().flat_map(Lease::ids).map(str::to_owned).collect();
        let shown = lease.as_ref().map_or_else(|| device.to_string(), ToString::to_string);
        let measure = self.rescues.measure(index, task);
        let memory = measure.memory.or(task.resources.memory);
        let Some(threads) = self.slots.take(index, task.resources.cores, memory) else {
            // Somebody took it in between: back into the queue.
            self.queue().push(index);
            return Ok(());
        };
        let attempt = self.attempts.get(&index).map_or(0, Vec::len) as u32 + 1;
        let log = self.layout.log(self.run, &task.id, attempt);
        let staging = self.staging(index, attempt)?;
        let (chunk, unit) = match declared(task) {
            Some((name, value)) => (Some(measure.chunk.unwrap_or(value).min(value)), Some(name.to_owned())),
            None => (measure.chunk, None),
        };
        let facts = self.rescues.facts.of_kind(&task.kind);
        let place = Place {
            device,
            gpus,
            threads,
            runtime,
            staging: staging.clone(),
            log: log.clone(),
            chunk,
            memory,
            facts,
        };
        let job = job(self.plan, index, self.layout, place);
        let alone = pool::is_alone(&job);
        // Stages that watch their own limit (`command`) get time to end in order and say why.
        let limit = job.timeout_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let limit = limit.map(|limit| limit + 2 * self.options.grace);
        let began = Instant::now();
        let room = self.around.at_start(lease.as_ref());
        match self.pool.give(job) {
            Ok((worker, pid)) => {
                self.set(index, Change::Start);
                self.book.write(Event::TaskStarted {
                    task: self.name(index),
                    attempt,
                    why: self.why(index, attempt),
                    device: shown.clone(),
                    log: log.clone(),
                    worker: pid,
                    memory,
                    room: room.clone(),
                })?;
                // A program does not tell itself.
                let chunk = chunk.zip(unit);
                if let Some((size, unit)) = chunk.clone() {
                    let task = self.name(index);
                    self.book.write(Event::TaskChunk { task, size, unit, predicted_peak: None })?;
                }
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
                    lease,
                    device: shown,
                    threads,
                    staging,
                    log,
                    measured: BTreeMap::new(),
                    chunk,
                    memory,
                    room,
                };
                self.running.insert(worker, running);
                Ok(())
            }
            Err(error) => {
                self.slots.release(index);
                let error = StageError::from(error).hint("the worker process could not be started");
                self.fail(index, Failed { log: Some(log), ..Failed::early(error) })
            }
        }
    }

    /// A folder for a worker to write to.
    fn staging(&mut self, index: usize, attempt: u32) -> Result<PathBuf, StoreError> {
        let task = &self.plan.tasks[index];
        match self.misses.get(&index).filter(|_| task.resumes) {
            None => self.staging.empty(),
            Some(miss) => {
                let afresh = attempt == 1 && self.options.forced.contains(index);
                self.staging.kept(&task.id, &miss.fingerprint, afresh)
            }
        }
    }

    /// Why a task runs, a line per reason.
    fn why(&self, index: usize, attempt: u32) -> Vec<String> {
        match (attempt, self.misses.get(&index)) {
            (1, Some(miss)) => miss.why.lines(),
            _ => vec![format!("attempt {attempt}")],
        }
    }
}
