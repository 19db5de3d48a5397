//! For unit tests that need ONNX Runtime; integration tests have `tests/common/runtime.rs`.

use std::path::PathBuf;

use super::{Search, obtain};

/// The library on this machine, fetched into the user's cache if need be.
pub(crate) fn library() -> PathBuf {
    let search = Search::from_vars(|name| std::env::var_os(name), false);
    obtain(&search, &mut |_| {}).unwrap_or_else(|e| panic!("{e}\n{}", e.hint().unwrap_or_default())).path
}
