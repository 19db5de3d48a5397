//! How far a reconstruction is, and what of it survives an attempt that was cut short.

use std::fmt::Write as _;
use std::path::Path;

use ndarray::{Array2, ArrayD, Dimension, Ix2, Ix3};

use super::Params;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::Arrays;
use crate::io::digest::Digest;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::ptycho::iterative::{Engine, Snapshot};

/// What was told of the epochs so far.
pub(super) struct Progress {
    /// The table of residuals.
    pub history: String,
    /// The last of them.
    pub residual: f64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { history: "epoch,residual\n".to_owned(), residual: f64::NAN }
    }
}

impl Progress {
    /// Takes note of an epoch.
    pub fn epoch(&mut self, epoch: u32, residual: f64) {
        let _ = writeln!(self.history, "{epoch},{residual:.6e}");
        self.residual = residual;
    }

    /// Writes the state: object, probe modes, positions, and what the algorithm remembers (LSQML its illumination
    /// map, the difference map its exit waves: 8·N² bytes an image and mode).
    pub fn save(&self, npz: &mut NpzWriter, engine: &Engine) -> Result<(), NpzError> {
        let (x, y) = engine.positions();
        npz.array("object", &engine.object())?;
        npz.array("probe", &engine.probe())?;
        npz.vector("x", x)?;
        npz.vector("y", y)?;
        if let Some(map) = engine.illumination() {
            npz.array("illumination", &map)?;
        }
        if let Some(waves) = engine.waves() {
            npz.array("waves", &waves)?;
        }
        npz.vector("epochs", &[i64::from(engine.epochs())])?;
        npz.scalar_f64("residual", self.residual)?;
        npz.text("history", &self.history)
    }

    /// Puts the engine where an earlier attempt left it.
    pub fn restore(npz: &mut NpzReader, engine: &mut Engine) -> Result<Option<Self>, NpzError> {
        let epoch = u32::try_from(npz.vector::<i64>("epochs", Some(1))?[0]).ok();
        let (residual, history) = (npz.finite_scalar("residual")?, npz.text("history")?);
        let probe = shaped::<_, Ix3>(npz.c32("probe")?);
        let (x, y) = (npz.finite_vector("x", None)?, npz.finite_vector("y", None)?);
        let illumination: Option<Array2<f32>> = match npz.contains("illumination") {
            true => shaped::<_, Ix2>(npz.f32("illumination")?),
            false => None,
        };
        let waves = match npz.contains("waves") {
            true => shaped::<_, Ix3>(npz.c32("waves")?),
            false => None,
        };
        let object = npz.finite_image("object")?;
        let (Some(epoch), Some(history), Some(probe)) = (epoch, history, probe) else { return Ok(None) };
        let snapshot = Snapshot { epoch, object, probe, x, y, illumination, waves };
        Ok(engine.go_on_from(snapshot).ok().map(|()| Self { history, residual }))
    }
}

fn shaped<T, D: Dimension>(array: ArrayD<T>) -> Option<ndarray::Array<T, D>> {
    array.into_dimensionality().ok()
}

/// All that a state follows from.
pub(super) fn origin(data: &Path, params: &Params, seed: u64) -> StageResult<String> {
    let params = serde_json::to_string(params)
        .map_err(|e| StageError::new(FailureClass::Other, format!("parameters: {e}")))?;
    Ok(format!("{} {seed} {params}", Digest::of_file(data)?))
}
