use ndarray::{ArrayD, IxDyn, arr2};
use num_complex::{Complex32, Complex64};

use super::*;

/// An NPY array from a header dictionary and payload.
fn bytes(dictionary: &str, payload: &[u8]) -> Vec<u8> {
    let mut all = b"\x93NUMPY\x01\x00".to_vec();
    all.extend_from_slice(&(dictionary.len() as u16).to_le_bytes());
    all.extend_from_slice(dictionary.as_bytes());
    all.extend_from_slice(payload);
    all
}

fn array(descr: &str, shape: &str, payload: &[u8]) -> Vec<u8> {
    bytes(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"), payload)
}

fn read_all<T: Element>(bytes: &[u8]) -> Result<ArrayD<T>, NpyError> {
    read(&mut &bytes[..], bytes.len() as u64)
}

fn message<T: Element + std::fmt::Debug>(bytes: &[u8]) -> String {
    read_all::<T>(bytes).unwrap_err().to_string()
}

#[test]
fn the_bytes_are_numpys_but_for_a_trailing_comma() {
    // np.save of np.array([[1, 2], [3, 4]], '<f4'), NumPy 2.4.
    let mut expected =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}".to_vec();
    expected.resize(127, b' ');
    expected.push(b'\n');
    [1f32, 2.0, 3.0, 4.0].iter().for_each(|v| expected.extend_from_slice(&v.to_le_bytes()));
    let mut written = Vec::new();
    write(&mut written, &arr2(&[[1f32, 2.0], [3.0, 4.0]])).unwrap();
    assert_eq!(written, expected);
}

#[test]
fn an_independent_reader_agrees() {
    use ndarray_npy::ReadNpyExt;
    let ours = ndarray::Array3::from_shape_fn((3, 5, 700), |(i, j, k)| (i * 10_000 + j * 1000 + k) as f64);
    let mut written = Vec::new();
    write(&mut written, &ours).unwrap();
    assert_eq!(ndarray::Array3::<f64>::read_npy(&written[..]).unwrap(), ours);
}

#[test]
fn every_number_type_is_read_in_both_byte_orders() {
    let cases: &[(&str, &[u8])] = &[
        ("<f2", &[0x00, 0x3c, 0x00, 0xc0]),
        (">f2", &[0x3c, 0x00, 0xc0, 0x00]),
        ("<f4", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
        (">f4", &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]),
        (">f8", &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0]),
        ("|i1", &[1, 0xfe]),
        ("<i2", &[1, 0, 0xfe, 0xff]),
        (">i4", &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe]),
    ];
    for (descr, payload) in cases {
        let stored = array(descr, "(2,)", payload);
        assert_eq!(read_all::<f32>(&stored).unwrap().as_slice().unwrap(), [1.0, -2.0], "{descr}");
        assert_eq!(read_all::<i64>(&stored).unwrap().as_slice().unwrap(), [1, -2], "{descr}");
        let complex = [Complex32::new(1.0, 0.0), Complex32::new(-2.0, 0.0)];
        assert_eq!(read_all::<Complex32>(&stored).unwrap().as_slice().unwrap(), complex, "{descr}");
    }
    let unsigned = array("<u2", "(2,)", &[0xff, 0xff, 1, 0]);
    assert_eq!(read_all::<f64>(&unsigned).unwrap().as_slice().unwrap(), [65535.0, 1.0]);
    let big = array(">c8", "()", &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]);
    assert_eq!(read_all::<Complex64>(&big).unwrap()[IxDyn(&[])], Complex64::new(1.0, -2.0));
}

#[test]
fn half_precision_is_exact_at_its_corners() {
    // Smallest subnormal, largest subnormal, smallest normal, one third rounded, largest, infinity.
    let payload = [0x01, 0x00, 0xff, 0x03, 0x00, 0x04, 0x55, 0x35, 0xff, 0x7b, 0x00, 0x7c];
    let read = read_all::<f64>(&array("<f2", "(6,)", &payload)).unwrap();
    let expected = [5.960464477539063e-8, 6.097555160522461e-5, 6.103515625e-5, 0.333251953125, 65504.0];
    assert_eq!(read.as_slice().unwrap()[..5], expected);
    assert_eq!(read[5], f64::INFINITY);
    assert!(read_all::<f32>(&array("<f2", "()", &[0x01, 0x7e])).unwrap()[IxDyn(&[])].is_nan());
}

