//! ONNX Runtime for integration tests.

use std::path::PathBuf;

use phasegraph::runtime::{Search, obtain};

/// The library on this machine, fetched into the user's cache if need be.
pub fn library() -> PathBuf {
    let search = Search::from_vars(|name| std::env::var_os(name), false);
    obtain(&search, &mut |_| {}).unwrap_or_else(|e| panic!("{e}\n{}", e.hint().unwrap_or_default())).path
}
