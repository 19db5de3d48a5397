//! What says how a task runs, and not what it computes, never makes it run again.

#![allow(clippy::unwrap_used)]

mod common;

use common::TestEnvironment;

const STUDY: &str = r#"version: 1
study: same
DEFAULTS
stages:
  make:
    phase: C
    kind: command
    outputs: {out: out.txt}
    params: {argv: [sh, -c, "echo made > out.txt"]}
    HOW
"#;

#[test]
fn retries_priority_and_resources_are_outside_the_fingerprint() {
    let env = TestEnvironment::new();
    let write = |defaults: &str, how: &str| {
        env.write("study.yaml", &STUDY.replace("DEFAULTS", defaults).replace("HOW", how));
    };
    write("", "");
    assert_eq!(env.states(&["run", "study.yaml", "--json"]), ["make succeeded"]);
    for (defaults, how) in [
        ("retries: {io: 3}", ""),
        ("", "retries: {timeout: {times: 2, wait: 10s}}"),
        ("", "priority: 7"),
        ("", "resources: {cores: 2, memory: 1GiB, time: 10min}"),
    ] {
        write(defaults, how);
        let states = env.states(&["run", "study.yaml", "--json"]);
        assert_eq!(states, ["make cached"], "{defaults} {how}");
    }
    write("retries: {io: 3}", "retries: {timeout: {times: 2, wait: 10s}}\n    priority: 7");
    // Of what would run, the plan says it all.
    let plan = env.ok(&["plan", "study.yaml", "--force"]).stdout;
    assert!(plan.contains("again  timeout × 2, io × 3") && plan.contains("prio   7"), "{plan}");
}
