use std::path::PathBuf;

use ndarray::Array3;
use serde_json::{Value, json};

use super::*;
use crate::io::Arrays;
use crate::io::hdf5::Hdf5Reader;
use crate::ptycho::dataset::new_metadata;
use crate::stages::import::Import;
use crate::stages::import::testing::{Run, run};

fn image() -> Image {
    let object = Array2::from_shape_fn((40, 50), |(r, c)| {
        Complex32::from_polar(0.5 + 0.01 * r as f32, 0.1 * c as f32 - 2.0)
    });
    Image { object, origin_yx: [3.0, -2.0], coverage: Some(Array2::from_elem((40, 50), 0.5)) }
}

fn scan(physics: Value) -> Dataset {
    let probe = Array2::from_shape_fn((8, 8), |(r, c)| Complex32::new(1.0 + r as f32, c as f32));
    Dataset {
        diffraction: Array3::ones((2, 8, 8)),
        x: vec![10.25, 20.5],
        y: vec![12.0, 30.0],
        x_start: vec![10.0, 20.0],
        y_start: vec![12.0, 30.0],
        probe,
        object: None,
        scan_index: vec![0; 2],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: new_metadata(physics, json!({})),
    }
}

fn export(params: Value, physics: Value) -> Run {
    run(&Export, params, 0, |dir: &std::path::Path| {
        let (object, data): (PathBuf, PathBuf) = (dir.join("image.npz"), dir.join("scan.npz"));
        image().write(&object).unwrap();
        scan(physics).write(&data).unwrap();
        vec![("image", object), ("scan", data)]
    })
    .unwrap()
}

#[test]
fn a_cxi_file_holds_the_reconstruction_and_its_geometry() {
    let physics = json!({
        "object_pixel_size_m": [2e-9, 1e-9], "photon_energy_J": 1.4e-15,
        "detector_distance_m": 2.0, "detector_pixel_size_m": [75e-6, 55e-6],
    });
    let run = export(json!({ "title": "star" }), physics);
    assert!(run.warnings().is_empty());
    let mut file = Hdf5Reader::open(&run.output("cxi")).unwrap();
    let object = file.array::<Complex32>("entry_1/image_2/data").unwrap();
    assert_eq!(object, image().object.insert_axis(ndarray::Axis(0)).into_dyn());
    assert_eq!(file.finite_image("entry_1/image_1/data").unwrap(), scan(json!({})).probe);
    assert_eq!(file.text("entry_1/title").unwrap().as_deref(), Some("star"));
    assert_eq!(file.finite_scalar("cxi_version").unwrap(), 160.0);
    let size = file.finite_vector("entry_1/image_2/image_size", Some(3)).unwrap();
    assert!((size[0] / 50e-9 - 1.0).abs() < 1e-12 && (size[1] / 80e-9 - 1.0).abs() < 1e-12);
    let metres = file.array::<f64>("entry_1/sample_1/geometry_1/translation").unwrap();
    // (10.25 + 2 − 25) · 1 nm and (12 − 3 − 20) · 2 nm.
    assert!((metres[[0, 0]] + 12.75e-9).abs() < 1e-18 && (metres[[0, 1]] + 22e-9).abs() < 1e-18);
    let pixels = file.array::<f64>("entry_1/phasegraph/positions_yx_px").unwrap();
    assert_eq!(pixels, ndarray::arr2(&[[12.0, 10.25], [30.0, 20.5]]).into_dyn());
    assert_eq!(file.finite_vector("entry_1/phasegraph/origin_yx_px", Some(2)).unwrap(), [3.0, -2.0]);
    assert_eq!(file.finite_scalar("entry_1/instrument_1/detector_1/x_pixel_size").unwrap(), 55e-6);
}

/// Positions and probe of an exported file serve as the product of a scan's patterns.
#[test]
fn what_is_exported_can_be_imported() {
    let run = export(json!({ "pixel_size_m": 1e-9 }), json!({}));
    let back = super::super::import::testing::run(&Import, json!({ "positions": "keep" }), 0, |dir| {
        let patterns = dir.join("patterns.h5");
        let mut file = crate::io::hdf5::Hdf5Writer::new();
        let counts = Array3::from_elem((2, 8, 8), 4.0f32);
        file.put("entry_1/data_1/data", crate::io::hdf5::Contents::f32(&counts)).write(&patterns).unwrap();
        vec![("data", patterns), ("product", run.output("cxi"))]
    })
    .unwrap();
    let data = Dataset::read(&back.output("data")).unwrap();
    let original = scan(json!({}));
    assert!((data.x[1] - data.x[0] - 10.25).abs() < 1e-9 && (data.y[1] - data.y[0] - 18.0).abs() < 1e-9);
    let ratio = data.probe[[3, 3]] / original.probe[[3, 3]];
    assert!(data.probe.iter().zip(&original.probe).all(|(a, b)| (a - b * ratio).norm() < 1e-5));
}

#[test]
fn without_a_pixel_size_there_are_no_lengths_and_a_warning() {
    let run = export(json!({}), json!({}));
    assert!(run.warnings()[0].starts_with("the size of an object pixel is not known"));
    let file = Hdf5Reader::open(&run.output("cxi")).unwrap();
    assert!(!file.contains("entry_1/sample_1/geometry_1/translation"));
    assert!(file.contains("entry_1/phasegraph/positions_yx_px"));
}

#[test]
fn pictures_span_their_documented_ranges() {
    let run = export(json!({ "amplitude_white": 0.75 }), json!({}));
    let levels = |name: &str| {
        let bytes = std::fs::read(run.output(name)).unwrap();
        assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
        // Width, height, bit depth, grey.
        assert_eq!(&bytes[16..26], [0, 0, 0, 50, 0, 0, 0, 40, 16, 0]);
    };
    levels("amplitude_png");
    levels("phase_png");
    assert_eq!(run.measured("png_amplitude_white"), json!(0.75));
    let tiff = std::fs::read(run.output("phase_tiff")).unwrap();
    // The first phase is that of the image, in the byte order of the file's first two letters.
    let phase = image().object[[0, 0]].arg();
    assert_eq!(&tiff[..2], b"II");
    assert!(tiff.windows(4).any(|w| w == phase.to_le_bytes()), "{phase} is not in the file");
}
