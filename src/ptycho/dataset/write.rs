//! Writing, by the reference's rules: one name for the data, C order, little-endian, no pickles.

use std::path::Path;

use super::Dataset;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::npz::NpzWriter;

/// Key of the patterns.
const PATTERNS: &str = "diffraction";

impl Dataset {
    /// Writes the dataset; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the parts do not belong together (a defect of the stage).
    pub fn write(&self, path: &Path) -> StageResult {
        let (m, rows, cols) = self.diffraction.dim();
        self.check([m, rows, cols])?;
        amplitudes(self.diffraction.iter())?;
        let mut npz = NpzWriter::create(path)?;
        npz.array(PATTERNS, &self.diffraction)?;
        self.write_rest(npz)
    }

    /// Everything but the patterns, and the end of the file.
    fn write_rest(&self, mut npz: NpzWriter) -> StageResult {
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

    /// Catches a stage that would write what [`read`](Self::read) refuses, beside patterns of that shape.
    fn check(&self, [m, rows, cols]: [usize; 3]) -> StageResult {
        let lengths = [
            ("x", self.x.len()),
            ("y", self.y.len()),
            ("x_start", self.x_start.len()),
            ("y_start", self.y_start.len()),
            ("scan_index", self.scan_index.len()),
            ("measured_photons", self.measured_photons.as_ref().map_or(m, Vec::len)),
        ];
        if m == 0 {
            return Err(wrong("no patterns are left"));
        }
        if let Some((name, n)) = lengths.iter().find(|(_, n)| *n != m) {
            return Err(wrong(&format!("`{name}` has length {n}, expected {m}")));
        }
        if rows != cols || self.probe.dim() != (rows, cols) {
            return Err(wrong(&format!(
                "patterns are {rows}×{cols} and the probe is {:?}",
                self.probe.dim()
            )));
        }
        if self.mask.as_ref().is_some_and(|mask| mask.dim() != (rows, cols)) {
            return Err(wrong(&format!("patterns are {rows}×{cols} and the mask is not")));
        }
        let finite =
            [&self.x, &self.y, &self.x_start, &self.y_start].iter().all(|v| v.iter().all(|c| c.is_finite()))
                && self.probe.iter().chain(self.object.iter().flatten()).all(|z| z.is_finite());
        if finite { Ok(()) } else { Err(wrong(NOT_FINITE)) }
    }
}

/// A dataset file whose patterns are written as they come, so that none has to be held. It has the very bytes of
/// [`Dataset::write`], and like that appears whole or not at all.
pub struct DatasetWriter {
    npz: NpzWriter,
    /// M, N.
    shape: [usize; 2],
    /// Amplitudes so far.
    written: usize,
    bytes: Vec<u8>,
}

impl DatasetWriter {
    /// Begins a file of M patterns of N×N pixels.
    ///
    /// # Errors
    /// `Io` if the disk refuses.
    pub fn create(path: &Path, patterns: usize, side: usize) -> StageResult<Self> {
        let mut npz = NpzWriter::create(path)?;
        let bytes =
            [side, side, size_of::<f32>()].iter().fold(patterns as u64, |n, by| n.saturating_mul(*by as u64));
        npz.begin(PATTERNS, "<f4", &[patterns, side, side], bytes)?;
        Ok(Self { npz, shape: [patterns, side], written: 0, bytes: Vec::new() })
    }

    /// Appends the amplitudes of the patterns that follow, each N·N in rows.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if an amplitude cannot be one.
    pub fn append(&mut self, values: &[f32]) -> StageResult {
        amplitudes(values.iter())?;
        self.bytes.clear();
        self.bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self.npz.append(&self.bytes)?;
        self.written += values.len();
        Ok(())
    }

    /// Completes the file with everything else, whose own patterns are not looked at.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the parts do not belong together (a defect of the stage).
    pub fn finish(self, about: &Dataset) -> StageResult {
        let [m, side] = self.shape;
        about.check([m, side, side])?;
        if self.written != m * side * side {
            let (written, pixels) = (self.written, side * side);
            return Err(wrong(&format!("{written} amplitudes came for {m} patterns of {pixels}")));
        }
        about.write_rest(self.npz)
    }
}

const NOT_FINITE: &str = "a value is not finite, or an amplitude is negative";

fn amplitudes<'a>(mut values: impl Iterator<Item = &'a f32>) -> StageResult {
    if values.all(|a| a.is_finite() && *a >= 0.0) { Ok(()) } else { Err(wrong(NOT_FINITE)) }
}

fn wrong(what: &str) -> StageError {
    StageError::new(FailureClass::Check, format!("dataset to write: {what}"))
}
