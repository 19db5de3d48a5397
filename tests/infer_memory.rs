//! How much memory inference takes, each run in a worker process of its own: no more for more groups, and
//! what was foreseen. `benches/memory/peak.py` does the same for more networks and chunks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3};
use num_complex::Complex32;
use phasegraph::nn::architecture::{Architecture, Design, Field};
use phasegraph::nn::graph::Graph;
use phasegraph::nn::network::Network;
use phasegraph::nn::onnx;
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::stages::infer::{self, Appetite, Chunk, Room};
use phasegraph::stages::{Device, Job, JobInput};
use serde_json::{Value, json};

#[path = "common/runtime.rs"]
mod runtime;
#[path = "common/worker.rs"]
mod worker;

const SIDE: usize = 64;

/// What a worker told of its job.
struct Told {
    end: Value,
    chunk: u64,
    predicted: u64,
    facts: BTreeMap<String, Value>,
}

impl Told {
    fn peak(&self) -> u64 {
        assert_eq!(self.end["type"], "finished", "{}", self.end);
        self.end["peak_memory"].as_u64().unwrap()
    }
}

fn dataset(folder: &Path, images: usize) -> PathBuf {
    let place = |i: usize, f: fn(f64) -> f64| 400.0 + 4.0 * (i as f64).sqrt() * f(i as f64 * 2.4);
    let x: Vec<f64> = (0..images).map(|i| place(i, f64::cos)).collect();
    let y: Vec<f64> = (0..images).map(|i| place(i, f64::sin)).collect();
    let path = folder.join(format!("{images}.npz"));
    let data = Dataset {
        diffraction: Array3::from_shape_fn((images, SIDE, SIDE), |(i, r, c)| {
            ((i + r * 11 + c * 5) % 103) as f32
        }),
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe: Array2::from_elem((SIDE, SIDE), Complex32::new(1.0, 0.0)),
        object: None,
        scan_index: vec![0; images],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: json!({}),
    };
    data.write(&path).unwrap();
    path
}

/// A network of the native trainer's kind, with random weights.
fn model(folder: &Path) -> PathBuf {
    let architecture = Architecture {
        side: SIDE,
        channels: 4,
        design: Design::Compact { width: 16, depth: 3, field: Field::Full },
    };
    let network = Network::new(Graph::new(architecture).unwrap(), 3, 0.8, 2.0);
    let metadata = [("n", "64"), ("gridsize", "2"), ("channels", "4"), ("normalisation", "rms")];
    let keys = metadata.map(|(key, value)| (format!("phasegraph.{key}"), value.to_owned()));
    let metadata: Vec<(&str, String)> =
        keys.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let path = folder.join("model.onnx");
    std::fs::write(&path, onnx::encode(&network, &metadata)).unwrap();
    path
}

fn run(
    data: &Path,
    model: &Path,
    chunk: Value,
    facts: &BTreeMap<String, Value>,
    memory: Option<u64>,
) -> Told {
    let staging = tempfile::tempdir().unwrap();
    let file =
        |path: &Path| vec![JobInput { path: path.to_owned(), origin: "test".into(), point: BTreeMap::new() }];
    let job = Job {
        task: "infer".into(),
        kind: "infer".into(),
        point: BTreeMap::new(),
        params: json!({ "chunk": chunk }),
        seed: 0,
        inputs: [("data".to_owned(), file(data)), ("model".to_owned(), file(model))].into(),
        outputs: [("patches".to_owned(), "patches.npz".to_owned())].into(),
        staging: staging.path().to_owned(),
        threads: 2,
        device: Device::Cpu,
        gpus: vec![],
        memory,
        timeout_s: None,
        gpu_memory: None,
        chunk: None,
        facts: facts.clone(),
        runtime: Some(runtime::library()),
        log: None,
    };
    let (mut worker, _stdin, lines) = worker::start(job);
    let mut told = Told { end: Value::Null, chunk: 0, predicted: 0, facts: BTreeMap::new() };
    for line in lines {
        let message: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match message["report"].as_str().or(message["type"].as_str()).unwrap() {
            "chunk" => {
                told.chunk = message["size"].as_u64().unwrap();
                told.predicted = message["predicted_peak"].as_u64().unwrap();
            }
            "learnt" => {
                told.facts.insert(message["key"].as_str().unwrap().to_owned(), message["value"].clone());
            }
            "finished" | "failed" => {
                told.end = message;
                break;
            }
            _ => {}
        }
    }
    // While its input is open the worker waits for more; ended from here it takes nobody with it.
    worker.kill().unwrap();
    worker.wait().unwrap();
    told
}

