//! Content digests. The only file that knows blake3.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 256-bit BLAKE3 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Stands for the digest of nothing known.
    pub const NONE: Self = Self([0; 32]);

    /// Digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Digest of a file's content. Plain buffered reads: mapping and threads gained nothing when measured.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = Hasher::new();
        let mut file = File::open(path)?;
        let mut buffer = vec![0u8; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&buffer[..n]),
            }
        }
    }

    /// The raw 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    fn from_hex(text: &str) -> Result<Self, String> {
        let digest = Self::of_hex(text.as_bytes());
        digest.ok_or_else(|| format!("`{text}` is not a digest: expected 64 hexadecimal digits"))
    }

    /// The digest that 64 hexadecimal digits write.
    pub(super) fn of_hex(text: &[u8]) -> Option<Self> {
        let (pairs, []) = text.as_chunks::<2>() else { return None };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return None;
        }
        let mut bad = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
            bad |= high | low;
            *byte = high << 4 | (low & 15);
        }
        (bad <= 15).then_some(Self(bytes))
    }
}

/// Value of a hexadecimal digit; 255 for every other byte.
const NIBBLES: [u8; 256] = {
    let mut table = [255; 256];
    let mut value = 0;
    while value < 16 {
        let digits = b"0123456789abcdef";
        table[digits[value] as usize] = value as u8;
        value += 1;
    }
    table
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tens of thousands are written and read by every run, so without a formatter call per byte.
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest of 64 hexadecimal digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Digest, E> {
                Digest::from_hex(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::from_hex(&text)
    }
}

/// Incremental digest; also a sink for writers.
#[derive(Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// An empty digest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let digest = Digest::of(b"phasegraph");
        assert_eq!(Digest::from_hex(&digest.to_string()), Ok(digest));
        let text = digest.to_string();
        for bad in
            ["", &text[1..], &text.to_uppercase(), &format!("{text}00"), &text.replace(&text[..1], "g")]
        {
            assert!(Digest::from_hex(bad).is_err(), "{bad}");
        }
    }
}
