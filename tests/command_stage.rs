//! The `command` stage with real programs: sh, python3, sleep, and some that misbehave.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phasegraph::diag::{FailureClass, StageError};
use phasegraph::stages::{Context, Device, Job, JobInput, Report, Stage, command};
use serde_json::{Value, json};

/// A task in a folder of its own.
struct Task {
    folder: tempfile::TempDir,
    job: Job,
}

struct Outcome {
    result: Result<(), StageError>,
    reports: Vec<(Instant, Report)>,
    took: Duration,
}

impl Task {
    fn new(params: Value) -> Self {
        // The folder's name has a space: nothing may split it.
        let folder = tempfile::Builder::new().prefix("a b").tempdir().unwrap();
        let staging = folder.path().join("staging");
        fs::create_dir(&staging).unwrap();
        let job = Job {
            task: "task".into(),
            kind: "command".into(),
            point: BTreeMap::new(),
            params,
            seed: 42,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            staging,
            threads: 3,
            device: Device::Cpu,
            gpus: vec![],
            memory: None,
            timeout_s: None,
            gpu_memory: None,
            chunk: None,
            facts: BTreeMap::new(),
            runtime: None,
            log: None,
        };
        Self { folder, job }
    }

    fn sh(script: &str) -> Self {
        Self::new(json!({ "argv": ["sh", "-c", script] }))
    }

    fn input(mut self, name: &str, texts: &[&str]) -> Self {
        let write = |(i, text): (usize, &&str)| {
            let path = self.folder.path().join(format!("{name} {i}.txt"));
            fs::write(&path, text).unwrap();
            JobInput { path, origin: "test".into(), point: BTreeMap::new() }
        };
        let files = texts.iter().enumerate().map(write).collect();
        self.job.inputs.insert(name.into(), files);
        self
    }

    fn output(mut self, name: &str, file: &str) -> Self {
        self.job.outputs.insert(name.into(), file.into());
        self
    }

    fn limit(mut self, seconds: f64) -> Self {
        self.job.timeout_s = Some(seconds);
        self
    }

    fn run(&self) -> Outcome {
        let mut reports = Vec::new();
        let start = Instant::now();
        let mut emit = |report| reports.push((Instant::now(), report));
        let result = command::Command.run(&mut Context::new(&self.job, &mut emit));
        Outcome { result, reports, took: start.elapsed() }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.job.staging.join(file)
    }
}

impl Outcome {
    fn failure(&self) -> &StageError {
        self.result.as_ref().expect_err("the stage should fail")
    }

    /// What was logged, without the command line.
    fn log(&self) -> Vec<&str> {
        let lines = self.reports.iter().filter_map(|(_, report)| match report {
            Report::Log { message } => Some(message.as_str()),
            _ => None,
        });
        lines.filter(|line| !line.starts_with("$ ")).collect()
    }
}

/// Whether a process still runs; one that is dead but not yet reaped by its parent does not.
fn runs(pid: &str) -> bool {
    let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output();
    match fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        Ok(stat) => !stat.rsplit(") ").next().unwrap().starts_with('Z'),
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => ps.is_ok_and(|o| !o.stdout.is_empty() && !o.stdout.starts_with(b"Z")),
    }
}

/// Waits a little for a process to end, since signals take effect asynchronously.
fn ends(pid: &str) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !runs(pid)
    })
}

#[test]
fn placeholders_reach_a_real_program() {
    let script = "\
import json, os, sys
json.dump({'argv': sys.argv[1:], 'cwd': os.getcwd(), 'env': os.environ['POINT']}, open(sys.argv[1], 'w'))
";
    let mut task = Task::new(json!({
        "argv": ["python3", "{input.script}", "{output.report}", "{input.parts}", "--rate={param.rate}", "{param.on}",
                 "{axis.dose}/{seed}/{threads}/{device}/{gpus}", 1000.5, "$HOME; rm -rf *", "{{seed}}"],
        "values": { "rate": 0.25, "on": true },
        "env": { "POINT": "dose {axis.dose}" },
    }))
    .input("script", &[script])
    .input("parts", &["a", "b"])
    .output("report", "deep/er/report.json");
    task.job.point.insert("dose".into(), "1e3".into());
    task.run().result.unwrap();

    let report: Value = serde_json::from_str(&task.read("deep/er/report.json")).unwrap();
    let path = |p: PathBuf| p.to_str().unwrap().to_owned();
    let file = |name: &str| path(task.folder.path().join(name));
    let output = path(task.path("deep/er/report.json"));
    let expected = json!([
        output,
        file("parts 0.txt"),
        file("parts 1.txt"),
        "--rate=0.25",
        "true",
        "1e3/42/3/cpu/0",
        "1000.5",
        "$HOME; rm -rf *",
        "{seed}"
    ]);
    assert_eq!(report["argv"], expected);
    assert_eq!(report["env"], json!("dose 1e3"));
    assert_eq!(
        fs::canonicalize(report["cwd"].as_str().unwrap()).unwrap(),
        task.job.staging.canonicalize().unwrap()
    );
}

