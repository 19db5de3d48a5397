//! TIFF pictures of numbers. The only file that knows the `tiff` crate.

use std::io::{self, Cursor};
use std::path::Path;

use ndarray::ArrayView2;
use tiff::TiffError;
use tiff::encoder::{TiffEncoder, colortype::Gray32Float};

use super::atomic;

/// Writes one channel of single-precision numbers, uncompressed, row by row from the top; the file appears whole or
/// not at all. Equal numbers give equal bytes.
///
/// # Errors
/// `InvalidInput` if a side is 0 or too long for the format; otherwise what the disk says.
pub fn write_f32(path: &Path, values: ArrayView2<f32>) -> io::Result<()> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let fault = |e: TiffError| match e {
        TiffError::IoError(e) => e,
        e => invalid(e.to_string()),
    };
    let side = |n: usize| {
        u32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| invalid(format!("a side of {n} pixels")))
    };
    let (height, width) = (side(values.nrows())?, side(values.ncols())?);
    let pixels: Vec<f32> = values.iter().copied().collect();
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).map_err(fault)?;
    encoder.write_image::<Gray32Float>(width, height, &pixels).map_err(fault)?;
    atomic::write(path, bytes.get_ref())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use tiff::decoder::{Decoder, DecodingResult};

    use super::*;

    #[test]
    fn numbers_come_back_exactly() {
        let values = Array2::from_shape_fn((3, 5), |(r, c)| (r as f32 - 1.3) * 0.1f32.powi(c as i32));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        write_f32(&path, values.view()).unwrap();
        let mut decoder = Decoder::new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(decoder.dimensions().unwrap(), (5, 3));
        let DecodingResult::F32(back) = decoder.read_image().unwrap() else { panic!("not single precision") };
        assert_eq!(back, values.into_raw_vec_and_offset().0);
        let empty = write_f32(&path, Array2::zeros((0, 3)).view()).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::InvalidInput);
    }
}
