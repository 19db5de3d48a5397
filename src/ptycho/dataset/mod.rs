//! Diffraction patterns with their positions, probe and, where it is known, the object.

mod metadata;
mod patterns;
mod read;
mod write;

use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;
use serde_json::Value;

pub use metadata::{SCHEMA_VERSION, new_metadata};
pub use patterns::Patterns;
pub use write::DatasetWriter;

/// The keys of the measured data: the canonical name, which wins if both are there, and the study's.
pub(crate) const MEASURED: [&str; 2] = ["diff3d", "diffraction"];

/// A dataset: M patterns of N×N pixels.
///
/// Every vector has length M. [`read`](Self::read) checks that, and that all values are finite and
/// amplitudes not negative; code that builds a `Dataset` keeps it so.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// (M, N, N): amplitude, zero frequency at index N/2. Counts are `(diffraction · dose_scale)²`.
    pub diffraction: Array3<f32>,
    /// (M,): column of the patch centre in the object, pixels.
    pub x: Vec<f64>,
    /// (M,): row of the patch centre in the object, pixels.
    pub y: Vec<f64>,
    /// (M,): nominal column, before any correction; equal to `x` unless the file says otherwise.
    pub x_start: Vec<f64>,
    /// (M,): nominal row.
    pub y_start: Vec<f64>,
    /// (N, N): illumination, in the units of `diffraction` (that is, without `dose_scale`).
    pub probe: Array2<Complex32>,
    /// (H, W): the true object, if it is known.
    pub object: Option<Array2<Complex32>>,
    /// (M,): scan that each pattern belongs to.
    pub scan_index: Vec<i64>,
    /// The factor s between stored amplitude and square root of counts; none means 1.
    pub dose_scale: Option<f64>,
    /// (M,): photons counted in each pattern.
    pub measured_photons: Option<Vec<f64>>,
    /// (N, N), laid out as a pattern (zero frequency at index N/2): true where pixels were measured, false
    /// for dead pixels and behind a beam stop; none if all were.
    pub mask: Option<Array2<bool>>,
    /// What was done to the data, in the reference's schema (see [`new_metadata`]).
    pub metadata: Value,
}

impl Dataset {
    /// Number of patterns, M.
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Side of a pattern, N.
    pub fn side(&self) -> usize {
        self.probe.nrows()
    }

    /// The dose scale s, 1 if none is stored.
    pub fn scale(&self) -> f64 {
        self.dose_scale.unwrap_or(1.0)
    }

    /// Photons of each pattern, from the stored amplitudes: `Σ (diffraction · s)²`, squared and summed in
    /// f64, because stored amplitudes may come from 16-bit integers whose squares overflow.
    pub fn photons(&self) -> Vec<f64> {
        self.diffraction.outer_iter().map(|image| self.photons_of(image.iter())).collect()
    }

    /// Photons of one pattern, as in [`photons`](Self::photons).
    pub fn photons_of<'a>(&self, pattern: impl Iterator<Item = &'a f32>) -> f64 {
        self.scale().powi(2) * pattern.map(|a| f64::from(*a).powi(2)).sum::<f64>()
    }

    /// Rows and columns an object must have to hold every patch, or those of the object if it is known.
    ///
    /// A patch covers rows `y − N/2 … y − N/2 + N − 1`, and sampling between pixels reaches one further:
    /// `⌈y⌉ − N/2 + N` rows. Where patches begin before pixel 0 nothing is added: a canvas does not move
    /// positions.
    pub fn canvas(&self) -> [usize; 2] {
        if let Some(object) = &self.object {
            return [object.nrows(), object.ncols()];
        }
        let side = self.side();
        let extent = |centres: &[f64]| {
            let last = centres.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
            // `as` saturates, so an absurd position gives an absurd canvas rather than a wrapped one.
            (last.max(0.0) as usize).saturating_add(side - side / 2)
        };
        [extent(&self.y), extent(&self.x)]
    }

    /// The patterns at the given indices, in their order; probe, object, mask and dose scale are shared by all.
    /// Where the patterns stayed on disk (see [`open`](Self::open)), everything else of them.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    #[must_use]
    pub fn select(&self, keep: &[usize]) -> Self {
        fn pick<T: Copy>(values: &[T], keep: &[usize]) -> Vec<T> {
            keep.iter().map(|&i| values[i]).collect()
        }
        let diffraction = match self.diffraction.is_empty() {
            true => self.diffraction.clone(),
            false => self.diffraction.select(Axis(0), keep),
        };
        Self {
            diffraction,
            x: pick(&self.x, keep),
            y: pick(&self.y, keep),
            x_start: pick(&self.x_start, keep),
            y_start: pick(&self.y_start, keep),
            probe: self.probe.clone(),
            object: self.object.clone(),
            scan_index: pick(&self.scan_index, keep),
            dose_scale: self.dose_scale,
            measured_photons: self.measured_photons.as_ref().map(|p| pick(p, keep)),
            mask: self.mask.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

/// Mean and standard deviation (of the population), both in f64; zeros for no values.
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests;
