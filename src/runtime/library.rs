//! A library that was found, and which version it is, without loading it.

use std::cmp::Reverse;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::RuntimeError;

/// Where a library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Named by ORT_DYLIB_PATH.
    EnvVar,
    /// Part of an installed Python package.
    Python,
    /// In phasegraph's own cache.
    Cache,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EnvVar => "ORT_DYLIB_PATH",
            Self::Python => "an installed Python package",
            Self::Cache => "phasegraph's cache",
        })
    }
}

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The library.
    pub path: PathBuf,
    /// `1.32.0`; for a library that does not tell, `sha256:` and its digest, so that two different
    /// libraries never pass for one.
    pub version: String,
    /// Where it was found.
    pub origin: Origin,
}

impl Found {
    /// Takes the library at `path` and determines its version.
    pub(super) fn new(path: PathBuf, origin: Origin) -> Result<Self, RuntimeError> {
        let version = version(&path).map_err(RuntimeError::io("reading", &path))?;
        Ok(Self { path, version, origin })
    }
}

/// The newest library in `folder` of a version that [`usable`] accepts.
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some((version_in_name(&name)?.to_owned(), name)))
        .filter(|(version, _)| usable(version))
        .min_by_key(|(version, _)| Reverse(numbers(version)))
        .map(|(_, name)| folder.join(name))
}

/// Whether `ort` accepts that version.
pub(super) fn usable(version: &str) -> bool {
    matches!(numbers(version)[..], [1, minor, ..] if minor >= crate::stages::infer::OLDEST_MINOR)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// `1.32.0` of `libonnxruntime.so.1.32.0` and `libonnxruntime.1.32.0.dylib`.
fn version_in_name(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("libonnxruntime.")?;
    let version = match rest.strip_suffix(".dylib") {
        Some(version) => version,
        None => rest.strip_prefix("so.")?,
    };
    let digits = version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    digits.then_some(version)
}

fn version(path: &Path) -> io::Result<String> {
    // A plain `libonnxruntime.so` usually is a link to the name with the version.
    let path = path.canonicalize()?;
    if let Some(version) = path.file_name().and_then(|n| version_in_name(n.to_str()?)) {
        return Ok(version.to_owned());
    }
    let mut bytes = Vec::new();
    File::open(&path)?.read_to_end(&mut bytes)?;
    Ok(version_symbol(&bytes).unwrap_or_else(|| {
        let digest = Sha256::digest(&bytes);
        format!("sha256:{}", hex(&digest))
    }))
}

/// The version of the ELF symbols: the linker script of ONNX Runtime puts them under `VERS_1.32.0`.
fn version_symbol(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"\0VERS_";
    let start = bytes.windows(MARK.len()).position(|w| w == MARK)? + MARK.len();
    let version: String =
        bytes[start..].iter().map_while(|&b| (b != 0).then_some(char::from(b))).take(32).collect();
    (numbers(&version).len() == 3 && version.split('.').count() == 3).then_some(version)
}

/// SHA-256 of a file, hexadecimal.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_versions() {
        assert_eq!(version_in_name("libonnxruntime.so.1.32.0"), Some("1.32.0"));
        assert_eq!(version_in_name("libonnxruntime.1.32.0.dylib"), Some("1.32.0"));
        for other in
            ["libonnxruntime.so", "libonnxruntime_providers_shared.so", "libonnxruntime.so.old", "x.so.1.2.3"]
        {
            assert_eq!(version_in_name(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_usable_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str| File::create(folder.path().join(name)).unwrap();
        add("libonnxruntime.so.1.9.0");
        add("libonnxruntime_providers_shared.so");
        assert_eq!(in_folder(folder.path()), None, "1.9 is older than the interface that is used");
        add("libonnxruntime.so.1.32.0");
        add("libonnxruntime.so.1.100.1");
        assert_eq!(in_folder(folder.path()), Some(folder.path().join("libonnxruntime.so.1.100.1")));
        assert_eq!(in_folder(&folder.path().join("absent")), None);
    }

    #[test]
    fn a_nameless_library_tells_by_symbol_or_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, b"\x7fELF...\0libonnxruntime.so.1\0VERS_1.27.3\0...").unwrap();
        assert_eq!(version(&path).unwrap(), "1.27.3");
        std::fs::write(&path, b"abc").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(version(&path).unwrap(), format!("sha256:{digest}"));
        assert_eq!(sha256(&path).unwrap(), digest);
    }

    #[test]
    fn a_link_tells_by_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("libonnxruntime.so.1.30.2");
        File::create(&target).unwrap();
        let link = folder.path().join("libonnxruntime.so");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(version(&link).unwrap(), "1.30.2");
    }
}