#[test]
fn the_log_has_the_command_line_and_every_line_as_it_comes() {
    let outcome = Task::sh("echo out; echo err >&2; sleep 0.7; printf ' 1%%\\r 2%%\\r'; printf end").run();
    outcome.result.as_ref().unwrap();
    assert_eq!(outcome.log(), ["out", "err", " 1%", " 2%", "end"]);
    let (_, line) = outcome.reports.first().unwrap();
    assert!(
        matches!(line, Report::Log { message } if message.starts_with("$ sh -c 'echo out; ")),
        "{line:?}"
    );
    let between = outcome.reports.last().unwrap().0 - outcome.reports[2].0;
    assert!(between > Duration::from_millis(400), "the second line did not wait for the end: {between:?}");
}

#[test]
fn a_flood_arrives_whole_and_in_order() {
    let outcome = Task::new(json!({ "argv": ["python3", "-c", "for i in range(50000): print(i)"] })).run();
    outcome.result.as_ref().unwrap();
    assert!(outcome.log().iter().enumerate().all(|(i, line)| line.parse() == Ok(i)));
    assert_eq!(outcome.log().len(), 50_000);
}

#[test]
fn an_exit_code_is_named_with_the_last_lines() {
    let outcome = Task::sh("for i in $(seq 30); do echo line $i; done; echo 'the reason' >&2; exit 3").run();
    let error = outcome.failure();
    assert_eq!(error.class, FailureClass::ExitCode);
    assert!(error.message.starts_with("`sh` exited with code 3; its last lines:\n"), "{}", error.message);
    assert!(error.message.ends_with("\n  line 30\n  the reason"), "{}", error.message);
    assert_eq!(error.message.lines().count(), 21, "the first line and the last 20");
    assert!(Task::sh("exit 1").run().failure().message.ends_with("exited with code 1; it wrote nothing"));
}

#[test]
fn signals_are_told_from_exit_codes() {
    let error = Task::sh("kill -SEGV $$").run().failure().clone();
    assert_eq!((error.class, error.hint), (FailureClass::Signal, None));
    assert!(error.message.contains("was ended by signal 11 (SIGSEGV)"), "{}", error.message);
    let killed = Task::sh("kill -KILL $$").run().failure().clone();
    assert_eq!(killed.class, FailureClass::Signal, "{}", killed.message);
    assert!(killed.hint.unwrap().contains("memory"));
    let through_a_shell = Task::sh("sh -c 'kill -KILL $$'; exit $?").run().failure().clone();
    assert_eq!(through_a_shell.class, FailureClass::ExitCode);
    assert!(through_a_shell.message.contains("code 137") && through_a_shell.hint.is_some());
}

#[test]
fn memory_that_ran_out_is_recognised_by_what_the_program_says() {
    let script = "import sys\nprint('working', flush=True)\nb = bytearray(1 << 62)";
    let python = Task::new(json!({ "argv": ["python3", "-c", script] })).run();
    assert_eq!(python.failure().class, FailureClass::OutOfMemory);
    assert!(python.failure().message.contains("ran out of memory and exited with code 1: MemoryError"));
    let torch = "echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'; seq 100; exit 1";
    assert_eq!(
        Task::sh(torch).run().failure().class,
        FailureClass::OutOfMemory,
        "however long ago it was said"
    );
    // A program that recovered is a success.
    Task::sh("echo MemoryError; exit 0").run().result.unwrap();
}

#[test]
fn a_limit_ends_the_program_in_order() {
    let task = Task::sh("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.1; done").limit(0.5);
    let outcome = task.run();
    let error = outcome.failure();
    assert_eq!(error.class, FailureClass::Timeout, "whatever its exit code");
    assert!(error.message.starts_with("`sh` took longer than 0.5 s and was ended"), "{}", error.message);
    assert!(outcome.log().contains(&"saved"), "it was asked before it was killed: {:?}", outcome.log());
    assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
}

#[test]
fn a_program_that_will_not_end_is_killed_with_its_children() {
    let task = Task::sh("trap '' TERM; sleep 1000 & echo $! > pid; while :; do echo still; sleep 0.1; done")
        .limit(0.3);
    let outcome = task.run();
    assert_eq!(outcome.failure().class, FailureClass::Timeout);
    assert!(
        outcome.took > Duration::from_secs(5) && outcome.took < Duration::from_secs(9),
        "{:?}",
        outcome.took
    );
    assert!(ends(&task.read("pid")));
}

#[test]
fn a_chatty_program_cannot_hide_that_its_time_is_over() {
    let outcome = Task::new(json!({ "argv": ["yes"] })).limit(0.3).run();
    assert_eq!(outcome.failure().class, FailureClass::Timeout);
    assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
}

