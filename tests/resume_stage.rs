//! Stages that were ended in the middle go on from there, and give the very bytes they would have given.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{Array2, Array3};
use num_complex::Complex32;
use phasegraph::diag::{FailureClass, StageResult};
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::ptycho::patches::Patches;
use phasegraph::stages::{self, Context, Device, Job, JobInput, Report};
use serde_json::{Value, json};

#[path = "common/runtime.rs"]
mod runtime;
#[path = "common/worker.rs"]
mod worker;

const N: usize = 16;

/// A scan of `images` patterns of a smooth probe, every one different.
fn dataset(images: usize, side: usize, path: &Path) {
    let place = |i: usize, f: fn(f64) -> f64| 40.0 + 3.0 * (i as f64).sqrt() * f(i as f64 * 2.4);
    let x: Vec<f64> = (0..images).map(|i| place(i, f64::cos)).collect();
    let y: Vec<f64> = (0..images).map(|i| place(i, f64::sin)).collect();
    let data = Dataset {
        diffraction: Array3::from_shape_fn((images, side, side), |(i, r, c)| {
            ((i * 37 + r * 11 + c * 5) % 103 + 1) as f32 / 170.0
        }),
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe: Array2::from_shape_fn((side, side), |(r, c)| {
            let d = (r as f32 - 8.0).powi(2) + (c as f32 - 8.0).powi(2);
            Complex32::new((-d / 20.0).exp(), 0.1 * (r as f32 / 16.0))
        }),
        object: None,
        scan_index: vec![0; images],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: json!({}),
    };
    data.write(path).unwrap();
}

/// A folder with inputs, and jobs on them.
struct Bench {
    folder: tempfile::TempDir,
    kind: &'static str,
    inputs: BTreeMap<String, Vec<JobInput>>,
    outputs: &'static [&'static str],
}

impl Bench {
    fn new(kind: &'static str, images: usize, model: Option<&str>, outputs: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.npz");
        dataset(images, N, &data);
        let file = |path: PathBuf| vec![JobInput { path, origin: "test".into(), point: BTreeMap::new() }];
        let mut inputs = BTreeMap::from([("data".to_owned(), file(data))]);
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
        inputs.extend(model.map(|m| ("model".to_owned(), file(models.join(format!("{m}.onnx"))))));
        Self { folder, kind, inputs, outputs }
    }

    fn staging(&self, name: &str) -> PathBuf {
        let staging = self.folder.path().join(name);
        std::fs::create_dir_all(&staging).unwrap();
        staging
    }

    fn job(&self, staging: &str, params: Value) -> Job {
        let name = |file: &str| file.split('.').next().unwrap().to_owned();
        Job {
            task: self.kind.into(),
            kind: self.kind.into(),
            point: BTreeMap::new(),
            params,
            seed: 5,
            inputs: self.inputs.clone(),
            outputs: self.outputs.iter().map(|file| (name(file), (*file).to_owned())).collect(),
            staging: self.staging(staging),
            threads: 2,
            device: Device::Cpu,
            gpus: vec![],
            memory: None,
            timeout_s: None,
            gpu_memory: None,
            chunk: None,
            facts: BTreeMap::new(),
            runtime: Some(runtime::library()),
            log: None,
        }
    }

    /// Runs a job, asking it to end when progress reaches `stop_at`. Gives the first progress, too.
    fn run(&self, staging: &str, params: Value, stop_at: Option<u64>) -> (StageResult, u64) {
        let job = self.job(staging, params);
        let (stop, mut first) = (AtomicBool::new(false), None);
        let mut emit = |report: Report| {
            if let Report::Progress { done, .. } = report {
                first.get_or_insert(done);
                stop.fetch_or(stop_at.is_some_and(|at| done >= at), Ordering::SeqCst);
            }
        };
        let result =
            stages::find(self.kind).unwrap().run(&mut Context::new(&job, &mut emit).under(&stop, false));
        (result, first.unwrap_or(0))
    }

