use std::path::Path;

use ndarray::{Array2, Array3, Axis, Ix3, s};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::testing::Run;
use super::*;
use crate::io::npz::NpzWriter;
use crate::ptycho::dataset::new_metadata;
use crate::ptycho::fft::Fft2;

const SIDE: usize = 16;

/// A probe that fills the frame unevenly and is not symmetric.
fn probe(side: usize) -> Array2<Complex32> {
    let middle = side as f32 / 2.0;
    Array2::from_shape_fn((side, side), |(r, c)| {
        let (y, x) = (r as f32 - middle, c as f32 - middle);
        let width = middle / 3.0;
        Complex32::from_polar((-(x * x + 1.5 * y * y) / (width * width)).exp(), 0.3 * x - 0.1 * y)
    })
}

/// Intensity of a probe through empty space, unitary, zero frequency at index 0.
fn intensity(probe: &Array2<Complex32>) -> Array2<f32> {
    let (rows, cols) = probe.dim();
    let mut field: Vec<Complex32> = probe.iter().copied().collect();
    Fft2::new(rows, cols).forward(&mut field);
    Array2::from_shape_fn((rows, cols), |(r, c)| field[r * cols + c].norm_sqr() / (rows * cols) as f32)
}

/// Three patterns in tike's layout: counts with the zero frequency at index 0.
fn tike(path: &Path) {
    let counts = intensity(&probe(SIDE)).mapv(|i| (1000.0 * i).round());
    let data = Array3::from_shape_fn((3, SIDE, SIDE), |(i, r, c)| (i + 1) as f32 * counts[[r, c]]);
    let scan = ndarray::arr3(&[[[-5.0f32, 7.5], [0.0, -2.0], [4.25, 1.0]]]);
    let mut npz = NpzWriter::create(path).unwrap();
    npz.array("data", &data.insert_axis(Axis(0))).unwrap();
    npz.array("scan", &scan).unwrap();
    let shape = (1, 1, 1, SIDE, SIDE);
    npz.array("probe", &probe(SIDE).into_shape_with_order(shape).unwrap()).unwrap();
    npz.finish().unwrap();
}

fn import(params: Value, write: impl FnOnce(&Path)) -> StageResult<(Dataset, Run)> {
    let run = testing::run(&Import, params, 0, |dir| {
        let path = dir.join("scan.npz");
        write(&path);
        vec![("data", path)]
    })?;
    Ok((Dataset::read(&run.output("data")).unwrap(), run))
}

#[test]
fn tikes_layout_becomes_the_contract() {
    let (data, run) = import(json!({}), tike).unwrap();
    assert_eq!((data.len(), data.side()), (3, SIDE));
    // Zero frequency in the middle, square roots, nothing lost.
    let counts = intensity(&probe(SIDE)).mapv(|i| (1000.0 * i).round());
    assert_eq!(data.diffraction[[1, SIDE / 2, SIDE / 2]], (2.0 * counts[[0, 0]]).sqrt());
    assert_eq!(data.diffraction[[0, SIDE / 2 + 1, SIDE / 2 - 2]], counts[[1, SIDE - 2]].sqrt());
    let total = f64::from(counts.sum());
    let photons = data.measured_photons.clone().unwrap();
    assert!((photons[2] - 3.0 * total).abs() < 1e-3 * total);
    assert_eq!(run.measured("images"), json!(3));
    // `scan` is (row, column) of the first pixel; the first patch begins 8 px inside the canvas.
    let half = (SIDE / 2) as f64;
    assert_eq!(data.y, [8.0 + half, 13.0 + half, 17.25 + half]);
    assert_eq!(data.x, [17.5 + half, 8.0 + half, 11.0 + half]);
    assert_eq!(data.canvas(), [18 + SIDE, 18 + SIDE]);
    // The probe's power is the mean pattern's.
    let power: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    assert!((power / (2.0 * total) - 1.0).abs() < 1e-5);
    assert!(run.warnings().is_empty(), "{:?}", run.warnings());
    let entry = &data.metadata["data_transformations"][0];
    assert_eq!(
        (&entry["tool"], &entry["operation"]),
        (&json!("transpose_rename_convert"), &json!("canonicalize"))
    );
    assert_eq!(entry["parameters"]["offset_yx_px"], json!([13.0, 10.0]));
}

