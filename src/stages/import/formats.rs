//! Tests over files made with h5py (`tests/hdf5/make.py`): all hold the same part of the same scan.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::testing::{Run, run};
use super::*;
use crate::diag::FailureClass;

fn made(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/hdf5", name].iter().collect()
}

fn import(params: Value, files: &[(&'static str, &str)]) -> StageResult<Run> {
    run(&Import, params, 0, |_| files.iter().map(|(slot, name)| (*slot, made(name))).collect())
}

fn dataset(run: &Run) -> Dataset {
    Dataset::read(&run.output("data")).unwrap()
}

/// Largest distance between two lists.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_scan_written_by_h5py_gives_the_same_bytes_as_npz() {
    let bytes = |name: &str| {
        let run = import(json!({}), &[("data", name)]).unwrap();
        assert!(run.warnings().is_empty(), "{name}: {:?}", run.warnings());
        std::fs::read(run.output("data")).unwrap()
    };
    let npz = bytes("star.npz");
    // gzip with shuffle; LZF with checksums and doubles in the newer format; integers, grown row by row.
    for name in ["star-gzip.h5", "star-lzf-v114.h5", "star-grown.h5"] {
        assert!(bytes(name) == npz, "{name} gives another dataset than star.npz");
    }
}

#[test]
fn cxi_gives_the_same_scan_with_its_geometry() {
    let npz = dataset(&import(json!({}), &[("data", "star.npz")]).unwrap());
    let cxi = import(json!({}), &[("data", "scan.cxi")]).unwrap();
    let data = dataset(&cxi);
    assert!(cxi.warnings().is_empty(), "{:?}", cxi.warnings());
    // Two pixels are masked; what the bits say of a third is harmless.
    let mask = data.mask.as_ref().unwrap();
    let masked: Vec<_> = mask.indexed_iter().filter(|(_, m)| !**m).map(|(i, _)| i).collect();
    assert_eq!(masked, [(0, 0), (1, 2)]);
    assert_eq!(cxi.measured("masked_pixels"), json!(2));
    for ((i, r, c), value) in data.diffraction.indexed_iter() {
        assert_eq!(*value, if mask[[r, c]] { npz.diffraction[[i, r, c]] } else { 0.0 });
    }
    let norm = |p: &Dataset| p.probe.mapv(|z| z / p.probe[[32, 32]]);
    assert!(norm(&data).iter().zip(&norm(&npz)).all(|(a, b)| (a - b).norm() < 1e-5));
    // Metres and back: to a rounding.
    assert!(apart(&data.x, &npz.x) < 1e-9 && apart(&data.y, &npz.y) < 1e-9);
    let physics = &data.metadata["physics_parameters"];
    for axis in 0..2 {
        assert!((physics["object_pixel_size_m"][axis].as_f64().unwrap() / 10e-9 - 1.0).abs() < 1e-12);
    }
    assert!((physics["detector_distance_m"].as_f64().unwrap() - 2.0).abs() < 1e-12);
    // Half the detector: pixels twice as large.
    // The masked pixels are outside.
    let cropped = dataset(&import(json!({ "crop": 32 }), &[("data", "scan.cxi")]).unwrap());
    assert_eq!(cropped.mask.as_ref().map(ndarray::Array2::dim), Some((32, 32)));
    let pixel = &cropped.metadata["physics_parameters"]["object_pixel_size_m"];
    assert!((pixel[0].as_f64().unwrap() / 20e-9 - 1.0).abs() < 1e-12);
    // The user's word over the file's, and cdtools's sign.
    let params = json!({ "coordinates": { "pixels_per_unit": 2e8, "flip_x": true, "flip_y": true } });
    let flipped = dataset(&import(params, &[("data", "scan.cxi")]).unwrap());
    let (a, b) = (flipped.x[1] - flipped.x[0], data.x[1] - data.x[0]);
    assert!((a + 2.0 * b).abs() < 1e-9, "{a} {b}");
}

#[test]
fn limits_are_read_and_no_more() {
    let whole = dataset(&import(json!({}), &[("data", "scan.cxi")]).unwrap());
    let run = import(json!({ "limit": 2 }), &[("data", "scan.cxi")]).unwrap();
    let data = dataset(&run);
    assert_eq!(data.len(), 2);
    assert_eq!(data.diffraction, whole.select(&[0, 1]).diffraction);
    assert_eq!(data.metadata["data_transformations"][0]["parameters"]["n_images_in_file"], 3);
}

#[test]
fn ptychodus_pairs_positions_with_patterns() {
    let npz = dataset(&import(json!({}), &[("data", "star.npz")]).unwrap());
    let run = import(
        json!({ "positions": "keep" }),
        &[("data", "ptychodus-diffraction.h5"), ("product", "ptychodus-product.h5")],
    )
    .unwrap();
    let data = dataset(&run);
    // The last pattern has no position; the first has two, whose mean is the true one.
    assert_eq!(data.len(), 2);
    assert!(
        run.warnings().contains(&"1 of 3 patterns have no position and are left out"),
        "{:?}",
        run.warnings()
    );
    assert!(
        run.warnings()
            .iter()
            .any(|w| w.starts_with("the probe has 2 modes; only the first is used, with 80.0 %"))
    );
    let two = npz.select(&(0..2).collect::<Vec<_>>());
    assert_eq!(data.diffraction, two.diffraction);
    let from_first = |v: &[f64]| v.iter().map(|p| p - v[0]).collect::<Vec<_>>();
    assert!(apart(&from_first(&data.x), &from_first(&two.x)) < 1e-6);
    assert!(apart(&from_first(&data.y), &from_first(&two.y)) < 1e-6);
    assert!(data.object.is_none(), "a reconstruction is no truth");
    let energy = data.metadata["physics_parameters"]["photon_energy_J"].as_f64().unwrap();
    assert!((energy / (8.8e3 * 1.602_176_634e-19) - 1.0).abs() < 1e-12);
    // The patterns alone say what is missing.
    let error = import(json!({}), &[("data", "ptychodus-diffraction.h5")]).unwrap_err();
    assert!(
        error.message.contains("key `probe_position_x_m`: missing; the file holds `entry/data/data`"),
        "{error}"
    );
}

#[test]
fn arrays_are_read_under_the_names_that_the_user_gives() {
    let keys = json!({
        "patterns": "/entry_1/instrument_1/detector_1/data",
        "positions": "entry_1/sample_1/geometry_1/translation",
    });
    let params = json!({ "keys": keys, "coordinates": { "pixels_per_unit": 1e8 } });
    let run = import(params, &[("data", "scan.cxi")]).unwrap();
    let npz = dataset(&import(json!({}), &[("data", "star.npz")]).unwrap());
    let data = dataset(&run);
    assert_eq!(data.diffraction, npz.diffraction);
    assert!(apart(&data.x, &npz.x) < 1e-9);
    // No probe was named: it is guessed, so that its own pattern is the mean pattern.
    assert!(run.warnings()[0].starts_with("the file has no probe: it is guessed"));
    let power: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    let photons = data.photons();
    assert!((power / (photons.iter().sum::<f64>() / photons.len() as f64) - 1.0).abs() < 1e-5);
    let broken = |keys: Value| import(json!({ "keys": keys }), &[("data", "scan.cxi")]).unwrap_err();
    assert_eq!(
        broken(json!({ "patterns": "a" })).message,
        "`keys` must name either `positions`, or `x` and `y`"
    );
    let error = broken(json!({ "patterns": "data", "positions": "translation" }));
    assert!(error.message.contains("key `translation`: missing"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("did you mean `entry_1/sample_1/geometry_1/translation`?"));
    let soft = broken(
        json!({ "patterns": "entry_1/data_1/data", "positions": "entry_1/sample_1/geometry_1/translation" }),
    );
    assert_eq!(soft.class, FailureClass::Input);
    assert!(soft.message.contains("key `entry_1/data_1/data`: missing"), "{soft}");
    let keys = json!({ "patterns": "entry_1/instrument_1/detector_1/mask", "positions": "entry_1/sample_1/geometry_1/translation" });
    assert!(
        broken(keys)
            .message
            .ends_with("found shape (64, 64), expected (M, N, N): square patterns one after another")
    );
}
