//! Reading, with the reference's tolerances (and no others).

use std::path::Path;

use ndarray::{Array2, Array3, Axis, Ix2, Ix3};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::{Dataset, MEASURED, new_metadata};
use crate::diag::StageResult;
use crate::io::npy::Header;
use crate::io::npz::{NpzError, NpzReader};
use crate::io::{Arrays, Fault};

impl Dataset {
    /// Reads a dataset in the contract of the reference.
    ///
    /// Tolerated: `diff3d` (wins) or `diffraction`; rank 4 with a trailing 1; the legacy order (H, W, M);
    /// any real type, `uint16` included; missing `_start` coordinates, `scan_index`, object, mask and metadata;
    /// metadata as a pickled object, which is skipped unopened; keys that are not part of the contract.
    ///
    /// # Errors
    /// Of class `Input`, naming file and key, what was found and what was expected.
    pub fn read(path: &Path) -> StageResult<Self> {
        Ok(Self::from_file(&mut NpzReader::open(path)?)?)
    }

    /// As [`read`](Self::read), from an open file of any format.
    pub(crate) fn from_file(npz: &mut impl Arrays) -> Result<Self, NpzError> {
        let (data, diffraction) = Self::with(npz, |npz, key, m| {
            let cube = diffraction(npz, key, m)?;
            let side = cube.len_of(Axis(1));
            Ok((cube, side))
        })?;
        Ok(Self { diffraction, ..data })
    }

    /// Everything but the patterns, which `patterns` takes care of: given their key and number it gives what
    /// it likes, and their side.
    pub(super) fn with<A: Arrays, P>(
        npz: &mut A,
        patterns: impl FnOnce(&mut A, &str, usize) -> Result<(P, usize), NpzError>,
    ) -> Result<(Self, P), NpzError> {
        let measured = measured(npz)?;
        let x = npz.finite_vector("xcoords", None)?;
        if x.is_empty() {
            return Err(
                npz.fault("xcoords", Fault::Value("holds no positions, expected at least 1".to_owned()))
            );
        }
        let m = Some(x.len());
        let y = npz.finite_vector("ycoords", m)?;
        let mut or = |key: &str, default: &[f64]| {
            if npz.contains(key) { npz.finite_vector(key, m) } else { Ok(default.to_vec()) }
        };
        let x_start = or("xcoords_start", &x)?;
        let y_start = or("ycoords_start", &y)?;
        let scan_index = match npz.contains("scan_index") {
            true => npz.vector("scan_index", m)?,
            false => vec![0; x.len()],
        };
        let (patterns, side) = patterns(npz, measured, x.len())?;
        let probe = probe(npz, side)?;
        let object = npz.contains("objectGuess").then(|| npz.finite_image("objectGuess")).transpose()?;
        let dose_scale = npz.contains("dose_scale").then(|| positive(npz, "dose_scale")).transpose()?;
        let measured_photons = npz.contains("measured_photons").then(|| photons(npz, x.len())).transpose()?;
        let mask = npz.contains("mask").then(|| mask(npz, side)).transpose()?;
        let metadata = metadata(npz)?;
        let data = Self {
            diffraction: Array3::zeros((0, side, side)),
            x,
            y,
            x_start,
            y_start,
            probe,
            object,
            scan_index,
            dose_scale,
            measured_photons,
            mask,
            metadata,
        };
        Ok((data, patterns))
    }
}

/// The key of the patterns.
pub(super) fn measured(npz: &impl Arrays) -> Result<&'static str, NpzError> {
    let [canonical, study] = MEASURED;
    let measured = if npz.contains(canonical) { canonical } else { study };
    if npz.contains(measured) { Ok(measured) } else { Err(npz.missing(study)) }
}

/// What an amplitude must be, in words.
pub(super) const AMPLITUDE: &str = "a finite amplitude, not negative";

/// Whether a value is one.
pub(super) fn is_amplitude(value: f32) -> bool {
    value.is_finite() && value >= 0.0
}

/// In which order the values of the patterns lie in a file.
pub(super) struct Order {
    /// N.
    pub side: usize,
    /// Those of one pattern together; else those of one pixel, through all patterns.
    pub image_major: bool,
    /// Within a pattern (or from pixel to pixel) column after column; else row after row.
    pub transposed: bool,
    /// Type and shape.
    pub header: Header,
}

