//! The one owner of a run's state. Everything that happens arrives in one inbox; every change of a
//! task's state goes through [`Dispatcher::set`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::inbox::{Handle, Interrupt, Message};
use super::job::{Place, job};
use super::process::{Worker, unexpected_end};
use super::publish;
use super::run::{Book, Options, Summary};
use super::slots::Slots;
use super::{Change, TaskState};
use crate::cache::{Decision, Fingerprint, History, Known, Layout, Manifest, Store, StoreError, Why, decide};
use crate::diag::{FailureClass, StageError};
use crate::events::{Event, Outcome};
use crate::plan::Plan;
use crate::stages::{Device, Report};
use crate::worker::{FromWorker, Produced};

/// A task in the hands of a worker.
struct Running {
    worker: Worker,
    started: Instant,
    deadline: Option<Instant>,
    timed_out: bool,
    staging: PathBuf,
    log: PathBuf,
    fingerprint: Fingerprint,
    measured: BTreeMap<String, Value>,
}

enum Runtime {
    Unknown,
    Fetching,
    Here(PathBuf),
    Unavailable(StageError),
}

pub(super) struct Dispatcher<'a, 'b> {
    plan: &'a Plan,
    layout: &'a Layout,
    run: &'a str,
    options: &'a Options,
    store: Store,
    history: History,
    book: &'a mut Book<'b>,
    inbox: Receiver<Message>,
    sender: Sender<Message>,
    states: Vec<TaskState>,
    /// Selected producers that are not done yet, per task.
    missing: Vec<usize>,
    downstream: Vec<Vec<usize>>,
    undecided: VecDeque<usize>,
    ready: BTreeMap<usize, (Fingerprint, Why)>,
    running: BTreeMap<usize, Running>,
    known: Known,
    slots: Slots,
    runtime: Runtime,
    runtime_missing: bool,
    stopping: Option<Instant>,
    interrupted: bool,
}

impl<'a, 'b> Dispatcher<'a, 'b> {
    pub(super) fn new(
        plan: &'a Plan,
        layout: &'a Layout,
        run: &'a str,
        options: &'a Options,
        store: Store,
        history: History,
        book: &'a mut Book<'b>,
    ) -> Self {
        let (sender, inbox) = channel();
        let missing: Vec<usize> = plan.tasks.iter().map(|t| t.upstream().len()).collect();
        let undecided = options.selected.iter().copied().filter(|i| missing[*i] == 0).collect();
        Self {
            plan,
            layout,
            run,
            options,
            store,
            history,
            book,
            inbox,
            sender,
            states: vec![TaskState::Waiting; plan.tasks.len()],
            missing,
            downstream: plan.downstream(),
            undecided,
            ready: BTreeMap::new(),
            running: BTreeMap::new(),
            known: Known::new(),
            slots: Slots::new(options.capacity.clone()),
            runtime: Runtime::Unknown,
            runtime_missing: false,
            stopping: None,
            interrupted: false,
        }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(self.sender.clone())
    }

