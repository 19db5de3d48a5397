//! Arrays of a wanted rank and length with sound values: what every contract needs, with one wording.

use std::fmt::Display;

use ndarray::{Array2, ArrayBase, Data, Dimension, Ix1, Ix2};
use num_complex::Complex32;

use super::{NpzError, NpzReader};
use crate::io::Fault;
use crate::io::fault::shape_text;
use crate::io::npy::{DType, Element, NpyError};

/// What [`NpzReader::check_values`] calls a number without NaN or infinity.
const FINITE: &str = "a finite number";

impl NpzReader {
    /// A vector of any element type, of the given length if one is given.
    pub fn vector<T: Element>(&mut self, name: &str, length: Option<usize>) -> Result<Vec<T>, NpzError> {
        let array = self.array::<T>(name)?;
        let found = array.shape().to_vec();
        match array.into_dimensionality::<Ix1>() {
            Ok(vector) if length.is_none_or(|n| n == vector.len()) => Ok(vector.to_vec()),
            _ => {
                let expected = length.map_or("(M,)".to_owned(), |n| shape_text(&[n]));
                Err(self.fault(name, Fault::Shape { found, expected }))
            }
        }
    }

    /// A vector of finite real numbers, of the given length if one is given.
    pub fn finite_vector(&mut self, name: &str, length: Option<usize>) -> Result<Vec<f64>, NpzError> {
        let values: Vec<f64> = self.vector(name, length)?;
        self.check_values(name, &ndarray::aview1(&values), f64::is_finite, FINITE)?;
        Ok(values)
    }

    /// A single finite real number: zero-dimensional, or one element.
    pub fn finite_scalar(&mut self, name: &str) -> Result<f64, NpzError> {
        let array = self.f64(name)?;
        self.check_values(name, &array, f64::is_finite, FINITE)?;
        match array.as_slice() {
            Some([value]) => Ok(*value),
            _ => Err(self.fault(name, NpyError::NotScalar(array.shape().to_vec()))),
        }
    }

    /// A complex image of finite values and at least one pixel. Real images are refused: an amplitude
    /// where a complex image belongs is a mistake upstream, not a phase of zero.
    pub fn finite_image(&mut self, name: &str) -> Result<Array2<Complex32>, NpzError> {
        self.require_complex(name)?;
        let array = self.c32(name)?;
        let found = array.shape().to_vec();
        match array.into_dimensionality::<Ix2>() {
            Ok(image) if !image.is_empty() => {
                self.check_values(name, &image, Complex32::is_finite, FINITE)?;
                Ok(image)
            }
            _ => Err(self.fault(name, Fault::Shape { found, expected: "(H, W)".to_owned() })),
        }
    }

    /// Fails unless the key holds complex numbers.
    pub fn require_complex(&mut self, name: &str) -> Result<(), NpzError> {
        let header = self.header(name)?;
        match header.dtype {
            DType::Complex(_) => Ok(()),
            DType::Object => Err(self.fault(name, NpyError::Object)),
            _ => {
                let wanted = "complex numbers (`<c8` or `<c16`)";
                Err(self.fault(name, NpyError::Type { descr: header.descr, wanted }))
            }
        }
    }

    /// Fails at the first value (in C order) that is not `sound`, telling its index and how many others
    /// there are.
    pub fn check_values<T, S, D>(
        &self,
        name: &str,
        array: &ArrayBase<S, D>,
        sound: impl Fn(T) -> bool,
        wanted: &str,
    ) -> Result<(), NpzError>
    where
        T: Copy + Display,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let mut bad = array.iter().enumerate().filter(|(_, value)| !sound(**value));
        let Some((flat, value)) = bad.next() else {
            return Ok(());
        };
        Err(self.bad_value(name, array.shape(), flat, value, bad.count(), wanted))
    }

    /// The error for the value at place `flat` of an array in C order, and `others` more like it.
    pub fn bad_value(
        &self,
        name: &str,
        shape: &[usize],
        flat: usize,
        value: impl Display,
        others: usize,
        wanted: &str,
    ) -> NpzError {
        let mut rest = flat;
        let mut index: Vec<usize> = shape.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        index.reverse();
        let others = match others {
            0 => String::new(),
            1 => " (and 1 more value)".to_owned(),
            n => format!(" (and {n} more values)"),
        };
        self.fault(name, Fault::Value(format!("{index:?} is {value}, expected {wanted}{others}")))
    }
}
