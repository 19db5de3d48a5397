//! The files of an import, and the arrays in them as every layout needs them.

use ndarray::{Array2, Array3, Axis, Ix2, Ix3};
use num_complex::Complex32;

use crate::diag::{StageError, StageResult};
use crate::io::{ArrayFile, Arrays, Fault, FileError};
use crate::stages::Context;

/// The file with the patterns and, beside it, one with what that lacks.
pub struct Files {
    data: ArrayFile,
    product: Option<ArrayFile>,
}

impl Files {
    /// Opens the files of the slots `data` and `product`.
    pub fn open(cx: &Context<'_>) -> StageResult<Self> {
        let product = cx.input_opt("product").map(ArrayFile::open).transpose()?;
        Ok(Self { data: ArrayFile::open(cx.input("data")?)?, product })
    }

    /// The file of the slot `data`.
    pub fn data(&mut self) -> &mut ArrayFile {
        &mut self.data
    }

    /// Whether one of the files has the key.
    pub fn contains(&self, key: &str) -> bool {
        self.data.contains(key) || self.product.as_ref().is_some_and(|file| file.contains(key))
    }

    /// The file that has the key; the one of slot `data` if both or neither have it.
    pub fn of(&mut self, key: &str) -> &mut ArrayFile {
        match &mut self.product {
            Some(product) if !self.data.contains(key) && product.contains(key) => product,
            _ => &mut self.data,
        }
    }

