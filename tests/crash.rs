//! Kill -9 of the orchestrator, of a worker, of both, at seeded random moments; then `resume`.
//!
//! A few dozen trials by default. The long list: `PHASEGRAPH_TRIALS=200 cargo test --test crash`.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::TestEnvironment;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use phasegraph::events::{Event, read};
use phasegraph::io::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TRIALS: u64 = 24;

/// Native tasks, programs that sleep, programs with children that ignore SIGTERM, a fan-out and a fan-in.
/// `TOKEN` marks every process of a trial; `TRACE` takes a line for every program that was started.
const STUDY: &str = r#"version: 1
study: crash
seed: 3
axes:
  n: [1, 2, 3]
stages:
  scan:
    phase: C
    kind: simulate
    over: [n]
    params:
      object: {kind: siemens}
      shape: [96, 96]
      positions: {kind: raster, step_px: 16}
      photons: 1000
  list:
    phase: D
    kind: command
    over: [n]
    inputs: {data: scan.data}
    outputs: {sum: sum.txt}
    params: {argv: [sh, -c, 'echo "list $2" >> TRACE; sleep 0.04; cksum < "$1" > sum.txt', TOKEN, "{input.data}", "{axis.n}"]}
  slow:
    phase: F
    kind: command
    over: [n]
    inputs: {sum: list.sum}
    outputs: {out: out.txt}
    params: {argv: [sh, -c, 'echo "slow $2" >> TRACE; (trap "" TERM; sleep 0.08 TOKEN 2>/dev/null || sleep 0.08) & printf half > out.txt; sleep 0.05; wait; cat "$1" > out.txt', TOKEN, "{input.sum}", "{axis.n}"]}
  total:
    phase: G
    kind: command
    inputs: {parts: slow.out}
    outputs: {total: total.txt}
    params: {argv: [sh, -c, 'echo "total" >> TRACE; sleep 0.03; cat "$@" > total.txt', TOKEN, "{input.parts}"]}
"#;

fn study() -> (TestEnvironment, String) {
    let env = TestEnvironment::new();
    let token = format!("token-{}", env.path("x").parent().unwrap().file_name().unwrap().display());
    let trace = env.path("trace").display().to_string();
    // The token is the program's `$0`, so it shows in /proc but is no parameter of what is computed.
    env.write("study.yaml", &STUDY.replace("TRACE", &trace).replace("TOKEN", &token));
    (env, token)
}

/// Results by path, without records of how and when they were made.
fn results(env: &TestEnvironment) -> BTreeMap<String, Digest> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, Digest>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if !path.ends_with("provenance.json") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, Digest::of_file(&path).unwrap());
            }
        }
    }
    let root = env.path("phasegraph-out/results");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

/// Processes whose command line holds `token`, and workers below `orchestrator`.
fn processes(token: &str) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(token) {
            found.insert(pid);
        }
    }
    found
}

/// Children of a process, through all its threads.
fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|p| p.parse::<i32>().ok()));
    }
    found
}

fn is_alive(pid: i32) -> bool {
    // A zombie that its parent has not waited for yet is no process that could do anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

fn wait_gone(what: &str, seed: u64, mut left: impl FnMut() -> Vec<i32>) {
    let begin = Instant::now();
    loop {
        let alive: Vec<i32> = left().into_iter().filter(|p| is_alive(*p)).collect();
        if alive.is_empty() {
            return;
        }
        if begin.elapsed() > Duration::from_secs(10) {
            let lines: Vec<String> = alive
                .iter()
                .map(|p| std::fs::read_to_string(format!("/proc/{p}/cmdline")).unwrap_or_default())
                .collect();
            panic!("seed {seed}: {what} left behind: {lines:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(env: &TestEnvironment, command: &str) -> Child {
    let mut command = env.command(&[command, "study.yaml", "--quiet", "-j2"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Tasks that ended well according to the journals, each with the number of times.
fn finished(env: &TestEnvironment) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for run in std::fs::read_dir(env.path("phasegraph-out/runs/crash")).into_iter().flatten().flatten() {
        let journal = run.path().join("journal.jsonl");
        if journal.exists() {
            for record in read(&journal).unwrap() {
                if let Event::TaskSucceeded { task, .. } = record.event {
                    *counts.entry(task).or_default() += 1;
                }
            }
        }
    }
    counts
}

/// Kills something at a random moment of a run, some times over, until a run gets through.
fn trial(seed: u64, expected: &BTreeMap<String, Digest>, whole: Duration) {
    let (env, token) = study();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut first = true;
    for _ in 0..rng.random_range(1..4) {
        let mut child = start(&env, if first { "run" } else { "resume" });
        first = false;
        std::thread::sleep(whole.mul_f64(rng.random_range(0.0..1.1)));
        let orchestrator = child.id() as i32;
        let workers = children(orchestrator);
        let victim = rng.random_range(0..3);
        // 0: the orchestrator; 1: a worker; 2: both, the workers' groups first.
        if victim >= 1 {
            for worker in workers.iter().take(if victim == 1 { 1 } else { usize::MAX }) {
                let _ = match rng.random_bool(0.5) {
                    true => kill(Pid::from_raw(*worker), Signal::SIGKILL),
                    false => killpg(Pid::from_raw(*worker), Signal::SIGKILL),
                };
            }
        }
        if victim != 1 {
            let _ = kill(Pid::from_raw(orchestrator), Signal::SIGKILL);
        }
        child.wait().unwrap();
        wait_gone("programs", seed, || processes(&token).into_iter().collect());
        wait_gone("workers", seed, || workers.clone());
        if !env.path("phasegraph-out/runs/crash").exists() {
            // Killed before anything was there to resume.
            first = true;
        }
    }
    let ended = finished(&env);
    let started = trace(&env).len();
    let command = if first || !has_run(&env) { "run" } else { "resume" };
    let status = start(&env, command).wait().unwrap();
    assert!(status.success(), "seed {seed}: {status}");
    assert_eq!(&results(&env), expected, "seed {seed}: results differ");
    for (task, times) in finished(&env) {
        assert_eq!(times, 1, "seed {seed}: {task} had finished and ran again");
        assert!(ended.get(&task).is_none_or(|n| *n == 1));
    }
    // The programs themselves tell the same.
    for task in &trace(&env)[started..] {
        assert!(!ended.contains_key(task), "seed {seed}: {task} had finished and its program ran again");
    }
    wait_gone("programs", seed, || processes(&token).into_iter().collect());
}

/// Tasks whose programs were started, in order.
fn trace(env: &TestEnvironment) -> Vec<String> {
    let text = std::fs::read_to_string(env.path("trace")).unwrap_or_default();
    let task = |line: &str| match line.split_once(' ') {
        Some((stage, n)) => format!("{stage}@n={n}"),
        None => line.to_owned(),
    };
    text.lines().map(task).collect()
}

fn has_run(env: &TestEnvironment) -> bool {
    let runs = std::fs::read_dir(env.path("phasegraph-out/runs/crash"));
    runs.into_iter().flatten().flatten().any(|run| run.path().join("journal.jsonl").exists())
}

#[test]
fn killed_anywhere_resumes_to_the_same_bytes() {
    let trials = std::env::var("PHASEGRAPH_TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(TRIALS);
    let (env, _) = study();
    let begin = Instant::now();
    assert!(start(&env, "run").wait().unwrap().success());
    let whole = begin.elapsed();
    let expected = results(&env);
    assert_eq!(expected.len(), 3 * 3 + 1, "{expected:?}");
    for seed in 0..trials {
        trial(seed, &expected, whole);
    }
}
