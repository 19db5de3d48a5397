//! Object patches predicted for single images, each with the place of its centre.

use std::io;
use std::path::Path;

use ndarray::{Array2, Array3, ArrayView2, Ix3};
use num_complex::Complex32;

use crate::diag::{StageError, StageResult};
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::io::{Arrays, Fault};

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
        let x = npz.finite_vector("xcoords", None)?;
        let y = npz.finite_vector("ycoords", Some(x.len()))?;
        let patches =
            array.into_dimensionality::<Ix3>().map_err(|_| wrong_shape(npz, found.clone(), x.len()))?;
        let (count, rows, cols) = patches.dim();
        if count != x.len() || rows != cols || patches.is_empty() {
            return Err(wrong_shape(npz, found, x.len()).into());
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

/// A patches file whose patches are read one after another, none of them held.
pub struct PatchesFile {
    npz: NpzReader,
    side: usize,
    /// (P,): column of each patch's centre, as in [`Patches`].
    pub x: Vec<f64>,
    /// (P,): row of each patch's centre.
    pub y: Vec<f64>,
}

impl PatchesFile {
    /// Opens a file and reads the places.
    ///
    /// # Errors
    /// As for [`Patches::read`], but for what is wrong with the patches' values.
    pub fn open(path: &Path) -> StageResult<Self> {
        let mut npz = NpzReader::open(path)?;
        npz.require_complex("patches")?;
        let found = npz.header("patches")?.shape;
        let x = npz.finite_vector("xcoords", None)?;
        let y = npz.finite_vector("ycoords", Some(x.len()))?;
        match found[..] {
            [count, rows, cols] if count == x.len() && rows == cols && count * rows > 0 => {
                Ok(Self { npz, side: rows, x, y })
            }
            _ => Err(wrong_shape(&npz, found, x.len()).into()),
        }
    }

    /// Number of patches, P.
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Side of a patch, N.
    pub fn side(&self) -> usize {
        self.side
    }

    /// What the file's directory says of its content; see [`NpzReader::directory`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn directory(&mut self) -> StageResult<String> {
        Ok(self.npz.directory()?)
    }

    /// Calls `each` with every patch from `first` on, (N, N), in order, and its index, until it fails. A file in Fortran
    /// order is read whole.
    ///
    /// # Errors
    /// As for [`Patches::read`], and those of `each`; of some errors one learns only after `each` was called.
    pub fn each(
        &mut self,
        first: usize,
        mut each: impl FnMut(usize, ArrayView2<'_, Complex32>) -> StageResult,
    ) -> StageResult {
        let (side, count) = (self.side, self.len());
        if self.npz.header("patches")?.fortran {
            let patches = Patches::read(self.npz.path())?.patches;
            return patches.outer_iter().enumerate().skip(first).try_for_each(|(i, patch)| each(i, patch));
        }
        let mut patch = Array2::zeros((side, side));
        let (mut at, mut index, mut wrong, mut bad, mut refused) = (0, 0, None, 0, None);
        let read = self.npz.stream::<Complex32>("patches", &mut |values| {
            for value in values {
                if !value.is_finite() {
                    bad += 1;
                    wrong = wrong.or(Some((index * side * side + at, *value)));
                }
                patch[[at / side, at % side]] = *value;
                at += 1;
                if at == side * side {
                    if index >= first
                        && let Err(error) = each(index, patch.view())
                    {
                        refused = Some(error);
                        return Err(io::Error::other("no more is wanted"));
                    }
                    (at, index) = (0, index + 1);
                }
            }
            Ok(())
        });
        if let Some(error) = refused {
            return Err(error);
        }
        read?;
        match wrong {
            None => Ok(()),
            Some((flat, value)) => {
                let (shape, wanted) = ([count, side, side], "a finite number");
                Err(self.npz.bad_value("patches", &shape, flat, value, bad - 1, wanted).into())
            }
        }
    }
}

/// The error for patches that are not a square one for each place.
fn wrong_shape(npz: &NpzReader, found: Vec<usize>, places: usize) -> NpzError {
    let expected = format!("({places}, N, N): one square patch for each of the {places} places");
    npz.fault("patches", Fault::Shape { found, expected })
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
