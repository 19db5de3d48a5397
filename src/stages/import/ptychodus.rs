//! ptychodus's own files: patterns in one HDF5 file, positions and probe in a product file (HDF5 or NPZ), or all
//! in one.

use ndarray::Axis;

use super::geometry::{Geometry, scalar};
use super::layout::Scan;
use super::params::Keys;
use super::source::{Files, first_mode, mask, object, patterns};
use crate::diag::{StageError, StageResult};
use crate::io::{Arrays, Fault};
use crate::stages::Context;

/// Where its file readers look for patterns: PtychoShelves, APS 26-ID, APS 9-ID.
pub const PATTERNS: [&str; 3] = ["dp", "entry/data/data", "exchange/data"];

/// Its positions along x, metres.
pub const X: &str = "probe_position_x_m";

/// Its positions along y, metres.
const Y: &str = "probe_position_y_m";

/// Which pattern each position belongs to.
const INDEXES: &str = "probe_position_indexes";

/// Electronvolt, joules.
const EV: f64 = 1.602_176_634e-19;

/// Reads a scan, positions in metres.
///
/// Positions are paired with patterns by their index, as ptychodus pairs them: of several with one index the mean
/// counts. A pattern without a position is left out, where ptychodus would interpolate one.
pub fn read(files: &mut Files, keys: &Keys, most: usize, cx: &mut Context<'_>) -> StageResult<Scan> {
    let (x, y) = (files.require(keys.x.as_ref(), &[X])?, files.require(keys.y.as_ref(), &[Y])?);
    let x_m = files.of(x).finite_vector(x, None)?;
    let y_m = files.of(y).finite_vector(y, Some(x_m.len()))?;
    let key = files.require(keys.patterns.as_ref(), &PATTERNS)?;
    let (mut diffraction, in_file) = patterns(files.of(key), key, most)?;
    let side = diffraction.dim().1;
    let indexes = match files.contains(INDEXES) {
        true => files.of(INDEXES).vector::<i64>(INDEXES, Some(x_m.len()))?,
        false => (0..x_m.len() as i64).collect(),
    };
    let (kept, x, y) = paired(diffraction.dim().0, &indexes, &x_m, &y_m);
    if kept.is_empty() {
        let wrong = "belongs to no pattern: no position has the index of one".to_owned();
        return Err(files.of(INDEXES).fault(INDEXES, Fault::Value(wrong)).into());
    }
    if kept.len() < diffraction.dim().0 {
        let without = diffraction.dim().0 - kept.len();
        cx.warn(format!("{without} of {} patterns have no position and are left out", diffraction.dim().0));
        diffraction = diffraction.select(Axis(0), &kept);
    }
    let probe = match files.find(keys.probe.as_ref(), &["probe"]) {
        Some(key) => Some(first_mode(files.of(key), key, side, cx)?),
        None => None,
    };
    let object = keys.object.as_ref().map(|key| object(files.of(key), key)).transpose()?;
    let mask = match &keys.mask {
        Some(key) => mask(files.of(key), key, side)?,
        None => None,
    };
    Ok(Scan {
        key: key.to_owned(),
        in_file,
        diffraction,
        x,
        y,
        probe,
        object,
        mask,
        geometry: geometry(files)?,
    })
}

/// The patterns that have a position, and their positions.
fn paired(patterns: usize, indexes: &[i64], x: &[f64], y: &[f64]) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
    let mut sums = vec![(0.0, 0.0, 0.0); patterns];
    for ((index, x), y) in indexes.iter().zip(x).zip(y) {
        if let Some(sum) = usize::try_from(*index).ok().and_then(|i| sums.get_mut(i)) {
            *sum = (sum.0 + x, sum.1 + y, sum.2 + 1.0);
        }
    }
    let kept: Vec<usize> = (0..patterns).filter(|i| sums[*i].2 > 0.0).collect();
    let mean = |of: fn(&(f64, f64, f64)) -> f64| kept.iter().map(|i| of(&sums[*i]) / sums[*i].2).collect();
    (kept.clone(), mean(|s| s.0), mean(|s| s.1))
}

/// The pixel of the object, else of the probe (equal in the far field): attributes in HDF5, keys in NPZ.
fn geometry(files: &mut Files) -> StageResult<Geometry> {
    let mut pixel = None;
    for of in ["object", "probe"] {
        let mut side = |name: &str| -> StageResult<Option<f64>> {
            if files.contains(of)
                && let Some(value) = files.of(of).attribute(of, &format!("pixel_{name}_m"))?
            {
                return if value > 0.0 {
                    Ok(Some(value))
                } else {
                    let wrong =
                        Fault::Value(format!("its pixel {name} is {value} m, expected a length above 0"));
                    Err(StageError::from(files.of(of).fault(of, wrong)))
                };
            }
            Ok(scalar(files, &[&format!("{of}_pixel_{name}_m")])?)
        };
        let (width, height) = (side("width")?, side("height")?);
        pixel = pixel.or(width.zip(height).map(|(x, y)| [x, y]));
    }
    // A product stores 0 for what it does not know.
    let mut about = |name: &str| -> StageResult<Option<f64>> {
        let value = files.of(X).attribute("", name)?;
        Ok(value.filter(|v| *v > 0.0))
    };
    let energy = about("probe_energy_eV")?.map(|ev| ev * EV);
    let distance = about("detector_object_distance_m")?;
    Ok(Geometry { pixel, energy, distance, detector_pixel: None })
}