    /// Interrupted twice, it gives the same bytes as undisturbed.
    fn goes_on(&self, params: [Value; 3], stops: [u64; 2]) {
        let [a, b, c] = params;
        self.run("undisturbed", a.clone(), None).0.unwrap();
        let first = self.run("ended", a, Some(stops[0])).0.unwrap_err();
        assert_eq!(first.class, FailureClass::Signal, "{first}");
        let (second, from) = self.run("ended", b, Some(stops[1]));
        assert_eq!(second.unwrap_err().class, FailureClass::Signal);
        assert!(from >= stops[0], "{from}");
        let (third, from) = self.run("ended", c, None);
        third.unwrap();
        assert!(from >= stops[1], "{from}");
        self.same("undisturbed", "ended");
    }

    /// A worker killed as soon as it tells of progress `at` groups: how many it had begun by its end, and how
    /// many it had told of.
    fn killed(&self, chunk: u64, at: u64) -> (u64, u64) {
        let told = self.killed_at(json!({ "chunk": chunk }), at);
        // Progress is told where groups are begun: half of a chunk, or the only one.
        (told + chunk.div_ceil(2), told)
    }

    /// A worker killed as soon as it tells of progress `at`: of how much it had told by its end.
    fn killed_at(&self, params: Value, at: u64) -> u64 {
        let job = self.job("ended", params);
        let (mut worker, _stdin, lines) = worker::start(job);
        let (mut told, mut killed) = (0, false);
        for line in lines {
            // The last line may be torn.
            let Ok(message) = serde_json::from_str::<Value>(&line.unwrap()) else { break };
            assert_ne!(message["type"], "failed", "{message}");
            assert_ne!(message["type"], "finished", "ended before it could be killed");
            if message["report"] == "progress" {
                told = message["done"].as_u64().unwrap();
                if told >= at && !killed {
                    worker.kill().unwrap();
                    killed = true;
                }
            }
        }
        worker.wait().unwrap();
        told
    }

    fn equal(&self, one: &str, other: &str) {
        for file in self.outputs {
            let read = |staging: &str| std::fs::read(self.staging(staging).join(file)).unwrap();
            assert!(read(one) == read(other), "{file} differs");
        }
    }

    fn same(&self, one: &str, other: &str) {
        self.equal(one, other);
        let left = std::fs::read_dir(self.staging(other)).unwrap().count();
        assert_eq!(left, self.outputs.len(), "checkpoints are gone");
    }
}

#[test]
fn inference_goes_on_in_chunks_of_another_size() {
    let bench = Bench::new("infer", 40, Some("unet4"), &["patches.npz"]);
    bench.goes_on([json!({"chunk": 4}), json!({"chunk": 3}), json!({"chunk": 7})], [12, 22]);
}

#[test]
fn training_goes_on_from_an_epoch() {
    let params = json!({
        "architecture": "pinn", "gridsize": 1, "width": 2, "depth": 1, "epochs": 5, "max_groups": 20
    });
    let bench = Bench::new("train", 30, None, TRAINED);
    bench.goes_on([params.clone(), params.clone(), params], [1, 3]);
}

const TRAINED: &[&str] = &["model.onnx", "history.csv", "examples.npz", "manifest.json"];

/// A training ended by kill -9, twice: it goes on from its last checkpoint, wherever in an epoch that is, and
/// gives the very weights of an undisturbed one.
#[test]
fn a_killed_training_gives_the_same_weights() {
    let params = json!({
        "architecture": "pinn", "gridsize": 1, "width": 2, "depth": 1, "epochs": 600, "batch": 4,
        "max_groups": 20, "validation": 0.2, "schedule": "plateau", "learn": ["probe", "intensity_scale"]
    });
    let bench = Bench::new("train", 30, None, TRAINED);
    bench.run("undisturbed", params.clone(), None).0.unwrap();
    let first = bench.killed_at(params.clone(), 250);
    assert!(bench.staging("ended").join("checkpoint.npz").exists(), "no checkpoint after {first} epochs");
    bench.killed_at(params.clone(), 450);
    let (result, from) = bench.run("ended", params, None);
    result.unwrap();
    assert!(from > 0, "it began anew");
    bench.same("undisturbed", "ended");
}