    /// Runs until nothing is left to do.
    pub(super) fn run(mut self) -> Result<Summary, StoreError> {
        loop {
            self.decide_all()?;
            self.start_all()?;
            if self.running.is_empty() && !matches!(self.runtime, Runtime::Fetching) {
                break;
            }
            if let Some(message) = self.receive() {
                self.handle_message(message)?;
            }
            // Whatever else has arrived meanwhile.
            while let Ok(message) = self.inbox.try_recv() {
                self.handle_message(message)?;
            }
            self.enforce_deadlines();
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Summary, StoreError> {
        for &index in &self.options.selected {
            if !self.states[index].is_final() {
                self.set(index, Change::Cancel);
                self.book.write(Event::TaskCancelled { task: self.plan.tasks[index].id.clone() })?;
            }
        }
        let all_done = self.options.selected.iter().all(|i| self.states[*i].is_done());
        let outcome = match (all_done, self.interrupted) {
            (true, _) => Outcome::Succeeded,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        };
        let states = (0..self.states.len())
            .map(|i| self.options.selected.contains(&i).then_some(self.states[i]))
            .collect();
        let (run, runtime_missing) = (self.run.to_owned(), self.runtime_missing);
        Ok(Summary { run, outcome, states, runtime_missing, seconds: 0.0 })
    }

    /// The only place where a task changes its state.
    fn set(&mut self, index: usize, change: Change) {
        let state = self.states[index];
        match state.next(change) {
            Some(next) => self.states[index] = next,
            // The transition table and this file disagree: a bug that must not pass unseen in tests.
            None => debug_assert!(false, "{:?} cannot {change:?} from {state:?}", self.plan.tasks[index].id),
        }
    }

    fn draining(&self) -> bool {
        self.stopping.is_some() || (!self.options.keep_going && self.states.contains(&TaskState::Failed))
    }

    fn decide_all(&mut self) -> Result<(), StoreError> {
        while let Some(index) = self.undecided.pop_front() {
            if self.draining() {
                return Ok(());
            }
            let force = self.options.forced.contains(&index);
            let decision = decide(
                self.plan,
                index,
                &self.known,
                &mut self.store,
                &self.history,
                &self.options.around,
                force,
            );
            match decision {
                Ok(Decision::Cached(manifest)) => self.take_from_store(index, &manifest)?,
                Ok(Decision::Run { fingerprint, why }) => {
                    self.set(index, Change::Miss);
                    self.ready.insert(index, (fingerprint, why));
                }
                // An input file of this one task; the store itself failing would fail every task.
                Err(error) => {
                    let error = StageError::input(error.to_string());
                    self.fail(index, error, 0.0, self.log_path(index))?;
                }
            }
        }
        Ok(())
    }

    fn take_from_store(&mut self, index: usize, manifest: &Manifest) -> Result<(), StoreError> {
        let task = &self.plan.tasks[index];
        publish::show(task, manifest, &self.store, self.layout, &mut self.history)?;
        self.set(index, Change::Hit);
        self.known.insert(index, manifest.outputs.clone());
        let fingerprint = manifest.fingerprint.digest();
        self.book.write(Event::TaskCached { task: task.id.clone(), fingerprint })?;
        self.release_downstream(index);
        Ok(())
    }

    fn release_downstream(&mut self, index: usize) {
        for &next in &self.downstream[index] {
            self.missing[next] -= 1;
            if self.missing[next] == 0
                && self.options.selected.contains(&next)
                && self.states[next] == TaskState::Waiting
            {
                self.undecided.push_back(next);
            }
        }
    }

    fn start_all(&mut self) -> Result<(), StoreError> {
        if self.draining() {
            return Ok(());
        }
        // Plan order: earlier tasks first, so that what others wait for is not put off.
        for index in self.ready.keys().copied().collect::<Vec<_>>() {
            let task = &self.plan.tasks[index];
            if let Err(message) = self.slots.can_serve(&task.resources) {
                let error = StageError::new(FailureClass::Runtime, format!("{} {message}", task.id));
                self.fail(index, error, 0.0, self.log_path(index))?;
                continue;
            }
            let runtime = match (task.needs_runtime, &self.runtime) {
                (false, _) => None,
                (true, Runtime::Here(path)) => Some(path.clone()),
                (true, Runtime::Unknown) => {
                    self.provide_runtime();
                    continue;
                }
                (true, Runtime::Fetching) => continue,
                (true, Runtime::Unavailable(error)) => {
                    let error = error.clone();
                    self.fail(index, error, 0.0, self.log_path(index))?;
                    continue;
                }
            };
            if let Some((device, threads)) = self.slots.take(index, &task.resources) {
                self.start(index, device, threads, runtime)?;
            }
            if self.draining() {
                break;
            }
        }
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

    fn log_path(&self, index: usize) -> PathBuf {
        self.layout.log(self.run, &self.plan.tasks[index].id, 1)
    }

    fn start(
        &mut self,
        index: usize,
        device: Device,
        threads: usize,
        runtime: Option<PathBuf>,
    ) -> Result<(), StoreError> {
        let Some((fingerprint, why)) = self.ready.remove(&index) else { return Ok(()) };
        let task = &self.plan.tasks[index];
        let (log, staging) = (self.log_path(index), self.layout.staging().join(index.to_string()));
        std::fs::create_dir_all(&staging).map_err(StoreError::io("create", &staging))?;
        let place = Place { device, threads, runtime, staging: staging.clone() };
        let job = job(self.plan, index, &self.known, self.layout, place);
        self.set(index, Change::Start);
        self.book.write(Event::TaskStarted {
            task: task.id.clone(),
            attempt: 1,
            why: why.lines(),
            device: match device {
                Device::Cpu => "cpu".to_owned(),
                Device::Cuda(n) => format!("cuda:{n}"),
            },
            log: log.clone(),
        })?;
        let started = Instant::now();
        match Worker::start(&self.options.worker, &job, index, &log, self.sender.clone()) {
            Ok(worker) => {
                // Stages that watch their own limit (`command`) get time to end in order and say why.
                let limit = job.timeout_s.map(|s| Duration::from_secs_f64(s) + 2 * self.options.grace);
                let running = Running {
                    worker,
                    started,
                    deadline: limit.map(|l| started + l),
                    timed_out: false,
                    staging,
                    log,
                    fingerprint,
                    measured: BTreeMap::new(),
                };
                self.running.insert(index, running);
                Ok(())
            }
            Err(error) => {
                self.slots.release(index);
                let error = StageError::from(error).hint("the worker process could not be started");
                self.fail(index, error, 0.0, log)
            }
        }
    }

    /// Waits for a message, at most until something is due.
    fn receive(&self) -> Option<Message> {
        let due = self.running.values().filter_map(|r| r.deadline).chain(self.stopping).min();
        match due {
            None => self.inbox.recv().ok(),
            Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(Instant::now())).ok(),
        }
    }

    fn handle_message(&mut self, message: Message) -> Result<(), StoreError> {
        match message {
            Message::Report { task, report } => self.report(task, report),
            Message::Exited { task, status, last } => self.exited(task, status, last),
            Message::Runtime(Ok(path)) => {
                self.runtime = Runtime::Here(path);
                Ok(())
            }
            Message::Runtime(Err(error)) => {
                self.runtime = Runtime::Unavailable(error);
                Ok(())
            }
            Message::Interrupt(how) => {
                self.interrupt(how);
                Ok(())
            }
        }
    }

    fn report(&mut self, index: usize, report: Report) -> Result<(), StoreError> {
        let task = self.plan.tasks[index].id.clone();
        match report {
            Report::Progress { done, total, unit, note } => {
                self.book.write(Event::Progress { task, done, total, unit, note })
            }
            Report::Measure { name, value } => {
                if let Some(running) = self.running.get_mut(&index) {
                    running.measured.insert(name.clone(), value.clone());
                }
                self.book.write(Event::Measured { task, name, value })
            }
            Report::Warning { message } => self.book.write(Event::Warned { task, message }),
            // Log lines went to the log file before they could reach the inbox.
            Report::Log { .. } => Ok(()),
        }
    }

    fn exited(
        &mut self,
        index: usize,
        status: Result<ExitStatus, String>,
        last: Option<FromWorker>,
    ) -> Result<(), StoreError> {
        let Some(running) = self.running.remove(&index) else { return Ok(()) };
        self.slots.release(index);
        let seconds = running.started.elapsed().as_secs_f64();
        let ended = match last {
            // What was finished is kept even while stopping.
            Some(FromWorker::Finished { outputs, peak_memory }) => {
                self.succeed(index, &running, &outputs, seconds, peak_memory)
            }
            _ if self.stopping.is_some() => {
                self.set(index, Change::Cancel);
                self.book.write(Event::TaskCancelled { task: self.plan.tasks[index].id.clone() })
            }
            Some(FromWorker::Failed { error }) => self.fail(index, error, seconds, running.log),
            _ => {
                let error =
                    unexpected_end(running.timed_out, status, self.plan.tasks[index].resources.time_s);
                self.fail(index, error, seconds, running.log)
            }
        };
        // Best effort: the next run clears staging anyway.
        let _ = std::fs::remove_dir_all(&running.staging);
        ended
    }

    fn succeed(
        &mut self,
        index: usize,
        running: &Running,
        produced: &BTreeMap<String, Produced>,
        seconds: f64,
        peak_memory: Option<u64>,
    ) -> Result<(), StoreError> {
        let task = &self.plan.tasks[index];
        let manifest = Manifest {
            format: Manifest::FORMAT,
            fingerprint: running.fingerprint.clone(),
            outputs: BTreeMap::new(),
            measured: running.measured.clone(),
            seconds,
            peak_memory,
            host: self.options.host.clone(),
            phasegraph: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let (store, history) = (&mut self.store, &mut self.history);
        let manifest =
            publish::publish(task, &running.staging, produced, manifest, store, self.layout, history)?;
        self.set(index, Change::Finish);
        self.book.write(Event::TaskSucceeded {
            task: task.id.clone(),
            fingerprint: manifest.fingerprint.digest(),
            seconds,
            peak_memory,
            outputs: manifest.outputs.clone(),
        })?;
        self.known.insert(index, manifest.outputs);
        self.release_downstream(index);
        Ok(())
    }

    /// Fails a task and blocks everything that needs it.
    fn fail(
        &mut self,
        index: usize,
        error: StageError,
        seconds: f64,
        log: PathBuf,
    ) -> Result<(), StoreError> {
        self.ready.remove(&index);
        self.set(index, Change::Fail);
        self.runtime_missing |= error.class == FailureClass::Runtime;
        let task = self.plan.tasks[index].id.clone();
        self.book.write(Event::TaskFailed {
            task: task.clone(),
            class: error.class,
            message: error.message,
            hint: error.hint,
            seconds,
            log,
        })?;
        let mut blocked = BTreeSet::new();
        let mut reached = vec![index];
        while let Some(from) = reached.pop() {
            reached.extend(self.downstream[from].iter().filter(|next| blocked.insert(**next)));
        }
        for next in blocked {
            if self.options.selected.contains(&next) && self.states[next] == TaskState::Waiting {
                self.set(next, Change::Block);
                let (task, by) = (self.plan.tasks[next].id.clone(), task.clone());
                self.book.write(Event::TaskBlocked { task, by })?;
            }
        }
        Ok(())
    }

    fn interrupt(&mut self, how: Interrupt) {
        self.interrupted = true;
        let first = self.stopping.is_none();
        if first {
            self.stopping = Some(Instant::now() + self.options.grace);
        }
        for running in self.running.values() {
            match (how, first) {
                (Interrupt::Gently, true) => running.worker.terminate(),
                // Asked twice means now.
                _ => running.worker.kill(),
            }
        }
        if matches!(self.runtime, Runtime::Fetching) {
            // The download goes on in its thread and is of no use to this run.
            self.runtime = Runtime::Unknown;
        }
    }

    fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        if self.stopping.is_some_and(|at| at <= now) {
            self.running.values().for_each(|r| r.worker.kill());
            // Killed once is enough; their ends will arrive.
            self.stopping = Some(now + Duration::from_secs(3600));
        }
        for running in self.running.values_mut().filter(|r| r.deadline.is_some_and(|d| d <= now)) {
            running.timed_out = true;
            running.deadline = None;
            running.worker.kill();
        }
    }
}
