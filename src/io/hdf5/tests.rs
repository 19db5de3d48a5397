use std::path::PathBuf;

use ndarray::{Array2, ArrayD, arr2};
use num_complex::{Complex32, Complex64};

use super::*;
use crate::diag::{FailureClass, StageError};
use crate::io::npy::DType;
use crate::io::{ArrayFile, Arrays};

/// A file made with h5py (see `tests/hdf5/make.py`).
fn made(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/hdf5", name].iter().collect()
}

fn open(name: &str) -> Hdf5Reader {
    Hdf5Reader::open(&made(name)).unwrap()
}

fn numbers() -> ArrayD<f64> {
    Array2::from_shape_fn((4, 6), |(r, c)| (6 * r + c) as f64).into_dyn()
}

#[test]
fn every_type_of_number_is_read_as_h5py_wrote_it() {
    let mut file = open("types.h5");
    let types = ["u1", "i1", "u2", ">u2", "i4", ">i4", "u8", "i8", "f2", ">f2", "f4", ">f4", "f8", ">f8"];
    for name in types {
        let key = format!("numbers/{name}");
        assert_eq!(file.array::<f64>(&key).unwrap(), numbers(), "{name}");
        assert_eq!(file.array::<f32>(&key).unwrap(), numbers().mapv(|v| v as f32), "{name}");
        assert_eq!(file.array::<i64>(&key).unwrap(), numbers().mapv(|v| v as i64), "{name}");
        assert!(file.require_complex(&key).is_err());
    }
    for name in ["c8", ">c16"] {
        let key = format!("/numbers/{name}");
        file.require_complex(&key).unwrap();
        assert_eq!(file.array::<Complex64>(&key).unwrap(), numbers().mapv(|v| Complex64::new(v, 0.0)));
        let error = file.array::<f64>(&key).unwrap_err().to_string();
        assert!(error.ends_with("expected real numbers"), "{error}");
    }
    assert_eq!(file.header("bool").unwrap().dtype, DType::Bool);
    assert_eq!(file.array::<f32>("bool").unwrap().sum(), 12.0);
    assert_eq!(file.finite_scalar("scalar").unwrap(), 2.5);
    assert_eq!(file.array::<f32>("none").unwrap().shape(), [0, 4]);
}

#[test]
fn texts_and_attributes_are_read() {
    let mut file = open("types.h5");
    assert_eq!(file.text("text").unwrap().as_deref(), Some("Grüße"));
    assert_eq!(file.text("bytes").unwrap().as_deref(), Some("fixed"));
    assert_eq!(file.attribute("scalar", "number").unwrap(), Some(1.5));
    assert_eq!(file.attribute("scalar", "whole").unwrap(), Some(7.0));
    assert_eq!(file.attribute("scalar", "nothing").unwrap(), None);
    assert_eq!(file.attribute("", "root").unwrap(), Some(0.25));
    let error = file.attribute("scalar", "words").unwrap_err().to_string();
    assert!(error.ends_with("key `scalar`: its attribute `words` is not one finite number"), "{error}");
}

/// More than one window, the last one not full, chunks that do not divide the rows.
#[test]
fn windows_of_rows_join_without_a_seam() {
    let mut file = open("types.h5");
    let whole = file.array::<f32>("windows").unwrap();
    assert_eq!(whole.shape(), [7000, 700]);
    assert!(whole.indexed_iter().all(|(i, v)| *v == (i[0] % 251) as f32));
    let some = Arrays::rows::<f32>(&mut file, "windows", 300).unwrap();
    assert_eq!(some.shape(), [300, 700]);
    assert_eq!(some, whole.slice_axis(ndarray::Axis(0), (..300).into()));
}

#[test]
fn what_cannot_be_read_says_so() {
    let mut file = open("types.h5");
    let tell = |file: &mut Hdf5Reader, key: &str| StageError::from(file.array::<f32>(key).unwrap_err());
    let error = tell(&mut file, "numbers/f5");
    assert_eq!(error.class, FailureClass::Input);
    assert!(error.message.contains("types.h5, key `numbers/f5`: missing; the file holds `"), "{error}");
    assert!(error.hint.unwrap().starts_with("did you mean `numbers/"));
    let error = tell(&mut file, "record");
    assert!(error.message.ends_with("holds `compound of x, y, z`, expected real numbers"), "{error}");
    let error = tell(&mut file, "text");
    assert!(error.message.ends_with("holds `text of any length`, expected real numbers"), "{error}");
    for key in ["soft", "external", "numbers", "scalar/deeper", ""] {
        assert!(tell(&mut file, key).message.contains("missing"), "{key}");
        assert!(!file.contains(key), "{key}");
    }
    assert!(file.array::<f32>("empty").is_err());
    let error = tell(&mut open("latest.h5"), "data");
    assert!(error.message.ends_with("invalid data layout version: 5"), "{error}");
    assert!(error.hint.unwrap().contains("libver"));
}

