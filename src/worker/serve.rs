//! Runs one job.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

use super::{FromWorker, Produced};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::Digest;
use crate::os;
use crate::stages::{self, Context, Job, Report, oom};

/// Runs `job` and writes what happens to `out`; `stop` is set when it should end soon. `sole` says that
/// this process does nothing else, so that all its children are the job's. An error means that `out` itself
/// is gone, that is, the orchestrator; the stage's own failure is a message.
pub fn serve(job: &Job, out: &mut dyn Write, stop: &AtomicBool, sole: bool) -> io::Result<()> {
    send(out, &FromWorker::Took)?;
    let fresh = os::reset_peak_memory();
    let mut log = open_log(job, sole);
    let mut broken = None;
    let (result, programs) = {
        let mut emit = |report: Report| {
            if let (Some(line), Some(log)) = (log_line(&report), &mut log) {
                // A log that cannot be written must not end the task.
                let _ = writeln!(log, "{line}");
            }
            if broken.is_none() && !matches!(report, Report::Log { .. }) {
                broken = send(out, &FromWorker::Report { report }).err();
            }
        };
        let mut context = Context::new(job, &mut emit).under(stop, sole);
        (run(job, &mut context), context.peak_of_programs())
    };
    if let Some(error) = broken {
        return Err(error);
    }
    // Where the peak cannot be reset it would be that of an earlier job.
    let own = os::peak_memory().filter(|_| fresh);
    let peak_memory = own.max(programs);
    let last = match result.and_then(|()| outputs(job)) {
        Ok(outputs) => FromWorker::Finished { outputs, peak_memory },
        Err(error) => FromWorker::Failed { error, peak_memory },
    };
    send(out, &last)
}

/// The task's log; whatever libraries print to standard error goes there, too.
fn open_log(job: &Job, sole: bool) -> Option<File> {
    let log = OpenOptions::new().append(true).create(true).open(job.log.as_ref()?).ok()?;
    if sole {
        let _ = os::redirect_stderr(&log);
    }
    Some(log)
}

fn log_line(report: &Report) -> Option<String> {
    match report {
        Report::Log { message } => Some(message.clone()),
        Report::Warning { message } => Some(format!("warning: {message}")),
        Report::Chunk { size, unit, predicted_peak: _ } => Some(format!("{size} {unit} at a time")),
        Report::Progress { .. } | Report::Measure { .. } | Report::Learnt { .. } => None,
    }
}

fn send(out: &mut dyn Write, message: &FromWorker) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

fn run(job: &Job, context: &mut Context<'_>) -> StageResult {
    let stage = stages::find(&job.kind)
        .ok_or_else(|| StageError::new(FailureClass::Other, format!("no stage kind `{}`", job.kind)))?;
    // A worker is given jobs of one number of threads only, so the global pool can be built once. It exists
    // already where tests run jobs in their own process; results never depend on the number of threads.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(job.threads.max(1)).build_global();
    // After the threads, which could not be started for want of memory that the job has not taken.
    let _limit = limit(job, stage)?;
    // A panic is a bug of ours; it must end this task only, with its message in the journal.
    catch_unwind(AssertUnwindSafe(|| stage.run(context))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "no message".to_owned());
        if oom::evidence(&text).is_some() {
            return Err(StageError::new(FailureClass::OutOfMemory, text));
        }
        Err(StageError::new(FailureClass::Other, format!("stage `{}` panicked: {text}", job.kind))
            .hint("this is a bug in phasegraph; please report it with the log of this task"))
    })
}

/// Holds a native stage to the memory it was promised, as long as the value returned lives. What programs may
/// have is a limit of theirs, which their stage sets.
fn limit(job: &Job, stage: &dyn stages::Stage) -> StageResult<Option<os::DataLimit>> {
    let bytes = job.memory.filter(|_| !stage.kind().open);
    let set = |bytes| os::DataLimit::set(bytes).map_err(StageError::from);
    bytes.map(set).transpose()
}

/// Checks that every declared output is there, and hashes it. The orchestrator makes it durable, together
/// with those of other tasks.
fn outputs(job: &Job) -> StageResult<BTreeMap<String, Produced>> {
    let mut produced = BTreeMap::new();
    for (name, file) in &job.outputs {
        let path = job.staging.join(file);
        let meta = std::fs::symlink_metadata(&path)
            .map_err(|e| StageError::check(format!("output `{name}` ({file}) was not written: {e}")))?;
        if !meta.is_file() {
            return Err(StageError::check(format!("output `{name}` ({file}) is not a regular file")));
        }
        let digest = Digest::of_file(&path)?;
        produced.insert(name.clone(), Produced { digest, size: meta.len() });
    }
    Ok(produced)
}