#[test]
fn memory_is_foreseen_and_does_not_grow_with_the_scan() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (dataset(folder.path(), 300), dataset(folder.path(), 1500));
    let model = model(folder.path());
    let first = run(&small, &model, json!("auto"), &BTreeMap::new(), None);
    assert_eq!(first.facts.len(), 1, "the first run learns what the model takes");
    let facts = &first.facts;
    let off = |one: u64, other: u64| (one as f64 / other as f64 - 1.0).abs();

    for chunk in [8, 64] {
        let few = run(&small, &model, json!(chunk), facts, None);
        let many = run(&large, &model, json!(chunk), facts, None);
        assert!(few.facts.is_empty(), "nothing is left to learn");
        assert!(off(many.peak(), few.peak()) < 0.05, "chunks of {chunk}: {} and {}", few.peak(), many.peak());
        for told in [&few, &many] {
            let (foreseen, peak) = (told.predicted, told.peak());
            assert!(off(foreseen, peak) < 0.05, "chunks of {chunk}: foreseen {foreseen}, was {peak}");
        }
    }

    // Before anything has run, the shapes in the file must do.
    let (_, value) = facts.first_key_value().unwrap();
    let measured: Appetite = serde_json::from_value(value.clone()).unwrap();
    let guessed = Appetite::of_model(&model).unwrap();
    println!("guessed {guessed:?}\nmeasured {measured:?}");
    assert!(off(guessed.session(64, 600), measured.session(64, 600)) < 0.5, "{guessed:?} {measured:?}");
}

#[test]
fn a_limit_makes_chunks_smaller_and_all_at_once_fail_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (dataset(folder.path(), 600), model(folder.path()));
    let limit = 128 << 20;
    let facts = run(&data, &model, json!(2), &BTreeMap::new(), None).facts;
    let told = run(&data, &model, json!(500), &facts, Some(limit));
    assert!(told.chunk > 8 && told.chunk < 400, "{}", told.chunk);
    assert!(told.peak() < limit && told.peak() > limit / 2, "{}", told.peak());

    let all = run(&data, &model, json!("all"), &facts, Some(limit));
    assert_eq!(all.end["error"]["class"], "out_of_memory", "{}", all.end);
    assert_eq!(all.chunk, 600, "told before it failed, so that it can be halved");
    // Where the buffers fit and the session does not, it is tried, and the arena's limit ends it.
    let tried = run(&data, &model, json!("all"), &facts, Some(300 << 20));
    assert_eq!(tried.end["error"]["class"], "out_of_memory", "{}", tried.end);
    let message = tried.end["error"]["message"].as_str().unwrap();
    assert!(message.contains("on a batch of 600"), "{message}");
    assert!(tried.end["peak_memory"].as_u64().unwrap() < 300 << 20, "{}", tried.end);
    // Less than the runtime's own libraries take, wherever this runs.
    let none = run(&data, &model, json!("auto"), &facts, Some(16 << 20));
    assert_eq!(none.end["error"]["class"], "out_of_memory", "{}", none.end);
    let message = none.end["error"]["message"].as_str().unwrap();
    assert!(message.contains("needs") && message.contains("16 MiB"), "{message}");

    // What `plan` says is what the stage does.
    let (_, value) = facts.first_key_value().unwrap();
    let known: Appetite = serde_json::from_value(value.clone()).unwrap();
    let room = Room { device: Device::Cpu, host: Some(limit), on_device: None };
    let asked: Chunk = serde_json::from_value(json!(500)).unwrap();
    let seen = infer::foresee(&known, 600, room, asked, None);
    assert!(
        seen.fits && seen.measured && seen.chunk.abs_diff(told.chunk as usize) <= told.chunk as usize / 2
    );
}
