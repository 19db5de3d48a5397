//! The `train` stage on small simulated scans, its models through ONNX Runtime.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, Array3, Array4, s};
use num_complex::Complex32;
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::io::digest::Digest;
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::ptycho::fft::Fft2;
use phasegraph::stages::infer::{Model, Normalisation};
use phasegraph::stages::{Context, Device, Job, JobInput, Report, Stage, train};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "common/runtime.rs"]
mod runtime;

const N: usize = 16;

/// A noiseless scan of a wavy object with a round probe, 5 × 5 positions about 2 px apart.
fn dataset(scale: f32) -> Dataset {
    let object = Array2::from_shape_fn((40, 40), |(r, c)| {
        let wave = (0.6 * r as f32).sin() * (0.5 * c as f32).cos();
        Complex32::from_polar(0.7 + 0.2 * wave, 0.7 * wave)
    });
    let probe = Array2::from_shape_fn((N, N), |(r, c)| {
        let r2 = (r as f32 - 8.0).powi(2) + (c as f32 - 8.0).powi(2);
        Complex32::from_polar(scale * (-r2 / 12.0).exp(), 0.15 * r2)
    });
    let y: Vec<f64> = (0..25).map(|i| f64::from(12 + 3 * (i / 5)) + 0.25 * f64::from(i % 3)).collect();
    let x: Vec<f64> = (0..25).map(|i| f64::from(12 + 3 * (i % 5)) + 0.5 * f64::from(i % 2)).collect();
    let mut diffraction = Array3::zeros((25, N, N));
    let mut fft = Fft2::<f32>::new(N, N);
    for i in 0..25 {
        let (row, col) = (y[i] as usize - 8, x[i] as usize - 8);
        let mut field: Vec<Complex32> =
            (0..N * N).map(|k| object[[row + k / N, col + k % N]] * probe[[k / N, k % N]]).collect();
        fft.forward(&mut field);
        for (k, value) in diffraction.slice_mut(s![i, .., ..]).iter_mut().enumerate() {
            let from = (k / N + N / 2) % N * N + (k % N + N / 2) % N;
            *value = field[from].norm() / N as f32;
        }
    }
    Dataset {
        diffraction,
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe,
        object: Some(object),
        scan_index: vec![0; 25],
        dose_scale: Some(30.0),
        measured_photons: None,
        mask: None,
        metadata: json!({}),
    }
}

/// A job's folder after the stage ran.
struct Run {
    folder: TempDir,
    result: Result<(), StageError>,
    reports: Vec<Report>,
}

impl Run {
    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join("staging").join(file)).unwrap()
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&self.bytes("train.json")).unwrap()
    }

    fn failure(&self) -> &StageError {
        self.result.as_ref().expect_err("the stage should fail")
    }
}

fn run(datasets: &[Dataset], params: Value, threads: usize) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join("staging");
    std::fs::create_dir(&staging).unwrap();
    let write = |(i, data): (usize, &Dataset)| {
        let path = folder.path().join(format!("data{i}.npz"));
        data.write(&path).unwrap();
        JobInput { path, origin: format!("scan{i}"), point: BTreeMap::new() }
    };
    let data = datasets.iter().enumerate().map(write).collect();
    let kind = train::Train.kind();
    let job = Job {
        task: "train".into(),
        kind: "train".into(),
        point: BTreeMap::new(),
        params,
        seed: 3,
        inputs: BTreeMap::from([("data".to_owned(), data)]),
        outputs: kind.outputs.iter().map(|o| (o.name.to_owned(), o.file.to_owned())).collect(),
        staging,
        threads,
        device: Device::Cpu,
        gpus: vec![],
        memory: None,
        timeout_s: None,
        gpu_memory: None,
        chunk: None,
        facts: BTreeMap::new(),
        runtime: Some(runtime::library()),
        log: None,
    };
    let mut reports = Vec::new();
    let result = train::Train.run(&mut Context::new(&job, &mut |r| reports.push(r)));
    Run { folder, result, reports }
}

/// Parameters of a network small enough for a test.
fn params(architecture: &str, more: Value) -> Value {
    let mut all = json!({ "architecture": architecture, "width": 3, "depth": 2, "epochs": 3, "batch": 4 });
    let more = more.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    all
}

fn load(run: &Run, folder: &Path) -> Model {
    let path = folder.join("model.onnx");
    std::fs::write(&path, run.bytes("model.onnx")).unwrap();
    Model::load(&runtime::library(), &path, 1, Device::Cpu).unwrap()
}

