//! Signals to a run, and processes that try to outlive their task.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Child, Output, Stdio};
use std::time::Duration;

use common::{TestEnvironment, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One program; `SCRIPT` is a shell script that sees its output's path as `$1`.
fn study(script: &str) -> TestEnvironment {
    let env = TestEnvironment::new();
    let started = env.path("started").display().to_string();
    env.write(
        "study.yaml",
        &format!(
            "version: 1\nstudy: signals\nstages:\n  one:\n    phase: C\n    kind: command\n    outputs: {{out: out}}\n    \
             params:\n      argv: [sh, -c, 'touch {started}; {script}', sh, \"{{output.out}}\"]\n"
        ),
    );
    env
}

fn start(env: &TestEnvironment) -> Child {
    // Longer than any test waits: what ends before was not ended by the grace period's end.
    let mut command = env.command(&["run", "study.yaml", "--grace", "600"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the program", || env.path("started").exists());
    // Its traps are set right after that.
    std::thread::sleep(Duration::from_millis(100));
    child
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn end(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    output
}

/// Running processes whose command line holds `mark`.
fn running(mark: &str) -> usize {
    let found = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    });
    found.count()
}

#[test]
fn asked_once_a_program_may_finish_and_its_result_is_kept() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let env = study("trap \"echo saved > $1; exit 0\" TERM; while :; do sleep 0.05; done");
        let child = start(&env);
        send(&child, signal);
        // All that was to be done is done, so this run has succeeded.
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{signal}");
        assert_eq!(env.read("phasegraph-out/results/signals/one/out"), "saved\n", "{signal}");
    }
}

#[test]
fn asked_twice_everything_ends_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mark = format!("631.0{}", signal as i32);
        let env = study(&format!("trap \"\" TERM INT HUP; sleep {mark} & sleep {mark}; wait"));
        let child = start(&env);
        send(&child, signal);
        std::thread::sleep(Duration::from_millis(300));
        assert!(running(&format!("sleep {mark}")) > 0, "the grace period has only begun");
        send(&child, signal);
        end(child);
        wait_until("the children", || running(&format!("sleep {mark}")) == 0);
        let status = env.ok(&["status", "study.yaml"]).stdout;
        assert!(status.contains("interrupted"), "{status}");
    }
}

#[test]
fn the_grace_period_ends() {
    let env = study("trap \"\" TERM; sleep 633.5; sleep 633.5");
    let mut command = env.command(&["run", "study.yaml", "--grace", "1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the program", || env.path("started").exists());
    send(&child, Signal::SIGTERM);
    end(child);
    wait_until("the children", || running("sleep 633.5") == 0);
}

#[test]
fn a_daemon_that_left_its_group_ends_with_its_task() {
    let env = study("setsid sh -c \"sleep 35.25; sleep 35.25\" > /dev/null 2>&1 & sleep 0.3; echo done > $1");
    env.ok(&["run", "study.yaml"]);
    wait_until("the daemon", || running("sleep 35.25") == 0);
}

#[test]
fn a_program_ends_with_the_orchestrator_and_its_worker() {
    let env = study("setsid sleep 37.125 & sleep 37.125");
    let child = start(&env);
    let orchestrator = Pid::from_raw(child.id() as i32);
    // Workers of this orchestrator only.
    let workers: Vec<i32> = std::fs::read_dir(format!("/proc/{orchestrator}/task"))
        .unwrap()
        .flatten()
        .flat_map(|t| {
            let text = std::fs::read_to_string(t.path().join("children")).unwrap_or_default();
            text.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<i32>>()
        })
        .collect();
    kill(orchestrator, Signal::SIGKILL).unwrap();
    drop(child);
    wait_until("the worker", || {
        workers.iter().all(|w| !std::path::Path::new(&format!("/proc/{w}/exe")).exists())
    });
    // What is in the group ends at once; what has left it is ended by the next run.
    env.write(
        "study.yaml",
        &env.read("study.yaml").replace("sleep 37.125 & sleep 37.125", "true; echo x > $1"),
    );
    env.ok(&["resume", "study.yaml"]);
    wait_until("the program", || running("sleep 37.125") == 0);
}
