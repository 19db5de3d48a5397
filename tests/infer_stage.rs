//! The `infer` stage on real datasets and models.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, s};
use num_complex::Complex32;
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::ptycho::patches::Patches;
use phasegraph::stages::{Context, Device, Job, JobInput, Report, Stage, infer};
use serde_json::{Value, json};

#[path = "common/runtime.rs"]
mod runtime;

const N: usize = 16;

/// A scan of `images` patterns, every pixel different, on a jittered spiral.
fn dataset(images: usize) -> Dataset {
    let place = |i: usize, f: fn(f64) -> f64| 40.0 + 3.0 * (i as f64).sqrt() * f(i as f64 * 2.4);
    let x: Vec<f64> = (0..images).map(|i| place(i, f64::cos)).collect();
    let y: Vec<f64> = (0..images).map(|i| place(i, f64::sin)).collect();
    Dataset {
        diffraction: Array3::from_shape_fn((images, N, N), |(i, r, c)| {
            ((i * 37 + r * 11 + c * 5) % 103 + 1) as f32 / 17.0 + 0.01 * i as f32
        }),
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe: Array2::from_elem((N, N), Complex32::new(1.0, 0.0)),
        object: None,
        scan_index: vec![0; images],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: json!({}),
    }
}

struct Outcome {
    result: Result<Patches, StageError>,
    reports: Vec<Report>,
}

impl Outcome {
    fn patches(&self) -> &Patches {
        self.result.as_ref().unwrap()
    }

    fn failure(&self) -> &StageError {
        self.result.as_ref().expect_err("the stage should fail")
    }

