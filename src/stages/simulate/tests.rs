use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::io::Arrays;
use crate::io::npy;
use crate::io::npz::{NpzReader, NpzWriter};
use crate::stages::{Device, Job, JobInput, Report};

fn small() -> Value {
    json!({
        "object": { "kind": "dead_leaves" },
        "shape": [80, 96],
        "positions": { "kind": "raster", "step_px": 6, "jitter_px": 1.5 },
        "probe": { "kind": "gaussian", "sigma_px": 4, "curvature_rad_per_px2": 0.02 },
        "patch_px": 32,
        "photons": 1e4,
    })
}

/// `small` with some members replaced, and those that are null removed.
fn with(changes: Value) -> Value {
    let mut params = small();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => params.as_object_mut().unwrap().remove(key),
            value => params.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    params
}

struct Run {
    bytes: Vec<u8>,
    data: Dataset,
    reports: Vec<Report>,
}

fn job(params: Value, seed: u64, files: &[(&str, &Path)], staging: &Path) -> Job {
    let input = |path: &Path| JobInput { path: path.into(), origin: "here".into(), point: BTreeMap::new() };
    Job {
        task: "simulate".into(),
        kind: "simulate".into(),
        point: BTreeMap::new(),
        params,
        seed,
        inputs: files.iter().map(|(slot, path)| ((*slot).to_owned(), vec![input(path)])).collect(),
        outputs: Simulate.kind().outputs.iter().map(|o| (o.name.into(), o.file.into())).collect(),
        staging: staging.into(),
        threads: 1,
        device: Device::Cpu,
        gpus: vec![],
        memory: None,
        timeout_s: None,
        gpu_memory: None,
        chunk: None,
        facts: BTreeMap::new(),
        runtime: None,
        log: None,
    }
}

fn run_with(params: Value, seed: u64, files: &[(&str, &Path)]) -> StageResult<Run> {
    let dir = tempfile::tempdir().unwrap();
    let job = job(params, seed, files, dir.path());
    let mut reports = Vec::new();
    let mut emit = |report| reports.push(report);
    Simulate.run(&mut Context::new(&job, &mut emit))?;
    let path = dir.path().join("dataset.npz");
    Ok(Run { bytes: std::fs::read(&path).unwrap(), data: Dataset::read(&path)?, reports })
}

fn run(params: Value, seed: u64) -> Run {
    run_with(params, seed, &[]).unwrap()
}

fn error(params: Value, files: &[(&str, &Path)]) -> String {
    run_with(params, 1, files).err().unwrap().message
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let in_pool = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(small(), 5).bytes)
    };
    let one = in_pool(1);
    assert!(one == in_pool(3) && one == in_pool(2));
    assert!(one != run(small(), 6).bytes);
}

#[test]
fn doses_share_everything_but_noise() {
    let (low, high) = (run(small(), 5).data, run(with(json!({"photons": 1e6})), 5).data);
    assert_eq!((&low.x, &low.y, &low.probe, &low.object), (&high.x, &high.y, &high.probe, &high.object));
    let ratio = high.dose_scale.unwrap() / low.dose_scale.unwrap();
    assert!((ratio - 10.0).abs() < 1e-12);
    let clean = run(with(json!({"noise": "none"})), 5).data;
    let error = |noisy: &Dataset| {
        let squares = (&noisy.diffraction - &clean.diffraction).mapv(|d| f64::from(d).powi(2));
        squares.sum() / clean.diffraction.mapv(|d| f64::from(d).powi(2)).sum()
    };
    // One photon carries 1/4 of squared amplitude noise wherever counts are not small.
    assert!(error(&low) > 30.0 * error(&high), "{} {}", error(&low), error(&high));
    assert_eq!(clean.metadata["physics_parameters"]["nphotons"], 1e4);
}

#[test]
fn realisations_are_independent() {
    let number = |n: u32| run(with(json!({"realisation": n})), 5).data;
    let (plain, zero, one, two) = (run(small(), 5).data, number(0), number(1), number(2));
    assert_eq!((plain.object.as_ref(), &plain.x), (zero.object.as_ref(), &zero.x));
    for (a, b) in [(&zero, &one), (&one, &two), (&zero, &two)] {
        assert!(a.object != b.object && a.x != b.x && a.diffraction != b.diffraction);
    }
}

