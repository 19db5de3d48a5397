//! The one owner of a run's state. Everything that happens arrives in one inbox; every change of a
//! task's state goes through [`Dispatcher::set`]. How tasks start is in `starting`, how they end in `ended`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::around::Around;
use super::inbox::{Handle, Interrupt, Message};
use super::loss::Kills;
use super::pool::{self, Pool};
use super::publisher::Publisher;
use super::queue::Queue;
use super::rescuing::Rescues;
use super::run::{Book, Options, Summary};
use super::slots::Slots;
use super::staging::Staging;
use super::starting::Running;
use super::waiting::Waiting;
use super::{Change, Lease, TaskState};
use crate::cache::{Finished, History, Intake, Known, Layout, Miss, Store, StoreError, ToHash};
use crate::diag::{FailureClass, StageError};
use crate::events::{Event, Outcome, RunView};
use crate::io::digest::Digest;
use crate::plan::{Edges, Past, Plan, Task};

/// How often it is told how long it will still take.
const FORECAST_EVERY: Duration = Duration::from_secs(2);

/// Where ONNX Runtime is, for tasks that need it.
pub(super) enum Runtime {
    Unknown,
    Fetching,
    Here(PathBuf),
    Unavailable(StageError),
}

pub(super) struct Dispatcher<'a, 'b> {
    pub(super) plan: &'a Plan,
    pub(super) layout: &'a Layout,
    pub(super) run: &'a str,
    pub(super) options: &'a Options,
    pub(super) store: Store,
    pub(super) history: History,
    pub(super) book: &'a mut Book<'b>,
    inbox: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    states: Vec<TaskState>,
    /// Selected producers that are not done yet, per task.
    missing: Vec<usize>,
    pub(super) edges: Edges,
    pub(super) undecided: VecDeque<usize>,
    /// Files being hashed, with the tasks that wait for each.
    pub(super) hashing: BTreeMap<ToHash, Vec<usize>>,
    /// Threads that hash files, once there were some to hash.
    pub(super) hashers: Option<ThreadPool>,
    /// How many files each of them waits for.
    pub(super) unhashed: BTreeMap<usize, usize>,
    /// Tasks that could start, in an order that takes a look at the whole plan: made when there is one.
    pub(super) queue: Option<Queue>,
    /// Fingerprints of tasks that must run or are running, each with the tasks that wait for its outputs
    /// because they would do the same.
    pub(super) twins: BTreeMap<Digest, Vec<usize>>,
    /// What is known of tasks that must run, until they have.
    pub(super) misses: BTreeMap<usize, Miss>,
    /// Attempts made so far, and by which failures they ended, for tasks that were tried.
    pub(super) attempts: BTreeMap<usize, Vec<FailureClass>>,
    /// Tasks that wait for their next attempt.
    pub(super) delayed: BTreeSet<(Instant, usize)>,
    /// By the name of the worker that has them.
    pub(super) running: BTreeMap<u64, Running>,
    /// GPUs that workers hold which have answered but not ended yet.
    pub(super) leaving: BTreeMap<u64, (Lease, Instant)>,
    /// When to ask again for a GPU that another process has.
    pub(super) next_look: Option<Instant>,
    /// Its place in the lines for GPUs.
    pub(super) waiting: Option<Waiting>,
    /// The task that was last told to wait for a GPU, and for whose.
    pub(super) told_held_up: Option<(usize, String)>,
    pub(super) staging: Staging,
    pub(super) rescues: Rescues,
    pub(super) kills: Kills,
    pub(super) around: Around,
    pub(super) publishing: usize,
    pub(super) publisher: Publisher,
    pub(super) pool: Pool,
    pub(super) known: Known,
    pub(super) slots: Slots,
    pub(super) runtime: Runtime,
    pub(super) runtime_missing: bool,
    pub(super) failed: usize,
    /// When running tasks will be ended, once an end is wanted.
    pub(super) stopping: Option<Instant>,
    interrupted: bool,
    forecast_at: Instant,
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
    ) -> Result<Self, StoreError> {
        let (sender, inbox) = channel();
        let edges = plan.edges();
        let missing = edges.missing();
        let undecided = options.selected.iter().filter(|i| missing[*i] == 0).collect();
        let resuming = plan.tasks.iter().filter(|task| task.resumes);
        let publisher = Publisher::start(Intake::new(store.root()), sender.clone())
            .map_err(StoreError::io("write to", store.root()))?;
        Ok(Self {
            plan,
            layout,
            run,
            options,
            queue: None,
            publisher,
            pool: Pool::new(options.worker.clone(), layout.runs(), sender.clone()),
            known: Known::new(plan.tasks.len()),
            store,
            history,
            book,
            inbox,
            sender,
            states: vec![TaskState::Waiting; plan.tasks.len()],
            missing,
            edges,
            undecided,
            hashing: BTreeMap::new(),
            unhashed: BTreeMap::new(),
            hashers: None,
            twins: BTreeMap::new(),
            misses: BTreeMap::new(),
            attempts: BTreeMap::new(),
            delayed: BTreeSet::new(),
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            next_look: None,
            waiting: None,
            told_held_up: None,
            rescues: Rescues::load(layout, options.capacity.memory)?,
            kills: Kills::new(),
            around: Around::new(options.gpu_watch.clone()),
            staging: Staging::open(layout, resuming.map(|task| &*task.id))?,
            publishing: 0,
            slots: Slots::new(options.capacity.clone()),
            runtime: Runtime::Unknown,
            runtime_missing: false,
            failed: 0,
            stopping: None,
            interrupted: false,
            forecast_at: Instant::now(),
        })
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(self.sender.clone())
    }

    /// Runs until nothing is left to do.
    pub(super) fn run(mut self) -> Result<Summary, StoreError> {
        loop {
            self.decide_all()?;
            self.start_all()?;
            if self.is_over() {
                break;
            }
            self.book.flush()?;
            if let Some(message) = self.receive() {
                self.handle_message(message)?;
            }
            // Whatever else has arrived meanwhile.
            while let Ok(message) = self.inbox.try_recv() {
                self.handle_message(message)?;
            }
            self.enforce_deadlines()?;
            self.forecast()?;
        }
        self.dismiss();
        self.finish()
    }

    /// Waits for the idle workers to end: nothing of a run should be there when it is over.
    fn dismiss(&mut self) {
        self.pool.dismiss();
        while !self.pool.is_empty() {
            if let Ok(Message::Ended { worker, .. }) = self.inbox.recv_timeout(pool::PATIENCE) {
                self.pool.ended(worker);
            }
            self.pool.enforce_leaving();
        }
    }

    /// Tells now and then how long it will still take.
    fn forecast(&mut self) -> Result<(), StoreError> {
        if self.forecast_at.elapsed() < FORECAST_EVERY {
            return Ok(());
        }
        self.forecast_at = Instant::now();
        let selected = &self.options.selected;
        let left = |index: usize| selected.contains(index) && !self.states[index].is_final();
        let past = |task: &Task| self.history.past(&task.id).seconds;
        match self.plan.estimate(left, past, self.options.capacity.cores) {
            Some(estimate) => self.book.write(Event::Forecast { seconds: estimate.seconds }),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        let waiting = !self.hashing.is_empty()
            || !self.delayed.is_empty()
            || matches!(self.runtime, Runtime::Fetching)
            || self.next_look.is_some();
        let busy = !self.running.is_empty() || self.publishing > 0 || !self.leaving.is_empty();
        !busy && (!waiting || self.is_draining())
    }

    fn finish(mut self) -> Result<Summary, StoreError> {
        for index in self.options.selected.iter() {
            if !self.states[index].is_final() {
                self.cancel(index)?;
            }
        }
        self.flush_memory()?;
        let all_done = self.options.selected.iter().all(|i| self.states[i].is_done());
        let outcome = match (all_done, self.interrupted) {
            (true, _) => Outcome::Succeeded,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        };
        let selected = &self.options.selected;
        let states = self.states.iter().enumerate();
        let states = states.map(|(i, state)| selected.contains(i).then_some(*state)).collect();
        let (run, runtime_missing) = (self.run.to_owned(), self.runtime_missing);
        // The rest is known to the caller.
        Ok(Summary { run, outcome, states, runtime_missing, seconds: 0.0, view: RunView::default() })
    }

    /// The only place where a task changes its state.
    pub(super) fn set(&mut self, index: usize, change: Change) {
        let state = self.states[index];
        match state.next(change) {
            Some(next) => self.states[index] = next,
            // The transition table and this file disagree: a bug that must not pass unseen in tests.
            None => debug_assert!(false, "{:?} cannot {change:?} from {state:?}", self.plan.tasks[index].id),
        }
    }

    pub(super) fn state(&self, index: usize) -> TaskState {
        self.states[index]
    }

    /// Tasks that could start.
    pub(super) fn queue(&mut self) -> &mut Queue {
        let (plan, history) = (self.plan, &self.history);
        self.queue.get_or_insert_with(|| {
            let path = plan.longest_paths(|task| history.past(&task.id).seconds);
            Queue::new(|task| plan.tasks[task].priority, &path, super::starting::classes(plan))
        })
    }

    pub(super) fn name(&self, index: usize) -> String {
        self.plan.tasks[index].id.to_string()
    }

    /// Whether nothing new is started.
    pub(super) fn is_draining(&self) -> bool {
        self.stopping.is_some() || (!self.options.keep_going && self.failed > 0)
    }

    pub(super) fn cancel(&mut self, index: usize) -> Result<(), StoreError> {
        self.set(index, Change::Cancel);
        self.book.write(Event::TaskCancelled { task: self.name(index) })
    }

    /// Puts a task's fingerprint into the history.
    pub(super) fn remember(
        &mut self,
        index: usize,
        finished: &Finished,
        ran: Option<Past>,
    ) -> Result<(), StoreError> {
        let id = &self.plan.tasks[index].id;
        let recorded = self.history.record(id, finished.fingerprint, ran);
        recorded.map_err(|e| StoreError::io("write", &self.layout.history())(e))
    }

    /// Writes what was learned for later runs.
    pub(super) fn flush_memory(&mut self) -> Result<(), StoreError> {
        self.store.flush();
        let file = self.layout.history();
        self.history.flush().map_err(StoreError::io("write", &file))?;
        let file = self.layout.facts();
        self.rescues.facts.flush().map_err(StoreError::io("write", &file))
    }

    /// Takes note of the outputs of a finished or cached task and looks at what waited for it.
    pub(super) fn done(&mut self, index: usize, finished: Finished) {
        self.known.insert(index, finished);
        for next in self.edges.downstream(index) {
            self.missing[next] -= 1;
            if self.missing[next] == 0
                && self.options.selected.contains(next)
                && self.states[next] == TaskState::Waiting
            {
                self.undecided.push_back(next);
            }
        }
    }

    /// The task with this fingerprint has finished, or failed: its twins are decided on.
    pub(super) fn release_twins(&mut self, fingerprint: &Digest) {
        self.undecided.extend(self.twins.remove(fingerprint).unwrap_or_default());
    }

    /// Waits for a message, at most until something is due.
    fn receive(&self) -> Option<Message> {
        let limits = self.running.values().filter_map(|r| r.deadline);
        let next = self.delayed.first().map(|(at, _)| *at);
        let patience = self.leaving.values().map(|(_, since)| *since + pool::PATIENCE);
        match limits.chain(self.stopping).chain(next).chain(self.next_look).chain(patience).min() {
            None => self.inbox.recv().ok(),
            Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(Instant::now())).ok(),
        }
    }

    fn handle_message(&mut self, message: Message) -> Result<(), StoreError> {
        match message {
            Message::Said { worker, said } => self.said(worker, *said),
            Message::Ended { worker, status, peak } => self.ended(worker, &status, peak),
            Message::Hashed { file, hashed } => self.hashed(&file, hashed),
            Message::Published(published) => self.published(published?),
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

    fn interrupt(&mut self, how: Interrupt) {
        self.interrupted = true;
        let first = self.stopping.is_none();
        if first {
            self.stopping = Some(Instant::now() + self.options.grace);
        }
        let workers: Vec<u64> = self.running.keys().copied().collect();
        for worker in workers {
            match (how, first) {
                (Interrupt::Gently, true) => self.pool.stop(worker),
                // Asked twice means now.
                _ => self.pool.kill(worker),
            }
        }
        if matches!(self.runtime, Runtime::Fetching) {
            // The download goes on in its thread and is of no use to this run.
            self.runtime = Runtime::Unknown;
        }
    }

    fn enforce_deadlines(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        self.pool.enforce_leaving();
        if self.stopping.is_some_and(|at| at <= now) {
            self.running.keys().for_each(|worker| self.pool.kill(*worker));
            // Killed once is enough; their ends will arrive.
            self.stopping = Some(now + Duration::from_secs(3600));
        }
        for (worker, running) in self.running.iter_mut().filter(|(_, r)| r.deadline.is_some_and(|d| d <= now))
        {
            running.timed_out = true;
            running.deadline = None;
            self.pool.kill(*worker);
        }
        while let Some((at, index)) = self.delayed.first().copied()
            && at <= now
        {
            self.delayed.remove(&(at, index));
            self.set(index, Change::Due);
            self.queue().push(index);
        }
        Ok(())
    }
}
