//! Memory that runs out, for real and as programs tell of it: what is tried, counted attempt by attempt, and
//! what is remembered.

#![allow(clippy::unwrap_used)]

mod common;

use common::python::numpy;
use common::{Ran, TestEnvironment};
use serde_json::Value;

/// A study of one command with one tuning value.
fn study(argv: &str, chunk: u32, more: &str) -> String {
    format!(
        "version: 1\nstudy: hungry\nstages:\n  compare:\n    phase: G\n    kind: command\n    \
         inputs: {{script: {{file: compare.py}}}}\n    outputs: {{out: out.txt}}\n    params:\n      \
         argv: {argv}\n      tuning: {{chunk: {chunk}}}\n      env: {{OPENBLAS_NUM_THREADS: 1}}\n{more}"
    )
}

const ARGV: &str = r#"[python3, "{input.script}", --baseline-chunk-size, "{chunk}", "{output.out}"]"#;

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", ran.stdout, ran.stderr))
}

/// Chunk and outcome of every attempt, as `512 out_of_memory`.
fn attempts(ran: &Ran) -> Vec<String> {
    let document = document(ran);
    let attempts = document["tasks"][0]["attempts"].as_array().unwrap();
    let word = |attempt: &Value| {
        let failure = attempt["failure"].as_str().unwrap_or("succeeded");
        format!("{} {failure}", attempt["chunk"])
    };
    attempts.iter().map(word).collect()
}

/// Allocates 1 MiB an image for a chunk of images, and half of that on top.
const NUMPY: &str = r#"
import sys, numpy as np
chunk, out, images = int(sys.argv[2]), sys.argv[3], 512
total = 0.0
for start in range(0, images, chunk):
    block = np.ones((min(chunk, images - start), 256, 256), np.complex128)
    total += float(np.abs(block).sum())
open(out, "w").write(f"{total}\n")
"#;

