//! A model that was trained elsewhere, put into the form of the contract.

use std::path::{Path, PathBuf};

use super::contract;
use crate::diag::{StageError, StageResult};
use crate::nn::onnx::{Adapter, adapt};

/// Name of the adapted model in the staging folder.
const FILE: &str = "adapted.onnx";

/// Writes the model in the form of the contract, for patterns of that side, into `folder`.
pub(super) fn write(adapter: &Adapter, model: &Path, side: usize, folder: &Path) -> StageResult<PathBuf> {
    let wrong = |why: String| {
        StageError::input(format!("model {}: {why}", model.display())).hint(format!(
            "`adapter` must say how the model is laid out, so that it becomes one that fits: {}",
            contract::HINT
        ))
    };
    let bytes = std::fs::read(model).map_err(|e| wrong(e.to_string()))?;
    let adapted = adapt(&bytes, adapter, side).map_err(wrong)?;
    let path = folder.join(FILE);
    std::fs::write(&path, adapted)?;
    Ok(path)
}
