//! Arrays by name, whatever the file's format: what NPZ and HDF5 have in common, and arrays of a wanted rank
//! and length with sound values, which is what every contract needs, with one wording.

use std::fmt::Display;
use std::path::Path;

use ndarray::{Array2, ArrayBase, ArrayD, Axis, Data, Dimension, Ix1, Ix2, Slice};
use num_complex::Complex32;

use super::fault::shape_text;
use super::hdf5::{Hdf5Reader, is_hdf5};
use super::npy::{DType, Element, Header, NpyError};
use super::npz::NpzReader;
use super::{Fault, FileError};

/// What [`Arrays::check_values`] calls a number without NaN or infinity.
const FINITE: &str = "a finite number";

/// A file of named arrays, open for reading. Arrays are read only when asked for.
///
/// Every error names file and key. What is provided asks for a rank, a length or sound values on top.
pub trait Arrays {
    /// The file's path, as given.
    fn path(&self) -> &Path;

    /// Whether there is such a key.
    fn contains(&self, name: &str) -> bool;

    /// Type and shape of an array, without reading its values. `fortran` speaks of the order in which
    /// [`array`](Self::array) finds the values, never of that in which it gives them.
    fn header(&mut self, name: &str) -> Result<Header, FileError>;

    /// An array, converted to `T` (see [`Element`] for what converts), in C order.
    fn array<T: Element>(&mut self, name: &str) -> Result<ArrayD<T>, FileError>;

    /// A text of one element; `None` for what is not text and is never opened (pickled objects).
    fn text(&mut self, name: &str) -> Result<Option<String>, FileError>;

    /// At most the first `most` rows (along axis 0) of an array, as [`array`](Self::array) gives them.
    fn rows<T: Element>(&mut self, name: &str, most: usize) -> Result<ArrayD<T>, FileError> {
        let array = self.array::<T>(name)?;
        Ok(match array.shape().first() {
            Some(rows) if *rows > most => array.slice_axis(Axis(0), Slice::from(..most)).to_owned(),
            _ => array,
        })
    }

    /// A number that the format keeps beside an array, or beside the whole file if `name` is empty; none if there is
    /// no such number, or the format keeps none.
    ///
    /// # Errors
    /// If the array is missing or damaged, or what stands there is not one finite number.
    fn attribute(&self, name: &str, attribute: &str) -> Result<Option<f64>, FileError>;

    /// The error for a key that is not there.
    fn missing(&self, name: &str) -> FileError;

    /// An error at a key of this file.
    fn fault(&self, name: &str, fault: impl Into<Fault>) -> FileError {
        FileError::at(self.path(), name, fault)
    }

    /// A vector of any element type, of the given length if one is given.
    fn vector<T: Element>(&mut self, name: &str, length: Option<usize>) -> Result<Vec<T>, FileError> {
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
    fn finite_vector(&mut self, name: &str, length: Option<usize>) -> Result<Vec<f64>, FileError> {
        let values: Vec<f64> = self.vector(name, length)?;
        self.check_values(name, &ndarray::aview1(&values), f64::is_finite, FINITE)?;
        Ok(values)
    }

    /// A single finite real number: zero-dimensional, or one element.
    fn finite_scalar(&mut self, name: &str) -> Result<f64, FileError> {
        let array = self.array::<f64>(name)?;
        self.check_values(name, &array, f64::is_finite, FINITE)?;
        match array.as_slice() {
            Some([value]) => Ok(*value),
            _ => Err(self.fault(name, NpyError::NotScalar(array.shape().to_vec()))),
        }
    }

    /// A complex image of finite values and at least one pixel. Real images are refused: an amplitude
    /// where a complex image belongs is a mistake upstream, not a phase of zero.
    fn finite_image(&mut self, name: &str) -> Result<Array2<Complex32>, FileError> {
        self.require_complex(name)?;
        let array = self.array::<Complex32>(name)?;
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
    fn require_complex(&mut self, name: &str) -> Result<(), FileError> {
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
    fn check_values<T, S, D>(
        &self,
        name: &str,
        array: &ArrayBase<S, D>,
        sound: impl Fn(T) -> bool,
        wanted: &str,
    ) -> Result<(), FileError>
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
    fn bad_value(
        &self,
        name: &str,
        shape: &[usize],
        flat: usize,
        value: impl Display,
        others: usize,
        wanted: &str,
    ) -> FileError {
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

/// A file in whichever format it is.
pub enum ArrayFile {
    /// NPZ; what is of neither format is taken for it, and its reader then says what it is instead.
    Npz(NpzReader),
    /// HDF5, CXI included.
    Hdf5(Hdf5Reader),
}

impl ArrayFile {
    /// Opens a file; its first bytes decide.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        match is_hdf5(path) {
            true => Hdf5Reader::open(path).map(Self::Hdf5),
            false => NpzReader::open(path).map(Self::Npz),
        }
    }
}

/// The same call on whichever file it is.
macro_rules! either {
    ($self:ident, $file:ident => $call:expr) => {
        match $self {
            ArrayFile::Npz($file) => $call,
            ArrayFile::Hdf5($file) => $call,
        }
    };
}

impl Arrays for ArrayFile {
    fn path(&self) -> &Path {
        either!(self, file => file.path())
    }

    fn contains(&self, name: &str) -> bool {
        either!(self, file => file.contains(name))
    }

    fn header(&mut self, name: &str) -> Result<Header, FileError> {
        either!(self, file => file.header(name))
    }

    fn array<T: Element>(&mut self, name: &str) -> Result<ArrayD<T>, FileError> {
        either!(self, file => file.array(name))
    }

    fn rows<T: Element>(&mut self, name: &str, most: usize) -> Result<ArrayD<T>, FileError> {
        either!(self, file => Arrays::rows(file, name, most))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, FileError> {
        either!(self, file => file.text(name))
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<Option<f64>, FileError> {
        either!(self, file => file.attribute(name, attribute))
    }

    fn missing(&self, name: &str) -> FileError {
        either!(self, file => file.missing(name))
    }
}
