//! A corpus of broken NPZ files: each gives one clear error naming file and key, none panics. And of odd
//! but good ones, which are read.

#![allow(clippy::unwrap_used)]

mod npz;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use npz::broken::cases;
use npz::build::*;
use phasegraph::diag::FailureClass;
use phasegraph::io::npy;
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::ptycho::image::{Image, Pair};
use phasegraph::ptycho::patches::Patches;
use proptest::prelude::*;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npz");
    (dir, path)
}

fn read(bytes: &[u8]) -> Dataset {
    let (_dir, path) = scratch();
    std::fs::write(&path, bytes).unwrap();
    Dataset::read(&path).unwrap()
}

/// The whole corpus as text: the snapshot is what a user would see.
#[test]
fn every_broken_file_gives_a_clear_error() {
    let (dir, path) = scratch();
    let folder = dir.path().display().to_string();
    let mut all = String::new();
    let mut tell = |name: &str, path: &Path, class: FailureClass| {
        let error = Dataset::read(path).expect_err(name);
        let message = error.message.replace(&folder, "DIR");
        assert!(message.starts_with("DIR"), "{name} does not name the file: {message}");
        assert_eq!(error.class, class, "{name}: {message}");
        writeln!(all, "{name}\n    {message}").unwrap();
        if let Some(hint) = error.hint {
            writeln!(all, "    hint: {hint}").unwrap();
        }
    };
    for (name, bytes) in cases() {
        std::fs::write(&path, bytes).unwrap();
        tell(name, &path, FailureClass::Input);
    }
    tell("a folder", dir.path(), FailureClass::Input);
    tell("nothing there", &dir.path().join("nowhere.npz"), FailureClass::Io);
    insta::assert_snapshot!(all);
}

#[test]
fn the_other_readers_refuse_the_same_files() {
    let (_dir, path) = scratch();
    for (name, bytes) in cases() {
        std::fs::write(&path, bytes).unwrap();
        assert!(Image::read(&path).is_err(), "{name}");
        assert!(Pair::read(&path).is_err(), "{name}");
        assert!(Patches::read(&path).is_err(), "{name}");
    }
}

/// What all the good files below must hold.
fn expected() -> Dataset {
    read(&zip(&sound()))
}

#[test]
fn deflated_members_are_read() {
    assert_eq!(read(&deflated()), expected());
}

#[test]
fn big_endian_and_fortran_order_are_read() {
    let big: Vec<u8> = (0..48).flat_map(|i| (i as f32).to_be_bytes()).collect();
    assert_eq!(read(&with("diffraction", npy(">f4", "(3, 4, 4)", &big))), expected());
    // First index fastest.
    let order =
        (0..4).flat_map(|c| (0..4).flat_map(move |r| (0..3).map(move |i| (16 * i + 4 * r + c) as f32)));
    let dictionary = "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4, 4), }";
    assert_eq!(read(&with("diffraction", npy_header(dictionary, &f32s(order)))), expected());
}

#[test]
fn sixteen_bit_integers_are_read() {
    let integers: Vec<u8> = (0..48u16).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&with("diffraction", npy("<u2", "(3, 4, 4)", &integers))), expected());
    // 65 535² does not fit 16 or 32 bits; the photons are summed in f64.
    let largest = read(&with("diffraction", npy("<u2", "(3, 4, 4)", &[0xff; 96])));
    assert_eq!(largest.photons(), [16.0 * 65_535.0 * 65_535.0; 3]);
}

#[test]
fn legacy_order_and_trailing_one_are_read() {
    let last =
        (0..4).flat_map(|r| (0..4).flat_map(move |c| (0..3).map(move |i| (16 * i + 4 * r + c) as f32)));
    assert_eq!(read(&with("diffraction", npy("<f4", "(4, 4, 3)", &f32s(last)))), expected());
    let plain = f32s((0..48).map(|i| i as f32));
    assert_eq!(read(&with("diffraction", npy("<f4", "(3, 4, 4, 1)", &plain))), expected());
}

#[test]
fn pickled_metadata_and_keys_of_the_original_are_passed_over() {
    let pickle = npy("|O", "()", b"\x80\x04cos\nsystem\n(S'touch never'\ntR.");
    let mut members = with_member(Member::new("_metadata", pickle.clone()));
    // Its one-patch `Y`, and a member that is no array at all.
    members.push(Member::new("Y", npy("<c8", "(1, 4, 4, 1)", &f32s([0.0; 32]))));
    members.push(Member::new("reconstructions", pickle));
    members.push(Member::new("readme", b"hello".to_vec()));
    let read = read(&zip(&members));
    assert_eq!(read.metadata["additional_parameters"]["original_metadata"], "pickled, not opened");
    assert_eq!(read.diffraction, expected().diffraction);
}

#[test]
fn byte_strings_and_text_serve_as_metadata() {
    let document = br#"{"a": 1}"#;
    let wide: Vec<u8> = document.iter().flat_map(|b| [*b, 0, 0, 0]).collect();
    for array in [npy("|S8", "()", document), npy("<U8", "()", &wide)] {
        assert_eq!(read(&with("_metadata", array)).metadata, serde_json::json!({"a": 1}));
    }
}

/// No input may panic, and what is read can be written: it holds what the contract promises.
fn survives(bytes: &[u8]) {
    let (dir, path) = scratch();
    std::fs::write(&path, bytes).unwrap();
    if let Ok(data) = Dataset::read(&path) {
        data.write(&dir.path().join("again.npz")).unwrap();
    }
    let _ = Image::read(&path);
    let _ = Patches::read(&path);
    let _ = npy::read_file::<f32>(&path);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        survives(&bytes);
    }

    #[test]
    fn mutated_archives_never_panic(
        deflate in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = if deflate { deflated() } else { zip(&sound()) };
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }

    /// The checksum is right, so the damage reaches the array reader.
    #[test]
    fn mutated_arrays_never_panic(
        which in 0..5usize,
        edits in proptest::collection::vec((0..100usize, any::<u8>()), 1..6),
        text in proptest::option::of("[-0-9(){}\\[\\]', <>|=OUSfciu:TrueFalsdhp]{0,60}"),
    ) {
        let mut members = sound();
        let bytes = &mut members[which].bytes;
        for (at, value) in edits {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(text) = text {
            *bytes = npy_header(&text, &bytes[90..]);
        }
        survives(&zip(&members));
    }

    /// Shapes and types of all sorts, with the payload of the sound file.
    #[test]
    fn odd_shapes_never_panic(
        which in 0..5usize,
        shape in proptest::collection::vec(prop_oneof![0..6u64, Just(u64::MAX), Just(1 << 33), any::<u64>()], 0..6),
        descr in "[<>|=]?[fciuUSObM](1|2|4|8|16|99999999999)?",
        fortran in any::<bool>(),
    ) {
        let mut members = sound();
        let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let order = if fortran { "True" } else { "False" };
        let dictionary = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({lengths})}}");
        let payload = members[which].bytes[90..].to_vec();
        members[which].bytes = npy_header(&dictionary, &payload);
        survives(&zip(&members));
    }
}
