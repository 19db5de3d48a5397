//! Boxes of whole pixels in object coordinates, and where an image lies among them.

use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, s};
use num_complex::Complex32;

use crate::diag::{StageError, StageResult};
use crate::io::Arrays;
use crate::io::npz::NpzReader;
use crate::ptycho::image::Image;

/// Rows `top..bottom`, columns `left..right`, in object coordinates. Empty if an end is not past its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) top: i64,
    pub(super) bottom: i64,
    pub(super) left: i64,
    pub(super) right: i64,
}

impl Area {
    /// The pixels whose centres lie within the positions' bounding box, `margin` pixels wider.
    pub(super) fn of_scan(x: &[f64], y: &[f64], margin: i32) -> Self {
        // `as` saturates, so absurd positions give an area that lies in no image, and no panic.
        let span = |centres: &[f64]| {
            let (lo, hi) =
                centres.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
            let margin = f64::from(margin);
            ((lo.ceil() - margin) as i64, ((hi.floor() + margin) as i64).saturating_add(1))
        };
        let ((top, bottom), (left, right)) = (span(y), span(x));
        Self { top, bottom, left, right }
    }

    /// What lies in both.
    pub(super) fn within(self, other: &Self) -> Self {
        Self {
            top: self.top.max(other.top),
            bottom: self.bottom.min(other.bottom),
            left: self.left.max(other.left),
            right: self.right.min(other.right),
        }
    }

    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.bottom.saturating_sub(self.top)).unwrap_or(0)
    }

    pub(super) fn cols(&self) -> usize {
        usize::try_from(self.right.saturating_sub(self.left)).unwrap_or(0)
    }

    fn contains(&self, other: &Self) -> bool {
        other.within(self) == *other
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows {}..{}, columns {}..{}", self.top, self.bottom, self.left, self.right)
    }
}

/// Where an image lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) area: Area,
    path: PathBuf,
}

impl Place {
    /// The image's area; its origin must be whole pixels, because cutting by coordinates must not
    /// resample.
    pub(super) fn of(image: &Image, path: &Path) -> StageResult<Self> {
        let [y, x] = image.origin_yx;
        if y.fract() != 0.0 || x.fract() != 0.0 || y.abs().max(x.abs()) > 1e12 {
            return Err(StageError::input(format!(
                "{}: `origin_yx` is ({y}, {x}), expected whole pixels",
                path.display()
            )));
        }
        let (rows, cols) = image.object.dim();
        let (top, left) = (y as i64, x as i64);
        let area = Area { top, bottom: top + rows as i64, left, right: left + cols as i64 };
        Ok(Self { area, path: path.to_owned() })
    }

    /// Row and column of an area's first pixel in the image; the area must be inside.
    pub(super) fn offset(&self, area: Area) -> [usize; 2] {
        [(area.top - self.area.top) as usize, (area.left - self.area.left) as usize]
    }

    /// The part of the image in `area`.
    pub(super) fn cut<'a>(&self, image: &'a Image, area: Area) -> StageResult<ArrayView2<'a, Complex32>> {
        if !self.area.contains(&area) {
            return Err(StageError::input(format!(
                "{}: the image covers {} but the scanned box is {area}",
                self.path.display(),
                self.area
            ))
            .hint("a model must be scored on the whole box; give its own scan, or lower `margin_px`"));
        }
        let [r, c] = self.offset(area);
        Ok(image.object.slice(s![r..r + area.rows(), c..c + area.cols()]))
    }
}

/// The truth: an image file, or the `objectGuess` of a dataset, whose pixel \[0, 0\] is the origin.
pub(super) fn truth(path: &Path) -> StageResult<Image> {
    let mut npz = NpzReader::open(path)?;
    if npz.contains("object") {
        drop(npz);
        return Image::read(path);
    }
    if !npz.contains("objectGuess") {
        return Err(StageError::input(format!(
            "{}: neither an image (key `object`) nor a dataset with a true object (key `objectGuess`)",
            path.display()
        ))
        .hint("measured data have no truth: reconstruct all of them and take that image as reference"));
    }
    Ok(Image { object: npz.finite_image("objectGuess")?, origin_yx: [0.0; 2], coverage: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_follows_from_positions_and_margin() {
        let area = Area::of_scan(&[10.2, 30.9], &[-4.5, 8.0], 0);
        assert_eq!(area, Area { top: -4, bottom: 9, left: 11, right: 31 });
        assert_eq!((area.rows(), area.cols()), (13, 20));
        let wider = Area::of_scan(&[10.2, 30.9], &[-4.5, 8.0], 2);
        assert_eq!(wider, Area { top: -6, bottom: 11, left: 9, right: 33 });
        assert!(wider.contains(&area) && !area.contains(&wider));
        assert_eq!(Area::of_scan(&[3.0], &[3.0], -2).rows(), 0);
        assert_eq!(Area::of_scan(&[1e300], &[-1e300], 0).within(&area).cols(), 0);
        assert_eq!(Area::of_scan(&[], &[], 0).within(&area).rows(), 0);
    }
}