    /// The key of the user's, or the first of `usual` that one of the files has.
    pub fn find<'a>(&self, named: Option<&'a String>, usual: &[&'a str]) -> Option<&'a str> {
        match named {
            Some(key) => Some(key),
            None => usual.iter().copied().find(|key| self.contains(key)),
        }
    }

    /// As [`find`](Self::find), or the error that names the first of `usual`.
    pub fn require<'a>(&mut self, named: Option<&'a String>, usual: &[&'a str]) -> StageResult<&'a str> {
        match (self.find(named, usual), usual) {
            (Some(key), _) => Ok(key),
            (None, [first, others @ ..]) => {
                let error = StageError::from(self.of(first).missing(first));
                if others.is_empty() || error.hint.is_some() {
                    return Err(error);
                }
                Err(error.hint(format!(
                    "looked for `{}` too; `keys` names other places, and a soft or external link is not followed",
                    others.join("`, `")
                )))
            }
            (None, []) => Err(StageError::input("`keys` names no such array")),
        }
    }
}

/// At most the first `most` patterns as stored, checked to be a stack of square images; and how many there are.
pub fn patterns(file: &mut ArrayFile, key: &str, most: usize) -> Result<(Array3<f32>, usize), FileError> {
    let found = file.header(key)?.shape;
    let wrong = |file: &ArrayFile, found| {
        let expected = "(M, N, N): square patterns one after another".to_owned();
        Err(file.fault(key, Fault::Shape { found, expected }))
    };
    match found.as_slice() {
        [m, rows, cols] if *m > 0 && rows == cols && *rows >= 2 => {
            match file.rows::<f32>(key, most)?.into_dimensionality::<Ix3>() {
                Ok(cube) => Ok((cube, found[0])),
                Err(_) => wrong(file, found),
            }
        }
        _ => wrong(file, found),
    }
}

/// Makes counts of what a detector and its correction left: negative values become 0, with a warning.
///
/// # Errors
/// If a value is not finite.
pub fn clean_counts(
    file: &ArrayFile,
    key: &str,
    cube: &mut Array3<f32>,
    cx: &mut Context<'_>,
) -> StageResult {
    file.check_values(key, cube, f32::is_finite, "a finite count")?;
    let mut negative = 0u64;
    for value in cube.iter_mut().filter(|v| **v < 0.0) {
        *value = 0.0;
        negative += 1;
    }
    if negative > 0 {
        cx.warn(format!("{negative} of {} values in `{key}` are negative and count as 0", cube.len()));
    }
    Ok(())
}

/// Bits of a CXI mask that say something good of a pixel: in a peak, corrected, part of a peak that was searched
/// for, background corrected. Every other bit says that its count is not to be trusted.
const HARMLESS: i64 = 0x20 | 0x800 | 0x2000 | 0x4000;

/// A mask in CXI's bits as one of measured pixels: true where no bit (in any pattern, if each has a mask of its own)
/// speaks against it. None if nothing is masked.
pub fn mask(file: &mut ArrayFile, key: &str, side: usize) -> Result<Option<Array2<bool>>, FileError> {
    let bits = file.array::<i64>(key)?;
    let found = bits.shape().to_vec();
    if !(2..=3).contains(&found.len()) || !found.ends_with(&[side, side]) {
        let expected = format!("({side}, {side}), the shape of a diffraction pattern");
        return Err(file.fault(key, Fault::Shape { found, expected }));
    }
    let mut measured = Array2::from_elem((side, side), true);
    for (i, bits) in bits.iter().enumerate() {
        measured[[i / side % side, i % side]] &= bits & !HARMLESS == 0;
    }
    match measured.iter().filter(|m| **m).count() {
        0 => Err(file.fault(key, Fault::Value("masks every pixel".to_owned()))),
        n if n == measured.len() => Ok(None),
        _ => Ok(Some(measured)),
    }
}

/// The first two columns of an array of positions, as (x, y).
pub fn columns(file: &mut ArrayFile, key: &str) -> Result<[Vec<f64>; 2], FileError> {
    let array = file.array::<f64>(key)?;
    let found = array.shape().to_vec();
    match array.into_dimensionality::<Ix2>() {
        Ok(table) if table.nrows() > 0 && (2..=3).contains(&table.ncols()) => {
            file.check_values(key, &table, f64::is_finite, "a finite number")?;
            Ok([table.column(0).to_vec(), table.column(1).to_vec()])
        }
        _ => {
            let expected = "(M, 2) or (M, 3): x and y of every pattern".to_owned();
            Err(file.fault(key, Fault::Shape { found, expected }))
        }
    }
}

/// The probe's first mode. Programs put modes, and variations of them, on leading axes.
pub fn first_mode(
    npz: &mut impl Arrays,
    key: &str,
    side: usize,
    cx: &mut Context<'_>,
) -> Result<Array2<Complex32>, FileError> {
    npz.require_complex(key)?;
    let array = npz.array::<Complex32>(key)?;
    let found = array.shape().to_vec();
    if !found.ends_with(&[side, side]) || array.is_empty() {
        let expected = format!("(…, {side}, {side}), the shape of a diffraction pattern");
        return Err(npz.fault(key, Fault::Shape { found, expected }));
    }
    npz.check_values(key, &array, Complex32::is_finite, "a finite number")?;
    let power = |values: &[Complex32]| values.iter().map(|p| f64::from(p.norm_sqr())).sum::<f64>();
    let values: Vec<Complex32> = array.into_iter().collect();
    let (first, rest) = values.split_at(side * side);
    let (kept, lost) = (power(first), power(rest));
    if kept == 0.0 {
        return Err(npz.fault(key, Fault::Value("is zero everywhere, expected an illumination".to_owned())));
    }
    if !rest.is_empty() {
        cx.warn(format!(
            "the probe has {} modes; only the first is used, with {:.1} % of their power",
            values.len() / first.len(),
            100.0 * kept / (kept + lost)
        ));
    }
    Ok(Array2::from_shape_fn((side, side), |(r, c)| first[r * side + c]))
}

/// An object of one layer, leading axes of length 1 left out.
pub fn object(file: &mut ArrayFile, key: &str) -> Result<Array2<Complex32>, FileError> {
    file.require_complex(key)?;
    let mut array = file.array::<Complex32>(key)?;
    let found = array.shape().to_vec();
    while array.ndim() > 2 && array.len_of(Axis(0)) == 1 {
        array = array.remove_axis(Axis(0));
    }
    match array.into_dimensionality::<Ix2>() {
        Ok(image) if !image.is_empty() => {
            file.check_values(key, &image, Complex32::is_finite, "a finite number")?;
            Ok(image)
        }
        _ => {
            let expected = "(H, W), or (1, H, W): an object of one layer".to_owned();
            Err(file.fault(key, Fault::Shape { found, expected }))
        }
    }
}
