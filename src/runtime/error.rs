//! Why ONNX Runtime could not be had.

use std::io;
use std::path::PathBuf;

use super::pins::PINNED_VERSION;
use crate::diag::{FailureClass, StageError};

/// Why ONNX Runtime could not be had; [`RuntimeError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The variable names a file that is not there.
    #[error("ORT_DYLIB_PATH is {path}, which is no file")]
    NoSuchFile {
        /// Its value.
        path: PathBuf,
    },
    /// Fetching was forbidden.
    #[error("ONNX Runtime is not installed, and fetching it was forbidden (--offline)")]
    Offline,
    /// No wheel is pinned for this machine.
    #[error("no ONNX Runtime {PINNED_VERSION} wheel is pinned for this system and processor")]
    Unsupported,
    /// Neither home nor cache folder is known.
    #[error("no cache folder is known for ONNX Runtime: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// Nothing on the search path can download a wheel.
    #[error(
        "ONNX Runtime {PINNED_VERSION} has to be fetched, but no working pip or uv was found; tried {tried}"
    )]
    NoPip {
        /// The commands that were tried, each with why it did not do.
        tried: String,
    },
    /// pip or uv ran and failed.
    #[error("`{command}` failed ({status}):\n{tail}")]
    Download {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        tail: String,
    },
    /// The wheel is not the pinned one.
    #[error("{file} has SHA-256 {actual}, expected {expected}; it was deleted")]
    Digest {
        /// Name of the wheel.
        file: String,
        /// Pinned digest.
        expected: String,
        /// Digest of what arrived.
        actual: String,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done, for example `creating`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RuntimeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let by_hand = format!(
            "run `pip install onnxruntime=={PINNED_VERSION}`, or set ORT_DYLIB_PATH to a libonnxruntime library of \
             version 1.24 or newer"
        );
        Some(match self {
            Self::NoSuchFile { .. } => {
                "correct ORT_DYLIB_PATH, or unset it to let phasegraph find or fetch one".into()
            }
            Self::Offline => format!("run once without --offline, or {by_hand}"),
            Self::Unsupported => {
                "set ORT_DYLIB_PATH to a libonnxruntime library built for this machine".into()
            }
            Self::NoCacheFolder => "set XDG_CACHE_HOME or HOME".into(),
            Self::NoPip { .. } => format!("install Python 3 with pip, or uv; or {by_hand}"),
            Self::Download { .. } => {
                format!("check the network and pip's settings, then run again; or {by_hand}")
            }
            Self::Digest { .. } => {
                format!("the package index that pip uses serves another file; use pypi.org, or {by_hand}")
            }
            Self::Io { .. } => return None,
        })
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<RuntimeError> for StageError {
    fn from(error: RuntimeError) -> Self {
        let hint = error.hint();
        Self { hint, ..Self::new(FailureClass::Runtime, error.to_string()) }
    }
}
