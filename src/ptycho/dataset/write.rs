//! Writing, by the reference's rules: one name for the data, C order, little-endian, no pickles.

use std::path::Path;

use super::Dataset;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::npz::NpzWriter;

impl Dataset {
    /// Writes the dataset; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the parts do not belong together (a defect of the stage).
    pub fn write(&self, path: &Path) -> StageResult {
        self.check()?;
        let mut npz = NpzWriter::create(path)?;
        npz.array("diffraction", &self.diffraction)?;
        npz.vector("xcoords", &self.x)?;
        npz.vector("ycoords", &self.y)?;
        npz.vector("xcoords_start", &self.x_start)?;
        npz.vector("ycoords_start", &self.y_start)?;
        npz.vector("scan_index", &self.scan_index)?;
        npz.array("probeGuess", &self.probe)?;
        if let Some(object) = &self.object {
            npz.array("objectGuess", object)?;
        }
        if let Some(scale) = self.dose_scale {
            npz.scalar_f64("dose_scale", scale)?;
        }
        if let Some(photons) = &self.measured_photons {
            npz.vector("measured_photons", photons)?;
        }
        if let Some(mask) = &self.mask {
            npz.array("mask", &mask.mapv(u8::from))?;
        }
        npz.text("_metadata", &self.metadata.to_string())?;
        Ok(npz.finish()?)
    }

    /// Catches a stage that would write what [`read`](Self::read) refuses.
    fn check(&self) -> StageResult {
        let (m, rows, cols) = self.diffraction.dim();
        let lengths = [
            ("x", self.x.len()),
            ("y", self.y.len()),
            ("x_start", self.x_start.len()),
            ("y_start", self.y_start.len()),
            ("scan_index", self.scan_index.len()),
            ("measured_photons", self.measured_photons.as_ref().map_or(m, Vec::len)),
        ];
        let fail =
            |what: String| Err(StageError::new(FailureClass::Check, format!("dataset to write: {what}")));
        if m == 0 {
            return fail("no patterns are left".to_owned());
        }
        if let Some((name, n)) = lengths.iter().find(|(_, n)| *n != m) {
            return fail(format!("`{name}` has length {n}, expected {m}"));
        }
        if rows != cols || self.probe.dim() != (rows, cols) {
            return fail(format!("patterns are {rows}×{cols} and the probe is {:?}", self.probe.dim()));
        }
        if self.mask.as_ref().is_some_and(|mask| mask.dim() != (rows, cols)) {
            return fail(format!("patterns are {rows}×{cols} and the mask is not"));
        }
        let finite = self.diffraction.iter().all(|a| a.is_finite() && *a >= 0.0)
            && [&self.x, &self.y, &self.x_start, &self.y_start]
                .iter()
                .all(|v| v.iter().all(|c| c.is_finite()))
            && self.probe.iter().chain(self.object.iter().flatten()).all(|z| z.is_finite());
        if finite { Ok(()) } else { fail("a value is not finite, or an amplitude is negative".to_owned()) }
    }
}
