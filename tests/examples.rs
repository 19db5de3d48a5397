//! Every study in `examples/` runs; those of the reconstruction algorithms find the object.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::TestEnvironment;

#[test]
fn every_example_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let env = TestEnvironment::new();
    let mut algorithms = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let study = path.display().to_string();
        env.ok(&["run", &study, "--dir", &env.path("out").display().to_string()]);
        if !["rpie", "epie", "dm", "lsqml"].contains(&name.as_str()) {
            continue;
        }
        algorithms += 1;
        let phase = |dose: &str| {
            let scores = env.read(&format!("out/results/{name}/metrics/dose={dose}/metrics.json"));
            let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
            let value = |v: &serde_json::Value| v.as_f64().unwrap();
            println!("{name} {dose}: {} of {}", scores["phase"]["mae"], scores["blank_phase_mae"]);
            value(&scores["phase"]["mae"]) / value(&scores["blank_phase_mae"])
        };
        // Against a constant guess; and more photons are better. The difference map wanders rather than converges.
        let (few, many) = (phase("1e4"), phase("1e6"));
        let close = if name == "dm" { 0.35 } else { 0.2 };
        assert!(many < close && few < 0.5 && many < few, "{name}: {few:.3} at 1e4, {many:.3} at 1e6");
    }
    assert_eq!(algorithms, 4);
}
