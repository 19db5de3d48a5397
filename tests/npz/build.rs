//! NPZ files made by hand, so that every field can be wrong.

use std::io::Write;

/// Type, shape and bytes of an array, in NPY version 1.0.
pub fn npy(descr: &str, shape: &str, payload: &[u8]) -> Vec<u8> {
    let quoted = if descr.starts_with('[') { descr.to_owned() } else { format!("'{descr}'") };
    npy_header(&format!("{{'descr': {quoted}, 'fortran_order': False, 'shape': {shape}, }}"), payload)
}

/// An array whose header dictionary is given word for word.
pub fn npy_header(dictionary: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{dictionary}\n");
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

pub fn f64s(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    values.into_iter().flat_map(f64::to_le_bytes).collect()
}

/// A member of an archive. Fields left at `None` are filled with the truth.
#[derive(Debug, Clone)]
pub struct Member {
    pub key: String,
    pub bytes: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: Option<u32>,
    /// Claimed size before packing.
    pub size: Option<u64>,
    /// Claimed size as packed.
    pub packed: Option<u64>,
}

impl Member {
    pub fn new(key: &str, bytes: Vec<u8>) -> Self {
        Self { key: key.to_owned(), bytes, method: 0, flags: 0, crc: None, size: None, packed: None }
    }
}

/// A sound dataset of three 4×4 patterns, as members that a test then breaks.
pub fn sound() -> Vec<Member> {
    let complex = |n: usize| f32s((0..2 * n).map(|i| 1.0 + i as f32));
    vec![
        Member::new("diffraction", npy("<f4", "(3, 4, 4)", &f32s((0..48).map(|i| i as f32)))),
        Member::new("xcoords", npy("<f8", "(3,)", &f64s([2.0, 3.0, 4.0]))),
        Member::new("ycoords", npy("<f8", "(3,)", &f64s([2.0, 2.5, 3.0]))),
        Member::new("probeGuess", npy("<c8", "(4, 4)", &complex(16))),
        Member::new("objectGuess", npy("<c8", "(8, 9)", &complex(72))),
    ]
}

/// [`sound`], with the member of that key replaced or added.
pub fn with(key: &str, bytes: Vec<u8>) -> Vec<u8> {
    zip(&with_member(Member::new(key, bytes)))
}

pub fn with_member(member: Member) -> Vec<Member> {
    let mut members = sound();
    members.retain(|m| m.key != member.key);
    members.push(member);
    members
}

/// [`sound`], without a key.
pub fn without(key: &str) -> Vec<u8> {
    let mut members = sound();
    members.retain(|m| m.key != key);
    zip(&members)
}

/// [`sound`], deflated.
pub fn deflated() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for member in sound() {
        writer.start_file(format!("{}.npy", member.key), options).unwrap();
        writer.write_all(&member.bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The archive: local headers and data, central directory, end record. Sizes that do not fit 32 bits go
/// into ZIP64 fields.
pub fn zip(members: &[Member]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = out.len() as u32;
        let name = format!("{}.npy", member.key);
        let size = member.size.unwrap_or(member.bytes.len() as u64);
        let packed = member.packed.unwrap_or(member.bytes.len() as u64);
        let large = size.max(packed) >= u64::from(u32::MAX);
        let short = |value: u64| if large { u32::MAX } else { value as u32 };
        let mut extra = Vec::new();
        if large {
            extra.extend_from_slice(&1u16.to_le_bytes());
            extra.extend_from_slice(&16u16.to_le_bytes());
            extra.extend_from_slice(&size.to_le_bytes());
            extra.extend_from_slice(&packed.to_le_bytes());
        }
        let mut common = Vec::new();
        for field in [20u16, member.flags, member.method, 0, 0x21] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        for field in [member.crc.unwrap_or_else(|| crc32(&member.bytes)), short(packed), short(size)] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        for field in [name.len() as u16, extra.len() as u16] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&extra);
        out.extend_from_slice(&member.bytes);

        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        // Comment length, disk, internal and external attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        directory.extend_from_slice(&extra);
    }
    let start = out.len() as u32;
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend_from_slice(&(members.len() as u16).to_le_bytes());
    }
    out.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

/// CRC-32 of ZIP (polynomial 0xedb88320, reflected), bit by bit: the files are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}
