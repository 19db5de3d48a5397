//! Workers, kept between jobs: a tiny stage must not pay for the start of a process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::inbox::Message;
use super::process::Worker;
use crate::stages::{Device, Job};
use crate::worker::ToWorker;

/// A worker that used more memory than this is not kept: what it has not given back would be counted to the
/// next job.
const LEAN: u64 = 256 << 20;

/// Time that a dismissed worker gets to end by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Waits for a job.
    Nothing,
    /// Has one.
    Job,
    /// Was dismissed, and has not ended yet. It holds memory until it has, on a GPU, too.
    Leaving(Instant),
}

#[derive(Debug)]
struct Member {
    worker: Worker,
    threads: usize,
    doing: Doing,
    /// Jobs given to it so far.
    jobs: usize,
}

/// Workers by their names.
#[derive(Debug)]
pub(super) struct Pool {
    command: Vec<OsString>,
    leash: PathBuf,
    inbox: Sender<Message>,
    members: BTreeMap<u64, Member>,
    next: u64,
}

impl Pool {
    /// Workers are started by `command`, marked by `leash`, and speak to `inbox`.
    pub(super) fn new(command: Vec<OsString>, leash: PathBuf, inbox: Sender<Message>) -> Self {
        Self { command, leash, inbox, members: BTreeMap::new(), next: 0 }
    }

    /// Gives a job to a worker, which answers under the name returned. A job that needs ONNX Runtime or a
    /// GPU gets a fresh process, because libraries keep memory, and settings, for as long as they live.
    pub(super) fn give(&mut self, job: Job) -> io::Result<(u64, u32)> {
        let alone = is_alone(&job);
        let idle = |m: &Member| m.doing == Doing::Nothing;
        let fit = |m: &Member| idle(m) && m.threads == job.threads && !alone;
        let name = match self.members.iter().find(|(_, m)| fit(m)) {
            Some((name, _)) => *name,
            None => {
                // One idle worker of another kind makes room: it would only hold memory.
                if let Some(other) = self.members.values_mut().find(|m| idle(m)) {
                    other.dismiss();
                }
                self.start(job.threads)?
            }
        };
        let Some(member) = self.members.get_mut(&name) else { return Err(io::Error::other("no worker")) };
        member.doing = Doing::Job;
        member.jobs += 1;
        member.worker.send(&ToWorker::Run(Box::new(job)))?;
        Ok((name, member.worker.number()))
    }

    fn start(&mut self, threads: usize) -> io::Result<u64> {
        let name = self.next;
        self.next += 1;
        let worker = Worker::start(&self.command, &self.leash, name, self.inbox.clone())?;
        self.members.insert(name, Member { worker, threads, doing: Doing::Nothing, jobs: 0 });
        Ok(name)
    }

    /// A worker has answered: it is kept for the next job, if it can be. Says whether it is.
    pub(super) fn answered(
        &mut self,
        worker: u64,
        well: bool,
        alone: bool,
        peak_memory: Option<u64>,
    ) -> bool {
        let Some(member) = self.members.get_mut(&worker) else { return false };
        let keep = well && !alone && peak_memory.is_none_or(|bytes| bytes <= LEAN);
        match keep {
            true => member.doing = Doing::Nothing,
            false => member.dismiss(),
        }
        keep
    }

    /// A worker has ended. If it had a task, says whether that was its first.
    pub(super) fn ended(&mut self, worker: u64) -> Option<First> {
        let member = self.members.remove(&worker)?;
        (member.doing == Doing::Job).then_some(First(member.jobs == 1))
    }

    /// Dismisses all workers, which are idle.
    pub(super) fn dismiss(&mut self) {
        self.members.values_mut().for_each(Member::dismiss);
    }

    /// Whether all workers have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Ends workers that were dismissed and do not go.
    pub(super) fn enforce_leaving(&self) {
        for member in self.members.values() {
            if matches!(member.doing, Doing::Leaving(since) if since.elapsed() > PATIENCE) {
                member.worker.kill();
            }
        }
    }

    /// Asks a worker to end its job soon.
    pub(super) fn stop(&mut self, worker: u64) {
        if let Some(member) = self.members.get_mut(&worker) {
            // One that cannot be told will be ended when the grace period is over.
            let _ = member.worker.send(&ToWorker::Stop);
        }
    }

    /// Ends a worker and all its processes now.
    pub(super) fn kill(&self, worker: u64) {
        if let Some(member) = self.members.get(&worker) {
            member.worker.kill();
        }
    }
}

impl Member {
    fn dismiss(&mut self) {
        self.worker.dismiss();
        self.doing = Doing::Leaving(Instant::now());
    }
}

/// Whether a task was the first of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First(pub(super) bool);

/// Whether a job gets a process of its own.
pub(super) fn is_alone(job: &Job) -> bool {
    job.runtime.is_some() || job.device != Device::Cpu
}
