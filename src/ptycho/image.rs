//! Complex images in the object's frame: where each one lies is part of it.

use std::path::Path;

use ndarray::Array2;
use num_complex::Complex32;

use crate::diag::{StageError, StageResult};
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::io::{Arrays, Fault};

/// An image of (part of) the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// (h, w): complex transmission.
    pub object: Array2<Complex32>,
    /// Object coordinates (row y, column x) of pixel \[0, 0\].
    pub origin_yx: [f64; 2],
    /// (h, w): how much data supports each pixel; 0 where there is none.
    pub coverage: Option<Array2<f32>>,
}

/// Key of the phase added to a pair's prediction.
const TURN: &str = "global_phase_rad";

/// Two images in one frame, ready to be compared pixel by pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// (h, w): the image under test.
    pub prediction: Array2<Complex32>,
    /// (h, w): what it should be.
    pub truth: Array2<Complex32>,
    /// Object coordinates (row y, column x) of pixel \[0, 0\].
    pub origin_yx: [f64; 2],
    /// By how much the prediction was moved to match, pixels (down, right).
    pub shift_yx: [f64; 2],
    /// Phase that was added to the prediction, radians; 0 in files that do not say.
    pub turn: f64,
}

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// Of class `Input` if a key is missing, has the wrong shape or type, or holds values that are not
    /// finite.
    pub fn read(path: &Path) -> StageResult<Self> {
        let npz = &mut NpzReader::open(path)?;
        let object = npz.finite_image("object")?;
        let coverage = npz.contains("coverage").then(|| coverage(npz, object.dim())).transpose()?;
        Ok(Self { origin_yx: pair_of(npz, "origin_yx")?, object, coverage })
    }

    /// Writes the image; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the coverage has another shape than the image.
    pub fn write(&self, path: &Path) -> StageResult {
        let mut npz = NpzWriter::create(path)?;
        npz.array("object", &self.object)?;
        npz.vector("origin_yx", &self.origin_yx)?;
        if let Some(coverage) = &self.coverage {
            same_shape("coverage", coverage.dim(), "image", self.object.dim())?;
            npz.array("coverage", coverage)?;
        }
        Ok(npz.finish()?)
    }
}

impl Pair {
    /// Reads a pair.
    ///
    /// # Errors
    /// Of class `Input`, as for [`Image::read`], and if the two differ in shape.
    pub fn read(path: &Path) -> StageResult<Self> {
        let npz = &mut NpzReader::open(path)?;
        let truth = npz.finite_image("truth")?;
        let prediction = npz.finite_image("prediction")?;
        if prediction.dim() != truth.dim() {
            let expected = format!("{:?}, the shape of `truth`", truth.dim());
            let fault = Fault::Shape { found: prediction.shape().to_vec(), expected };
            return Err(npz.fault("prediction", fault).into());
        }
        Ok(Self {
            prediction,
            truth,
            origin_yx: pair_of(npz, "origin_yx")?,
            shift_yx: pair_of(npz, "shift_yx")?,
            turn: if npz.contains(TURN) { npz.finite_vector(TURN, Some(1))?[0] } else { 0.0 },
        })
    }

    /// Writes the pair; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if the disk refuses, `Check` if the two differ in shape.
    pub fn write(&self, path: &Path) -> StageResult {
        same_shape("prediction", self.prediction.dim(), "truth", self.truth.dim())?;
        let mut npz = NpzWriter::create(path)?;
        npz.array("prediction", &self.prediction)?;
        npz.array("truth", &self.truth)?;
        npz.vector("origin_yx", &self.origin_yx)?;
        npz.vector("shift_yx", &self.shift_yx)?;
        npz.vector(TURN, &[self.turn])?;
        Ok(npz.finish()?)
    }
}

fn coverage(npz: &mut NpzReader, shape: (usize, usize)) -> Result<Array2<f32>, NpzError> {
    let array = npz.f32("coverage")?;
    let found = array.shape().to_vec();
    match array.into_dimensionality() {
        Ok(coverage) if Array2::dim(&coverage) == shape => {
            npz.check_values(
                "coverage",
                &coverage,
                |c: f32| c.is_finite() && c >= 0.0,
                "a finite number ≥ 0",
            )?;
            Ok(coverage)
        }
        _ => {
            let expected = format!("{shape:?}, the shape of `object`");
            Err(npz.fault("coverage", Fault::Shape { found, expected }))
        }
    }
}

fn pair_of(npz: &mut NpzReader, key: &str) -> Result<[f64; 2], NpzError> {
    let values = npz.finite_vector(key, Some(2))?;
    Ok([values[0], values[1]])
}

fn same_shape(a: &str, a_shape: (usize, usize), b: &str, b_shape: (usize, usize)) -> StageResult {
    if a_shape == b_shape {
        return Ok(());
    }
    Err(StageError::check(format!("image to write: the {a} is {a_shape:?}, the {b} is {b_shape:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn images_and_pairs_come_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.npz");
        let pixels = arr2(&[[Complex32::new(1.0, -2.0), Complex32::new(0.5, 0.0), Complex32::new(0.0, 3.0)]]);
        let coverage = Some(arr2(&[[1.0, 0.0, 2.5]]));
        let image = Image { object: pixels.clone(), origin_yx: [-3.5, 12.0], coverage };
        image.write(&path).unwrap();
        assert_eq!(Image::read(&path).unwrap(), image);
        let bare = Image { coverage: None, ..image.clone() };
        bare.write(&path).unwrap();
        assert_eq!(Image::read(&path).unwrap(), bare);
        let truth = pixels.mapv(|z| z.conj());
        let pair =
            Pair { prediction: pixels, truth, origin_yx: [0.0, 1.0], shift_yx: [0.25, -1.0], turn: -0.5 };
        pair.write(&path).unwrap();
        assert_eq!(Pair::read(&path).unwrap(), pair);
        // A pair is not an image, and the message says what is there instead.
        let error = Image::read(&path).unwrap_err().message;
        assert!(error.ends_with(
            "key `object`: missing; the file holds `prediction`, `truth`, `origin_yx`, `shift_yx`, `global_phase_rad`"
        ));
    }

    #[test]
    fn shapes_that_differ_are_refused_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.npz");
        let ones = |h, w| Array2::from_elem((h, w), Complex32::new(1.0, 0.0));
        let pair = Pair {
            prediction: ones(2, 3),
            truth: ones(3, 2),
            origin_yx: [0.0; 2],
            shift_yx: [0.0; 2],
            turn: 0.0,
        };
        assert_eq!(
            pair.write(&path).unwrap_err().message,
            "image to write: the prediction is (2, 3), the truth is (3, 2)"
        );
        let mut npz = NpzWriter::create(&path).unwrap();
        npz.array("object", &ones(2, 2)).unwrap();
        npz.array("coverage", &Array2::<f32>::zeros((2, 3))).unwrap();
        npz.vector("origin_yx", &[0.0f64, 0.0]).unwrap();
        npz.finish().unwrap();
        let error = Image::read(&path).unwrap_err().message;
        assert!(
            error.ends_with("key `coverage`: found shape (2, 3), expected (2, 2), the shape of `object`"),
            "{error}"
        );
    }
}
