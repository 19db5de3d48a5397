//! A small study through all five phases, with real training, ONNX Runtime and every stage kind that a
//! dose/overlap study has: reproducible, resumable, readable.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::python::numpy;
use common::{TestEnvironment, states, wait_until};

/// Seconds, not minutes: 32-pixel patterns, networks that learn next to nothing.
const STUDY: &str = include_str!("data/small-study.yaml");

const OUT: &str = "phasegraph-out/results/small";

fn study() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", STUDY);
    env
}

/// Every result file with its digest, in order; not the records beside them, which tell times and hosts.
fn results(env: &TestEnvironment) -> Vec<(String, String)> {
    fn walk(folder: &Path, base: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, base, found);
            } else if !path.ends_with("provenance.json") {
                let name = path.strip_prefix(base).unwrap().display().to_string();
                found.push((name, phasegraph::io::digest::Digest::of_file(&path).unwrap().to_string()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&env.path(OUT), &env.path(OUT), &mut found);
    found.sort();
    found
}

#[test]
fn two_runs_give_the_same_bytes_whatever_the_parallelism() {
    let (one, two) = (study(), study());
    one.ok(&["run", "study.yaml", "--jobs", "1"]);
    // More threads inside tasks, too.
    let text = STUDY.replace("kind: train\n", "kind: train\n    resources: {cores: 2}\n");
    two.write("study.yaml", &text.replace("kind: simulate\n", "kind: simulate\n    resources: {cores: 3}\n"));
    two.ok(&["run", "study.yaml", "--jobs", "4"]);
    let (first, second) = (results(&one), results(&two));
    assert!(first.len() > 50, "{first:?}");
    assert_eq!(first, second);

    let again = one.states(&["run", "study.yaml", "--json"]);
    assert!(again.iter().all(|line| line.ends_with(" cached")), "{again:?}");

    // One parameter of phase F: F and what depends on it, nothing else; plan says so beforehand.
    let changed = STUDY.replace("params: {epochs: 10}", "params: {epochs: 11}");
    one.write("study.yaml", &changed);
    let plan = one.ok(&["plan", "study.yaml"]).stdout;
    assert!(plan.contains("params.epochs changed: 10 → 11"), "{plan}");
    let states = one.states(&["run", "study.yaml", "--json"]);
    for line in &states {
        let rerun = line.starts_with("reconstruct@")
            || line.contains("model=rPIE")
            || line.starts_with("compare@")
            || line.starts_with("summary");
        assert_eq!(!line.ends_with(" cached"), rerun, "{line}");
    }
    numpy_reads(&one.path(OUT));
}

#[test]
fn killed_in_training_and_in_reconstruction_it_resumes_to_the_same_table() {
    // Long enough in F to be met there: ten epochs are over before anyone has looked.
    let long = STUDY.replace("params: {epochs: 10}", "params: {epochs: 500}");
    let study = || {
        let env = TestEnvironment::new();
        env.write("study.yaml", &long);
        env
    };
    let calm = study();
    calm.ok(&["run", "study.yaml"]);
    let table = format!("{OUT}/summary/summary.csv");
    for stage in ["train@model=PtychoPINN", "reconstruct@dose=1e6,view=sparse,model=rPIE"] {
        let env = study();
        let mut child = env.command(&["run", "study.yaml", "--jobs", "1"]).spawn().unwrap();
        wait_until(stage, || {
            env.run(&["status", "study.yaml"]).stdout.contains(&format!("running  {stage}"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let before = env.ok(&["status", "study.yaml", "--json"]).stdout;
        let before: serde_json::Value = serde_json::from_str(&before).unwrap();
        let ran = env.ok(&["resume", "study.yaml", "--json"]);
        for line in states(&ran.stdout) {
            let (task, state) = line.rsplit_once(' ').unwrap();
            // What was published just before the kill may be cached though the journal had no line of it yet.
            let finished = before["tasks"][task]["phase"] == "succeeded";
            assert!(state == "cached" || !finished, "{task} had finished, now {state}");
            assert!(task != stage || !finished, "{task} was to be killed");
        }
        assert_eq!(env.read(&table), calm.read(&table), "killed in {stage}");
    }
}

/// NumPy, without pickles, finds the documented keys, shapes and types.
fn numpy_reads(results: &Path) {
    let site = numpy();
    let script = r#"
import sys, json, numpy as np
d = np.load(sys.argv[1] + "/simulate/dose=1e4/dataset.npz", allow_pickle=False)
n = len(d["xcoords"])
assert d["diffraction"].shape == (n, 32, 32) and d["diffraction"].dtype == np.float32, d["diffraction"].dtype
for key in ("xcoords", "ycoords", "xcoords_start", "ycoords_start", "measured_photons"):
    assert d[key].shape == (n,) and d[key].dtype == np.float64, key
assert d["probeGuess"].shape == (32, 32) and d["probeGuess"].dtype == np.complex64
assert d["objectGuess"].shape == (144, 112) and d["objectGuess"].dtype == np.complex64
assert d["scan_index"].dtype == np.int64
scale = float(d["dose_scale"])
counts = (d["diffraction"].astype(np.float64) * scale) ** 2
assert np.abs(counts - np.round(counts)).max() < 1e-2, "counts are whole"
assert abs(counts.sum((1, 2)).mean() / 1e4 - 1) < 0.01, "dose"
assert np.allclose(counts.sum((1, 2)), d["measured_photons"], rtol=1e-4)
meta = json.loads(str(d["_metadata"]))
assert meta["physics_parameters"]["nphotons"] == 1e4, meta
p = np.load(sys.argv[1] + "/infer/dose=1e4,view=dense,model=PtychoPINN/patches.npz", allow_pickle=False)
assert len(p["patches"]) == len(p["xcoords"]) == len(p["ycoords"])
i = np.load(sys.argv[1] + "/stitch/dose=1e4,view=dense,model=PtychoPINN/image.npz", allow_pickle=False)
assert i["object"].dtype == np.complex64 and i["origin_yx"].shape == (2,)
"#;
    let output =
        Command::new("python3").args(["-c", script]).arg(results).env("PYTHONPATH", site).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