#[test]
fn the_dose_is_measured_and_stored() {
    let done = run(small(), 5);
    let photons = done.data.measured_photons.clone().unwrap();
    for (stored, counted) in photons.iter().zip(done.data.photons()) {
        assert!((stored / counted - 1.0).abs() < 1e-5);
        assert_eq!(stored.fract(), 0.0);
    }
    let measured = |name: &str| {
        done.reports.iter().find_map(|r| match r {
            Report::Measure { name: n, value } if n == name => value.as_f64(),
            _ => None,
        })
    };
    let mean = photons.iter().sum::<f64>() / photons.len() as f64;
    assert_eq!(measured("photons_per_image_mean"), Some(mean));
    assert_eq!(measured("photons_per_image_nominal"), Some(1e4));
    assert!(measured("photons_per_image_std").unwrap() > 0.0);
    assert!((mean - 1e4).abs() < 3.0 * (1e4 / photons.len() as f64).sqrt());
    assert!(!done.reports.iter().any(|r| matches!(r, Report::Warning { .. })));
    let last = done.reports.iter().rev().find(|r| matches!(r, Report::Progress { .. }));
    assert!(matches!(last, Some(Report::Progress { done, total, .. }) if done == total));
}

#[test]
fn stored_amplitudes_match_the_stored_object_and_probe() {
    let data = run(with(json!({"noise": "none", "whole_pixels": true})), 5).data;
    assert!(data.x.iter().chain(&data.y).all(|v| v.fract() == 0.0));
    let mut again = Array3::zeros(data.diffraction.dim());
    forward::diffract(data.object.as_ref().unwrap(), &data.probe, &data.x, &data.y, again.view_mut());
    assert_eq!(again, data.diffraction);
    let tools: Vec<_> =
        data.metadata["data_transformations"].as_array().unwrap().iter().map(|t| &t["tool"]).collect();
    assert_eq!(tools, ["phasegraph simulate", "transpose_rename_convert"]);
}

#[test]
fn a_dose_far_off_is_warned_about() {
    let job = job(small(), 1, &[], Path::new(""));
    let mut reports = Vec::new();
    let mut emit = |report| reports.push(report);
    let mut cx = Context::new(&job, &mut emit);
    let params = cx.params().unwrap();
    report_dose(&mut cx, &params, &[10_400.0; 100]);
    let warned = |r: &Report| matches!(r, Report::Warning { message } if message.contains("40.0 standard"));
    assert!(reports.iter().any(warned));
}