    fn measure(&self, wanted: &str) -> Value {
        let found = self.reports.iter().find_map(|r| match r {
            Report::Measure { name, value } if name == wanted => Some(value.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no measure {wanted}"))
    }

    fn warnings(&self) -> Vec<&str> {
        self.reports
            .iter()
            .filter_map(|r| match r {
                Report::Warning { message } => Some(message.as_str()),
                _ => None,
            })
            .collect()
    }
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(format!("{name}.onnx"))
}

fn run_with(data: &Dataset, model_name: &str, params: Value, threads: usize) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.npz");
    data.write(&path).unwrap();
    let staging = folder.path().join("staging");
    std::fs::create_dir(&staging).unwrap();
    let file = |path: PathBuf| vec![JobInput { path, origin: "test".into(), point: BTreeMap::new() }];
    let job = Job {
        task: "infer".into(),
        kind: "infer".into(),
        point: BTreeMap::new(),
        params,
        seed: 1,
        inputs: [("data".to_owned(), file(path)), ("model".to_owned(), file(model(model_name)))].into(),
        outputs: [("patches".to_owned(), "patches.npz".to_owned())].into(),
        staging: staging.clone(),
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
    let result = infer::Infer
        .run(&mut Context::new(&job, &mut |report| reports.push(report)))
        .and_then(|()| Patches::read(&staging.join("patches.npz")));
    if result.is_err() {
        assert!(!staging.join("patches.npz").exists(), "a failed stage leaves no output");
    }
    Outcome { result, reports }
}

fn run(data: &Dataset, model_name: &str) -> Outcome {
    run_with(data, model_name, json!({}), 2)
}

/// What `affine1` and `affine4` compute for channel `c` from a normalised amplitude.
fn affine(x: f32, c: usize) -> Complex32 {
    let (amplitude, phase) = (f64::from(x * 0.5 + 1.0), f64::from(x * ((c + 1) as f32 / 8.0)));
    Complex32::new((amplitude * phase.cos()) as f32, (amplitude * phase.sin()) as f32)
}

#[test]
fn single_images_are_predicted_at_their_own_places() {
    let data = dataset(9);
    let outcome = run(&data, "affine1");
    let patches = outcome.patches();
    assert_eq!((&patches.x, &patches.y), (&data.x, &data.y));
    let factor = infer::rms_factor(data.diffraction.view()).unwrap() as f32;
    assert_eq!(patches.patches, data.diffraction.mapv(|a| affine(a * factor, 0)));
    assert_eq!(outcome.measure("blank_patch_fraction"), json!(0.0));
    assert_eq!(outcome.measure("groups"), json!(9));
}

#[test]
fn groups_give_a_patch_for_every_member_at_that_members_place() {
    let data = dataset(12);
    let outcome = run(&data, "affine4");
    let patches = outcome.patches();
    assert_eq!(patches.len(), 48);
    let factor = infer::rms_factor(data.diffraction.view()).unwrap() as f32;
    for (p, patch) in patches.patches.outer_iter().enumerate() {
        let (group, channel) = (p / 4, p % 4);
        let image =
            (0..12).find(|&i| data.x[i] == patches.x[p] && data.y[i] == patches.y[p]).expect("a real place");
        if channel == 0 {
            assert_eq!(image, group, "the image itself comes first");
        }
        let expected = data.diffraction.slice(s![image, .., ..]).mapv(|a| affine(a * factor, channel));
        assert_eq!(patch, expected, "group {group}, member {channel}");
    }
}

#[test]
fn a_model_may_ask_for_raw_amplitudes() {
    let data = dataset(4);
    let outcome = run(&data, "plain1");
    assert_eq!(outcome.patches().patches, data.diffraction.mapv(|a| affine(a, 0)));
    assert_eq!(outcome.measure("normalisation_factor"), json!(1.0));
}

/// Chunks and threads are outside the fingerprint, so they must not reach a single bit. 25 images give
/// remainders of every kind, single groups included.
#[test]
fn chunked_equals_unchunked_bit_for_bit() {
    let data = dataset(25);
    for name in ["unet1", "unet4"] {
        let whole = run_with(&data, name, json!({ "chunk": "all" }), 1);
        for (chunk, threads) in [(1, 2), (2, 1), (3, 3), (8, 2), (24, 1), (25, 5), (1000, 2)] {
            let chunked = run_with(&data, name, json!({ "chunk": chunk }), threads);
            assert!(
                chunked.patches() == whole.patches(),
                "{name} in chunks of {chunk} with {threads} threads"
            );
        }
    }
}

#[test]
fn progress_counts_groups_to_the_end() {
    let outcome = run_with(&dataset(10), "affine1", json!({ "chunk": 4 }), 1);
    let seen: Vec<(u64, u64)> = outcome
        .reports
        .iter()
        .filter_map(|r| match r {
            Report::Progress { done, total, unit, .. } if unit == "groups" => Some((*done, *total)),
            _ => None,
        })
        .collect();
    // Half a chunk at once.
    assert_eq!(seen.iter().map(|(done, _)| *done).collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10]);
    assert!(seen.iter().all(|(_, total)| *total == 10));
}

#[test]
fn results_that_cannot_be_are_failed_checks() {
    let mut data = dataset(6);
    let blank = run(&data, "blank");
    assert_eq!(blank.failure().class, FailureClass::Check);
    assert!(blank.failure().message.contains("0 in all 6 patches"));
    assert_eq!(blank.measure("blank_patch_fraction"), json!(1.0));

    data.diffraction[[4, 3, 7]] = 0.0;
    let nan = run_with(&data, "nan", json!({ "chunk": 2 }), 1);
    assert_eq!(nan.failure().class, FailureClass::Check);
    let expected = "phase is -inf at row 3, column 7 of image 0 of group 4";
    assert!(nan.failure().message.contains(expected), "{}", nan.failure().message);

    assert_eq!(run(&data, "collapse").failure().class, FailureClass::Check);
    assert_eq!(run(&data, "greedy").failure().class, FailureClass::OutOfMemory);
}

#[test]
fn some_blank_patches_are_a_warning() {
    let mut data = dataset(8);
    // `nan` hands amplitudes through: a dark image gives a dark patch, and the phase is log(x).
    data.diffraction.slice_mut(s![2, .., ..]).fill(1e-12);
    let outcome = run(&data, "nan");
    assert_eq!(outcome.measure("blank_patch_fraction"), json!(0.125));
    assert_eq!(outcome.warnings(), ["1 of 8 patches are blank: their amplitude is 0 everywhere"]);
}

#[test]
fn data_that_do_not_fit_the_model_are_refused() {
    let mut data = dataset(3);
    let error = run(&data, "affine4").failure().clone();
    assert_eq!(error.class, FailureClass::Input);
    assert!(error.message.contains("groups of 4 images out of a scan of 3"), "{}", error.message);

    data.diffraction.fill(0.0);
    assert!(run(&data, "affine1").failure().message.contains("no light"));

    let small = Dataset {
        diffraction: Array3::ones((3, 8, 8)),
        probe: Array2::from_elem((8, 8), Complex32::new(1.0, 0.0)),
        ..dataset(3)
    };
    let error = run(&small, "affine1").failure().clone();
    assert!(error.message.contains("8×8 pixels, but the model was made for 16×16"), "{}", error.message);
}

#[test]
fn the_kind_matches_its_parameters() {
    let kind = infer::Infer.kind();
    let schema = (kind.params)().to_value();
    let properties = schema["properties"].as_object().unwrap();
    assert!(kind.tuning.iter().all(|name| properties.contains_key(*name)));
    assert!(kind.needs_runtime && !kind.seeded);
    // Inline, so that it can stand anywhere in the schema of a study.
    assert!(schema.get("$defs").is_none());
    let validator = jsonschema::validator_for(&schema).unwrap();
    for good in [json!({}), json!({ "chunk": 1 }), json!({ "chunk": "all" }), json!({ "chunk": "auto" })] {
        assert!(validator.is_valid(&good), "{good}");
    }
    for bad in [json!({ "chunk": 0 }), json!({ "chunk": "every" }), json!({ "chunks": 2 })] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}

/// A model as TensorFlow lays it out, taking intensities, one output for both: the study says how, and the numbers
/// arrive; without that, or with a name that is not there, it is refused in words.
#[test]
fn models_trained_elsewhere_are_adapted() {
    let data = dataset(9);
    let adapter = |phase: &str| {
        json!({ "adapter": {
            "layout": "nhwc", "intensity": true, "input_scale": 2.0, "normalisation": "rms",
            "amplitude": { "name": "both", "offset": 1.0 },
            "phase": { "name": phase, "channel": 1, "scale": 0.5 },
        }})
    };
    let factor = infer::rms_factor(data.diffraction.view()).unwrap() as f32;
    for chunk in [1, 4, 9] {
        let mut params = adapter("both");
        params["chunk"] = json!(chunk);
        let outcome = run_with(&data, "foreign", params, 2);
        let patches = outcome.patches();
        assert_eq!((&patches.x, &patches.y), (&data.x, &data.y));
        for (found, amplitude) in patches.patches.iter().zip(&data.diffraction) {
            let x = 2.0 * (amplitude * factor).powi(2);
            let wanted = Complex32::from_polar(0.5 * x + 1.0, 0.5 * 0.125 * x);
            assert!((found - wanted).norm() < 1e-4 * wanted.norm(), "{found} for {wanted}");
        }
    }
    let bare = run(&data, "foreign").result.unwrap_err();
    assert_eq!(bare.class, FailureClass::Input);
    let wrong = run_with(&data, "foreign", adapter("angle"), 2).result.unwrap_err();
    assert!(wrong.message.contains("no output `angle`; its outputs are [\"both\"]"), "{wrong}");
    assert!(wrong.hint.unwrap().contains("adapter"));
}
