//! The experimental Siemens star: fetched by the script as a user would, imported, thinned, split.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use phasegraph::ptycho::dataset::Dataset;
use phasegraph::stages::import::Import;
use phasegraph::stages::split::Split;
use phasegraph::stages::thin::Thin;
use phasegraph::stages::{Context, Device, Job, JobInput, Report, Stage};
use serde_json::{Value, json};

/// Runs a stage on one file; returns its output folder's path and its reports.
fn run(stage: &dyn Stage, params: Value, input: &Path, staging: PathBuf) -> (PathBuf, Vec<Report>) {
    std::fs::create_dir(&staging).unwrap();
    let kind = stage.kind();
    let file = JobInput { path: input.to_owned(), origin: "test".to_owned(), point: BTreeMap::new() };
    let job = Job {
        task: kind.name.to_owned(),
        kind: kind.name.to_owned(),
        point: BTreeMap::new(),
        params,
        seed: 42,
        inputs: BTreeMap::from([("data".to_owned(), vec![file])]),
        outputs: kind.outputs.iter().map(|o| (o.name.to_owned(), o.file.to_owned())).collect(),
        staging: staging.clone(),
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
    };
    let mut reports = Vec::new();
    stage.run(&mut Context::new(&job, &mut |report| reports.push(report))).unwrap();
    (staging, reports)
}

fn warnings(reports: &[Report]) -> Vec<&Report> {
    reports.iter().filter(|r| matches!(r, Report::Warning { .. })).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn the_scan_is_fetched_imported_thinned_and_split() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let scan = dir.path().join("scan.npz");
    // A copy beside the project, where there is one; from the package index otherwise, as a user would.
    let local = root.join("../shared/data/siemens-star-small.npz.bz2");
    let from: &[&Path] = if local.is_file() { &[Path::new("--from"), &local] } else { &[] };
    let fetched = Command::new(root.join("scripts/fetch-siemens-star"))
        .args(from)
        .arg("--to")
        .arg(&scan)
        .output()
        .unwrap();
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));

    let (folder, reports) = run(&Import, json!({}), &scan, dir.path().join("import"));
    assert!(warnings(&reports).is_empty(), "{:?}", warnings(&reports));
    let path = folder.join("dataset.npz");
    let data = Dataset::read(&path).unwrap();
    assert_eq!((data.len(), data.side()), (516, 128));
    // The file's own counts, summed independently (NumPy, f64): 237 985 853 over 516 patterns.
    let photons = data.photons();
    assert!((mean(&photons) * 516.0 - 237_985_853.0).abs() < 1.0, "{}", mean(&photons) * 516.0);
    let power: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    assert!((power / mean(&photons) - 1.0).abs() < 1e-4);
    // Positions span 331.9 × 328.9 px and begin 8 px inside.
    assert_eq!(data.canvas(), [468, 465]);

    let target = 2000.0;
    let (folder, _) = run(&Thin, json!({ "photons": target }), &path, dir.path().join("thin"));
    let thinned = Dataset::read(&folder.join("dataset.npz")).unwrap();
    // The sum of 516 · 2000 kept photons has a standard deviation of 1014, so their mean one of 2.
    let measured = mean(&thinned.photons());
    assert!((measured - target).abs() < 10.0, "{measured}");
    assert_eq!(thinned.probe, data.probe);

    let (folder, reports) = run(&Split, json!({ "guard": 64.0 }), &path, dir.path().join("split"));
    assert!(warnings(&reports).is_empty());
    let (train, test) =
        (Dataset::read(&folder.join("train.npz")).unwrap(), Dataset::read(&folder.join("test.npz")).unwrap());
    let last = train.y.iter().copied().fold(0.0, f64::max);
    let first = test.y.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(first - last >= 128.0 && train.len() > 100 && test.len() > 100);
}
