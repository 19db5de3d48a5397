//! The engine on real processes: `command` stages that anyone can follow.

#![allow(clippy::unwrap_used)]

mod common;

use common::{TestEnvironment, states, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Two numbers are made, doubled for each factor, and summed.
const STUDY: &str = r#"version: 1
study: sums
axes:
  n: [1, 2]
stages:
  make:
    phase: C
    kind: command
    over: [n]
    inputs: {base: {file: base.txt}}
    outputs: {number: number.txt}
    params: {argv: [sh, -c, 'echo made >> "$3"; expr $(cat "$1") + "$2" > number.txt', sh, "{input.base}", "{axis.n}", TRACE]}
  double:
    phase: F
    kind: command
    over: [n]
    inputs: {number: make.number}
    outputs: {doubled: doubled.txt}
    params: {argv: [sh, -c, 'echo doubled >> "$3"; expr $(cat "$1") \* "$2" > doubled.txt', sh, "{input.number}", "2", TRACE]}
  sum:
    phase: G
    kind: command
    inputs: {parts: double.doubled}
    outputs: {total: total.txt}
    params: {argv: [sh, -c, 'echo summed >> "$1"; shift; cat "$@" > total.txt', sh, TRACE, "{input.parts}"]}
"#;

fn study() -> TestEnvironment {
    let env = TestEnvironment::new();
    let trace = env.path("trace").display().to_string();
    env.write("study.yaml", &STUDY.replace("TRACE", &trace));
    env.write("base.txt", "10\n");
    env
}

fn trace(env: &TestEnvironment) -> Vec<String> {
    std::fs::read_to_string(env.path("trace")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn runs_once_and_is_cached_afterwards() {
    let env = study();
    let first = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(
        first,
        [
            "make@n=1 succeeded",
            "make@n=2 succeeded",
            "double@n=1 succeeded",
            "double@n=2 succeeded",
            "sum succeeded"
        ]
    );
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "22\n24\n");
    let again = env.states(&["run", "study.yaml", "--json"]);
    assert!(again.iter().all(|line| line.ends_with(" cached")), "{again:?}");
    assert_eq!(trace(&env).len(), 5);
}

#[test]
fn a_changed_parameter_reruns_what_depends_on_it_and_plan_says_so() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    let text = env.read("study.yaml").replace("\"2\", ", "\"3\", ");
    env.write("study.yaml", &text);
    let plan = env.ok(&["plan", "study.yaml"]).stdout;
    assert!(plan.contains("2 cached, 2 will run, 1 await upstream"), "{plan}");
    assert!(plan.contains(r#"params.argv[5] changed: "2" → "3""#), "{plan}");
    assert!(plan.contains("\n         last   0."), "what it took last time: {plan}");
    assert!(plan.contains(" if all of those run (longest path 0."), "an estimate: {plan}");
    let explained = env.ok(&["explain", "study.yaml", "double@n=2"]).stdout;
    let (why, last) = explained.split_once("in run ").unwrap();
    assert_eq!(why, "double@n=2 will run:\n  params.argv[5] changed: \"2\" → \"3\"\n");
    assert!(last.contains("it ran, and ended well after"), "{last}");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(
        states,
        [
            "make@n=1 cached",
            "make@n=2 cached",
            "double@n=1 succeeded",
            "double@n=2 succeeded",
            "sum succeeded"
        ]
    );
    // And back: nothing runs, because the store still has the former results.
    env.write("study.yaml", &text.replace("\"3\", ", "\"2\", "));
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|line| line.ends_with(" cached")), "{states:?}");
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "22\n24\n");
}

#[test]
fn touching_reruns_nothing_and_editing_reruns_what_reads_it() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    env.write("base.txt", "10\n");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|line| line.ends_with(" cached")), "{states:?}");
    env.write("base.txt", "20\n");
    let plan = env.ok(&["plan", "study.yaml"]).stdout;
    assert!(plan.contains("content of input base[0] changed: "), "{plan}");
    env.ok(&["run", "study.yaml"]);
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "42\n44\n");
}

#[test]
fn identical_output_stops_the_rerun_there() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    // `expr` reads the same number: make runs again, its output has the same bytes.
    env.write("base.txt", " 10 \n");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(
        states,
        ["make@n=1 succeeded", "make@n=2 succeeded", "double@n=1 cached", "double@n=2 cached", "sum cached"]
    );
}

