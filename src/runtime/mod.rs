//! Finding or fetching ONNX Runtime.
//!
//! `ort` loads the library at run time, so a build needs neither ONNX Runtime nor a network. On a fresh
//! machine the first need fetches the pinned wheel with the user's own `pip` or `uv` and unpacks the
//! library into phasegraph's cache; from then on finding it costs a look at one file.

mod error;
mod fetch;
mod library;
mod pins;
mod pip;
mod python;
mod search;
// For the unit tests of any stage that runs models.
#[cfg(test)]
#[allow(dead_code)]
pub(crate) mod testing;

pub use error::RuntimeError;
pub use fetch::{FetchStep, fetch};
pub use library::{Found, Origin};
pub use pins::PINNED_VERSION;
pub use search::{Search, locate};

use crate::diag::StageResult;
use crate::stages::infer::{self, Provider};

/// What a library is and can do, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its version, as [`Found::version`].
    pub version: String,
    /// Its build information, verbatim.
    pub build_info: String,
    /// The execution providers it was built with, and why any of them cannot be used here.
    pub providers: Vec<Provider>,
}

/// The library, fetched if it is not there.
pub fn obtain(search: &Search, on_step: &mut dyn FnMut(FetchStep)) -> Result<Found, RuntimeError> {
    match locate(search)? {
        Some(found) => Ok(found),
        None => fetch(search, on_step),
    }
}

/// The version that [`obtain`] would give, without fetching or loading anything.
pub fn version(search: &Search) -> Result<String, RuntimeError> {
    Ok(locate(search)?.map_or_else(|| PINNED_VERSION.to_owned(), |found| found.version))
}

/// Loads the library and asks it. A process can load one library only.
pub fn describe(found: &Found) -> StageResult<Description> {
    let infer::Providers { build_info, providers } = infer::providers(&found.path)?;
    Ok(Description { version: found.version.clone(), build_info, providers })
}
