//! An image that is not complete yet, as a file: sums, weights, and how many patches are in them.

use std::path::Path;

use ndarray::{Array2, Ix2};
use num_complex::Complex64;

use super::Params;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::Arrays;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::ptycho::patches::PatchesFile;
use crate::ptycho::placement::Stitching;

/// Writes the state after `done` patches. Sums are kept in double precision, so that going on changes no bit.
pub(super) fn save(npz: &mut NpzWriter, stitching: &Stitching, done: usize) -> Result<(), NpzError> {
    let (sum, weight) = stitching.sums();
    npz.array("sum", sum)?;
    npz.array("weight", weight)?;
    npz.vector("done", &[done as i64])
}

/// Puts the sums back that an earlier attempt left, and tells how many patches are in them.
pub(super) fn restore(npz: &mut NpzReader, stitching: &mut Stitching) -> Result<Option<usize>, NpzError> {
    let done = usize::try_from(npz.vector::<i64>("done", Some(1))?[0]).ok();
    let sum: Option<Array2<Complex64>> = npz.array("sum")?.into_dimensionality::<Ix2>().ok();
    let weight = npz.f64("weight")?.into_dimensionality::<Ix2>().ok();
    let (Some(sum), Some(weight)) = (sum, weight) else { return Ok(None) };
    Ok(done.filter(|_| stitching.go_on_from(sum, weight)))
}

/// All that a state follows from.
pub(super) fn origin(patches: &mut PatchesFile, data: &Path, params: &Params) -> StageResult<String> {
    let params = serde_json::to_string(params)
        .map_err(|e| StageError::new(FailureClass::Other, format!("parameters: {e}")))?;
    Ok(format!("{}{}{params}", patches.directory()?, NpzReader::open(data)?.directory()?))
}