#[test]
fn a_failure_keeps_what_came_before_and_resume_goes_on() {
    let env = study();
    let good = env.read("study.yaml");
    env.write(
        "study.yaml",
        &good.replace(
            r#"expr $(cat "$1") \* "$2""#,
            r#"test -e fixed || [ "$(cat "$1")" = 12 ] && echo bad >&2 && exit 3; expr $(cat "$1") \* "$2""#,
        ),
    );
    let ran = env.run(&["run", "study.yaml", "--keep-going", "--json"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        states(&ran.stdout),
        [
            "make@n=1 succeeded",
            "make@n=2 succeeded",
            "double@n=1 succeeded",
            "double@n=2 failed",
            "sum blocked"
        ]
    );
    assert!(ran.stderr.contains("bad"), "the last lines of the log are shown: {}", ran.stderr);
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains("failed   double@n=2") && status.contains("blocked  sum"), "{status}");
    let log = env.ok(&["log", "study.yaml", "double@n=2"]).stdout;
    assert!(log.contains("bad"), "{log}");
    env.write("study.yaml", &good);
    let ran = env.ok(&["resume", "study.yaml", "--json"]);
    let states = states(&ran.stdout);
    assert_eq!(states[..2], ["make@n=1 cached", "make@n=2 cached"]);
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "22\n24\n");
}

/// A stage that says when it runs and then waits for a file.
const WAITING: &str = r#"version: 1
study: waiting
stages:
  first:
    phase: C
    kind: command
    outputs: {out: out.txt}
    params: {argv: [sh, -c, 'echo first >> "$0"; echo 1 > out.txt', TRACE]}
  second:
    phase: F
    kind: command
    inputs: {a: first.out}
    outputs: {out: out.txt}
    params: {argv: [sh, -c, 'echo half > out.txt; echo second >> "$0"; until [ -e "$1" ]; do sleep 0.05; done; echo whole > out.txt', TRACE, GO]}
"#;

fn waiting() -> TestEnvironment {
    let env = TestEnvironment::new();
    let place = |name| env.path(name).display().to_string();
    env.write("study.yaml", &WAITING.replace("TRACE", &place("trace")).replace("GO", &place("go")));
    env
}

