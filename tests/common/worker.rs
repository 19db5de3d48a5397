//! A worker process that is given one job by the test itself.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use phasegraph::stages::Job;
use phasegraph::worker::ToWorker;

/// Starts a worker with a job. While its input is open it waits for more; what it tells comes line by line.
pub fn start(job: Job) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_phasegraph"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = worker.stdin.take().unwrap();
    serde_json::to_writer(&mut stdin, &ToWorker::Run(Box::new(job))).unwrap();
    stdin.write_all(b"\n").unwrap();
    let lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    (worker, stdin, lines)
}
