//! Runs one job.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{FromWorker, Produced};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::Digest;
use crate::stages::{self, Context, Job, Report};

/// Runs `job` and writes what happens to `out`. An error means that `out` itself is gone, that is, the
/// orchestrator; the stage's own failure is a message.
pub fn serve(job: &Job, out: &mut dyn Write) -> io::Result<()> {
    let mut broken = None;
    let result = {
        let mut emit = |report: Report| {
            if broken.is_none() {
                broken = send(out, &FromWorker::Report { report }).err();
            }
        };
        run(job, &mut emit)
    };
    if let Some(error) = broken {
        return Err(error);
    }
    let last = match result.and_then(|()| outputs(job)) {
        Ok(outputs) => FromWorker::Finished { outputs, peak_memory: peak_memory() },
        Err(error) => FromWorker::Failed { error },
    };
    send(out, &last)
}

fn send(out: &mut dyn Write, message: &FromWorker) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

fn run(job: &Job, emit: &mut dyn FnMut(Report)) -> StageResult {
    let stage = stages::find(&job.kind)
        .ok_or_else(|| StageError::new(FailureClass::Other, format!("no stage kind `{}`", job.kind)))?;
    // One job a process, so the global pool is this job's own. It exists already only where tests run
    // several jobs in one process; results never depend on the number of threads.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(job.threads.max(1)).build_global();
    // A panic is a bug of ours; it must end this task only, with its message in the journal.
    catch_unwind(AssertUnwindSafe(|| stage.run(&mut Context::new(job, emit)))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "no message".to_owned());
        Err(StageError::new(FailureClass::Other, format!("stage `{}` panicked: {text}", job.kind))
            .hint("this is a bug in phasegraph; please report it with the log of this task"))
    })
}

/// Checks that every declared output is there, makes it durable, and hashes it.
fn outputs(job: &Job) -> StageResult<BTreeMap<String, Produced>> {
    let mut produced = BTreeMap::new();
    for (name, file) in &job.outputs {
        let path = job.staging.join(file);
        let open = File::open(&path)
            .map_err(|e| StageError::check(format!("output `{name}` ({file}) was not written: {e}")))?;
        let meta = open.metadata()?;
        if !meta.is_file() {
            return Err(StageError::check(format!("output `{name}` ({file}) is not a regular file")));
        }
        open.sync_all()?;
        let digest = Digest::of_file(&path)?;
        produced.insert(name.clone(), Produced { digest, size: meta.len() });
    }
    Ok(produced)
}

/// `VmHWM` of this process; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
