//! Native stages under the engine: inference that runs out of memory is rescued, and goes on where it was when
//! everything is killed.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TestEnvironment, wait_until};
use serde_json::Value;

/// A scan of a thousand patterns through a network that has learnt next to nothing.
const STUDY: &str = r#"version: 1
study: native
seed: 3
stages:
  simulate:
    phase: C
    kind: simulate
    params:
      object: {kind: collage}
      shape: [160, 160]
      patch_px: 64
      probe: {kind: gaussian, sigma_px: 7}
      positions: {kind: uniform, count: 1000}
      photons: 1e4
  train:
    phase: E
    kind: train
    inputs: {data: simulate.data}
    params: {architecture: pinn, width: 8, depth: 2, epochs: 1, max_groups: 8}
  infer:
    phase: G
    kind: infer
    inputs: {data: simulate.data, model: train.model}
    params: {chunk: CHUNK}
MORE
"#;

fn study(chunk: &str, more: &str) -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", &STUDY.replace("CHUNK", chunk).replace("MORE", more));
    env
}

fn patches(env: &TestEnvironment) -> Vec<u8> {
    std::fs::read(env.path("phasegraph-out/results/native/infer/patches.npz")).unwrap()
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| if e.path().is_dir() { size(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) })
        .sum()
}

#[test]
fn inference_that_takes_too_much_at_a_time_is_rescued_and_gives_the_same() {
    let calm = study("32", "");
    calm.ok(&["run", "study.yaml"]);
    let env = study("all", "    resources: {memory: 400MiB}");
    let ran = env.run(&["run", "study.yaml", "--json"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let attempts = document["tasks"][2]["attempts"].as_array().unwrap();
    assert!(attempts.len() > 1, "{}", ran.stderr);
    let chunks: Vec<u64> = attempts.iter().map(|a| a["chunk"].as_u64().unwrap()).collect();
    assert_eq!(chunks[0], 1000);
    assert!(chunks.windows(2).all(|pair| pair[1] <= pair[0] / 2), "{chunks:?}");
    assert_eq!(document["rescued"], 1);
    assert!(patches(&env) == patches(&calm), "the chunk changes nothing");
    // The next one begins with what fitted.
    let ran = env.ok(&["run", "study.yaml", "--json", "--force"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["rescued"], 0, "{}", ran.stderr);
}

#[test]
fn killed_in_the_middle_inference_goes_on_where_it_was() {
    let calm = study("2", "");
    calm.ok(&["run", "study.yaml"]);
    let env = study("2", "");
    let mut child = env.command(&["run", "study.yaml"]).spawn().unwrap();
    let checkpoints = env.path("phasegraph-out/runs/native/checkpoints");
    wait_until("a part of the patches", || size(&checkpoints.join("infer")) > 4 << 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = size(&checkpoints.join("infer"));
    assert!(kept > 4 << 20, "{kept} bytes outlive the run");
    env.ok(&["resume", "study.yaml"]);
    let log = env.ok(&["log", "study.yaml", "infer"]).stdout;
    assert!(log.contains("of 1000 groups are there already"), "{log}");
    assert!(patches(&env) == patches(&calm));
    assert!(!checkpoints.join("infer").exists(), "it has succeeded");
}