#[test]
fn what_is_written_is_read_back_and_equal_contents_give_equal_bytes() {
    let image = arr2(&[[Complex32::new(1.0, -2.0), Complex32::new(0.5, 0.0)]]);
    let mut file = Hdf5Writer::new();
    file.put("a/b/image", Contents::complex(&image))
        .put_with("a/real", Contents::f32(&arr2(&[[1.5f32], [2.0]])), &[("axes", "y:x")])
        .put("a/pair", Contents::f64(&ndarray::arr1(&[0.1, -3.0])))
        .put("version", Contents::whole(160))
        .put("a/size", Contents::scalar(2.5e-9))
        .put("a/name", Contents::text("Grüße"));
    let dir = tempfile::tempdir().unwrap();
    let (path, again) = (dir.path().join("a.h5"), dir.path().join("b.h5"));
    file.write(&path).unwrap();
    file.write(&again).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
    let mut back = ArrayFile::open(&path).unwrap();
    assert!(matches!(back, ArrayFile::Hdf5(_)));
    assert_eq!(back.finite_image("a/b/image").unwrap(), image);
    assert_eq!(back.array::<f32>("a/real").unwrap(), arr2(&[[1.5f32], [2.0]]).into_dyn());
    assert_eq!(back.finite_vector("a/pair", Some(2)).unwrap(), [0.1, -3.0]);
    assert_eq!(back.array::<i64>("version").unwrap().into_raw_vec_and_offset().0, [160]);
    assert_eq!(back.header("version").unwrap().shape, [0usize; 0]);
    assert_eq!(back.finite_scalar("a/size").unwrap(), 2.5e-9);
    assert_eq!(back.text("a/name").unwrap().as_deref(), Some("Grüße"));
}

/// Everything that a caller may ask of a file, however damaged: a panic fails the test, and an error names the file
/// and, once the file is open, the dataset.
fn ask_everything(path: &std::path::Path) {
    let file_named = format!("{}: ", path.display());
    let mut file = match Hdf5Reader::open(path) {
        Ok(file) => file,
        Err(e) => return assert!(e.to_string().starts_with(&file_named), "{e}"),
    };
    let names = file.names();
    for key in names.iter().map(String::as_str).chain(["data", "entry_1/data_1/data", "nothing"]) {
        let _ = (file.contains(key), file.header(key));
        let numbers = file.array::<f32>(key).map(|a| a.len());
        let complex = file.array::<Complex32>(key).map(|a| a.len());
        let errors = [numbers.err(), complex.err(), file.attribute(key, "axes").err(), file.text(key).err()];
        for error in errors.into_iter().flatten() {
            let named = format!("{}, key `{key}`: ", path.display());
            assert!(error.to_string().starts_with(&named), "{error}");
        }
    }
}

#[test]
fn cut_and_damaged_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.h5");
    for name in ["star-gzip.h5", "star-lzf-v114.h5", "star-grown.h5", "scan.cxi", "ptychodus-product.h5"] {
        let whole = std::fs::read(made(name)).unwrap();
        // Cut: everywhere near the beginning, where the structure is, then at steps.
        let cuts = (0..2048).step_by(61).chain((2048..whole.len()).step_by(1999));
        for cut in cuts {
            std::fs::write(&path, &whole[..cut.min(whole.len())]).unwrap();
            ask_everything(&path);
        }
        // Bits: a fixed walk, each byte changed to something that stands out.
        let mut at = 7usize;
        for round in 0..400usize {
            at = (at * 1_103_515_245 + 12_345)
                % whole.len().min(if round % 2 == 0 { 6000 } else { usize::MAX });
            let mut broken = whole.clone();
            broken[at] = match round % 4 {
                0 => 0xff,
                1 => broken[at] ^ 0x80,
                2 => 0,
                _ => broken[at].wrapping_add(1),
            };
            std::fs::write(&path, &broken).unwrap();
            ask_everything(&path);
        }
    }
}
