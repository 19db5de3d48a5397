use std::io::Write;

use ndarray::{Array2, Array3, ArrayD, IxDyn};
use num_complex::Complex32;

use super::*;
use crate::io::{Arrays, Fault};

fn file(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}

#[test]
fn what_is_written_is_read_back() {
    let (_dir, path) = file("a.npz");
    let cube = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f32);
    let complex = Array2::from_shape_fn((2, 3), |(i, j)| Complex32::new(i as f32, -(j as f32)));
    let mut writer = NpzWriter::create(&path).unwrap();
    writer.array("cube", &cube).unwrap();
    writer.array("transposed", &cube.view().reversed_axes()).unwrap();
    writer.array("complex", &complex).unwrap();
    writer.vector("whole", &[1i64, -2, i64::MAX]).unwrap();
    writer.scalar_f64("scale", 2.5).unwrap();
    writer.text("note", "Grüße, Ψ").unwrap();
    writer.text("empty", "").unwrap();
    writer.finish().unwrap();

    let mut reader = NpzReader::open(&path).unwrap();
    assert_eq!(reader.names(), ["cube", "transposed", "complex", "whole", "scale", "note", "empty"]);
    assert_eq!(reader.f32("cube").unwrap(), cube.clone().into_dyn());
    assert_eq!(reader.f32("transposed").unwrap(), cube.reversed_axes().into_dyn());
    assert!(reader.f32("transposed").unwrap().is_standard_layout());
    assert_eq!(reader.c32("complex").unwrap(), complex.into_dyn());
    assert_eq!(reader.vector::<i64>("whole", Some(3)).unwrap(), [1, -2, i64::MAX]);
    assert_eq!(reader.finite_scalar("scale").unwrap(), 2.5);
    assert_eq!(reader.text("note").unwrap().as_deref(), Some("Grüße, Ψ"));
    assert_eq!(reader.text("empty").unwrap().as_deref(), Some(""));
}

#[test]
fn equal_content_gives_equal_bytes() {
    let (dir, path) = file("a.npz");
    let other = dir.path().join("b.npz");
    for path in [&path, &other] {
        let mut writer = NpzWriter::create(path).unwrap();
        writer.vector("x", &[1.0f64, 2.0]).unwrap();
        writer.finish().unwrap();
        // ZIP timestamps count in steps of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
    }
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(other).unwrap());
}

#[test]
fn numpy_files_are_read() {
    // Written by numpy.savez: ZIP64 extra fields in the local headers.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/forward32.npz");
    let mut reader = NpzReader::open(path.as_ref()).unwrap();
    let names: Vec<String> = reader.names().iter().map(|s| s.to_string()).collect();
    assert!(!names.is_empty());
    for name in names {
        let header = reader.header(&name).unwrap();
        let array = reader.array::<num_complex::Complex64>(&name).unwrap();
        assert_eq!(array.shape(), header.shape);
        assert!(array.iter().all(|z| z.is_finite()), "{name}");
    }
}

#[test]
fn zip64_and_deflated_members_are_read() {
    let (_dir, path) = file("a.npz");
    let array = ArrayD::from_shape_fn(IxDyn(&[1000]), |i| i[0] as f64);
    let mut bytes = Vec::new();
    crate::io::npy::write(&mut bytes, &array).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        zip.start_file(format!("{method}.npy"), options.compression_method(method)).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
    let mut reader = NpzReader::open(&path).unwrap();
    assert_eq!(reader.f64("Stored").unwrap(), array);
    assert_eq!(reader.f64("Deflated").unwrap(), array);
}

#[test]
fn errors_name_file_key_and_the_nearest_name() {
    let (_dir, path) = file("a.npz");
    let mut writer = NpzWriter::create(&path).unwrap();
    writer.vector("xcoord", &[1.0f64, f64::NAN, f64::INFINITY]).unwrap();
    writer.finish().unwrap();
    let mut reader = NpzReader::open(&path).unwrap();
    let missing = reader.f64("xcoords").unwrap_err();
    assert!(matches!(&missing.fault, Fault::Missing { near: Some(near), .. } if near == "xcoord"));
    let shown = path.display();
    assert_eq!(missing.to_string(), format!("{shown}, key `xcoords`: missing; the file holds `xcoord`"));
    assert_eq!(
        reader.finite_vector("xcoord", None).unwrap_err().to_string(),
        format!("{shown}, key `xcoord`: [1] is NaN, expected a finite number (and 1 more value)")
    );
    assert_eq!(
        reader.finite_vector("xcoord", Some(4)).unwrap_err().to_string(),
        format!("{shown}, key `xcoord`: found shape (3,), expected (4,)")
    );
}
