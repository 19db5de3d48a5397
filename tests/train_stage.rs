//! The `train` stage on small simulated scans, its models through ONNX Runtime.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, Array3, Array4, s};
use num_complex::Complex32;
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::io::Arrays;
use phasegraph::io::digest::Digest;
use phasegraph::io::npz::NpzReader;
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
    run_with(datasets, params, threads, |_| ())
}

fn run_with(datasets: &[Dataset], params: Value, threads: usize, change: impl FnOnce(&mut Job)) -> Run {
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
    let mut job = Job {
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
    change(&mut job);
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
        ("pinn", json!({ "network": "ptychopinn", "width": 6 }), 2, N),
        ("baseline", json!({ "network": "ptychonn" }), 1, N),
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
            // Outside its central box ptychopinn draws what it likes, below 0 too.
            assert_eq!(*a != 0.0, inside, "amplitude at [{r}, {c}]");
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
        assert_eq!((lines[0], lines.len()), ("epoch,loss,validation_loss,learning_rate,gradient_norm", 4));
        let last = lines[3].split(',').nth(1).unwrap().parse::<f64>().unwrap();
        assert_eq!(manifest["final_loss"], json!(last));
        let epochs: Vec<u64> = done
            .reports
            .iter()
            .filter_map(|r| match r {
                Report::Progress { done, total: 3, .. } => Some(*done),
                _ => None,
            })
            .collect();
        assert!((0..=3).all(|epoch| epochs.contains(&epoch)), "a start and three epochs: {epochs:?}");
        assert!(epochs.is_sorted());
    }
}

#[test]
fn neither_threads_nor_repetition_change_a_byte() {
    let data = [dataset(1.0)];
    let files = |architecture: &str, threads| {
        let done = run(&data, params(architecture, json!({})), threads);
        done.result.as_ref().unwrap();
        ["model.onnx", "history.csv", "train.json", "examples.npz"].map(|file| done.bytes(file))
    };
    for architecture in ["pinn", "baseline"] {
        let one = files(architecture, 1);
        for threads in [1, 2, 3] {
            assert!(files(architecture, threads) == one, "{architecture}, {threads} threads");
        }
    }
}

/// What is tuning changes no byte: micro-batches, and what an earlier attempt that ran out of memory leaves of them.
#[test]
fn tuning_changes_no_byte() {
    let data = [dataset(1.0)];
    let more = |micro: Value| json!({ "micro_batch": micro, "learn": ["probe", "intensity_scale"] });
    let files = |done: &Run| {
        done.result.as_ref().unwrap();
        ["model.onnx", "history.csv", "train.json", "examples.npz"].map(|file| done.bytes(file))
    };
    let whole = files(&run(&data, params("pinn", more(Value::Null)), 1));
    for micro in [1, 3, 50] {
        assert!(
            files(&run(&data, params("pinn", more(micro.into())), 2)) == whole,
            "micro-batches of {micro}"
        );
    }
    let rescued = run_with(&data, params("pinn", more(Value::Null)), 2, |job| job.chunk = Some(2));
    assert!(files(&rescued) == whole);
    let told = rescued.reports.iter().find_map(|r| match r {
        Report::Chunk { size, unit, predicted_peak } => Some((*size, unit.clone(), predicted_peak.is_some())),
        _ => None,
    });
    assert_eq!(told, Some((2, "groups".to_owned(), true)));
}

/// Where not even one group fits, the training says so at once.
#[test]
fn too_little_memory_is_told_before_anything_is_held() {
    let nothing = run_with(&[dataset(1.0)], params("pinn", json!({})), 2, |job| job.memory = Some(1 << 20));
    assert_eq!(nothing.failure().class, FailureClass::OutOfMemory);
    assert!(nothing.failure().message.contains("with one group at a time"), "{}", nothing.failure());
}

/// What is held out is in no group that is learnt from; the best epoch is the one that is kept.
#[test]
fn validation_holds_out_images_and_training_may_end_early() {
    let more = json!({
        "validation": 0.2, "early_stopping": 1, "schedule": "plateau", "epochs": 40, "learning_rate": 0.1
    });
    let done = run(&[dataset(1.0)], params("pinn", more), 2);
    done.result.as_ref().unwrap();
    let manifest = done.manifest();
    let part = &manifest["datasets"][0];
    assert_eq!((&part["images_held_out"], &manifest["groups_held_out"]), (&json!(5), &json!(5)));
    assert_eq!(part["images_used"], 20);
    let epochs = manifest["epochs"].as_u64().unwrap();
    assert!(epochs < 40, "it never stopped");
    assert_eq!(manifest["epoch"].as_u64().unwrap() + 1, epochs);
    let history = String::from_utf8(done.bytes("history.csv")).unwrap();
    let validation = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
    let losses: Vec<f64> = history.lines().skip(1).map(validation).collect();
    assert_eq!(manifest["validation_loss"], json!(losses.iter().copied().fold(f64::INFINITY, f64::min)));
    let mut examples = NpzReader::open(&done.folder.path().join("staging/examples.npz")).unwrap();
    assert_eq!(examples.c32("patches").unwrap().shape(), [5, 4, N, N]);
    assert_eq!(examples.f64("ycoords").unwrap()[[0, 0]], 24.0 + 0.5, "the first of those held out");
}