/// Files in a folder: a complex object (NPY), real pictures (NPZ), a probe.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let object = Array2::from_shape_fn((70, 90), |(r, c)| {
            Complex32::from_polar(0.5 + r as f32 / 200.0, c as f32 / 90.0)
        });
        npy::write_file(&dir.path().join("object"), &object).unwrap();
        let picture = Array2::from_shape_fn((70, 90), |(r, _)| r as f64);
        npy::write_file(&dir.path().join("rows"), &picture).unwrap();
        npy::write_file(&dir.path().join("volume"), &ndarray::Array3::<f32>::zeros((2, 3, 4))).unwrap();
        npy::write_file(&dir.path().join("nan"), &Array2::from_elem((70, 90), f32::NAN)).unwrap();
        let columns = Array2::from_shape_fn((70, 90), |(_, c)| c as f32);
        let mut npz = NpzWriter::create(&dir.path().join("columns")).unwrap();
        npz.array("anything", &columns).unwrap();
        npz.finish().unwrap();
        let probe = Array2::from_elem((32, 32), Complex32::new(0.0, 3.0));
        let mut npz = NpzWriter::create(&dir.path().join("probe")).unwrap();
        npz.array("other", &probe).unwrap();
        npz.array("probeGuess", &probe).unwrap();
        npz.finish().unwrap();
        std::fs::write(dir.path().join("text"), "hello").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn objects_and_probes_come_from_files() {
    let files = Files::new();
    let given = with(json!({"object": null, "shape": null, "probe": null}));
    let (object, probe) = (files.path("object"), files.path("probe"));
    let done = run_with(given.clone(), 1, &[("object", &object), ("probe", &probe)]).unwrap().data;
    let kept = done.object.unwrap();
    assert_eq!(kept.dim(), (70, 90));
    assert!((kept[[10, 30]] - Complex32::from_polar(0.55, 1.0 / 3.0)).norm() < 1e-6);
    // Power 1 on 32² equal pixels.
    assert!((done.probe[[3, 4]] - Complex32::new(0.0, 1.0 / 32.0)).norm() < 1e-7);
    let mut own = given;
    own["contrast"] = json!({"amplitude": [0.5, 1.0], "phase_rad": [0.0, 1.0], "smoothing_px": 0});
    let (rows, columns) = (files.path("rows"), files.path("columns"));
    let slots = [("object", rows.as_path()), ("object_phase", &columns)];
    let object = run_with(own, 1, &slots).unwrap().data.object.unwrap();
    let corner = object[[69, 0]];
    assert!((corner.norm() - 1.0).abs() < 1e-6 && corner.arg().abs() < 1e-6);
    let corner = object[[0, 89]];
    assert!((corner.norm() - 0.5).abs() < 1e-6 && (corner.arg() - 1.0).abs() < 1e-6);
}

#[test]
fn unusable_inputs_are_named() {
    let files = Files::new();
    let given = with(json!({"object": null, "shape": null}));
    let path = |name: &str| files.path(name);
    let object = |name: &str| error(given.clone(), &[("object", &path(name))]);
    assert!(object("text").contains("text: neither an NPY nor an NPZ"));
    assert!(object("missing").contains("missing: "));
    assert!(object("volume").contains("[2, 3, 4], expected an image"));
    assert!(object("nan").contains("pixel [0, 0] is NaN"));
    let both = [("object", path("object")), ("object_phase", path("columns"))];
    let both: Vec<_> = both.iter().map(|(slot, path)| (*slot, path.as_path())).collect();
    assert!(error(given.clone(), &both).contains("has a phase of its own"));
    assert!(error(given.clone(), &both[1..]).contains("without `object`"));
    assert!(error(small(), &both[..1]).contains("ask for a drawn one"));
    assert!(error(small(), &[("probe", &path("probe"))]).contains("asks for a computed one"));
    let mut own = given.clone();
    own["phase_from"] = json!("own_picture");
    assert!(error(own, &[("object", &path("rows"))]).contains("asks for another"));
    let other = with(json!({"probe": null, "patch_px": 16}));
    assert!(error(other.clone(), &[("probe", &path("probe"))]).contains("is 32×32, the patterns 16×16"));
    assert!(error(other, &[("probe", &path("rows"))]).contains("probe is real"));
    assert!(error(with(json!({"shape": [30, 90]})), &[]).contains("30×90"));
}

#[test]
fn the_file_has_the_documented_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npz");
    std::fs::write(&path, run(small(), 5).bytes).unwrap();
    let mut npz = NpzReader::open(&path).unwrap();
    let m = npz.finite_vector("xcoords", None).unwrap().len();
    for (key, descr, shape) in [
        ("diffraction", "<f4", vec![m, 32, 32]),
        ("ycoords", "<f8", vec![m]),
        ("xcoords_start", "<f8", vec![m]),
        ("ycoords_start", "<f8", vec![m]),
        ("scan_index", "<i8", vec![m]),
        ("probeGuess", "<c8", vec![32, 32]),
        ("objectGuess", "<c8", vec![80, 96]),
        ("dose_scale", "<f8", vec![]),
        ("measured_photons", "<f8", vec![m]),
    ] {
        let header = npz.header(key).unwrap();
        assert_eq!((header.descr.as_str(), header.shape), (descr, shape), "{key}");
    }
    assert!(npz.text("_metadata").unwrap().is_some());
}

