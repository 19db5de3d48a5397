//! The whole truth, and what of it was compared.

use ndarray::Array2;
use num_complex::Complex32;
use serde::Serialize;

use super::colour::Map;
use super::raster::{Raster, percentiles, reduce};
use super::records::Records;
use crate::ptycho::dataset::Dataset;
use crate::ptycho::image::Image;
use crate::ptycho::metrics::phase;

/// Longest side of a picture.
const LONGEST: usize = 320;

/// The whole truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Its phase.
    pub picture: Raster,
    /// Object coordinates (row, column) of the upper left pixel.
    pub origin_yx: [f64; 2],
    /// Rows and columns of the object.
    pub shape: [usize; 2],
    /// What was compared: conditions, first row and column, rows and columns.
    pub boxes: Vec<(Vec<String>, [f64; 2], [usize; 2])>,
}

/// The references of some registrations, each picture once, with the boxes that were compared.
pub(super) fn overviews(
    records: &Records<'_>,
    boxes: impl Iterator<Item = (usize, String, [f64; 2], [usize; 2])>,
) -> Vec<Overview> {
    let mut found: Vec<Overview> = Vec::new();
    for (register, condition, corner, size) in boxes {
        let Some(new) = overview(records, register) else { continue };
        let known = found.iter().position(|o| o.picture == new.picture && o.origin_yx == new.origin_yx);
        let index = known.unwrap_or(found.len());
        if known.is_none() {
            found.push(new);
        }
        let boxes = &mut found[index].boxes;
        match boxes.iter_mut().find(|(_, c, s)| *c == corner && *s == size) {
            Some((conditions, ..)) => conditions.push(condition),
            None => boxes.push((vec![condition], corner, size)),
        }
    }
    found
}

fn overview(records: &Records<'_>, register: usize) -> Option<Overview> {
    let (task, output) = records.input(register, "reference")?;
    let (object, origin_yx) = records.read(task, output, |path| truth(path, output))??;
    let (rows, columns) = object.dim();
    let small = reduce(phase(object.view()), rows.max(columns).div_ceil(LONGEST));
    let ends = percentiles(small.view(), [0.005, 0.995]);
    let picture = Raster::new(Map::Viridis, small.view(), ends).ok()?;
    Some(Overview { picture, origin_yx, shape: [rows, columns], boxes: Vec::new() })
}

/// An image and where it begins; of a dataset, its true object, which begins at 0.
fn truth(
    path: &std::path::Path,
    output: &str,
) -> crate::diag::StageResult<Option<(Array2<Complex32>, [f64; 2])>> {
    if output == "image" {
        return Image::read(path).map(|image| Some((image.object, image.origin_yx)));
    }
    Ok(Dataset::read_about(path)?.object.map(|object| (object, [0.0; 2])))
}