#[test]
fn a_reconstruction_goes_on_from_an_epoch() {
    for subpixel in ["bilinear", "probe_shift"] {
        let bench =
            Bench::new("reconstruct", 30, None, &["image.npz", "probe.npy", "positions.csv", "history.csv"]);
        let params = json!({"epochs": 6, "subpixel": subpixel, "batch": 3});
        bench.goes_on([params.clone(), params.clone(), params], [2, 4]);
    }
}

/// Patches of a scan, every one different.
fn patches(count: usize, side: usize, path: &Path) {
    let place = |i: usize, f: fn(f64) -> f64| 40.3 + 0.1 * (i as f64).sqrt() * f(i as f64 * 2.4);
    let value =
        |(i, r, c): (usize, usize, usize)| Complex32::new(((i + r) % 17) as f32, ((i * c) % 13) as f32);
    let patches = Patches {
        patches: Array3::from_shape_fn((count, side, side), value),
        x: (0..count).map(|i| place(i, f64::cos)).collect(),
        y: (0..count).map(|i| place(i, f64::sin)).collect(),
    };
    patches.write(path).unwrap();
}

fn stitching(count: usize, side: usize) -> Bench {
    let mut bench = Bench::new("stitch", 30, None, &["image.npz"]);
    dataset(30, side, &bench.folder.path().join("data.npz"));
    let path = bench.folder.path().join("patches.npz");
    patches(count, side, &path);
    let input = JobInput { path, origin: "test".into(), point: BTreeMap::new() };
    bench.inputs.insert("patches".to_owned(), vec![input]);
    bench
}

#[test]
fn stitching_goes_on_from_a_patch() {
    let params = json!({"between_pixels": "fourier"});
    stitching(2000, N).goes_on([params.clone(), params.clone(), params.clone()], [512, 1024]);
    // Of other patches, or weighed otherwise, nothing is taken over.
    let bench = stitching(2000, N);
    assert!(bench.run("ended", params.clone(), Some(512)).0.is_err());
    let (result, from) = bench.run("ended", json!({}), None);
    result.unwrap();
    assert_eq!(from, 0);
    assert!(bench.run("other", params.clone(), Some(512)).0.is_err());
    patches(1999, N, &bench.folder.path().join("patches.npz"));
    assert_eq!(bench.run("other", params, None).1, 0);
}

/// A stage with so many times the least work, and its parameters.
type Work = fn(usize) -> (Bench, Value);

/// Workers ended by kill -9 as soon as they have left a checkpoint: the work goes on from there, to the same bytes.
#[test]
fn what_is_killed_goes_on_from_its_checkpoint() {
    // A prime side, of which a transform takes its time.
    let stitch: Work = |n| (stitching(3000 * n, 37), json!({"between_pixels": "fourier"}));
    let train: Work = |n| {
        let bench = Bench::new("train", 30, None, TRAINED);
        let params = json!({
            "architecture": "pinn", "gridsize": 1, "width": 4, "depth": 1, "epochs": 60 * n, "max_groups": 30
        });
        (bench, params)
    };
    let reconstruct: Work = |n| {
        let outputs = &["image.npz", "probe.npy", "positions.csv", "history.csv"];
        (Bench::new("reconstruct", 60, None, outputs), json!({"epochs": 300 * n}))
    };
    for work in [stitch, train, reconstruct] {
        // More of it where a machine is too quick to be met at it.
        assert!([1, 4, 16, 64].into_iter().any(|n| killed_at_work(work(n))));
    }
}