#[test]
fn fortran_order_becomes_c_order() {
    let payload: Vec<u8> = (0..6u8).collect();
    let stored = bytes("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", &payload);
    let read = read_all::<f32>(&stored).unwrap();
    assert_eq!(read.as_slice().unwrap(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
}

#[test]
fn headers_of_other_writers_are_read() {
    // Python 2 integers, other spacing, double quotes, versions 2 and 3.
    let header = Header::parse("{ \"shape\" : (3L,4L),\n'fortran_order':True , 'descr':\"<f8\"}").unwrap();
    assert_eq!((header.shape, header.fortran, header.dtype), (vec![3, 4], true, DType::Float(8)));
    let dictionary = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}";
    for version in [2, 3] {
        let mut stored = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
        stored.extend_from_slice(&(dictionary.len() as u32).to_le_bytes());
        stored.extend_from_slice(dictionary);
        stored.push(7);
        assert_eq!(read_all::<f64>(&stored).unwrap().as_slice().unwrap(), [7.0]);
    }
    let structured = Header::parse(
        "{'descr': [('a', '<f4'), ('b', [('c', '|u1')])], 'fortran_order': False, 'shape': ()}",
    );
    assert_eq!(structured.unwrap().dtype, DType::Other);
}

#[test]
fn absurd_claims_are_refused_before_memory_is_taken() {
    assert_eq!(
        message::<f32>(&array("<f4", "(1000000000000,)", &[0; 8])),
        "shape (1000000000000,) of `<f4` needs 4000000000000 bytes, but 8 are there"
    );
    assert_eq!(
        message::<f32>(&array("<f4", "(4611686018427387904, 4611686018427387904, 0)", &[])),
        "shape (4611686018427387904, 4611686018427387904, 0) is absurd: more bytes than any memory has"
    );
    assert!(
        message::<f32>(&array("<f4", "(99999999999999999999999,)", &[])).contains("a whole number below 2⁶⁴")
    );
    let mut stored = b"\x93NUMPY\x02\x00".to_vec();
    stored.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(message::<f32>(&stored).contains("claims 4294967295 bytes"));
    let nested = format!("{{'descr': {}", "[".repeat(60_000));
    assert!(message::<f32>(&bytes(&nested, &[])).contains("closing `]`"));
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let complex = array("<c8", "()", &[0; 8]);
    assert_eq!(message::<f32>(&complex), "holds `<c8`, expected real numbers");
    assert_eq!(message::<f64>(&array("<U2", "()", &[0; 8])), "holds `<U2`, expected real numbers");
    assert_eq!(message::<f64>(&array("<M8[ns]", "()", &[0; 8])), "holds `<M8[ns]`, expected real numbers");
    assert!(message::<f64>(&array("|O", "()", b"\x80\x04N.")).contains("pickled"));
    let half = 0.5f64.to_le_bytes();
    assert_eq!(message::<i64>(&array("<f8", "()", &half)), "0.5 cannot be used as a 64-bit integer");
    assert_eq!(
        message::<i64>(&array("<u8", "()", &[0xff; 8])),
        "18446744073709551615 cannot be used as a 64-bit integer"
    );
}

#[test]
fn text_is_read_and_objects_are_skipped() {
    let read = |stored: Vec<u8>| read_text(&mut &stored[..], stored.len() as u64);
    assert_eq!(read(array("<U2", "()", &[0x41, 0, 0, 0, 0, 0, 0, 0])).unwrap().as_deref(), Some("A"));
    assert_eq!(read(array(">U1", "(1,)", &[0, 0, 3, 0xa8])).unwrap().as_deref(), Some("Ψ"));
    assert_eq!(read(array("|S3", "()", b"abc")).unwrap().as_deref(), Some("abc"));
    assert_eq!(read(array("|O", "()", b"\x80\x04N.")).unwrap(), None);
    assert!(read(array("<U1", "()", &[0, 0, 0x11, 0])).unwrap_err().to_string().contains("0x110000"));
    assert!(read(array("<f4", "()", &[0; 4])).unwrap_err().to_string().contains("expected text"));
    assert!(read(array("<U1", "(2,)", &[0; 8])).unwrap_err().to_string().contains("single value"));
}

#[test]
fn chunk_borders_do_not_matter() {
    // More than one chunk, and elements that do not divide it evenly in bytes.
    let long = ArrayD::from_shape_fn(IxDyn(&[CHUNK / 8 + 3, 3]), |i| (i[0] * 3 + i[1]) as f64);
    let mut stored = Vec::new();
    write(&mut stored, &long).unwrap();
    assert_eq!(read_all::<f64>(&stored).unwrap(), long);
    stored.pop();
    assert!(message::<f64>(&stored).contains("bytes, but"));
    assert!(matches!(read::<f64>(&mut &stored[..], stored.len() as u64 + 1), Err(NpyError::Truncated)));
}
