//! The broken files: a name that says what is wrong, and the bytes.

use super::build::*;

/// Every case, in the order of reading: the file, the archive, a member, an array, the contract.
pub fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = files();
    cases.extend(archives());
    cases.extend(headers());
    cases.extend(contract());
    cases
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let whole = zip(&sound());
    vec![
        ("empty file", Vec::new()),
        ("text instead of an archive", b"diffraction,xcoords,ycoords\n1,2,3\n".to_vec()),
        ("a single NPY array", npy("<f4", "(3, 4, 4)", &f32s([0.0; 48]))),
        ("bzip2 around it", b"BZh91AY&SY rest".to_vec()),
        ("gzip around it", b"\x1f\x8b\x08\0\0\0\0\0rest".to_vec()),
        ("HDF5", b"\x89HDF\r\n\x1a\nrest".to_vec()),
        ("cut off before the directory", whole[..whole.len() / 2].to_vec()),
        ("cut off inside the directory", whole[..whole.len() - 30].to_vec()),
        ("its first half missing", whole[whole.len() / 2..].to_vec()),
    ]
}

fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let member = |change: &dyn Fn(&mut Member)| {
        let mut member = sound().remove(0);
        change(&mut member);
        zip(&with_member(member))
    };
    let mut twice = sound();
    twice.push(twice[1].clone());
    let mut corrupt = deflated();
    // Into the packed data of the first member, well after its name.
    corrupt[60..90].fill(0xa5);
    vec![
        ("two members of one name", zip(&twice)),
        ("wrong checksum", member(&|m| m.crc = Some(0x1234_5678))),
        ("corrupt deflate stream", corrupt),
        ("stored bytes called deflated", member(&|m| m.method = 8)),
        ("packing that nobody uses", member(&|m| m.method = 12)),
        ("encrypted", member(&|m| m.flags = 1)),
        ("absurd size claimed", member(&|m| m.size = Some(1 << 60))),
        ("absurd packed size claimed", member(&|m| (m.size, m.packed) = (Some(1 << 50), Some(1 << 50)))),
        ("size beyond the end of the file", member(&|m| (m.size, m.packed) = (Some(9999), Some(9999)))),
        ("no members", zip(&[])),
    ]
}

fn headers() -> Vec<(&'static str, Vec<u8>)> {
    let data = |bytes: Vec<u8>| with("diffraction", bytes);
    let payload = f32s([0.0; 48]);
    let bad = |dictionary: &str| data(npy_header(dictionary, &payload));
    let mut version = npy("<f4", "(3, 4, 4)", &payload);
    version[6] = 9;
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend_from_slice(&u32::MAX.to_le_bytes());
    vec![
        ("member empty", data(Vec::new())),
        ("member is not NPY", data(b"not an array at all".to_vec())),
        ("NPY of a future version", data(version)),
        ("header of 4 GiB", data(long)),
        ("header cut off", data(npy("<f4", "(3, 4, 4)", &payload)[..40].to_vec())),
        ("header without a dictionary", bad("<f4")),
        ("header without a shape", bad("{'descr': '<f4', 'fortran_order': False}")),
        ("header with a further entry", bad("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}")),
        (
            "header with a negative length",
            bad("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4, 4)}"),
        ),
        ("header with code for a shape", bad("{'descr': '<f4', 'fortran_order': False, 'shape': exit()}")),
        ("header never closed", bad("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 4")),
        ("shape of 4 TB", data(npy("<f4", "(1000000000000,)", &payload))),
        ("shape beyond 64 bits", data(npy("<f4", "(9999999999999999999999,)", &payload))),
        ("shape that overflows", data(npy("<f4", "(4294967296, 4294967296, 4294967296)", &payload))),
        ("values missing", data(npy("<f4", "(3, 4, 4)", &payload[..100]))),
        ("values to spare", data(npy("<f4", "(3, 4, 3)", &payload))),
    ]
}

