//! How much memory the native stages take that pass a dataset through, each run in a worker process of its own: no
//! more for more patterns. `infer_memory.rs` does the same for inference.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use phasegraph::ptycho::dataset::Dataset;
use phasegraph::stages::{Device, Job, JobInput};
use serde_json::{Value, json};

#[path = "common/worker.rs"]
mod worker;

/// A pattern's side; one takes 16 KiB.
const SIDE: usize = 64;
/// Patterns of the two scans: 6 and 44 MiB.
const SCANS: [usize; 2] = [400, 2800];
/// What the peaks of the two may differ by, bytes: positions, what an allocator keeps.
const SAME: u64 = 6 << 20;

/// Runs a stage in a worker of its own; the worker's peak, bytes.
fn peak(kind: &str, params: Value, data: Option<&Path>, staging: &Path, outputs: &[&str]) -> u64 {
    std::fs::create_dir(staging).unwrap();
    let input =
        |path: &Path| JobInput { path: path.to_owned(), origin: "test".into(), point: BTreeMap::new() };
    let job = Job {
        task: kind.into(),
        kind: kind.into(),
        point: BTreeMap::new(),
        params,
        seed: 5,
        inputs: data.map(|path| ("data".to_owned(), vec![input(path)])).into_iter().collect(),
        outputs: outputs.iter().map(|name| ((*name).to_owned(), format!("{name}.npz"))).collect(),
        staging: staging.to_owned(),
        threads: 2,
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
    let (mut worker, _stdin, lines) = worker::start(job);
    let ends = |message: &Value| matches!(message["type"].as_str(), Some("finished" | "failed"));
    let mut messages = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let end = messages.find(ends).unwrap();
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(end["type"], "finished", "{end}");
    end["peak_memory"].as_u64().unwrap()
}

#[test]
fn stages_that_pass_a_dataset_through_do_not_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let scan = |images: usize| {
        json!({
            "object": {"kind": "collage"}, "shape": [192, 192], "patch_px": SIDE, "photons": 1e4,
            "probe": {"kind": "gaussian", "sigma_px": 7}, "positions": {"kind": "uniform", "count": images},
            "detector": {"saturation": 50.0}
        })
    };
    let place = |stage: &str, images: usize| folder.path().join(format!("{stage}{images}"));
    let source = |images: usize| -> PathBuf { place("simulate", images).join("data.npz") };
    let simulated = SCANS.map(|n| peak("simulate", scan(n), None, &place("simulate", n), &["data"]));
    let mut peaks = vec![("simulate", simulated)];
    let stages: [(&str, Value, &[&str]); 3] = [
        ("split", json!({}), &["train", "test"]),
        ("overlap", json!({"s_img": 0.9}), &["data", "metrics"]),
        ("thin", json!({"fraction": 0.5}), &["data"]),
    ];
    for (kind, params, outputs) in stages {
        let of = |n: usize| peak(kind, params.clone(), Some(&source(n)), &place(kind, n), outputs);
        peaks.push((kind, SCANS.map(of)));
    }
    for (kind, [few, many]) in peaks {
        assert!(many < few + SAME, "{kind}: {few} bytes for {SCANS:?} patterns, {many} for the latter");
    }
    let [train, test] = ["train", "test"]
        .map(|part| Dataset::read(&place("split", SCANS[1]).join(format!("{part}.npz"))).unwrap());
    assert_eq!(train.len() + test.len(), SCANS[1]);
}
