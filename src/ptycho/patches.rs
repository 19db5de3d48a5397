//! Object patches predicted for single images, each with the place of its centre.

use std::path::Path;

use ndarray::{Array3, Ix3};
use num_complex::Complex32;

use crate::diag::{StageError, StageResult};
use crate::io::Fault;
use crate::io::npz::{NpzReader, NpzWriter};

/// P patches with as many places: the original lost that equality (5216 patches, 159 places) and
/// stitched nonsense, so reading and writing both insist on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// (P, N, N): complex object.
    pub patches: Array3<Complex32>,
    /// (P,): column of each patch's centre (index N/2) in the object, pixels, absolute.
    pub x: Vec<f64>,
    /// (P,): row of each patch's centre.
    pub y: Vec<f64>,
}

impl Patches {
    /// Number of patches, P.
    pub fn len(&self) -> usize {
        self.patches.dim().0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side of a patch, N.
    pub fn side(&self) -> usize {
        self.patches.dim().1
    }

    /// Reads patches.
    ///
    /// # Errors
    /// Of class `Input` if the counts differ, a patch is not square, or a value is not finite.
    pub fn read(path: &Path) -> StageResult<Self> {
        let npz = &mut NpzReader::open(path)?;
        npz.require_complex("patches")?;
        let array = npz.c32("patches")?;
        let found = array.shape().to_vec();
        let wrong = |npz: &NpzReader, expected: String| {
            StageError::from(npz.fault("patches", Fault::Shape { found: found.clone(), expected }))
        };
        let x = npz.finite_vector("xcoords", None)?;
        let y = npz.finite_vector("ycoords", Some(x.len()))?;
        let patches =
            array.into_dimensionality::<Ix3>().map_err(|_| wrong(npz, format!("({}, N, N)", x.len())))?;
        let (count, rows, cols) = patches.dim();
        if count != x.len() || rows != cols || patches.is_empty() {
            let places = x.len();
            return Err(wrong(
                npz,
                format!("({places}, N, N): one square patch for each of the {places} places"),
            ));
        }
        npz.check_values("patches", &patches, Complex32::is_finite, "a finite number")?;
        Ok(Self { patches, x, y })
    }

    /// Writes the patches; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the counts differ.
    pub fn write(&self, path: &Path) -> StageResult {
        let [p, x, y] = [self.len(), self.x.len(), self.y.len()];
        if p != x || p != y {
            return Err(StageError::check(format!(
                "patches to write: {p} patches, {x} columns and {y} rows of places"
            )));
        }
        let mut npz = NpzWriter::create(path)?;
        npz.array("patches", &self.patches)?;
        npz.vector("xcoords", &self.x)?;
        npz.vector("ycoords", &self.y)?;
        Ok(npz.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_must_agree_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("patches.npz");
        let patches = Array3::from_shape_fn((3, 4, 4), |(p, r, c)| Complex32::new((p * r) as f32, c as f32));
        let good = Patches { patches, x: vec![1.0, 2.0, 3.5], y: vec![0.0, -1.0, 4.0] };
        good.write(&path).unwrap();
        assert_eq!(Patches::read(&path).unwrap(), good);

        let fewer = Patches { x: vec![1.0], ..good.clone() };
        assert_eq!(
            fewer.write(&path).unwrap_err().message,
            "patches to write: 3 patches, 1 columns and 3 rows of places"
        );
        let mut npz = NpzWriter::create(&path).unwrap();
        npz.array("patches", &good.patches).unwrap();
        npz.vector("xcoords", &[1.0f64, 2.0]).unwrap();
        npz.vector("ycoords", &[1.0f64, 2.0]).unwrap();
        npz.finish().unwrap();
        let error = Patches::read(&path).unwrap_err().message;
        assert!(
            error.ends_with(
                "found shape (3, 4, 4), expected (2, N, N): one square patch for each of the 2 places"
            ),
            "{error}"
        );
    }
}