fn contract() -> Vec<(&'static str, Vec<u8>)> {
    let ones = |n: usize| f32s(vec![1.0; n]);
    let patterns = |change: &dyn Fn(&mut Vec<f32>)| {
        let mut values = vec![1.0; 48];
        change(&mut values);
        with("diffraction", npy("<f4", "(3, 4, 4)", &f32s(values)))
    };
    let pickle = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.";
    let none = {
        let mut members = sound();
        members[0].bytes = npy("<f4", "(0, 4, 4)", &[]);
        members[1].bytes = npy("<f8", "(0,)", &[]);
        members[2].bytes = npy("<f8", "(0,)", &[]);
        zip(&members)
    };
    let misspelt = {
        let mut members = sound();
        members[1].key = "xcoord".to_owned();
        zip(&members)
    };
    vec![
        ("no diffraction", without("diffraction")),
        ("misspelt key", misspelt),
        ("no rows of positions", without("ycoords")),
        ("no probe", without("probeGuess")),
        ("patterns of rank 2", with("diffraction", npy("<f4", "(12, 4)", &ones(48)))),
        (
            "patterns of rank 4 without a trailing 1",
            with("diffraction", npy("<f4", "(3, 4, 2, 2)", &ones(48))),
        ),
        ("patterns not square", with("diffraction", npy("<f4", "(3, 8, 2)", &ones(48)))),
        ("fewer patterns than positions", with("diffraction", npy("<f4", "(2, 4, 4)", &ones(32)))),
        ("fewer rows than columns of positions", with("ycoords", npy("<f8", "(2,)", &f64s([1.0, 2.0])))),
        ("positions as a table", with("xcoords", npy("<f8", "(3, 1)", &f64s([1.0, 2.0, 3.0])))),
        ("nominal positions of another length", with("xcoords_start", npy("<f8", "(1,)", &f64s([1.0])))),
        ("no patterns", none),
        ("NaN in a pattern", patterns(&|v| v[17] = f32::NAN)),
        ("infinity in patterns", patterns(&|v| v[40..].fill(f32::INFINITY))),
        ("negative amplitude", patterns(&|v| v[47] = -0.5)),
        ("NaN in positions", with("xcoords", npy("<f8", "(3,)", &f64s([1.0, f64::NAN, 2.0])))),
        ("infinity in the probe", with("probeGuess", npy("<c8", "(4, 4)", &f32s([f32::NEG_INFINITY; 32])))),
        ("NaN in the object", with("objectGuess", npy("<c8", "(1, 2)", &f32s([1.0, 0.0, 0.0, f32::NAN])))),
        ("pickled patterns", with("diffraction", npy("|O", "(3,)", pickle))),
        ("pickled probe", with("probeGuess", npy("|O", "()", pickle))),
        ("complex patterns", with("diffraction", npy("<c8", "(3, 4, 4)", &ones(96)))),
        ("text for patterns", with("diffraction", npy("<U4", "(3,)", &[0x41, 0, 0, 0].repeat(12)))),
        ("text for positions", with("xcoords", npy("<U1", "(3,)", &[0x31, 0, 0, 0].repeat(3)))),
        ("dates for positions", with("xcoords", npy("<M8[ns]", "(3,)", &[0; 24]))),
        ("records for positions", with("xcoords", npy("[('x', '<f8'), ('y', '<f8')]", "(3,)", &[0; 48]))),
        ("extended precision", with("ycoords", npy("<f16", "(3,)", &[0; 48]))),
        ("real probe", with("probeGuess", npy("<f4", "(4, 4)", &ones(16)))),
        ("probe of another side", with("probeGuess", npy("<c8", "(2, 2)", &ones(8)))),
        ("probe with modes", with("probeGuess", npy("<c8", "(1, 4, 4)", &ones(32)))),
        ("dark probe", with("probeGuess", npy("<c8", "(4, 4)", &f32s([0.0; 32])))),
        ("real object", with("objectGuess", npy("<f8", "(2, 2)", &f64s([1.0; 4])))),
        ("empty object", with("objectGuess", npy("<c8", "(0, 5)", &[]))),
        ("fractional scan index", with("scan_index", npy("<f8", "(3,)", &f64s([0.0, 0.5, 1.0])))),
        ("dose scale of zero", with("dose_scale", npy("<f8", "()", &f64s([0.0])))),
        ("dose scale for each pattern", with("dose_scale", npy("<f8", "(3,)", &f64s([1.0; 3])))),
        ("photons of another length", with("measured_photons", npy("<f8", "(2,)", &f64s([1.0; 2])))),
        ("negative photons", with("measured_photons", npy("<f8", "(3,)", &f64s([1.0, -1.0, 1.0])))),
        ("metadata is not JSON", with("_metadata", npy("<U2", "()", &[0x7b, 0, 0, 0, 0x7b, 0, 0, 0]))),
        ("metadata is a number", with("_metadata", npy("<f8", "()", &f64s([1.0])))),
        ("metadata beyond Unicode", with("_metadata", npy("<U1", "()", &[0xff, 0xff, 0xff, 0x7f]))),
        ("many lines of metadata", with("_metadata", npy("<U1", "(2,)", &[0x31, 0, 0, 0].repeat(2)))),
    ]
}