#[test]
fn a_wrong_zero_frequency_is_noticed() {
    let (data, run) = import(json!({ "zero_frequency": "center" }), tike).unwrap();
    assert!(run.warnings()[0].contains("zero frequency seems to be elsewhere"));
    let (shifted, _) = import(json!({}), tike).unwrap();
    assert_eq!(data.diffraction[[0, 0, 0]], shifted.diffraction[[0, SIDE / 2, SIDE / 2]]);
}

#[test]
fn coordinates_are_swapped_scaled_and_flipped() {
    let params = json!({
        "coordinates": { "swap_xy": true, "pixels_per_unit": 2.0, "flip_y": true },
        "positions": "keep", "limit": 2,
    });
    let (data, run) = import(params, tike).unwrap();
    let half = (SIDE / 2) as f64;
    assert_eq!(data.x, [-10.0 + half, 0.0 + half]);
    assert_eq!(data.y, [-15.0 + half, 4.0 + half]);
    assert_eq!(run.warnings(), ["1 of 2 patches reach outside the object's canvas"]);
}

fn contract(object: bool) -> Dataset {
    let counts = intensity(&probe(SIDE));
    let mut diffraction = Array3::from_shape_fn((2, SIDE, SIDE), |(_, r, c)| counts[[r, c]].sqrt());
    convert::center_zero_frequency(&mut diffraction);
    Dataset {
        diffraction,
        x: vec![8.0, 20.0],
        y: vec![9.0, 12.0],
        x_start: vec![8.0, 20.0],
        y_start: vec![9.0, 12.5],
        probe: probe(SIDE),
        object: object.then(|| Array2::from_elem((24, 30), Complex32::new(1.0, 0.0))),
        scan_index: vec![0, 3],
        dose_scale: Some(100.0),
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({ "N": SIDE }), json!({ "note": "kept" })),
    }
}

#[test]
fn the_contract_passes_unchanged_but_for_provenance() {
    let (data, run) = import(json!({}), |path| contract(true).write(path).unwrap()).unwrap();
    let photons = contract(true).photons();
    assert_eq!(data.metadata["additional_parameters"]["note"], "kept");
    assert_eq!(data.metadata["data_transformations"].as_array().unwrap().len(), 1);
    assert_eq!(
        data,
        Dataset { measured_photons: Some(photons), metadata: data.metadata.clone(), ..contract(true) }
    );
    assert!(run.warnings().is_empty(), "{:?}", run.warnings());
}

#[test]
fn the_object_holds_positions_in_place() {
    let write = |path: &Path| contract(true).write(path).unwrap();
    let error = import(json!({ "positions": "move" }), write).unwrap_err();
    assert!(error.message.contains("part the positions from the object"));
    assert!(import(json!({ "crop": 8 }), write).unwrap_err().message.contains("pixel size"));
    let params = json!({ "positions": "move", "margin_px": 3.0, "drop_object": true });
    let (data, _) = import(params, write).unwrap();
    assert_eq!((data.x, data.y_start), (vec![11.0, 23.0], vec![11.0, 14.5]));
    let (data, run) = import(json!({ "coordinates": { "flip_x": true } }), write).unwrap();
    assert_eq!(data.x, [-8.0, -20.0]);
    assert!(run.warnings()[0].contains("the object in the file is not"));
}

/// The cut probe's pattern must be the cut pattern: that is what makes the pair consistent.
#[test]
fn cropping_keeps_probe_positions_and_patterns_consistent() {
    let params = json!({ "crop": 8, "probe": "keep" });
    let (data, run) = import(params, |path| contract(false).write(path).unwrap()).unwrap();
    assert_eq!(data.side(), 8);
    assert_eq!((data.x, data.y_start), (vec![4.0, 10.0], vec![4.5, 6.25]));
    let mut predicted = intensity(&data.probe).mapv(f32::sqrt).insert_axis(Axis(0));
    convert::center_zero_frequency(&mut predicted);
    let largest = data.diffraction.iter().copied().fold(0.0, f32::max);
    for (a, b) in predicted.slice(s![0, .., ..]).iter().zip(data.diffraction.index_axis(Axis(0), 0)) {
        assert!((a - b).abs() < 1e-5 * largest, "{a} {b}");
    }
    let kept = run.measured("photons_inside_crop_fraction").as_f64().unwrap();
    assert!(kept > 0.5 && kept < 1.0, "{kept}");
    // The probe's middle stays the middle: its largest amplitude is at index N/2.
    let ((r, c), _) = data.probe.indexed_iter().max_by(|a, b| a.1.norm().total_cmp(&b.1.norm())).unwrap();
    assert_eq!((r, c), (4, 4));
}

