//! Whether files still are what their records say.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::State;
use crate::cache::hash;
use crate::io::digest::Digest;

/// States of files of which a digest is expected, in their order; several are hashed at a time.
pub fn states(files: &[(PathBuf, Digest)]) -> Vec<State> {
    files.par_iter().map(|(path, digest)| state(path, digest)).collect()
}

fn state(path: &Path, expected: &Digest) -> State {
    match hash(path) {
        Ok(hashed) if hashed.digest == *expected => State::AsRecorded,
        Ok(hashed) => State::Differs { now: hashed.digest },
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => State::Gone,
        Err(e) => State::Unreadable { message: e.to_string() },
    }
}
