//! A worker's life: job after job, until its input ends.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::{ToWorker, serve};
use crate::os;
use crate::stages::Job;

/// What the listening thread and the working one share.
#[derive(Default)]
struct Shared {
    busy: AtomicBool,
    stop: AtomicBool,
}

/// Runs the jobs that arrive on `input`. Its end means that the orchestrator wants no more or is gone: an
/// idle worker returns, a busy one ends itself and its group, for nobody would take its result.
pub fn serve_all(input: impl BufRead + Send + 'static, out: &mut dyn Write) -> io::Result<()> {
    os::adopt_orphans();
    let shared = Arc::new(Shared::default());
    let (sender, jobs) = channel();
    let theirs = Arc::clone(&shared);
    std::thread::Builder::new().name("listen".to_owned()).spawn(move || listen(input, &theirs, &sender))?;
    for job in jobs {
        serve(&job, out, &shared.stop, true)?;
        shared.stop.store(false, Ordering::SeqCst);
        shared.busy.store(false, Ordering::SeqCst);
    }
    Ok(())
}

fn listen(mut input: impl BufRead, shared: &Shared, jobs: &Sender<Job>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        if !matches!(input.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(ToWorker::Run(job)) => {
                shared.busy.store(true, Ordering::SeqCst);
                if jobs.send(*job).is_err() {
                    return;
                }
            }
            Ok(ToWorker::Stop) => shared.stop.store(true, Ordering::SeqCst),
            // Torn by the death of the orchestrator, or not ours.
            Err(_) => break,
        }
    }
    if shared.busy.load(Ordering::SeqCst) {
        os::end_own_group();
    }
}
