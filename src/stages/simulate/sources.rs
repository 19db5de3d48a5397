//! Object and probe of a simulation: computed, or read from a file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray::{Array2, ArrayD, Ix2};
use num_complex::Complex32;

use super::Params;
use crate::diag::{StageError, StageResult};
use crate::io::Arrays;
use crate::io::npy::{self, Header};
use crate::io::npz::NpzReader;
use crate::ptycho::object::{self, PhaseFrom, Picture};
use crate::ptycho::probe;
use crate::stages::Context;

/// Rows and columns of a drawn object.
const SHAPE: [u32; 2] = [256, 256];

/// An image of a file.
enum Image {
    Complex(Array2<Complex32>),
    Real(Array2<f32>),
}

/// The true object, all values finite.
pub fn object(cx: &Context<'_>, params: &Params, seed: u64) -> StageResult<Array2<Complex32>> {
    let (file, phase_file) = (cx.input_opt("object"), cx.input_opt("object_phase"));
    let Some(file) = file else {
        if phase_file.is_some() {
            let message = "input `object_phase` is given without `object`";
            return Err(StageError::input(message).hint("give the amplitude picture as `object`"));
        }
        let [rows, cols] = params.shape.unwrap_or(SHAPE).map(|side| side as usize);
        let picture = params.object.clone().unwrap_or(Picture::Collage {});
        return object::draw(&picture, (rows, cols), params.phase_from, &params.contrast, seed);
    };
    if params.object.is_some() || params.shape.is_some() {
        let message = "the object comes from a file, and parameters `object` or `shape` ask for a drawn one";
        return Err(StageError::input(message).hint("remove the input or the parameters"));
    }
    match (read(file, &["objectGuess", "object"])?, phase_file) {
        (Image::Complex(object), None) => Ok(object),
        (Image::Complex(_), Some(_)) => {
            let message = format!("{} is complex, so it has a phase of its own", file.display());
            Err(StageError::input(message).hint("remove the input `object_phase`"))
        }
        (Image::Real(_), None) if params.phase_from == PhaseFrom::OwnPicture => {
            let message =
                format!("{} is one real picture, and `phase_from` asks for another", file.display());
            Err(StageError::input(message).hint("give the other one as input `object_phase`"))
        }
        (Image::Real(picture), None) => object::compose(&picture, &picture, &params.contrast),
        (Image::Real(amplitude), Some(phase_file)) => match read(phase_file, &["phase", "object"])? {
            Image::Real(phase) => object::compose(&amplitude, &phase, &params.contrast),
            Image::Complex(_) => {
                let message = format!("{} is complex, expected a real picture", phase_file.display());
                Err(StageError::input(message))
            }
        },
    }
}

/// The true probe, of power 1 and as large as the patterns.
pub fn probe(cx: &Context<'_>, params: &Params) -> StageResult<Array2<Complex32>> {
    let side = params.patch_px as usize;
    let Some(file) = cx.input_opt("probe") else {
        return params.probe.clone().unwrap_or_default().sample(side);
    };
    if params.probe.is_some() {
        let message = "the probe comes from a file, and the parameter `probe` asks for a computed one";
        return Err(StageError::input(message).hint("remove the input or the parameter"));
    }
    match read(file, &["probeGuess", "probe"])? {
        Image::Complex(found) if found.dim() == (side, side) => probe::unit_power(&found),
        Image::Complex(found) => {
            let (rows, cols) = found.dim();
            let message =
                format!("{}: the probe is {rows}×{cols}, the patterns {side}×{side}", file.display());
            Err(StageError::input(message).hint("set `patch_px` to the probe's side"))
        }
        Image::Real(_) => {
            let message = format!("{}: the probe is real, expected complex numbers", file.display());
            Err(StageError::input(message))
        }
    }
}

/// Reads an image from an NPY file, or from the first of `keys` (or the only array) of an NPZ file.
/// Formats are told apart by their first bytes: files of the store have no extension.
fn read(path: &Path, keys: &[&str]) -> StageResult<Image> {
    let name = |e: &dyn std::fmt::Display| StageError::input(format!("{}: {e}", path.display()));
    let mut file =
        BufReader::new(File::open(path).map_err(|e| StageError { message: name(&e).message, ..e.into() })?);
    let mut start = Vec::new();
    file.by_ref().take(6).read_to_end(&mut start)?;
    if start == b"\x93NUMPY" {
        let (header, _) = Header::read(&mut start.chain(file)).map_err(|e| name(&e))?;
        return match header.is_complex() {
            true => image(path, npy::read_file(path)?).map(Image::Complex),
            false => image(path, npy::read_file(path)?).map(Image::Real),
        };
    }
    if !start.starts_with(b"PK") {
        return Err(name(&"neither an NPY nor an NPZ file").hint("save it with numpy.save or numpy.savez"));
    }
    let mut npz = NpzReader::open(path)?;
    let all: Vec<String> = npz.names().into_iter().map(str::to_owned).collect();
    let found = keys.iter().copied().find(|k| npz.contains(k));
    let key = match (found, all.as_slice()) {
        (Some(key), _) => key,
        (None, [only]) => only.as_str(),
        (None, _) => return Err(npz.missing(keys[0]).into()),
    };
    match npz.header(key)?.is_complex() {
        true => image(path, npz.c32(key)?).map(Image::Complex),
        false => image(path, npz.f32(key)?).map(Image::Real),
    }
}

/// A number that an image may hold.
trait Pixel: Copy + std::fmt::Display {
    fn finite(self) -> bool;
}

impl Pixel for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Pixel for Complex32 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

fn image<T: Pixel>(path: &Path, array: ArrayD<T>) -> StageResult<Array2<T>> {
    let shape = array.shape().to_vec();
    let image =
        array.into_dimensionality::<Ix2>().ok().filter(|image| !image.is_empty()).ok_or_else(|| {
            StageError::input(format!("{}: shape {shape:?}, expected an image", path.display()))
        })?;
    match image.indexed_iter().find(|(_, v)| !v.finite()) {
        Some(((row, col), value)) => {
            Err(StageError::input(format!("{}: pixel [{row}, {col}] is {value}", path.display())))
        }
        None => Ok(image),
    }
}
