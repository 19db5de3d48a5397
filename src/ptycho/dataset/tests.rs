use std::path::Path;

use ndarray::{Array2, Array3, Array4, array};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::*;
use crate::diag::FailureClass;
use crate::io::npz::NpzWriter;

/// Three patterns of 4×4.
fn sample() -> Dataset {
    let side = 4;
    Dataset {
        diffraction: Array3::from_shape_fn((3, side, side), |(i, r, c)| (16 * i + 4 * r + c) as f32),
        x: vec![2.0, 3.25, 10.0],
        y: vec![2.0, 7.0, 3.5],
        x_start: vec![2.0, 3.0, 10.0],
        y_start: vec![2.0, 7.0, 3.0],
        probe: Array2::from_elem((side, side), Complex32::new(1.0, -1.0)),
        object: Some(Array2::from_elem((9, 12), Complex32::new(0.5, 0.5))),
        scan_index: vec![0, 0, 1],
        dose_scale: Some(0.5),
        measured_photons: Some(vec![310.0, 2118.0, 6230.0]),
        mask: Some(Array2::from_shape_fn((side, side), |(r, c)| (r, c) != (1, 2))),
        metadata: new_metadata(json!({"N": side}), json!({})),
    }
}

/// Writes a contract file with the given diffraction through `data`, everything else sound.
fn contract(path: &Path, m: usize, side: usize, data: impl FnOnce(&mut NpzWriter)) {
    let mut npz = NpzWriter::create(path).unwrap();
    data(&mut npz);
    let coordinates: Vec<f64> = (0..m).map(|i| i as f64).collect();
    npz.vector("xcoords", &coordinates).unwrap();
    npz.vector("ycoords", &coordinates).unwrap();
    npz.array("probeGuess", &Array2::from_elem((side, side), Complex32::new(1.0, 0.0))).unwrap();
    npz.finish().unwrap();
}

fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npz");
    (dir, path)
}