/// Whether the worker could be killed between its first checkpoint and its end. If so, all is as it must be.
fn killed_at_work((bench, params): (Bench, Value)) -> bool {
    let checkpoint = bench.staging("ended").join("checkpoint.npz");
    let (mut worker, _stdin, mut lines) = worker::start(bench.job("ended", params.clone()));
    let met = loop {
        let Some(line) = lines.next() else { break false };
        let line = line.unwrap();
        assert!(!line.contains(r#""type":"failed""#), "{line}");
        if line.contains(r#""type":"finished""#) {
            break false;
        }
        if checkpoint.exists() {
            break true;
        }
    };
    worker.kill().unwrap();
    worker.wait().unwrap();
    if !met || !checkpoint.exists() {
        return false;
    }
    let (result, from) = bench.run("ended", params.clone(), None);
    result.unwrap();
    assert!(from > 0, "{} began anew", bench.kind);
    bench.run("undisturbed", params, None).0.unwrap();
    // A kill in the middle of a saving may leave a nameless rest; the engine removes the folder.
    bench.equal("undisturbed", "ended");
    assert!(!checkpoint.exists());
    true
}

/// What a crash of the machine may leave: a record of values that never reached the disk, half a line, values
/// that nothing tells of; and a record of another network.
#[test]
fn what_a_crash_left_counts_only_as_far_as_it_is_whole() {
    let bench = Bench::new("infer", 40, Some("unet4"), &["patches.npz"]);
    bench.run("undisturbed", json!({}), None).0.unwrap();
    let chunk = || json!({"chunk": 5});
    let part = bench.staging("ended").join("patches.npz.part");
    let record = bench.staging("ended").join("patches.npz.done");
    let end = |stop| assert!(bench.run("ended", chunk(), Some(stop)).0.is_err());

    end(20);
    let file = std::fs::OpenOptions::new().write(true).open(&part).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
    std::fs::OpenOptions::new().append(true).open(&record).unwrap().write_all(b"1234 {\"done").unwrap();
    let (result, from) = bench.run("ended", chunk(), Some(30));
    assert!(result.is_err());
    assert_eq!(from, 18, "what came last was not whole");

    let length = std::fs::metadata(&part).unwrap().len();
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[length as usize / 2] ^= 1;
    bytes.extend_from_slice(&[7; 1000]);
    std::fs::write(&part, bytes).unwrap();
    let (result, from) = bench.run("ended", chunk(), None);
    result.unwrap();
    assert!((10..18).contains(&from), "{from}: up to the changed byte");
    bench.same("undisturbed", "ended");

    let other = Bench::new("infer", 41, Some("unet4"), &["patches.npz"]);
    assert!(other.run("ended", chunk(), Some(20)).0.is_err());
    for name in ["patches.npz.part", "patches.npz.done"] {
        std::fs::copy(other.staging("ended").join(name), bench.staging("strange").join(name)).unwrap();
    }
    let (result, from) = bench.run("strange", chunk(), None);
    result.unwrap();
    assert_eq!(from, 0, "another scan's record");
    bench.same("undisturbed", "strange");
}

/// A worker ended by kill -9 in the middle of inference: of the groups it had begun, no more than a chunk are
/// computed again, and the result has the bytes of an undisturbed one.
#[test]
fn a_killed_worker_has_at_most_one_chunk_to_do_again() {
    let bench = Bench::new("infer", 3000, Some("unet4"), &["patches.npz"]);
    bench.run("undisturbed", json!({"chunk": 50}), None).0.unwrap();
    for (chunk, at) in [(1, 150), (4, 600), (16, 1000), (64, 1900), (64, 2300)] {
        let (begun, told) = bench.killed(chunk, at);
        let (result, from) = bench.run("ended", json!({"chunk": chunk}), Some(told + 100));
        assert!(result.is_err(), "ended before the next kill");
        assert!(
            from <= begun && begun - from <= chunk,
            "chunks of {chunk}: {begun} begun, {from} were there"
        );
    }
    bench.run("ended", json!({"chunk": 64}), None).0.unwrap();
    bench.same("undisturbed", "ended");
}
