//! What a file tells of the experiment, and the size of an object pixel that follows.

use serde_json::{Map, Value, json};

use super::source::Files;
use crate::diag::{StageError, StageResult};
use crate::io::{Arrays, Fault, FileError};

/// Planck's constant times the speed of light, J·m (both exact in the SI of 2019).
const HC: f64 = 6.626_070_15e-34 * 299_792_458.0;

/// Photon energies above this are no joules: 6 MeV.
const MOST_JOULES: f64 = 1e-12;

/// The experiment as far as the file tells; lengths in metres, energies in joules.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Geometry {
    /// Size of an object pixel along (x, y).
    pub pixel: Option<[f64; 2]>,
    /// Energy of a photon.
    pub energy: Option<f64>,
    /// From the object to the detector.
    pub distance: Option<f64>,
    /// Size of a detector pixel along (x, y).
    pub detector_pixel: Option<[f64; 2]>,
}

impl Geometry {
    /// Object pixels in a metre along (x, y).
    pub fn per_metre(&self) -> Option<[f64; 2]> {
        self.pixel.map(|size| size.map(f64::recip))
    }

    /// Takes the far field's object pixel λ·z/(N·p), where wavelength λ, distance z and detector pixel p are known
    /// and the pixel is not.
    #[must_use]
    pub fn with_far_field(self, side: usize) -> Self {
        let far_field = || {
            let wavelength = HC / self.energy?;
            let (distance, pixel) = (self.distance?, self.detector_pixel?);
            Some(pixel.map(|p| wavelength * distance / (side as f64 * p)))
        };
        Self { pixel: self.pixel.or_else(far_field), ..self }
    }

    /// The same with object pixels `factor` times as large.
    #[must_use]
    pub fn coarser(self, factor: f64) -> Self {
        Self { pixel: self.pixel.map(|size| size.map(|v| v * factor)), ..self }
    }

    /// The entries of the metadata's `physics_parameters`; arrays are (y, x).
    pub fn metadata(&self) -> Map<String, Value> {
        let pair = |[x, y]: [f64; 2]| json!([y, x]);
        let entries = [
            ("object_pixel_size_m", self.pixel.map(pair)),
            ("photon_energy_J", self.energy.map(|v| json!(v))),
            ("detector_distance_m", self.distance.map(|v| json!(v))),
            ("detector_pixel_size_m", self.detector_pixel.map(pair)),
        ];
        entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// The length or energy at the first of `keys` that is there; it must be above 0.
pub fn scalar(files: &mut Files, keys: &[&str]) -> Result<Option<f64>, FileError> {
    let Some(key) = files.find(None, keys) else { return Ok(None) };
    let file = files.of(key);
    match file.finite_scalar(key)? {
        value if value > 0.0 => Ok(Some(value)),
        value => Err(file.fault(key, Fault::Value(format!("is {value}, expected a number above 0")))),
    }
}

/// A photon energy in joules.
pub fn energy(files: &mut Files, keys: &[&str]) -> StageResult<Option<f64>> {
    let value = scalar(files, keys)?;
    match (value, files.find(None, keys)) {
        (Some(joules), Some(key)) if joules > MOST_JOULES => {
            let wrong = Fault::Value(format!("is {joules}, expected the energy of a photon in joules"));
            let hint = "1 keV is 1.602e-16 J; `coordinates: {pixels_per_unit: …}` makes do without it";
            Err(StageError::from(files.of(key).fault(key, wrong)).hint(hint))
        }
        _ => Ok(value),
    }
}