#[test]
fn comes_back_as_written_and_twice_the_same_bytes() {
    let (dir, path) = scratch();
    sample().write(&path).unwrap();
    assert_eq!(Dataset::read(&path).unwrap(), sample());
    let again = dir.path().join("again.npz");
    sample().write(&again).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn the_canonical_name_wins() {
    let (_dir, path) = scratch();
    contract(&path, 2, 4, |npz| {
        npz.array("diffraction", &Array3::<f32>::zeros((2, 4, 4))).unwrap();
        npz.array("diff3d", &Array3::<f32>::ones((2, 4, 4))).unwrap();
    });
    assert_eq!(Dataset::read(&path).unwrap().diffraction, Array3::<f32>::ones((2, 4, 4)));
}

#[test]
fn trailing_one_is_squeezed_and_legacy_order_transposed() {
    let (_dir, path) = scratch();
    let modern = Array3::from_shape_fn((3, 5, 5), |(i, r, c)| (25 * i + 5 * r + c) as f32);
    let legacy = modern.view().permuted_axes([1, 2, 0]);
    contract(&path, 3, 5, |npz| npz.array("diffraction", &legacy).unwrap());
    assert_eq!(Dataset::read(&path).unwrap().diffraction, modern);

    let four = modern.clone().into_shape_with_order((3, 5, 5, 1)).unwrap();
    contract(&path, 3, 5, |npz| npz.array("diffraction", &four).unwrap());
    assert_eq!(Dataset::read(&path).unwrap().diffraction, modern);

    // As many patterns as pixels: the first index is the image, as the reference checks it first.
    let cube = Array3::from_shape_fn((5, 5, 5), |(i, r, c)| (25 * i + 5 * r + c) as f32);
    contract(&path, 5, 5, |npz| npz.array("diffraction", &cube).unwrap());
    assert_eq!(Dataset::read(&path).unwrap().diffraction, cube);
}

#[test]
fn defaults_of_what_may_be_missing() {
    let (_dir, path) = scratch();
    contract(&path, 2, 4, |npz| npz.array("diffraction", &Array3::<f32>::ones((2, 4, 4))).unwrap());
    let read = Dataset::read(&path).unwrap();
    assert_eq!((&read.x_start, &read.y_start), (&read.x, &read.y));
    assert_eq!(read.scan_index, [0, 0]);
    assert_eq!((read.object.clone(), read.dose_scale, read.measured_photons.clone()), (None, None, None));
    assert_eq!(read.metadata["additional_parameters"]["original_metadata"], "absent");
    assert_eq!(read.photons(), [16.0, 16.0]);
}

#[test]
fn photons_are_summed_in_f64() {
    let (_dir, path) = scratch();
    // 40 000² and its sum overflow u16, u32 and the 24 bits of f32.
    let mut counts = Array3::<f32>::from_elem((1, 2, 2), 40_000.0);
    counts[[0, 0, 0]] = 40_001.0;
    contract(&path, 1, 2, |npz| npz.array("diffraction", &counts).unwrap());
    assert_eq!(Dataset::read(&path).unwrap().photons(), [3.0 * 1.6e9 + 40_001.0 * 40_001.0]);
    let mut scaled = sample();
    scaled.diffraction.fill(2.0);
    assert_eq!(scaled.photons(), [16.0, 16.0, 16.0]);
}

#[test]
fn selection_keeps_order_and_shares_the_rest() {
    let chosen = sample().select(&[2, 0]);
    assert_eq!(chosen.x, [10.0, 2.0]);
    assert_eq!(chosen.scan_index, [1, 0]);
    assert_eq!(chosen.mask, sample().mask);
    assert_eq!(chosen.measured_photons, Some(vec![6230.0, 310.0]));
    assert_eq!(chosen.diffraction[[0, 0, 0]], 32.0);
    assert_eq!(chosen.object, sample().object);
}

#[test]
fn canvas_holds_every_patch() {
    let mut data = sample();
    assert_eq!(data.canvas(), [9, 12]);
    data.object = None;
    // N = 4: rows ⌈7⌉ − 2 … + 4, columns ⌈10⌉ − 2 … + 4.
    assert_eq!(data.canvas(), [9, 12]);
    data.x[2] = 9.5;
    assert_eq!(data.canvas(), [9, 12]);
}

#[test]
fn transformations_are_appended_and_nothing_is_lost() {
    let mut data = sample();
    data.append_transformation("transpose_rename_convert", "canonicalize", json!({"flipx": false}));
    data.append_transformation("split", "train_test_split", json!({"split_axis": "y"}));
    let list = data.metadata["data_transformations"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["tool"], "transpose_rename_convert");
    assert_eq!(list[1]["parameters"]["split_axis"], "y");
    assert_eq!(data.metadata["physics_parameters"]["N"], 4);

    for (odd, kept) in
        [(json!("text"), "/additional_parameters/previous_metadata"), (Value::Null, "/schema_version")]
    {
        let mut data = Dataset { metadata: odd, ..sample() };
        data.append_transformation("t", "o", json!({}));
        assert!(data.metadata.pointer(kept).is_some());
        assert_eq!(data.metadata["data_transformations"].as_array().unwrap().len(), 1);
    }
    let mut data = Dataset { metadata: json!({"data_transformations": {"odd": 1}}), ..sample() };
    data.append_transformation("t", "o", json!({}));
    assert_eq!(
        data.metadata["data_transformations"],
        json!([{"odd": 1}, {"tool": "t", "operation": "o", "parameters": {}}])
    );
}

#[test]
fn no_clock_and_no_host_enter_the_document() {
    let text = sample().metadata.to_string();
    assert!(!text.contains("timestamp") && !text.contains("hostname"), "{text}");
}

#[test]
fn a_stage_cannot_write_what_cannot_be_read() {
    let (_dir, path) = scratch();
    let refused = |change: &dyn Fn(&mut Dataset)| {
        let mut data = sample();
        change(&mut data);
        let error = data.write(&path).unwrap_err();
        assert_eq!(error.class, FailureClass::Check);
        assert!(!path.exists());
        error.message
    };
    assert!(refused(&|d| d.y = vec![1.0]).contains("`y` has length 1, expected 3"));
    assert!(refused(&|d| *d = d.select(&[])).contains("no patterns"));
    assert!(refused(&|d| d.diffraction[[0, 0, 0]] = f32::NAN).contains("not finite"));
    assert!(refused(&|d| d.diffraction[[0, 0, 0]] = -1.0).contains("negative"));
    assert!(refused(&|d| d.probe = array![[Complex32::new(1.0, 0.0)]]).contains("probe"));
}

#[test]
fn shapes_that_fit_nothing_are_told() {
    let (_dir, path) = scratch();
    let error = |data: &Array4<f32>| {
        contract(&path, 2, 4, |npz| npz.array("diffraction", data).unwrap());
        Dataset::read(&path).unwrap_err().message
    };
    assert!(error(&Array4::ones((2, 4, 4, 2))).ends_with(
        "key `diffraction`: found shape (2, 4, 4, 2), expected (2, N, N) for 2 positions, or the legacy (N, N, 2)"
    ));
    assert!(error(&Array4::ones((3, 4, 4, 1))).contains("found shape (3, 4, 4, 1)"));
    assert!(error(&Array4::ones((2, 4, 5, 1))).contains("found shape (2, 4, 5, 1)"));
}

#[test]
fn masks_of_any_number_type_are_read_and_odd_ones_refused() {
    let (_dir, path) = scratch();
    let with = |mask: &dyn Fn(&mut NpzWriter)| {
        contract(&path, 2, 4, |npz| {
            npz.array("diffraction", &Array3::<f32>::zeros((2, 4, 4))).unwrap();
            mask(npz);
        });
        Dataset::read(&path)
    };
    let expected = Array2::from_shape_fn((4, 4), |(r, _)| r > 0);
    let values = expected.mapv(u8::from);
    assert_eq!(with(&|npz| npz.array("mask", &values).unwrap()).unwrap().mask, Some(expected.clone()));
    let floats = values.mapv(f64::from);
    assert_eq!(with(&|npz| npz.array("mask", &floats).unwrap()).unwrap().mask, Some(expected));
    let fails = |mask: Array2<u8>, end: &str| {
        let message = with(&|npz| npz.array("mask", &mask).unwrap()).unwrap_err().message;
        assert!(message.ends_with(end), "{message}");
    };
    fails(Array2::zeros((4, 4)), "key `mask`: is 0 everywhere, expected 1 where a pixel was measured");
    fails(Array2::ones((4, 3)), "found shape (4, 3), expected (4, 4), the shape of a diffraction pattern");
    fails(&values * 2, "[1, 0] is 2, expected 0 or 1 (and 11 more values)");
}