#[test]
fn files_of_neither_layout_are_told_what_is_missing() {
    let error = import(json!({}), |path| {
        let mut npz = NpzWriter::create(path).unwrap();
        npz.vector("difraction", &[1.0f32]).unwrap();
        npz.finish().unwrap();
    })
    .unwrap_err();
    assert!(error.message.ends_with("key `diffraction`: missing; the file holds `difraction`"));
    assert_eq!(error.hint.as_deref(), Some("did you mean `difraction`?"));
}

#[test]
fn broken_tike_files_are_refused() {
    let broken = |change: &dyn Fn(&mut NpzWriter)| {
        import(json!({ "layout": "tike" }), |path| {
            let mut npz = NpzWriter::create(path).unwrap();
            change(&mut npz);
            npz.finish().unwrap();
        })
        .unwrap_err()
        .message
    };
    let data = Array3::<f32>::ones((2, 4, 4));
    let scan = ndarray::arr2(&[[0.0f64, 0.0], [1.0, 2.0]]);
    let scan3 = ndarray::arr2(&[[0.0f64, 0.0, 1.0]]);
    let nan = ndarray::arr2(&[[0.0f64, 0.0], [1.0, f64::NAN]]);
    assert!(
        broken(&|npz| npz.array("scan", &scan3).unwrap()).contains("found shape (1, 3), expected (M, 2)")
    );
    assert!(broken(&|npz| npz.array("scan", &nan).unwrap()).contains("key `scan`: [3] is NaN"));
    let error = broken(&|npz| {
        npz.array("scan", &scan).unwrap();
        npz.array("data", &data.slice(s![..1, .., ..])).unwrap();
    });
    assert!(error.contains("found shape (1, 4, 4), expected (2, N, N) or (1, 2, N, N)"), "{error}");
    let error = broken(&|npz| {
        npz.array("scan", &scan).unwrap();
        npz.array("data", &data).unwrap();
        npz.array("probe", &Array2::<f32>::ones((4, 4))).unwrap();
    });
    assert!(error.contains("key `probe`: holds `<f4`, expected complex numbers"), "{error}");
    let error = broken(&|npz| {
        npz.array("scan", &scan).unwrap();
        npz.array("data", &data.mapv(|_| 0.0f32)).unwrap();
        npz.array("probe", &probe(4)).unwrap();
    });
    assert!(error.contains("every pattern is zero"), "{error}");
}

#[test]
fn further_probe_modes_are_left_with_a_warning() {
    let (data, run) = import(json!({}), |path| {
        tike(path);
        let (data, scan) = {
            let mut npz = crate::io::npz::NpzReader::open(path).unwrap();
            (npz.f32("data").unwrap(), npz.f64("scan").unwrap())
        };
        let mut modes = Array3::<Complex32>::zeros((2, SIDE, SIDE));
        modes.slice_mut(s![0, .., ..]).assign(&probe(SIDE));
        modes.slice_mut(s![1, .., ..]).assign(&(&probe(SIDE) * Complex32::new(0.5, 0.0)));
        let mut npz = NpzWriter::create(path).unwrap();
        npz.array("data", &data.remove_axis(Axis(0)).into_dimensionality::<Ix3>().unwrap()).unwrap();
        npz.array("scan", &scan).unwrap();
        npz.array("probe", &modes).unwrap();
        npz.finish().unwrap();
    })
    .unwrap();
    assert_eq!(run.warnings(), ["the probe has 2 modes; only the first is used, with 80.0 % of their power"]);
    let (single, _) = import(json!({}), tike).unwrap();
    assert_eq!(data.probe, single.probe);
}