#[test]
fn the_schema_is_strict() {
    let schema = serde_json::to_value((Simulate.kind().params)()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["positions", "photons"]));
    assert_eq!(schema["properties"]["photons"]["exclusiveMinimum"], 0);
    assert!(serde_json::from_value::<Params>(with(json!({"dose": 1}))).is_err());
}

fn measured(run: &Run, wanted: &str) -> Option<f64> {
    run.reports.iter().find_map(|report| match report {
        Report::Measure { name, value } if name == wanted => value.as_f64(),
        _ => None,
    })
}

#[test]
fn a_detector_hides_cuts_and_tells() {
    let ideal = run(with(json!({"photons": 1e5})), 5);
    assert_eq!(measured(&ideal, "masked_pixels"), None);
    let detector = json!({ "beam_stop_px": 2.5, "dead_fraction": 0.01, "saturation": 50 });
    let seen = run(with(json!({"photons": 1e5, "detector": detector})), 5);
    let mask = seen.data.mask.as_ref().unwrap();
    assert!(!mask[[16, 16]] && !mask[[15, 18]] && ideal.data.mask.is_none());
    let hidden = mask.iter().filter(|m| !**m).count();
    assert!((21..50).contains(&hidden), "{hidden}");
    assert_eq!(measured(&seen, "masked_pixels"), Some(hidden as f64));
    // The same photons arrive; fewer are counted, none of them where nothing is measured.
    assert_eq!(measured(&seen, "photons_per_image_mean"), measured(&ideal, "photons_per_image_mean"));
    let photons = seen.data.measured_photons.as_ref().unwrap();
    let mean = photons.iter().sum::<f64>() / photons.len() as f64;
    assert!(
        (measured(&seen, "photons_seen_per_image_mean").unwrap() / mean - 1.0).abs() < 1e-12 && mean < 5e4
    );
    for (own, summed) in photons.iter().zip(seen.data.photons()) {
        assert!((own / summed - 1.0).abs() < 1e-6);
    }
    assert!(measured(&seen, "saturated_pixels_per_image_mean").unwrap() > 1.0);
    let scale = seen.data.scale();
    for ((i, r, c), value) in seen.data.diffraction.indexed_iter() {
        let (count, arrived) = (
            (f64::from(*value) * scale).powi(2),
            (f64::from(ideal.data.diffraction[[i, r, c]]) * scale).powi(2),
        );
        let expected = if mask[[r, c]] { arrived.min(50.0) } else { 0.0 };
        assert!((count - expected).abs() < 1e-3, "{count} {expected}");
    }
    assert!(error(with(json!({"detector": {"beam_stop_px": 99}})), &[]).contains("sees nothing"));
}

#[test]
fn partly_coherent_light_has_the_same_dose_and_less_contrast() {
    let clean = |weights: Value| run(with(json!({"noise": "none", "mode_weights": weights})), 5).data;
    let (coherent, partial) = (clean(json!([1.0])), clean(json!([0.6, 0.2, 0.2])));
    // One mode is what no modes are, but for what the metadata say.
    assert_eq!(coherent.diffraction, run(with(json!({"noise": "none"})), 5).data.diffraction);
    assert_eq!(coherent.probe, partial.probe);
    let mean = |d: &Dataset| d.photons().iter().sum::<f64>() / d.len() as f64;
    assert!((mean(&partial) / mean(&coherent) - 1.0).abs() < 1e-6);
    // Speckle of independent modes adds up to something flatter: less is to be found in the highest pixels.
    let spread = |d: &Dataset| {
        d.photons()
            .iter()
            .zip(d.diffraction.outer_iter())
            .map(|(sum, image)| {
                let s2 = d.scale().powi(2);
                image.iter().map(|a| (s2 * f64::from(*a).powi(2) / sum).powi(2)).sum::<f64>()
            })
            .sum::<f64>()
    };
    assert!(spread(&partial) < 0.9 * spread(&coherent), "{} {}", spread(&partial), spread(&coherent));
    assert!(error(with(json!({"mode_weights": [0.0]})), &[]).contains("`mode_weights` [0.0] make no modes"));
}
