//! `phasegraph model inspect`: what a file says of itself, and whether it can be run.

#![allow(clippy::unwrap_used)]

mod common;

use common::TestEnvironment;
use serde_json::{Value, json};

fn model(name: &str) -> String {
    format!("{}/tests/data/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_model_is_told_with_its_ports_and_metadata() {
    let env = TestEnvironment::new();
    let text = env.ok(&["model", "inspect", &model("unet4")]).stdout;
    for part in [
        "opset        ai.onnx 17",
        "input        diffraction float32 [?, 4, 16, 16]",
        "output       phase float32 [?, 4, 16, 16]",
        "metadata     phasegraph.gridsize = 2",
        "4 Conv",
        "contract     fits",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let document = env.ok(&["model", "inspect", &model("unet4"), "--json"]).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&document["fits"], &document["problem"]), (&json!(true), &Value::Null));
    assert_eq!(document["model"]["inputs"][0]["shape"], json!([null, 4, 16, 16]));
}

#[test]
fn what_does_not_fit_is_told_and_what_is_no_model_refused() {
    let env = TestEnvironment::new();
    for (name, why) in [
        ("foreign", "has no metadata property `phasegraph.n`"),
        ("wrong_input", "its inputs are [\"x\"], expected `diffraction` alone"),
        ("fixed_batch", "expected float32 [batch, 1, 16, 16] with a free batch axis"),
        ("wrong_side", "expected float32 [batch, 1, 32, 32]"),
    ] {
        let text = env.ok(&["model", "inspect", &model(name)]).stdout;
        assert!(text.contains("contract     does not fit") && text.contains(why), "{name}:\n{text}");
        assert!(text.contains("adapter"), "{text}");
    }
    env.write("note.onnx", "this is not a model");
    let ran = env.run(&["model", "inspect", "note.onnx"]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("note.onnx: this is no ONNX model"), "{}", ran.stderr);
    assert!(env.run(&["model", "inspect", "nothing.onnx"]).stderr.contains("nothing.onnx"));
}