fn processes_mentioning(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(command) = std::fs::read(entry.path().join("cmdline")) {
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(text) {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn killed_in_the_middle_it_resumes_without_a_trace_of_the_half() {
    let env = waiting();
    let mut child = env.command(&["run", "study.yaml"]).spawn().unwrap();
    wait_until("the second stage", || trace(&env).contains(&"second".to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
    let go = env.path("go").display().to_string();
    wait_until("the worker and its children to end", || processes_mentioning(&go).is_empty());
    assert!(!env.path("phasegraph-out/results/waiting/second/out.txt").exists());
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains("died before it could end in order"), "{status}");
    env.write("go", "");
    let ran = env.ok(&["resume", "study.yaml", "--json"]);
    assert_eq!(states(&ran.stdout), ["first cached", "second succeeded"]);
    assert_eq!(env.read("phasegraph-out/results/waiting/second/out.txt"), "whole\n");
    assert_eq!(trace(&env), ["first", "second", "second"]);
}

#[test]
fn interrupted_it_stops_in_order_and_says_how_to_go_on() {
    let env = waiting();
    let child = env
        .command(&["run", "study.yaml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the second stage", || trace(&env).contains(&"second".to_owned()));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    assert!(stdout.contains("go on with: phasegraph resume study.yaml"), "{stdout}");
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains("interrupted"), "{status}");
}

#[test]
fn a_second_run_beside_the_first_is_refused() {
    let env = waiting();
    let mut child = env.command(&["run", "study.yaml"]).spawn().unwrap();
    wait_until("the second stage", || trace(&env).contains(&"second".to_owned()));
    let ran = env.run(&["run", "study.yaml"]);
    assert_eq!(ran.code, Some(6));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let by = format!("is being run by process {} on {}", child.id(), host.trim());
    assert!(ran.stderr.contains(&by), "{}", ran.stderr);
    let status = env.ok(&["status", "study.yaml"]).stdout;
    assert!(status.contains(&format!("running (process {}", child.id())), "{status}");
    env.write("go", "");
    assert!(child.wait().unwrap().success());
    assert_eq!(trace(&env), ["first", "second"], "nothing ran twice");
    assert_eq!(env.read("phasegraph-out/results/waiting/second/out.txt"), "whole\n");
}

/// Studies with the same work, at the same time, in one folder: four orchestrators publish the same objects.
#[test]
fn studies_share_a_store_at_the_same_time() {
    let env = study();
    let names = ["a", "b", "c", "d"];
    let text = env.read("study.yaml").replace("n: [1, 2]", "n: [1, 2, 3, 4, 5, 6]");
    let mut runs: Vec<_> = names
        .map(|name| {
            let file = format!("{name}.yaml");
            env.write(&file, &text.replace("study: sums", &format!("study: {name}")));
            env.command(&["run", &file, "-j2", "--quiet"]).spawn().unwrap()
        })
        .into();
    runs.iter_mut().for_each(|run| assert!(run.wait().unwrap().success()));
    let total: String = (1..=6).map(|n| format!("{}\n", (10 + n) * 2)).collect();
    for name in names {
        assert_eq!(env.read(&format!("phasegraph-out/results/{name}/sum/total.txt")), total);
        let states = env.states(&["run", &format!("{name}.yaml"), "--json", "--verify"]);
        assert!(states.iter().all(|line| line.ends_with(" cached")), "{states:?}");
    }
    env.ok(&["store", "verify", "--dir", "phasegraph-out"]);
}

#[test]
fn a_damaged_object_is_made_again_and_never_served() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    let shown = env.path("phasegraph-out/results/sums/double/n=1/doubled.txt");
    // The result links to the object: damage one and the other is damaged.
    let mut permissions = std::fs::metadata(&shown).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&shown, permissions).unwrap();
    std::fs::write(&shown, "66\n").unwrap();
    let plan = env.ok(&["plan", "study.yaml"]).stdout;
    assert!(plan.contains("its output `doubled` is missing from the store or damaged"), "{plan}");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(states[2], "double@n=1 succeeded");
    assert_eq!(env.read("phasegraph-out/results/sums/double/n=1/doubled.txt"), "22\n");
}

#[test]
fn an_input_that_changes_while_it_is_read_fails_its_task() {
    let env = study();
    env.write("study.yaml", &env.read("study.yaml").replace("echo made", "sleep 0.4; echo made"));
    let mut command = env.command(&["run", "study.yaml", "-j2"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("the programs", || env.path("phasegraph-out/runs/sums/staging/1").exists());
    env.write("base.txt", "20\n");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("base.txt changed while the task was reading it"), "{stderr}");
    // Neither result was kept under the digest of an input that it may not have seen.
    env.ok(&["run", "study.yaml"]);
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "42\n44\n");
}

#[test]
fn selections_and_their_mistakes() {
    let env = study();
    let states = env.states(&["run", "study.yaml", "--json", "--select", "stage=double,n=2"]);
    assert_eq!(states, ["make@n=2 succeeded", "double@n=2 succeeded"]);
    let states = env.states(&["run", "study.yaml", "--json", "--until", "C"]);
    assert_eq!(states, ["make@n=1 succeeded", "make@n=2 cached"]);
    for (arguments, message) in [
        (["--select", "n=3"], "no task has n=3; this study has 1, 2"),
        (["--select", "m=1"], "did you mean `n`?"),
        (["--select", "stage=doubel"], "did you mean `double`?"),
        (["--from", "suum"], "did you mean `sum`?"),
    ] {
        let ran = env.run(&[&["plan", "study.yaml"], &arguments[..]].concat());
        assert_eq!(ran.code, Some(4), "{arguments:?}");
        assert!(ran.stderr.contains(message), "{arguments:?}: {}", ran.stderr);
    }
    let ran = env.run(&["explain", "study.yaml", "double@n=3"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stderr.contains("did you mean `double@n=1`?"), "{}", ran.stderr);
}

#[test]
fn axes_and_parameters_can_be_set_on_the_command_line() {
    let env = study();
    env.ok(&["run", "study.yaml", "--set", "n=2,5"]);
    // What would change if: nothing is run, and the reasons are those of a run.
    let plan = env.ok(&["plan", "study.yaml", "--set", "n=2,7"]).stdout;
    assert!(plan.contains("5 tasks: 2 cached, 1 will run, 2 await upstream"), "{plan}");
    assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "24\n30\n");
}

#[test]
fn plan_is_pure_and_prints_in_every_format() {
    let env = study();
    for format in ["text", "json", "dot", "mermaid"] {
        let first = env.ok(&["plan", "study.yaml", "--format", format]).stdout;
        assert_eq!(first, env.ok(&["plan", "study.yaml", "--format", format]).stdout);
        insta::assert_snapshot!(
            format!("plan_{format}"),
            first.replace(&env.path("").display().to_string(), "DIR/")
        );
    }
    assert!(!env.path("phasegraph-out").exists(), "a dry run writes nothing");
}
