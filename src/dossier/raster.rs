//! From values to pictures.

use std::io;

use ndarray::{Array2, ArrayView2};
use serde::{Serialize, Serializer};

use super::colour::Map;
use crate::io::digest::Digest;
use crate::io::png::encode_indexed;

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The PNG file.
    pub png: Vec<u8>,
}

/// As data, a picture is its size and what names its pixels.
impl Serialize for Raster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digest = Digest::of(&self.png).to_string();
        serializer.collect_str(&format_args!("{}×{} {}", self.width, self.height, &digest[..16]))
    }
}

impl Raster {
    /// Values from `lo` to `hi` in the colours of a map; what lies outside takes the end's colour.
    pub(super) fn new(map: Map, image: ArrayView2<'_, f64>, [lo, hi]: [f64; 2]) -> io::Result<Self> {
        let width = if hi > lo { hi - lo } else { 1.0 };
        let index = |v: &f64| (((v - lo) / width).clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixels: Vec<u8> = image.iter().map(index).collect();
        let (rows, columns) = image.dim();
        let size = |n: usize| u32::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        let (width, height) = (size(columns)?, size(rows)?);
        Ok(Self { width, height, png: encode_indexed(width, height, &map.palette(), &pixels)? })
    }

    /// A bar of all colours of a map, low values left.
    pub(super) fn bar(map: Map) -> io::Result<Self> {
        let ramp = Array2::from_shape_fn((1, 256), |(_, c)| c as f64 / 255.0);
        Self::new(map, ramp.view(), [0.0, 1.0])
    }
}

/// Means of blocks of `by`×`by` pixels; what does not fill a block at the lower and right edge is dropped,
/// unless nothing would be left.
pub(super) fn reduce(image: Array2<f64>, by: usize) -> Array2<f64> {
    let (rows, columns) = (image.nrows() / by.max(1), image.ncols() / by.max(1));
    if by <= 1 || rows == 0 || columns == 0 {
        return image;
    }
    Array2::from_shape_fn((rows, columns), |(r, c)| {
        let block = image.slice(ndarray::s![r * by..(r + 1) * by, c * by..(c + 1) * by]);
        block.sum() / (by * by) as f64
    })
}

/// The values below which the given parts of an image lie; zeros for an empty one.
pub(super) fn percentiles<const N: usize>(image: ArrayView2<'_, f64>, parts: [f64; N]) -> [f64; N] {
    let mut values: Vec<f64> = image.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    parts.map(|part| {
        let index = (part * values.len().saturating_sub(1) as f64).round() as usize;
        values.get(index).copied().unwrap_or(0.0)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn blocks_are_averaged() {
        let image = array![[1.0, 3.0, 9.0], [5.0, 7.0, 9.0], [9.0, 9.0, 9.0]];
        assert_eq!(reduce(image.clone(), 2), array![[4.0]]);
        assert_eq!(reduce(image.clone(), 1), image);
        assert_eq!(reduce(image.clone(), 4), image, "too small to be reduced");
    }

    #[test]
    fn percentiles_pass_over_what_is_not_finite() {
        let image = array![[f64::NAN, 0.0, 1.0], [2.0, 3.0, 4.0]];
        assert_eq!(percentiles(image.view(), [0.0, 0.5, 1.0]), [0.0, 2.0, 4.0]);
        assert_eq!(percentiles(array![[f64::NAN]].view(), [0.5]), [0.0]);
    }
}