#[test]
fn what_a_program_leaves_running_ends_with_the_stage() {
    let script = "sleep 1000 & echo $! > \"$1\"";
    let task = Task::new(json!({ "argv": ["sh", "-c", script, "sh", "{output.pid}"] })).output("pid", "pid");
    let outcome = task.run();
    outcome.result.as_ref().unwrap();
    assert!(outcome.took < Duration::from_secs(3), "it holds the pipe, but nobody waits: {:?}", outcome.took);
    assert!(ends(&task.read("pid")));
}

#[test]
fn a_process_that_left_the_group_does_not_hold_up_the_stage() {
    let script = "import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(4)\n    os._exit(0)\nprint('done')";
    let outcome = Task::new(json!({ "argv": ["python3", "-c", script] })).run();
    outcome.result.as_ref().unwrap();
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
    assert_eq!(outcome.log(), ["done"]);
    let warned = |r: &Report| matches!(r, Report::Warning { message } if message.contains("left behind"));
    assert!(outcome.reports.iter().any(|(_, r)| warned(r)));
}

/// Not a test of its own: [`programs_die_with_a_killed_worker`] runs it in a process, to kill that.
#[test]
fn worker_to_be_killed() {
    if let Some(file) = std::env::var_os("PHASEGRAPH_TEST_PID_FILE") {
        let script = format!("echo $$ > '{}'; sleep 1000", Path::new(&file).display());
        let _ = Task::sh(&script).run();
    }
}

#[test]
fn programs_die_with_a_killed_worker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker_to_be_killed"])
        .env("PHASEGRAPH_TEST_PID_FILE", &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_to_string(&file).ok().filter(|pid| pid.ends_with('\n'))
    });
    let pid = pid.expect("the program started");
    assert!(runs(&pid));
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert!(ends(&pid), "process {pid} outlived its worker");
}

#[test]
fn every_declared_output_must_be_a_regular_file() {
    let task = Task::sh("echo x > good; ln -s good link; mkdir folder")
        .output("good", "good")
        .output("link", "link")
        .output("folder", "folder")
        .output("absent", "absent.npz");
    let outcome = task.run();
    let error = outcome.failure();
    assert_eq!(error.class, FailureClass::Check);
    for part in ["`link` is a symbolic link", "`folder` is no regular file", "`absent` was not written"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(!error.message.contains("`good`"));
}

#[test]
fn an_output_of_an_earlier_attempt_does_not_count() {
    let task = Task::sh("true").output("result", "result");
    fs::write(task.path("result"), "old").unwrap();
    assert!(task.run().failure().message.contains("`result` was not written"));
}

#[test]
fn mistakes_in_the_argument_list_are_told_before_anything_starts() {
    let task =
        |argv: Value| Task::new(json!({ "argv": argv })).input("data", &["a", "b"]).output("out", "out");
    let message = |argv: Value| task(argv).run().failure().message.clone();
    assert!(
        message(json!(["cat", "{input.date}"])).starts_with("argument 1: unknown placeholder `{input.date}`")
    );
    assert!(message(json!(["cat", "--all={input.data}"])).contains("stands for 2 files"));
    assert!(message(json!(["./run.sh"])).contains("is a relative path"));
    assert!(message(json!([])).contains("there is no program"));
    assert!(message(json!([""])).contains("name is empty"));
    let env = Task::new(json!({ "argv": ["true"], "env": { "A=B": "1" } })).run();
    assert!(env.failure().message.contains("environment variable `A=B`"));
    let env = Task::new(json!({ "argv": ["true"], "env": { "A": "{nothing}" } })).run();
    assert!(env.failure().message.contains("environment variable `A`: unknown placeholder"));
}

#[test]
fn programs_that_cannot_start_say_why() {
    let absent = Task::new(json!({ "argv": ["no-such-program-here"] })).run();
    assert!(absent.failure().message.starts_with("program `no-such-program-here` could not be started"));
    assert!(absent.failure().hint.as_ref().unwrap().contains("PATH"));
    let script = Task::new(json!({ "argv": ["{input.script}"] })).input("script", &["#!/bin/sh\n"]).run();
    assert!(script.failure().hint.as_ref().unwrap().contains("interpreter"));
}

#[test]
fn the_schema_is_that_of_the_parameters() {
    let kind = command::Command.kind();
    assert!(kind.open && kind.seeded && kind.inputs.is_empty() && kind.outputs.is_empty());
    let schema = (kind.params)().to_value();
    assert!(schema.get("$defs").is_none(), "inline, so that it can stand anywhere in the schema of a study");
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(
        validator.is_valid(&json!({ "argv": ["a", 1, true], "values": { "x": 0.5 }, "env": { "A": "b" } }))
    );
    for bad in [
        json!({}),
        json!({ "argv": [] }),
        json!({ "argv": "ls -l" }),
        json!({ "argv": ["a"], "shell": true }),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}