#[test]
fn writes_a_model_that_infer_accepts_and_says_what_it_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = [dataset(1.0), dataset(1.5)];
    let cases = [
        ("pinn", json!({}), 2, N / 2),
        ("pinn", json!({ "loss": "poisson", "gridsize": 1 }), 1, N / 2),
        ("baseline", json!({}), 1, N / 2),
        ("baseline", json!({ "field": "full" }), 1, N),
    ];
    for (architecture, more, gridsize, drawn) in cases {
        let done = run(&data, params(architecture, more), 2);
        done.result.as_ref().unwrap();
        let mut model = load(&done, folder.path());
        let meta = model.meta();
        assert_eq!((meta.n, meta.gridsize, meta.channels), (N, gridsize, gridsize * gridsize));
        assert_eq!(meta.normalisation, Normalisation::Rms);
        assert!(meta.architecture.as_deref().unwrap().starts_with(architecture));

        let input = Array4::from_elem((3, gridsize * gridsize, N, N), 0.5);
        let (amplitude, phase) = model.run(input.view()).unwrap();
        let margin = (N - drawn) / 2;
        for ((_, _, r, c), a) in amplitude.indexed_iter() {
            let inside = (margin..N - margin).contains(&r) && (margin..N - margin).contains(&c);
            assert_eq!(*a > 0.0, inside, "amplitude at [{r}, {c}]");
        }
        assert!(phase.iter().all(|p| p.abs() < std::f32::consts::PI));

        let manifest = done.manifest();
        assert_eq!(manifest["model_digest"], Digest::of(&done.bytes("model.onnx")).to_string());
        assert_eq!((&manifest["groups"], &manifest["drawn_px"]), (&json!(50), &json!(drawn)));
        for part in manifest["datasets"].as_array().unwrap() {
            assert_eq!((&part["images_used"], &part["orientations"]), (&json!(25), &json!(8)));
        }
        assert!(manifest["export"]["amplitude"].as_f64().unwrap() <= 1e-5);
        assert!(manifest["export"]["phase"].as_f64().unwrap() <= 1e-5);

        let history = String::from_utf8(done.bytes("history.csv")).unwrap();
        let lines: Vec<&str> = history.lines().collect();
        assert_eq!((lines[0], lines.len()), ("epoch,loss,learning_rate,gradient_norm", 4));
        let last = lines[3].split(',').nth(1).unwrap().parse::<f64>().unwrap();
        assert_eq!(manifest["final_loss"], json!(last));
        let epochs = done.reports.iter().filter(|r| matches!(r, Report::Progress { total: 3, .. }));
        assert_eq!(epochs.count(), 4, "a start and three epochs");
    }
}

#[test]
fn neither_threads_nor_repetition_change_a_byte() {
    let data = [dataset(1.0)];
    let files = |architecture: &str, threads| {
        let done = run(&data, params(architecture, json!({})), threads);
        done.result.as_ref().unwrap();
        ["model.onnx", "history.csv", "train.json"].map(|file| done.bytes(file))
    };
    for architecture in ["pinn", "baseline"] {
        let one = files(architecture, 1);
        for threads in [1, 2, 3] {
            assert!(files(architecture, threads) == one, "{architecture}, {threads} threads");
        }
    }
}

#[test]
fn max_groups_limits_and_the_manifest_tells() {
    let done = run(&[dataset(1.0), dataset(1.0)], params("pinn", json!({ "max_groups": 9 })), 1);
    done.result.as_ref().unwrap();
    let manifest = done.manifest();
    assert_eq!(manifest["groups"], 9);
    let parts = manifest["datasets"].as_array().unwrap();
    assert_eq!(parts.iter().map(|p| p["groups"].as_u64().unwrap()).sum::<u64>(), 9);
    assert!(parts.iter().all(|p| p["images_used"].as_u64().unwrap() < 25));
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_its_name() {
    let check = |datasets: &[Dataset], more: Value, architecture: &str, expected: &[&str]| {
        let failed = run(datasets, params(architecture, more), 1);
        let failure = failed.failure();
        assert_eq!(failure.class, FailureClass::Input, "{failure}");
        assert!(failure.hint.is_some(), "{failure}");
        for part in expected {
            assert!(failure.message.contains(part), "`{}` does not say `{part}`", failure.message);
        }
    };
    let good = dataset(1.0);
    let unknown = Dataset { object: None, ..good.clone() };
    check(&[good.clone(), unknown], json!({}), "baseline", &["scan1", "objectGuess"]);
    check(&[good.select(&[0, 1, 2])], json!({}), "pinn", &["scan0", "4 images"]);
    check(std::slice::from_ref(&good), json!({ "depth": 5 }), "pinn", &["depth 5", "16 px"]);
    check(std::slice::from_ref(&good), json!({ "loss": "poisson" }), "baseline", &["poisson"]);
    let mut far = good.clone();
    far.x[24] += 500.0;
    check(std::slice::from_ref(&far), json!({}), "pinn", &["scan0", "image 24", "px away"]);
    check(&[far], json!({}), "baseline", &["image 24", "outside `objectGuess`"]);
    let larger = Dataset {
        diffraction: Array3::from_elem((25, 32, 32), 1.0),
        probe: Array2::from_elem((32, 32), Complex32::new(1.0, 0.0)),
        ..good.clone()
    };
    check(&[good, larger], json!({}), "pinn", &["scan1", "32 px", "scan0", "16 px"]);
}
