//! The Coherent X-ray Imaging format, version 1.6 and before (<https://www.cxidb.org/cxi.html>), as cdtools,
//! ptychodus, PyNX and SHARP write it.
//!
//! Those programs store an array once and put soft links to it in other places; links are not followed, so every
//! place is looked at. Translations are taken for positions of the probe on the object, as ptychodus takes
//! them; cdtools, which reads them as movements of the sample, negates both, as flipping both does.

use super::geometry::{Geometry, energy, scalar};
use super::layout::Scan;
use super::params::Keys;
use super::source::{Files, columns, first_mode, mask, object, patterns};
use crate::diag::StageResult;
use crate::stages::Context;

/// Where patterns may be.
pub const PATTERNS: [&str; 2] = ["entry_1/data_1/data", "entry_1/instrument_1/detector_1/data"];

/// Where positions may be.
const POSITIONS: [&str; 3] = [
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    "entry_1/instrument_1/detector_1/translation",
];

/// Where the probe may be. ptychodus stores it as `image_1`, which for others is the object; only its own
/// files have the key in [`PTYCHODUS`].
const PROBE: [&str; 3] = [
    "entry_1/instrument_1/source_1/illumination",
    "entry_1/instrument_1/source_1/probe",
    "entry_1/instrument_1/detector_1/probe",
];

/// Where the mask may be.
const MASK: [&str; 2] = ["entry_1/instrument_1/detector_1/mask", "entry_1/data_1/mask"];

/// Says that `entry_1/image_1` is the probe, and gives the size of its pixels along x.
const PTYCHODUS: &str = "entry_1/ptychodus/probe_pixel_width_m";

/// Reads a scan, positions in metres.
pub fn read(files: &mut Files, keys: &Keys, most: usize, cx: &mut Context<'_>) -> StageResult<Scan> {
    let positions = files.require(keys.positions.as_ref(), &POSITIONS)?;
    let [x, y] = columns(files.of(positions), positions)?;
    let key = files.require(keys.patterns.as_ref(), &PATTERNS)?;
    let (diffraction, in_file) = patterns(files.of(key), key, most)?;
    let side = diffraction.dim().1;
    let ptychodus = if files.contains(PTYCHODUS) { Some("entry_1/image_1/data") } else { None };
    let usual: Vec<&str> = PROBE.into_iter().chain(ptychodus).collect();
    let probe = match files.find(keys.probe.as_ref(), &usual) {
        Some(key) => Some(first_mode(files.of(key), key, side, cx)?),
        None => None,
    };
    let object = keys.object.as_ref().map(|key| object(files.of(key), key)).transpose()?;
    let mask = match files.find(keys.mask.as_ref(), &MASK) {
        Some(key) => mask(files.of(key), key, side)?,
        None => None,
    };
    let detector = |name: &str| format!("entry_1/instrument_1/detector_1/{name}");
    let mut both = |names: [&str; 2]| -> StageResult<Option<[f64; 2]>> {
        let (x, y) = (scalar(files, &[names[0]])?, scalar(files, &[names[1]])?);
        // One alone stands for both.
        Ok(x.or(y).zip(y.or(x)).map(|(x, y)| [x, y]))
    };
    let detector_pixel = both([&detector("x_pixel_size"), &detector("y_pixel_size")])?;
    let pixel = both(["entry_1/ptychodus/object_pixel_width_m", "entry_1/ptychodus/object_pixel_height_m"])?;
    let geometry = Geometry {
        pixel,
        detector_pixel,
        energy: energy(files, &["entry_1/instrument_1/source_1/energy"])?,
        distance: scalar(files, &[&detector("distance")])?,
    };
    let geometry = geometry.with_far_field(side);
    Ok(Scan { key: key.to_owned(), in_file, diffraction, x, y, probe, object, mask, geometry })
}
