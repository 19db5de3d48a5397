//! How a task ends: what its worker says, what is kept of it, what becomes of the tasks after it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Instant;

use super::Change;
use super::dispatcher::Dispatcher;
use super::failing::Failed;
use super::loss::classify;
use super::starting::Running;
use crate::cache::{Finished, Manifest, Origin, Publication, Published, StoreError, hash};
use crate::diag::{FailureClass, StageError};
use crate::events::{Event, OutputRecord, Room};
use crate::plan::{Past, Source};
use crate::stages::Report;
use crate::worker::{FromWorker, Produced};

impl Dispatcher<'_, '_> {
    pub(super) fn said(&mut self, worker: u64, said: FromWorker) -> Result<(), StoreError> {
        match said {
            FromWorker::Took => {
                if let Some(running) = self.running.get_mut(&worker) {
                    running.arrived = true;
                }
                Ok(())
            }
            FromWorker::Report { report } => self.report(worker, report),
            FromWorker::Finished { outputs, peak_memory } => {
                let Some(running) = self.take(worker, true, peak_memory) else { return Ok(()) };
                // What was finished is kept even while stopping.
                self.produced(&running, &outputs, peak_memory)
            }
            FromWorker::Failed { error, peak_memory } => {
                // While it still holds what it was given.
                let lease = self.running.get(&worker).and_then(|running| running.lease.as_ref());
                let room = self.around.at_failure(lease);
                let Some(running) = self.take(worker, false, peak_memory) else { return Ok(()) };
                if error.class == FailureClass::OutOfMemory {
                    self.kills.told();
                }
                self.attempt_failed(running, error, peak_memory, room)
            }
        }
    }

    /// A worker process is gone; if it had a task, the task has failed.
    pub(super) fn ended(
        &mut self,
        worker: u64,
        status: &Result<ExitStatus, String>,
        peak: Option<u64>,
    ) -> Result<(), StoreError> {
        self.leaving.remove(&worker);
        let Some(first) = self.pool.ended(worker) else { return Ok(()) };
        let Some(running) = self.running.remove(&worker) else { return Ok(()) };
        self.slots.release(running.task);
        if !first.0 && !running.arrived && self.stopping.is_none() {
            // It died idle, just when the job was on its way: not the job's fault.
            self.set(running.task, Change::Retry);
            self.set(running.task, Change::Due);
            self.queue().push(running.task);
            return Ok(());
        }
        let limit = self.plan.tasks[running.task].resources.time_s;
        let room = self.around.at_failure(running.lease.as_ref());
        let error = classify(status, running.timed_out, limit, &running.log, &mut self.kills);
        // A worker that did other jobs before may have peaked then.
        self.attempt_failed(running, error, peak.filter(|_| first.0), room)
    }

    /// Takes a task back from the worker that has answered.
    fn take(&mut self, worker: u64, well: bool, peak_memory: Option<u64>) -> Option<Running> {
        let mut running = self.running.remove(&worker)?;
        let kept = self.pool.answered(worker, well, running.alone, peak_memory);
        if let Some(lease) = running.lease.take().filter(|_| !kept) {
            // The GPU is free when the process is gone.
            self.leaving.insert(worker, (lease, Instant::now()));
        }
        self.slots.release(running.task);
        Some(running)
    }

    fn report(&mut self, worker: u64, report: Report) -> Result<(), StoreError> {
        let Some(running) = self.running.get_mut(&worker) else { return Ok(()) };
        let task = self.plan.tasks[running.task].id.to_string();
        match report {
            Report::Progress { done, total, unit, note } => {
                self.book.write(Event::Progress { task, done, total, unit, note })
            }
            Report::Measure { name, value } => {
                running.measured.insert(name.clone(), value.clone());
                self.book.write(Event::Measured { task, name, value })
            }
            Report::Warning { message } => self.book.write(Event::Warned { task, message }),
            // The worker wrote it to the log itself.
            Report::Log { .. } => Ok(()),
            Report::Chunk { size, unit, predicted_peak } => {
                let told = (size, unit.clone());
                if running.chunk.as_ref() == Some(&told) {
                    return Ok(());
                }
                running.chunk = Some(told);
                self.book.write(Event::TaskChunk { task, size, unit, predicted_peak })
            }
            Report::Learnt { key, value } => {
                let (kind, file) = (&self.plan.tasks[running.task].kind, self.layout.facts());
                self.rescues.facts.learn(kind, key, value).map_err(StoreError::io("write", &file))
            }
        }
    }