impl Order {
    /// Looks at the header. The checks come in the reference's order: squeeze, then M first, then M last.
    pub fn of(npz: &mut NpzReader, key: &str, m: usize) -> Result<Self, NpzError> {
        let header = npz.header(key)?;
        let wrong = || shape_fault(npz, key, &header.shape, m);
        let shape = match header.shape.as_slice() {
            [rest @ .., 1] if rest.len() == 3 => rest,
            all => all,
        };
        let (side, cols, first) = match *shape {
            [a, b, c] if a == m => (b, c, true),
            [a, b, c] if c == m => (a, b, false),
            _ => return Err(wrong()),
        };
        if side != cols || side < 2 {
            return Err(wrong());
        }
        // Fortran order is C order with the axes reversed.
        Ok(Self { side, image_major: first != header.fortran, transposed: header.fortran, header })
    }
}

fn shape_fault(npz: &impl Arrays, key: &str, found: &[usize], m: usize) -> NpzError {
    let expected = format!("({m}, N, N) for {m} positions, or the legacy (N, N, {m})");
    npz.fault(key, Fault::Shape { found: found.to_vec(), expected })
}

/// The patterns as (M, N, N), with the tolerances of [`Order::of`].
fn diffraction(npz: &mut impl Arrays, key: &str, m: usize) -> Result<Array3<f32>, NpzError> {
    let mut array = npz.array::<f32>(key)?;
    let found = array.shape().to_vec();
    let wrong = || shape_fault(npz, key, &found, m);
    if let [.., 1] = found.as_slice()
        && found.len() == 4
    {
        array = array.remove_axis(Axis(3));
    }
    let cube = array.into_dimensionality::<Ix3>().map_err(|_| wrong())?;
    let cube = match cube.dim() {
        (first, _, _) if first == m => cube,
        (_, _, last) if last == m => cube.permuted_axes([2, 0, 1]).as_standard_layout().into_owned(),
        _ => return Err(wrong()),
    };
    let (_, rows, cols) = cube.dim();
    if rows != cols || rows < 2 {
        return Err(wrong());
    }
    npz.check_values(key, &cube, is_amplitude, AMPLITUDE)?;
    Ok(cube)
}

fn probe(npz: &mut impl Arrays, side: usize) -> Result<Array2<Complex32>, NpzError> {
    npz.require_complex("probeGuess")?;
    let found = npz.header("probeGuess")?.shape;
    if found != [side, side] {
        let expected = format!("({side}, {side}), the shape of a diffraction pattern");
        return Err(npz.fault("probeGuess", Fault::Shape { found, expected }));
    }
    let probe = npz.finite_image("probeGuess")?;
    if probe.iter().all(|p| p.norm_sqr() == 0.0) {
        return Err(
            npz.fault("probeGuess", Fault::Value("is zero everywhere, expected an illumination".to_owned()))
        );
    }
    Ok(probe)
}

fn positive(npz: &mut impl Arrays, key: &str) -> Result<f64, NpzError> {
    match npz.finite_scalar(key)? {
        value if value > 0.0 => Ok(value),
        value => Err(npz.fault(key, Fault::Value(format!("is {value}, expected a number above 0")))),
    }
}

fn photons(npz: &mut impl Arrays, m: usize) -> Result<Vec<f64>, NpzError> {
    let values = npz.finite_vector("measured_photons", Some(m))?;
    npz.check_values(
        "measured_photons",
        &ndarray::aview1(&values),
        |v: f64| v >= 0.0,
        "a number not below 0",
    )?;
    Ok(values)
}

/// The pixels that were measured: numbers or booleans, 1 (or true) where they were.
fn mask(npz: &mut impl Arrays, side: usize) -> Result<Array2<bool>, NpzError> {
    const KEY: &str = "mask";
    let array = npz.array::<f32>(KEY)?;
    let found = array.shape().to_vec();
    let Some(array) = array.into_dimensionality::<Ix2>().ok().filter(|a| a.dim() == (side, side)) else {
        let expected = format!("({side}, {side}), the shape of a diffraction pattern");
        return Err(npz.fault(KEY, Fault::Shape { found, expected }));
    };
    npz.check_values(KEY, &array, |v: f32| v == 0.0 || v == 1.0, "0 or 1")?;
    if array.iter().all(|v| *v == 0.0) {
        let what = "is 0 everywhere, expected 1 where a pixel was measured";
        return Err(npz.fault(KEY, Fault::Value(what.to_owned())));
    }
    Ok(array.mapv(|v| v == 1.0))
}

/// The metadata document; a new one that says so where there is none, or only a pickled one.
fn metadata(npz: &mut impl Arrays) -> Result<Value, NpzError> {
    const KEY: &str = "_metadata";
    if !npz.contains(KEY) {
        return Ok(new_metadata(json!({}), json!({ "original_metadata": "absent" })));
    }
    match npz.text(KEY)? {
        None => Ok(new_metadata(json!({}), json!({ "original_metadata": "pickled, not opened" }))),
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| npz.fault(KEY, Fault::Value(format!("is not a JSON document: {e}")))),
    }
}
