//! What `plan` foresees of memory, before anything runs and after it ran, and what it says of tasks that cannot fit.
#![allow(clippy::unwrap_used)]

mod common;

use common::TestEnvironment;
use serde_json::Value;

const STUDY: &str = "version: 1
study: foreseen
seed: 1
stages:
  simulate:
    phase: C
    kind: simulate
    params:
      object: {kind: dead_leaves}
      shape: [96, 96]
      patch_px: 16
      probe: {kind: gaussian, sigma_px: 3}
      positions: {kind: uniform, count: 60, seed: 1}
      photons: 1e4
  train:
    phase: E
    kind: train
    inputs: {data: simulate.data}
    params: {architecture: pinn, width: 4, depth: 2, epochs: 1, max_groups: 4, learning_rate: 1e-6}
  infer:
    phase: G
    kind: infer
    inputs: {data: simulate.data, model: train.model}
    params: {chunk: auto}
    resources: {memory: 200MiB}
";

fn study(text: &str) -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", text);
    env
}

/// The forecast for `infer` in `plan --json`.
fn forecast(env: &TestEnvironment, more: &[&str]) -> Value {
    forecast_of(env, "infer", more)
}

/// The forecast for a task of that kind.
fn forecast_of(env: &TestEnvironment, kind: &str, more: &[&str]) -> Value {
    let document = env.ok(&[&["plan", "study.yaml", "--json"], more].concat()).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    let tasks = document["tasks"].as_array().unwrap();
    let others = tasks.iter().filter(|task| task["kind"] != "infer" && task["kind"] != "train");
    assert!(others.into_iter().all(|task| task.get("memory_forecast").is_none()), "{document}");
    let task = tasks.iter().find(|task| task["kind"] == kind).unwrap();
    task["memory_forecast"].clone()
}

/// The text of `plan`, and in it what `infer` needs.
fn text(env: &TestEnvironment, more: &[&str]) -> (String, String) {
    let text = env.ok(&[&["plan", "study.yaml"], more].concat()).stdout;
    let needs: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("         need   ")).collect();
    // The one before it is that of `train`.
    let Some(need) = needs.last() else { panic!("{text}") };
    ((*need).to_owned(), text)
}

#[test]
fn a_forecast_gets_better_as_more_is_there() {
    let env = study(STUDY);
    // Nothing has run: patterns and network are known from parameters.
    let before = forecast(&env, &[]);
    assert_eq!(before["state"], "foreseen", "{before}");
    assert_eq!((&before["chunk"], &before["unit"]), (&8.into(), &"groups".into()));
    assert_eq!((&before["basis"], &before["fits"]), (&"parameters".into(), &true.into()));
    assert_eq!((before["limit"].as_u64(), before["margin"].as_u64()), (Some(200 << 20), Some(200 << 16)));
    let (need, whole) = text(&env, &[]);
    let peak = before["predicted_peak"].as_u64().unwrap();
    let expected = format!(
        "{} MiB for 8 groups at a time; 200 MiB, margin 12 MiB; from the shapes the model will have",
        (peak as f64 / 1024.0 / 1024.0).round()
    );
    assert_eq!(need, expected);
    assert!(!whole.contains("warning"), "{whole}");
    // How many are all is not known.
    let all = forecast(&env, &["--set", "infer.chunk=all"]);
    assert_eq!(
        (&all["state"], &all["why"]),
        (&"unknown".into(), &"simulate tells how many groups there are".into())
    );
    assert_eq!(
        text(&env, &["--set", "infer.chunk=all"]).0,
        "not known yet: simulate tells how many groups there are"
    );

    // Training: known when its patterns are there.
    let training = forecast_of(&env, "train", &[]);
    assert_eq!(training["why"], "simulate tells how many patterns there are", "{training}");
    env.ok(&["run", "study.yaml", "--until", "C"]);
    let training = forecast_of(&env, "train", &[]);
    assert_eq!((&training["chunk"], &training["unit"]), (&8.into(), &"groups".into()), "{training}");
    assert_eq!((&training["basis"], &training["fits"]), (&"parameters".into(), &true.into()));
    let fewer = forecast_of(&env, "train", &["--set", "train.micro_batch=2"]);
    assert!(fewer["predicted_peak"].as_u64() <= training["predicted_peak"].as_u64(), "{fewer}");
    assert_eq!(fewer["chunk"], 2);

    // The trained network has the very shapes.
    env.ok(&["run", "study.yaml", "--until", "E"]);
    let trained = forecast(&env, &[]);
    assert_eq!((&trained["basis"], &trained["predicted_peak"]), (&"model".into(), &before["predicted_peak"]));
    let all = forecast(&env, &["--set", "infer.chunk=all"]);
    assert_eq!((&all["chunk"], &all["fits"]), (&60.into(), &true.into()), "{all}");

    env.ok(&["run", "study.yaml"]);
    let plan = env.ok(&["plan", "study.yaml"]).stdout;
    assert!(!plan.contains(" need "), "what is cached needs nothing: {plan}");
    let again = ["--select", "phase=G", "--force"];
    let measured = forecast(&env, &again);
    assert_eq!(measured["basis"], "measured", "{measured}");
    assert!(text(&env, &again).0.ends_with("; as measured before"));
}

#[test]
fn what_cannot_fit_is_flagged() {
    let env = study(&STUDY.replace("200MiB", "8MiB"));
    let seen = forecast(&env, &[]);
    assert_eq!((&seen["chunk"], &seen["fits"], &seen["promised"]), (&0.into(), &false.into(), &true.into()));
    let (need, whole) = text(&env, &[]);
    assert!(need.contains(" MiB for one at a time, which does not fit; 8 MiB, margin 0 MiB; "), "{need}");
    let warning = whole.lines().rev().take(2).collect::<Vec<_>>();
    assert!(
        warning[1].starts_with(
            "warning: infer: does not fit into memory even with one of its groups at a time, which needs "
        ) && warning[1].ends_with(" MiB and a margin of 0 MiB; 8 MiB is its limit"),
        "{whole}"
    );
    assert_eq!(warning[0], "  hint: raise `resources` of stage `infer`, or take a smaller network");

    // It is right.
    let ran = env.run(&["run", "study.yaml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("failed   infer: ") && ran.stderr.contains("give the task more memory"),
        "{}",
        ran.stderr
    );
}

#[test]
fn all_at_once_that_does_not_fit_is_told() {
    let env = study(&STUDY.replace("200MiB", "60MiB").replace("count: 60", "count: 3000"));
    env.ok(&["run", "study.yaml", "--until", "E"]);
    let all = ["--set", "infer.chunk=all"];
    let seen = forecast(&env, &all);
    assert_eq!((&seen["chunk"], &seen["fits"]), (&3000.into(), &false.into()), "{seen}");
    let (_, whole) = text(&env, &all);
    assert!(whole.contains("warning: infer: does not fit into memory with 3000 groups at a time"), "{whole}");
    assert!(whole.contains("  hint: take `chunk: auto` in stage `infer`; else it fails first, "), "{whole}");
}
