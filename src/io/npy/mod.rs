//! The NPY format: one array, with a header that is a Python dictionary literal.
//!
//! Everything a file claims is checked against the bytes that are really there before memory is taken
//! for it. Object arrays are recognised from the header and never unpickled.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//! Arrays are written by `ndarray-npy`. The parser is our own because the published one (`ndarray-npy`) trusts the header's lengths, recurses
//! on nested literals, and knows neither text, object nor half-precision arrays.

mod element;
mod error;
mod header;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn, ShapeBuilder};
use ndarray_npy::{WriteNpyError, WriteNpyExt};

pub use element::Element;
pub use error::NpyError;
pub use header::{DType, Header};

use super::FileError;
use super::atomic::AtomicFile;

/// Bytes read and converted at a time.
const CHUNK: usize = 256 << 10;

/// Reads an array in C order, whatever its order in the file, converting its numbers to `T`.
///
/// `available` is the most bytes that `reader` can yield: the header's claims are held against it.
/// `reader` is read to its end, so that a checksum behind it is verified.
pub fn read<T: Element>(reader: &mut impl Read, available: u64) -> Result<ArrayD<T>, NpyError> {
    let (header, used) = Header::read(reader)?;
    let mut values: Vec<T> = Vec::new();
    // The type first: "holds text" says more than a length that does not fit.
    T::decode(&header, &[], &mut values)?;
    let count = header.check_length(available.saturating_sub(used))?;
    values.try_reserve_exact(count).map_err(|_| NpyError::Memory(available))?;

    let size = header.item_size();
    let mut buffer = vec![0u8; CHUNK.next_multiple_of(size.max(1))];
    while values.len() < count {
        let want = buffer.len().min((count - values.len()) * size);
        let bytes = &mut buffer[..want];
        reader.read_exact(bytes)?;
        T::decode(&header, bytes, &mut values)?;
    }
    end(reader)?;

    let shape = IxDyn(&header.shape).set_f(header.fortran);
    let array =
        ArrayD::from_shape_vec(shape, values).map_err(|_| NpyError::Overflow(header.shape.clone()))?;
    Ok(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
}

/// Reads an array from front to back without holding it: `take` gets its elements, converted to `T`, piece by
/// piece in the order of the file (see [`Header::fortran`]). Checks and reading to the end as in [`read`].
pub fn stream<T: Element>(
    reader: &mut impl Read,
    available: u64,
    take: &mut dyn FnMut(&[T]) -> io::Result<()>,
) -> Result<Header, NpyError> {
    let (header, used) = Header::read(reader)?;
    let mut values: Vec<T> = Vec::new();
    T::decode(&header, &[], &mut values)?;
    let count = header.check_length(available.saturating_sub(used))?;
    let size = header.item_size();
    let mut buffer = vec![0u8; CHUNK.next_multiple_of(size.max(1))];
    let mut done = 0;
    while done < count {
        let want = buffer.len().min((count - done) * size);
        let bytes = &mut buffer[..want];
        reader.read_exact(bytes)?;
        values.clear();
        T::decode(&header, bytes, &mut values)?;
        done += values.len();
        take(&values).map_err(NpyError::Io)?;
    }
    end(reader)?;
    Ok(header)
}

/// Header bytes as [`write()`] writes them for arrays of that type (NumPy's name, such as `<c8`) and shape.
pub fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    header::encode_as_arrays(descr, shape)
}

/// Reads a text array of one element; `None` for an array of pickled objects.
pub fn read_text(reader: &mut impl Read, available: u64) -> Result<Option<String>, NpyError> {
    let (header, used) = Header::read(reader)?;
    if header.dtype == DType::Object {
        return Ok(None);
    }
    if !matches!(header.dtype, DType::Text { .. } | DType::Bytes { .. }) {
        return Err(header.wrong_type("text"));
    }
    if header.check_length(available.saturating_sub(used))? != 1 {
        return Err(NpyError::NotScalar(header.shape));
    }
    let mut bytes = Vec::new();
    let size = header.item_size();
    bytes.try_reserve_exact(size).map_err(|_| NpyError::Memory(available))?;
    reader.take(size as u64).read_to_end(&mut bytes)?;
    if bytes.len() != size {
        return Err(NpyError::Truncated);
    }
    end(reader)?;
    header.text(&bytes).map(Some)
}

/// Reads to the end, where nothing may follow.
fn end(reader: &mut impl Read) -> Result<(), NpyError> {
    match reader.read(&mut [0u8; 64])? {
        0 => Ok(()),
        _ => Err(NpyError::Trailing),
    }
}

/// Reads a `.npy` file.
pub fn read_file<T: Element>(path: &Path) -> Result<ArrayD<T>, FileError> {
    let fault = |e: NpyError| FileError::new(path, e);
    let file = File::open(path).map_err(|e| fault(e.into()))?;
    let length = file.metadata().map_err(|e| fault(e.into()))?.len();
    read(&mut BufReader::new(file), length).map_err(fault)
}

/// Writes an array in C order, little-endian, version 1.0.
pub fn write<T, S, D>(writer: &mut impl Write, array: &ArrayBase<S, D>) -> Result<(), NpyError>
where
    T: Element,
    S: Data<Elem = T>,
    D: Dimension,
{
    // ndarray-npy keeps the order in memory; readers of the contract expect C order.
    array.as_standard_layout().write_npy(writer).map_err(|e| match e {
        WriteNpyError::Io(e) => NpyError::Io(e),
        other => NpyError::Io(std::io::Error::other(other)),
    })
}

/// Writes text as NumPy does `np.array("…")`: zero-dimensional UCS-4.
pub fn write_text(writer: &mut impl Write, text: &str) -> Result<(), NpyError> {
    // NumPy has no text of length 0: `np.array("")` is `<U1` with a NUL, which reads back as "".
    let length = text.chars().count().max(1);
    let mut bytes: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    bytes.resize(4 * length, 0);
    writer.write_all(&header::encode(&format!("<U{length}"), &[]))?;
    Ok(writer.write_all(&bytes)?)
}

/// Writes a `.npy` file, atomically.
pub fn write_file<T, S, D>(path: &Path, array: &ArrayBase<S, D>) -> Result<(), FileError>
where
    T: Element,
    S: Data<Elem = T>,
    D: Dimension,
{
    let fault = |e: NpyError| FileError::new(path, e);
    let mut file = AtomicFile::create(path).map_err(|e| fault(e.into()))?;
    write(&mut file, array).map_err(fault)?;
    file.commit().map_err(|e| fault(e.into()))
}

#[cfg(test)]
mod tests;
