//! What starts when: retries, priorities, longest paths, memory, GPUs shared with other processes.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Stdio;

use common::{TestEnvironment, wait_until};
use phasegraph::events::{Event, read};

fn trace(env: &TestEnvironment) -> Vec<String> {
    std::fs::read_to_string(env.path("trace")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A study of programs that write a line when they begin and one when they end.
fn study(stages: &[(&str, &str, &str)]) -> TestEnvironment {
    let env = TestEnvironment::new();
    let mut yaml = String::from("version: 1\nstudy: order\nstages:\n");
    for (name, more, seconds) in stages {
        let trace = env.path("trace").display().to_string();
        let script =
            format!("echo begin {name} >> {trace}; sleep {seconds}; echo end {name} >> {trace}; echo x > $1");
        yaml += &format!(
            "  {name}:\n    phase: C\n    kind: command\n    outputs: {{out: out}}\n    \
             params: {{argv: [sh, -c, '{script}', {name}, \"{{output.out}}\"]}}\n{more}"
        );
    }
    env.write("study.yaml", &yaml);
    env
}

fn begins(env: &TestEnvironment) -> Vec<String> {
    trace(env).iter().filter_map(|l| l.strip_prefix("begin ").map(str::to_owned)).collect()
}

/// Whether never more than one of them ran.
fn one_at_a_time(trace: &[String]) -> bool {
    trace.chunks(2).all(|pair| matches!(pair, [a, b] if a.starts_with("begin") && b.starts_with("end")))
}

#[test]
fn a_failure_is_retried_as_its_class_says_and_every_log_is_kept() {
    let env = TestEnvironment::new();
    let counter = env.path("counter").display().to_string();
    let yaml = |retries: &str, end: &str| {
        format!(
            "version: 1\nstudy: retry\nstages:\n  flaky:\n    phase: C\n    kind: command\n    outputs: {{out: out}}\n{retries}    \
             params: {{argv: [sh, -c, 'echo x >> {counter}; n=$(wc -l < {counter}); echo this is attempt $n; if [ $n -lt 3 ]; then {end}; fi; echo done > $1', sh, \"{{output.out}}\"]}}\n"
        )
    };
    env.write("study.yaml", &yaml("    retries: {exit_code: {times: 2, wait: 50ms}}\n", "exit 9"));
    let ran = env.ok(&["run", "study.yaml"]);
    assert!(ran.stderr.contains("attempt 1 failed: `sh` exited with code 9"), "{}", ran.stderr);
    let run = std::fs::read_dir(env.path("phasegraph-out/runs/retry"))
        .unwrap()
        .flatten()
        .find(|e| e.path().is_dir())
        .unwrap()
        .path();
    for attempt in 1..=3 {
        let log = std::fs::read_to_string(run.join(format!("logs/flaky.{attempt}.log"))).unwrap();
        assert!(log.contains(&format!("this is attempt {attempt}")), "{log}");
    }
    let first = env.ok(&["log", "study.yaml", "flaky", "--attempt", "1"]).stdout;
    assert!(first.contains("this is attempt 1"), "{first}");
    let last = env.ok(&["log", "study.yaml", "flaky"]).stdout;
    assert!(last.contains("this is attempt 3"), "{last}");
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(
        status.contains("longest: flaky 0.") && status.contains("logs: phasegraph-out/runs/retry/"),
        "{status}"
    );
    let records = read(&run.join("journal.jsonl")).unwrap();
    let retried = records.iter().filter(|r| matches!(r.event, Event::TaskRetried { .. })).count();
    assert_eq!(retried, 2);
    // Too few attempts, and a class without a policy.
    for (retries, end, class) in [
        ("    retries: {exit_code: 1}\n", "exit 9", "exit_code"),
        ("    retries: {timeout: 5, exit_code: 5}\n", "kill -SEGV $$", "signal"),
        ("", "exit 9", "exit_code"),
    ] {
        std::fs::remove_file(&counter).unwrap();
        env.write("study.yaml", &yaml(retries, end));
        let ran = env.run(&["run", "study.yaml", "--force"]);
        assert_eq!(ran.code, Some(1), "{retries}{end}: {}", ran.stderr);
        let attempts = env.read("counter").lines().count();
        assert_eq!(
            attempts,
            if retries.contains("exit_code: 1}") { 2 } else { 1 },
            "{retries}{end}, {class}"
        );
    }
}

#[test]
fn priority_first_then_the_longest_path() {
    let env = study(&[
        ("short", "", "0.01"),
        ("long", "", "0.4"),
        ("urgent", "    priority: 5\n", "0.01"),
        ("middle", "", "0.2"),
    ]);
    env.ok(&["run", "study.yaml", "-j1"]);
    // Nothing is known of durations yet, so what is left is the order of the file.
    assert_eq!(begins(&env), ["urgent", "short", "long", "middle"]);
    std::fs::remove_file(env.path("trace")).unwrap();
    env.ok(&["run", "study.yaml", "-j1", "--force"]);
    assert_eq!(begins(&env), ["urgent", "long", "middle", "short"]);
}

#[test]
fn promised_memory_never_exceeds_what_may_be_used() {
    let more = "    resources: {memory: 600MB}\n";
    let env = study(&[("a", more, "0.15"), ("b", more, "0.15"), ("c", more, "0.15")]);
    env.ok(&["run", "study.yaml", "-j3", "--max-memory", "1GB"]);
    assert!(one_at_a_time(&trace(&env)), "{:?}", trace(&env));
    std::fs::remove_file(env.path("trace")).unwrap();
    env.ok(&["run", "study.yaml", "-j3", "--max-memory", "2GB", "--force"]);
    assert!(!one_at_a_time(&trace(&env)), "{:?}", trace(&env));
    let ran = env.run(&["run", "study.yaml", "--max-memory", "lots"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn two_runs_never_share_a_gpu_and_a_killed_one_leaves_it_free() {
    let more = "    resources: {device: cuda}\n";
    let env = study(&[("a", more, "0.2"), ("b", more, "0.2")]);
    let arguments = |dir: &'static str| ["run", "study.yaml", "-j4", "--gpus", "0", "--dir", dir];
    let leases = env.path("leases");
    let start = |dir: &'static str| {
        let mut command = env.command(&arguments(dir));
        command.env("PHASEGRAPH_LEASES", &leases).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (first, second) = (start("one"), start("two"));
    let stderr: Vec<String> = [first, second]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{stderr}");
            stderr
        })
        .collect();
    assert_eq!(trace(&env).len(), 8);
    assert!(one_at_a_time(&trace(&env)), "{:?}", trace(&env));
    assert!(stderr.iter().any(|s| s.contains("GPU 0 is held by process")), "{stderr:?}");

    std::fs::remove_file(env.path("trace")).unwrap();
    let text = env.read("study.yaml").replace("sleep 0.2", "sleep 41.5");
    env.write("slow.yaml", &text);
    let mut holder = env.command(&["run", "slow.yaml", "--gpus", "0", "--dir", "three"]);
    let mut holder = holder.env("PHASEGRAPH_LEASES", &leases).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the holder", || !trace(&env).is_empty());
    let waiting = start("four");
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(trace(&env).len(), 1, "the GPU is taken");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_gpu_that_another_holds_holds_up_nothing_else_and_is_taken_when_it_is_free() {
    let env = study(&[
        ("held", "    resources: {device: cuda}\n", "2.5"),
        ("own", "    resources: {device: cuda}\n", "0"),
    ]);
    let leases = env.path("leases");
    let holder = env.read("study.yaml");
    env.write("holder.yaml", &holder.replace("study: order", "study: holder"));
    let mut command = env.command(&["run", "holder.yaml", "--gpus", "0", "--until", "held"]);
    let mut holder = command.env("PHASEGRAPH_LEASES", &leases).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the holder", || !trace(&env).is_empty());
    // More tasks that need no GPU than any patience, and one before them that does.
    let mut yaml = String::from("version: 1\nstudy: many\naxes:\n  n: [");
    yaml += &(0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    yaml += "]\nstages:\n  gpu:\n    phase: C\n    kind: command\n    priority: 9\n    resources: {device: cuda}\n    outputs: {out: out}\n    params: {argv: [touch, \"{output.out}\"]}\n";
    yaml += "  cpu:\n    phase: C\n    kind: command\n    over: [n]\n    outputs: {out: out}\n    params: {argv: [sh, -c, 'echo $0 > $1', \"{axis.n}\", \"{output.out}\"]}\n";
    env.write("many.yaml", &yaml);
    let mut command = env.command(&["run", "many.yaml", "-j2", "--gpus", "0", "--json"]);
    let output = command.env("PHASEGRAPH_LEASES", &leases).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let states = common::states(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(states.iter().filter(|s| s.ends_with("succeeded")).count(), 101);
    assert!(holder.wait().unwrap().success());
}

#[test]
fn without_a_gpu_the_task_fails_and_says_so() {
    let env = study(&[("a", "    resources: {device: cuda}\n", "0")]);
    let mut command = env.command(&["run", "study.yaml"]);
    let output = command.env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("a asks for a CUDA device, but none was found"), "{stderr}");
}

/// Lets a machine seem to have GPUs of 8 GiB.
fn with_gpus(env: &TestEnvironment, command: &mut std::process::Command, gpus: u32) {
    let lines: String = (0..gpus).map(|n| format!("echo '{n}, GPU-{n}, 8192'\n")).collect();
    env.write("bin/nvidia-smi", &format!("#!/bin/sh\n{lines}"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(env.path("bin/nvidia-smi"), mode).unwrap();
    let path = format!("{}:{}", env.path("bin").display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("PHASEGRAPH_LEASES", env.path("leases"));
}

#[test]
fn a_program_sees_as_many_gpus_as_it_asked_for_and_no_others() {
    let env = TestEnvironment::new();
    let stage = |name: &str, resources: &str| {
        format!(
            "  {name}:\n    phase: C\n    kind: command\n    outputs: {{out: out}}\n    resources: {{{resources}}}\n    \
             params: {{argv: [sh, -c, 'echo \"$0 $1 $(printenv CUDA_VISIBLE_DEVICES || echo none)\" > $2', \"{{device}}\", \"{{gpus}}\", \"{{output.out}}\"]}}\n"
        )
    };
    let stages = stage("two", "device: cuda, gpus: 2")
        + &stage("share", "device: cuda, gpu_memory: 1GiB")
        + &stage("none", "cores: 1");
    env.write("study.yaml", &format!("version: 1\nstudy: seen\nstages:\n{stages}"));
    let run = |mask: Option<&str>, more: &[&str]| {
        let mut command = env.command(&[&["run", "study.yaml", "-j1", "--force"], more].concat());
        with_gpus(&env, &mut command, 4);
        if let Some(mask) = mask {
            command.env("CUDA_VISIBLE_DEVICES", mask);
        }
        let output = command.output().unwrap();
        let seen = ["two", "share", "none"].map(|stage| {
            let text = std::fs::read_to_string(env.path(&format!("phasegraph-out/results/seen/{stage}/out")));
            text.unwrap_or_default().trim().to_owned()
        });
        (output.status.code(), String::from_utf8(output.stderr).unwrap(), seen)
    };
    let (code, stderr, seen) = run(None, &[]);
    assert_eq!((code, seen), (Some(0), ["cuda:0 2 0,1", "cuda:0 1 0", "cpu 0 none"].map(str::to_owned)));
    assert!(stderr.contains("start    two on cuda:0,1"), "{stderr}");
    // The third and the first of the machine, and of these the second: CUDA's own numbers are others.
    let (code, _, seen) = run(Some("2,0"), &[]);
    assert_eq!((code, seen), (Some(0), ["cuda:0 2 2,0", "cuda:0 1 2", "cpu 0 2,0"].map(str::to_owned)));
    let (code, stderr, _) = run(None, &["--gpus", "1"]);
    assert_eq!(code, Some(7));
    assert!(
        stderr.contains("two: no GPU could be leased: it asks for 2 GPUs at a time, and there are 1"),
        "{stderr}"
    );
}

#[test]
fn who_wants_more_than_others_leave_is_not_passed_over_for_ever() {
    for (gpus, many, one) in [(1, "gpu_memory: 3GiB", "gpus: 1"), (2, "gpus: 1", "gpus: 2")] {
        let env = TestEnvironment::new();
        let file = env.path("trace").display().to_string();
        let stage = |name: &str, more: &str, seconds: &str, resources: &str| {
            format!(
                "  {name}:\n    phase: C\n    kind: command\n    outputs: {{out: out}}\n{more}    resources: {{device: cuda, {resources}}}\n    \
                 params: {{argv: [sh, -c, 'echo begin {name} >> {file}; sleep {seconds}; echo end {name} >> {file}; echo $0 > $1', {name}, \"{{output.out}}\"]}}\n"
            )
        };
        // Two at a time, never ending at the same moment.
        let numbers: Vec<String> = (0..24).map(|n| n.to_string()).collect();
        let many = stage("many", "    over: [n]\n", "0.2{axis.n}", many);
        let head = |study: &str| {
            format!("version: 1\nstudy: {study}\naxes:\n  n: [{}]\nstages:\n", numbers.join(","))
        };
        let cpu = "  first:\n    phase: C\n    kind: command\n    outputs: {out: out}\n    params: {argv: [sh, -c, 'sleep 0.5; echo > out']}\n";
        let after = "    priority: 9\n    inputs: {after: first.out}\n";
        // Of the same run, and ready only when the others have begun; then of another.
        env.write("together.yaml", &(head("together") + &many + cpu + &stage("one", after, "0.1", one)));
        env.write("many.yaml", &(head("many") + &many));
        env.write(
            "one.yaml",
            &("version: 1\nstudy: one\nstages:\n".to_owned() + &stage("one", "", "0.1", one)),
        );
        let start = |study: &str| {
            let mut command = env.command(&["run", study, "-j3", "--force"]);
            with_gpus(&env, &mut command, gpus);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        for studies in [&["together.yaml"][..], &["many.yaml", "one.yaml"]] {
            let _ = std::fs::remove_file(env.path("trace"));
            let mut runs = Vec::new();
            for study in studies {
                runs.push(start(study));
                wait_until("the first of many", || !trace(&env).is_empty());
            }
            runs.iter_mut().for_each(|run| assert!(run.wait().unwrap().success()));
            let trace = trace(&env);
            let one = trace.iter().position(|line| line == "begin one").unwrap();
            assert_eq!(trace[one + 1], "end one", "alone: {trace:?}");
            let after = trace[one..].iter().filter(|line| *line == "begin many").count();
            assert!(after >= 6, "{studies:?}: only {after} of many came later: {trace:?}");
            let together = trace.windows(2).any(|pair| pair == ["begin many", "begin many"]);
            assert!(together, "many do not share: {trace:?}");
        }
    }
}