#[test]
fn a_program_that_really_runs_out_is_rescued_and_the_next_run_knows() {
    let env = TestEnvironment::new();
    env.write("compare.py", NUMPY);
    let more = "    resources: {memory: 320MiB}\n    on_out_of_memory: {chunk: halve}\n";
    let site = numpy().display().to_string();
    let yaml = study(ARGV, 512, more).replace("OPENBLAS", &format!("PYTHONPATH: {site}, OPENBLAS"));
    env.write("study.yaml", &yaml);
    let ran = env.run(&["run", "study.yaml", "--json"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(attempts(&ran), ["512 out_of_memory", "256 out_of_memory", "128 succeeded"], "{}", ran.stderr);
    assert_eq!(document(&ran)["rescued"], 1);
    assert_eq!(env.read("phasegraph-out/results/hungry/compare/out.txt"), "33554432.0\n");
    assert!(ran.stderr.contains("with 256 chunk at a time: attempt 1 failed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Unable to allocate"), "{}", ran.stderr);

    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains("1 run (1 rescued)"), "{status}");
    assert!(status.contains("memory ran out; what was tried:"), "{status}");
    let row = status.lines().find(|line| line.contains("256 chunk")).unwrap();
    assert!(row.contains("320 MiB") && row.ends_with("out_of_memory"), "{row}");
    let first = env.ok(&["log", "study.yaml", "compare", "--attempt", "1"]).stdout;
    assert!(
        first.contains("--baseline-chunk-size 512") && first.contains("memory limit: 320 MiB"),
        "{first}"
    );
    let last = env.ok(&["log", "study.yaml", "compare"]).stdout;
    assert!(last.contains("--baseline-chunk-size 128"), "{last}");

    // The chunk is no part of the fingerprint; a run that must begins with what fitted.
    assert_eq!(env.states(&["run", "study.yaml", "--json"]), ["compare cached"]);
    let ran = env.ok(&["run", "study.yaml", "--json", "--force"]);
    assert!(attempts(&ran).is_empty(), "{}", ran.stderr);
    assert!(env.ok(&["log", "study.yaml", "compare"]).stdout.contains("--baseline-chunk-size 128"));
    // Another limit, and what fitted under the old one counts no more.
    env.write("study.yaml", &yaml.replace("320MiB", "4GiB"));
    assert_eq!(env.states(&["run", "study.yaml", "--json"]), ["compare cached"]);
    env.ok(&["run", "study.yaml", "--json", "--force"]);
    assert!(env.ok(&["log", "study.yaml", "compare"]).stdout.contains("--baseline-chunk-size 512"));
}

/// Fails with `text` on standard error as long as more than 64 are asked for.
fn fails_with(text: &str) -> String {
    format!(
        "import sys\nif int(sys.argv[2]) > 64:\n    sys.stderr.write('''{text}\n''')\n    sys.exit(1)\n\
         open(sys.argv[3], 'w').write('done')\n"
    )
}

#[test]
fn programs_that_tell_of_it_are_rescued_unchanged() {
    let tensorflow = "Traceback (most recent call last):\n  File \"compare_models.py\", line 611, in main\n\
        tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node __wrapped__Cast}} \
        failed to allocate memory [Op:Cast]";
    let pytorch = "Traceback (most recent call last):\n  File \"infer.py\", line 9, in <module>\n\
        torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity";
    for text in [tensorflow, pytorch] {
        let env = TestEnvironment::new();
        env.write("compare.py", &fails_with(text));
        env.write("study.yaml", &study(ARGV, 256, "    on_out_of_memory: {chunk: halve}\n"));
        let ran = env.run(&["run", "study.yaml", "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(attempts(&ran), ["256 out_of_memory", "128 out_of_memory", "64 succeeded"]);
    }
}

#[test]
fn another_failure_is_not_tried_again() {
    for text in [
        "Traceback (most recent call last):\nKeyError: 'diff3d'",
        "memory: 3 GiB of 4 GiB used\nTraceback (most recent call last):\nValueError: shapes do not agree",
        "torch.OutOfMemoryError: CUDA out of memory\ngoing on with half\n\
         Traceback (most recent call last):\nValueError: no",
    ] {
        let env = TestEnvironment::new();
        env.write("compare.py", &fails_with(text));
        env.write("study.yaml", &study(ARGV, 256, "    on_out_of_memory: {chunk: halve}\n"));
        let ran = env.run(&["run", "study.yaml", "--json"]);
        assert_eq!(ran.code, Some(1));
        assert!(attempts(&ran).is_empty(), "{text}");
        assert!(ran.stderr.contains("exited with code 1"), "{}", ran.stderr);
    }
    // Neither is one that tells of it and ends well.
    let env = TestEnvironment::new();
    env.write("compare.py", "import sys\nprint('MemoryError')\nopen(sys.argv[3], 'w').write('done')\n");
    env.write("study.yaml", &study(ARGV, 256, "    on_out_of_memory: {chunk: halve}\n"));
    assert!(attempts(&env.ok(&["run", "study.yaml", "--json"])).is_empty());
}

#[test]
fn at_the_floor_it_fails_and_tells_what_was_tried() {
    let env = TestEnvironment::new();
    env.write("compare.py", &fails_with("MemoryError"));
    let more = "    on_out_of_memory: {chunk: halve, floor: 100}\n";
    env.write("study.yaml", &study(ARGV, 512, more));
    let ran = env.run(&["run", "study.yaml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let tried = "nothing is left to try:\n  attempt 1: 512 chunk at a time, peak ";
    assert!(ran.stderr.contains(tried), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n  attempt 4: 100 chunk at a time, peak "), "{}", ran.stderr);
    assert!(ran.stdout.contains("memory ran out; what was tried:"), "{}", ran.stdout);
    // Without a policy the first failure stands, and the hint tells of the policy.
    env.write("study.yaml", &study(ARGV, 512, ""));
    let ran = env.run(&["run", "study.yaml"]);
    assert!(
        !ran.stderr.contains("retry") && ran.stderr.contains("`on_out_of_memory: {chunk: halve}`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_task_for_which_no_gpu_is_large_enough_moves_to_the_processor_if_the_study_allows_it() {
    let env = TestEnvironment::new();
    env.write(
        "compare.py",
        "import sys\nif sys.argv[4] != 'cpu':\n    sys.stderr.write('torch.OutOfMemoryError: CUDA out of memory\\n')\n    \
         sys.exit(1)\nopen(sys.argv[3], 'w').write('done')\n",
    );
    let argv = ARGV.replace("{output.out}\"", "{output.out}\", \"{device}\"");
    let policy = "    resources: {device: cuda}\n    on_out_of_memory: {chunk: halve, floor: 128";
    let leases = env.path("leases").display().to_string();
    let run = |more: &[&str]| {
        let mut command = env.command(&[&["run", "study.yaml", "--gpus", "0", "--json"], more].concat());
        Ran::of(command.env("PHASEGRAPH_LEASES", &leases).output().unwrap())
    };
    env.write("study.yaml", &study(&argv, 256, &format!("{policy}}}\n")));
    let ran = run(&[]);
    assert_eq!(ran.code, Some(1), "not without being allowed: {}", ran.stderr);

    env.write("study.yaml", &study(&argv, 256, &format!("{policy}, device: cpu}}\n")));
    let ran = run(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(attempts(&ran), ["256 out_of_memory", "128 out_of_memory", "256 succeeded"]);
    let tried = document(&ran)["tasks"][0]["attempts"].clone();
    assert_eq!((&tried[1]["device"], &tried[2]["device"]), (&Value::from("cuda:0"), &Value::from("cpu")));
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains("128 chunk on cuda:0") && status.contains("256 chunk on cpu"), "{status}");
    // What was learnt is where to begin; and results of either device are results of this study.
    assert_eq!(common::states(&run(&[]).stdout), ["compare cached"]);
    let ran = run(&["--force"]);
    assert!(ran.code == Some(0) && attempts(&ran).is_empty(), "{}", ran.stderr);
}

/// Three processes, each with so many MiB of shared memory, which is no process's private data.
const SHARED: &str = r#"
import mmap, os, sys
def work(mib):
    memory = mmap.mmap(-1, mib << 20)
    for page in range(0, mib << 20, 4096):
        memory[page] = 1
    os._exit(0)
children = [os.fork() or work(int(sys.argv[2])) for _ in range(3)]
if any([os.waitpid(child, 0)[1] for child in children]):
    sys.exit("a child was lost")
open(sys.argv[3], "w").write("done")
"#;

#[test]
fn where_a_control_group_can_be_had_all_processes_are_limited_together() {
    let env = TestEnvironment::new();
    env.write("compare.py", SHARED);
    let more = "    resources: {memory: 200MiB}\n    on_out_of_memory: {chunk: halve}\n";
    env.write("study.yaml", &study(ARGV, 160, more));
    let ran = env.ok(&["run", "study.yaml", "--json"]);
    let log = env.ok(&["log", "study.yaml", "compare", "--attempt", "1"]).stdout;
    if log.contains("for all together") {
        let told = ["160 out_of_memory", "80 out_of_memory", "40 succeeded"];
        assert_eq!(attempts(&ran), told, "{}", ran.stderr);
        assert!(ran.stderr.contains("the kernel ended a process because memory ran out"), "{}", ran.stderr);
    } else {
        // Nobody counts shared memory here.
        assert!(log.contains("for each process") && attempts(&ran).is_empty(), "{log}");
    }
}

/// An object of 128 MiB.
const NATIVE: &str = "version: 1\nstudy: native\nstages:\n  simulate:\n    phase: C\n    kind: simulate\n    \
    params: {object: {kind: collage}, shape: [4096, 4096], patch_px: 32, photons: 1e4, \
    positions: {kind: raster, step_px: 1000}, probe: {kind: gaussian, sigma_px: 4}}\n    \
    resources: {memory: 96MiB}\nMORE  small:\n    phase: C\n    kind: command\n    outputs: {out: out.txt}\n    \
    params: {argv: [touch, \"{output.out}\"]}\n";

#[test]
fn a_native_stage_over_its_limit_is_an_outcome_and_more_memory_rescues_it() {
    let env = TestEnvironment::new();
    env.write("study.yaml", &NATIVE.replace("MORE", ""));
    let ran = env.run(&["run", "study.yaml", "--keep-going", "--json", "-j1"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let document = document(&ran);
    assert_eq!(document["tasks"][1]["state"], "succeeded", "the run goes on");
    let message = document["tasks"][0]["message"].as_str().unwrap();
    assert!(message.contains("memory allocation of") && message.contains("SIGABRT"), "{message}");

    let more = "    on_out_of_memory: {memory: {factor: 8, most: 8GiB}}\n";
    env.write("study.yaml", &NATIVE.replace("MORE", more));
    let ran = env.run(&["run", "study.yaml", "--json"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let attempts = self::document(&ran)["tasks"][0]["attempts"].clone();
    assert_eq!(attempts[0]["failure"], "out_of_memory");
    assert_eq!(attempts[0]["memory"], 96 << 20);
    assert_eq!(attempts[1]["memory"], 768 << 20, "{attempts}");
}