    /// Hands a finished task to the publisher.
    fn produced(
        &mut self,
        running: &Running,
        produced: &BTreeMap<String, Produced>,
        peak_memory: Option<u64>,
    ) -> Result<(), StoreError> {
        let index = running.task;
        if let Some(changed) = self.changed_input(index) {
            let message = format!("{} changed while the task was reading it", changed.display());
            let error = StageError::input(message).hint("run again when nobody writes to it");
            let seconds = running.began.elapsed().as_secs_f64();
            self.staging.failed(&running.staging, error.class);
            let (log, had) = (Some(running.log.clone()), running.had(peak_memory));
            return self.fail(index, Failed { error, seconds, log, had, room: Room::default() });
        }
        let Some(miss) = self.misses.remove(&index) else { return Ok(()) };
        let task = &self.plan.tasks[index];
        let record = |(name, output): (&String, &Produced)| {
            let file = task.outputs.get(name)?.clone();
            Some((name.clone(), OutputRecord { file, digest: output.digest, size: output.size }))
        };
        let outputs: BTreeMap<String, OutputRecord> = produced.iter().filter_map(record).collect();
        let held = outputs.values().map(|o| o.digest).filter(|d| self.store.holds(d)).collect();
        let manifest = Manifest {
            format: Manifest::FORMAT,
            study: self.plan.study.clone(),
            run: self.run.to_owned(),
            task: task.id.to_string(),
            fingerprint: self.deciding().fingerprint(index, &self.known, &miss.files).into_owned(),
            sources: self.sources(index),
            outputs,
            measured: running.measured.clone(),
            started: running.started,
            seconds: running.began.elapsed().as_secs_f64(),
            attempt: running.attempt,
            peak_memory,
            host: self.options.host.clone(),
            device: running.device.clone(),
            threads: running.threads,
            phasegraph: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let file = self.layout.facts();
        self.rescues.finished(task, running).map_err(StoreError::io("write", &file))?;
        let folder = self.layout.results().join(&task.folder);
        let staging = running.staging.clone();
        self.set(index, Change::Produce);
        self.publishing += 1;
        self.publisher.publish(Publication { task: index, staging, folder, manifest, held });
        Ok(())
    }

    /// An input file that is no longer what was hashed: its result belongs to no fingerprint.
    fn changed_input(&self, index: usize) -> Option<PathBuf> {
        let miss = self.misses.get(&index)?;
        let files = self.plan.tasks[index].inputs.sources().filter_map(|source| match source {
            Source::File { path } => Some(self.plan.base.join(path)),
            Source::Task { .. } => None,
        });
        let mut changed = files.zip(&miss.files).filter(|(path, digest)| match self.store.input(path) {
            Ok(Some(now)) => now != **digest,
            // Touched: its content decides.
            Ok(None) => !hash(path).is_ok_and(|now| now.digest == **digest),
            Err(_) => true,
        });
        changed.next().map(|(path, _)| path)
    }

    fn sources(&self, index: usize) -> BTreeMap<String, Vec<Origin>> {
        let origin = |source: &Source| match source {
            Source::File { path } => Origin::File { path: self.plan.base.join(path) },
            Source::Task { task, output } => Origin::Task {
                task: self.plan.tasks[*task].id.to_string(),
                fingerprint: self.known.get(*task).map_or(crate::io::digest::Digest::NONE, |k| k.fingerprint),
                output: output.to_string(),
            },
        };
        let inputs = self.plan.tasks[index].inputs.iter();
        inputs.map(|(slot, all)| (slot.to_owned(), all.iter().map(origin).collect())).collect()
    }

    pub(super) fn published(&mut self, published: Vec<Published>) -> Result<(), StoreError> {
        for one in published {
            let Published { task: index, fingerprint, outputs, shown, manifest, staging } = one;
            self.staging.finished(staging)?;
            self.publishing -= 1;
            self.store.learn_action(fingerprint, outputs.clone(), shown);
            let finished = Finished { fingerprint, outputs };
            let ran = Past { seconds: Some(manifest.seconds), peak_memory: manifest.peak_memory };
            self.remember(index, &finished, Some(ran))?;
            self.set(index, Change::Finish);
            self.book.write(Event::TaskSucceeded {
                task: manifest.task,
                fingerprint,
                seconds: manifest.seconds,
                peak_memory: manifest.peak_memory,
                outputs: manifest.outputs,
            })?;
            self.release_twins(&finished.fingerprint);
            self.done(index, finished);
        }
        self.flush_memory()
    }
}
