//! Models through ONNX Runtime: the contract, the numbers, and what happens when memory or devices run out.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use ndarray::{Array4, s};
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::stages::Device;
use phasegraph::stages::infer::{self, Model, Normalisation};

#[path = "common/runtime.rs"]
mod runtime;

fn model(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models")).join(format!("{name}.onnx"))
}

fn load(name: &str, threads: usize) -> Result<Model, StageError> {
    Model::load(&runtime::library(), &model(name), threads, Device::Cpu)
}

/// Why a model is refused.
fn refusal(name: &str) -> StageError {
    load(name, 1).err().unwrap_or_else(|| panic!("{name} was accepted"))
}

/// Distinct, not symmetric under any exchange of axes.
fn input(batch: usize, channels: usize) -> Array4<f32> {
    Array4::from_shape_fn((batch, channels, 16, 16), |(b, c, y, x)| {
        ((b * 31 + c * 17 + y * 5 + x * 3) % 101) as f32 / 101.0
    })
}

#[test]
fn metadata_and_numbers_arrive() {
    let mut model = load("affine4", 2).unwrap();
    let meta = model.meta().clone();
    assert_eq!((meta.n, meta.gridsize, meta.channels), (16, 2, 4));
    assert_eq!(meta.normalisation, Normalisation::Rms);
    assert_eq!(meta.architecture.as_deref(), Some("affine4"));

    let x = input(3, 4);
    let (amplitude, phase) = model.run(x.view()).unwrap();
    assert_eq!(amplitude, &x * 0.5 + 1.0);
    for c in 0..4 {
        assert_eq!(phase.slice(s![.., c, .., ..]), &x.slice(s![.., c, .., ..]) * ((c + 1) as f32 / 8.0));
    }
    // A transposed view is not contiguous; its numbers must be those of the view, not of its memory.
    let turned = x.view().permuted_axes([0, 1, 3, 2]);
    assert_eq!(model.run(turned).unwrap().0, &turned * 0.5 + 1.0);

    assert_eq!(load("plain1", 1).unwrap().meta().normalisation, Normalisation::None);
}

/// The claim on which chunking rests: neither batch size nor threads reach the numbers.
#[test]
fn batches_and_threads_do_not_change_a_bit() {
    for (name, channels) in [("unet1", 1), ("unet4", 4)] {
        let x = input(23, channels);
        let (amplitude, phase) = load(name, 1).unwrap().run(x.view()).unwrap();
        assert!(phase.iter().any(|p| p.abs() > 0.1), "a network that does something");
        for threads in [1, 2, 3, 5] {
            let mut model = load(name, threads).unwrap();
            for batch in [2, 3, 7, 16, 23] {
                for start in (0..23 - batch + 1).step_by(batch) {
                    let part = s![start..start + batch, .., .., ..];
                    let (a, p) = model.run(x.slice(part)).unwrap();
                    assert!(
                        a == amplitude.slice(part) && p == phase.slice(part),
                        "{name}: {threads} threads, {batch}"
                    );
                }
            }
        }
    }
}

#[test]
fn models_outside_the_contract_are_refused_by_name() {
    for (name, expected) in [
        ("no_metadata", "no metadata property `phasegraph.n`"),
        ("fixed_batch", "free batch axis"),
        ("wrong_side", "expected float32 [batch, 1, 32, 32]"),
        ("wrong_normalisation", "`l2`, expected `rms` or `none`"),
        ("wrong_input", "inputs are [\"x\"], expected `diffraction`"),
        ("wrong_output", "no output `phase`; its outputs are [\"amplitude\", \"angle\"]"),
    ] {
        let error = refusal(name);
        assert_eq!(error.class, FailureClass::Input, "{name}");
        assert!(
            error.message.contains(expected) && error.message.contains(name),
            "{name}: {}",
            error.message
        );
    }
    assert!(refusal("absent").message.contains("no such file"));
    let error =
        Model::load(&runtime::library(), &model("../models/make.py").with_extension("py"), 1, Device::Cpu)
            .err()
            .expect("a Python script is no model");
    assert_eq!(error.class, FailureClass::Input);
}

#[test]
fn a_wrong_input_shape_and_a_collapsed_batch_are_errors() {
    let error = load("affine1", 1).unwrap().run(input(2, 4).view()).unwrap_err();
    assert!(error.message.contains("takes [batch, 1, 16, 16], not [2, 4, 16, 16]"), "{}", error.message);
    let error = load("collapse", 1).unwrap().run(input(2, 1).view()).unwrap_err();
    assert!(error.message.contains("[1, 1, 16, 16] for an input of [2, 1, 16, 16]"), "{}", error.message);
    assert_eq!(error.class, FailureClass::Check);
}

#[test]
fn memory_that_runs_out_is_told_apart_and_the_session_lives_on() {
    let error = load("greedy", 1).unwrap().run(input(2, 1).view()).unwrap_err();
    assert_eq!(error.class, FailureClass::OutOfMemory, "{}", error.message);
    let x = input(2, 1);
    assert_eq!(load("affine1", 1).unwrap().run(x.view()).unwrap().0, &x * 0.5 + 1.0);
}

/// Where the library has a working CUDA provider this asserts nothing but that the device index is checked.
#[test]
fn a_cuda_request_never_runs_on_the_cpu() {
    let error =
        Model::load(&runtime::library(), &model("affine1"), 1, Device::Cuda(97)).err().expect("no device 97");
    assert_eq!(error.class, FailureClass::Runtime, "{}", error.message);
    assert!(error.message.contains("CUDA device 97 cannot be used"), "{}", error.message);
    assert!(error.hint.is_some());
}

#[test]
fn the_library_describes_itself() {
    let described = infer::providers(&runtime::library()).unwrap();
    assert!(described.build_info.contains("ORT Build Info"), "{}", described.build_info);
    let last = described.providers.last().unwrap();
    assert_eq!((last.name, &last.problem), ("CPUExecutionProvider", &None));
}

#[test]
fn a_second_library_in_one_process_is_refused() {
    runtime::library();
    infer::providers(&runtime::library()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so");
    std::fs::copy(runtime::library(), &copy).unwrap();
    let error = infer::providers(&copy).unwrap_err();
    assert!(error.message.contains("already loaded"), "{}", error.message);
    assert_eq!(infer::providers(&folder.path().join("absent.so")).unwrap_err().class, FailureClass::Runtime);
}