/// A wrong probe is corrected on the way: the learnt one explains the patterns better.
#[test]
fn a_learnt_probe_lowers_the_loss() {
    let mut data = dataset(1.0);
    data.probe.mapv_inplace(|p| p * Complex32::new(0.8, 0.0));
    data.probe.indexed_iter_mut().for_each(|((r, _), p)| *p *= 1.0 + 0.02 * (r as f32 - 8.0));
    let loss = |learn: Value| {
        let more = json!({ "learn": learn, "epochs": 30, "gridsize": 1, "learning_rate": 0.01 });
        let done = run(std::slice::from_ref(&data), params("pinn", more), 2);
        done.result.as_ref().unwrap();
        let mut examples = NpzReader::open(&done.folder.path().join("staging/examples.npz")).unwrap();
        (
            done.manifest()["final_loss"].as_f64().unwrap(),
            examples.contains("probes").then(|| examples.c32("probes").unwrap()),
        )
    };
    let (fixed, none) = loss(json!([]));
    let (learnt, probes) = loss(json!(["probe"]));
    assert!(none.is_none());
    assert!(learnt < 0.95 * fixed, "{fixed} with the probe as it is, {learnt} with it learnt");
    let probes = probes.unwrap();
    assert_eq!(probes.shape(), [1, N, N]);
    let moved: f32 = probes.iter().zip(&data.probe).map(|(a, b)| (a - b).norm_sqr()).sum();
    let power: f32 = data.probe.iter().map(|p| p.norm_sqr()).sum();
    assert!(moved > 1e-4 * power && moved < power, "in the dataset's unit: {moved} of {power}");
}

#[test]
fn networks_of_full_size_are_refused_with_the_time_they_would_take() {
    let full = |more: Value| {
        let mut all = json!({ "architecture": "pinn", "network": "ptychopinn", "depth": 2, "width": 128 });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&[dataset(1.0)], all, 2)
    };
    let refused = full(json!({ "epochs": 1000 }));
    let failure = refused.failure();
    assert_eq!(failure.class, FailureClass::Input);
    assert!(failure.message.contains("full size: 1000 epochs on 25 groups would take about"), "{failure}");
    assert!(failure.hint.as_deref().unwrap().contains("force: true"));
    let forced = full(json!({ "epochs": 1, "max_groups": 1, "force": true }));
    forced.result.as_ref().unwrap();
    assert!(forced.manifest()["network_parameters"].as_u64().unwrap() > 2_000_000);
}

/// NaN in the data ends the training, named; the weights of the last good epoch stay.
#[test]
fn divergence_leaves_the_last_good_weights() {
    // Steps so large that products of weights overflow.
    let more = json!({ "learning_rate": 1e12, "batch": 2, "schedule": "constant", "network": "ptychonn" });
    let wild = run(&[dataset(1.0)], params("pinn", more), 1);
    let Err(failure) = &wild.result else { panic!("it did not diverge") };
    assert_eq!(failure.class, FailureClass::Check, "{failure}");
    assert!(failure.message.contains("last-good.onnx"), "{failure}");
    let left = wild.folder.path().join("staging/last-good.onnx");
    let mut model = Model::load(&runtime::library(), &left, 1, Device::Cpu).unwrap();
    let (amplitude, _) = model.run(Array4::from_elem((2, 4, N, N), 0.5).view()).unwrap();
    assert!(amplitude.iter().all(|a| a.is_finite()));
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
    check(std::slice::from_ref(&good), json!({ "learn": ["probe"] }), "baseline", &["beam", "labels"]);
    let central = json!({ "network": "ptychonn", "field": "central" });
    check(std::slice::from_ref(&good), central, "pinn", &["field: central", "ptychonn"]);
    let few = good.select(&[0, 1, 2, 3, 4]);
    check(&[few], json!({ "validation": 0.5 }), "pinn", &["nothing to learn from"]);
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
