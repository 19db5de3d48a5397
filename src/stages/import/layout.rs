//! Reading a file of any layout into a dataset whose values are still the file's own.

use ndarray::{Array2, Array3, Axis, Ix3};
use num_complex::Complex32;
use serde_json::json;

use super::geometry::Geometry;
use super::params::{Coordinates, Keys, LayoutChoice, Params, ValuesChoice, ZeroFrequencyChoice};
use super::source::{Files, clean_counts, columns, first_mode, mask, object, patterns};
use super::{cxi, ptychodus};
use crate::diag::{StageError, StageResult};
use crate::io::{Arrays, Fault, FileError};
use crate::ptycho::dataset::{Dataset, MEASURED, new_metadata};
use crate::stages::Context;

/// The layout of a file, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The reference contract.
    Phasegraph,
    /// tike's test data: `data` counts with the zero frequency at index 0, `scan` (row, column) of each
    /// patch's first pixel, `probe` with leading axes of length 1.
    Tike,
    /// Coherent X-ray Imaging format.
    Cxi,
    /// ptychodus's files.
    Ptychodus,
    /// Arrays that the user names.
    Keys,
}

/// What a file of counts holds, as it holds it.
pub struct Scan {
    /// Key of the patterns.
    pub key: String,
    /// Patterns in the file.
    pub in_file: usize,
    /// (M, N, N): those read.
    pub diffraction: Array3<f32>,
    /// (≥ M,): positions along x, in the file's unit.
    pub x: Vec<f64>,
    /// The same along y.
    pub y: Vec<f64>,
    /// (N, N): illumination, if there is one.
    pub probe: Option<Array2<Complex32>>,
    /// (H, W): the object to be kept as the true one.
    pub object: Option<Array2<Complex32>>,
    /// (N, N): true where pixels were measured; none if all were.
    pub mask: Option<Array2<bool>>,
    /// What the file tells of the experiment.
    pub geometry: Geometry,
}

/// What was read.
pub struct Imported {
    /// Positions are patch centres in object pixels of the file's own frame; values are the file's own. A
    /// probe of zeros is one that the file lacks.
    pub data: Dataset,
    /// Patterns in the file.
    pub in_file: usize,
    /// What the file tells of the experiment.
    pub geometry: Geometry,
}

impl Layout {
    /// The layout asked for, or the one the keys speak of. A file with none of those sets of keys is taken for
    /// the contract, whose reader then says what is missing.
    pub fn decide(params: &Params, files: &Files) -> Self {
        let any = |keys: &[&str]| keys.iter().any(|key| files.contains(key));
        match params.layout {
            LayoutChoice::Phasegraph => Self::Phasegraph,
            LayoutChoice::Tike => Self::Tike,
            LayoutChoice::Cxi => Self::Cxi,
            LayoutChoice::Ptychodus => Self::Ptychodus,
            LayoutChoice::Keys => Self::Keys,
            LayoutChoice::Auto if params.keys.is_some() => Self::Keys,
            LayoutChoice::Auto if any(&MEASURED) => Self::Phasegraph,
            LayoutChoice::Auto if files.contains("data") && files.contains("scan") => Self::Tike,
            LayoutChoice::Auto if any(&cxi::PATTERNS) => Self::Cxi,
            LayoutChoice::Auto if any(&ptychodus::PATTERNS) || any(&[ptychodus::X]) => Self::Ptychodus,
            LayoutChoice::Auto => Self::Phasegraph,
        }
    }

    /// Name for metadata and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phasegraph => "phasegraph",
            Self::Tike => "tike",
            Self::Cxi => "cxi",
            Self::Ptychodus => "ptychodus",
            Self::Keys => "keys",
        }
    }

    /// Whether stored values are counts.
    pub fn counts(self, choice: ValuesChoice) -> bool {
        match choice {
            ValuesChoice::Auto => self != Self::Phasegraph,
            ValuesChoice::Amplitude => false,
            ValuesChoice::Counts => true,
        }
    }

    /// Whether the zero frequency lies at index 0.
    pub fn corner(self, choice: ZeroFrequencyChoice) -> bool {
        match choice {
            ZeroFrequencyChoice::Auto => self == Self::Tike,
            ZeroFrequencyChoice::Center => false,
            ZeroFrequencyChoice::Corner => true,
        }
    }

    /// Reads the files.
    pub fn read(self, files: &mut Files, params: &Params, cx: &mut Context<'_>) -> StageResult<Imported> {
        let coordinates = &params.coordinates;
        let most = params.limit.unwrap_or(usize::MAX);
        let none = Keys::default();
        let keys = params.keys.as_ref().unwrap_or(&none);
        let plain = |data: Dataset| Imported { in_file: data.len(), data, geometry: Geometry::default() };
        if matches!(self, Self::Phasegraph | Self::Tike) && params.keys.is_some() {
            return Err(StageError::input(format!("`keys` means nothing to the layout `{}`", self.name()))
                .hint("use `layout: keys`"));
        }
        match self {
            Self::Phasegraph => {
                let mut data = Dataset::from_file(files.data())?;
                coordinates.apply(&mut data.x, &mut data.y, [1.0; 2]);
                coordinates.apply(&mut data.x_start, &mut data.y_start, [1.0; 2]);
                Ok(plain(data))
            }
            Self::Tike => {
                let mut data = tike(files.data(), cx)?;
                coordinates.apply(&mut data.x, &mut data.y, [1.0; 2]);
                // tike places a patch by its first pixel; phasegraph by index N/2.
                let half = (data.side() / 2) as f64;
                data.x.iter_mut().chain(&mut data.y).for_each(|v| *v += half);
                data.x_start.clone_from(&data.x);
                data.y_start.clone_from(&data.y);
                Ok(plain(data))
            }
            Self::Cxi => dataset(cxi::read(files, keys, most, cx)?, files, coordinates, true, cx),
            Self::Ptychodus => dataset(ptychodus::read(files, keys, most, cx)?, files, coordinates, true, cx),
            Self::Keys => dataset(named(files, keys, most, cx)?, files, coordinates, false, cx),
        }
    }
}

/// Reads the arrays that the user names.
fn named(files: &mut Files, keys: &Keys, most: usize, cx: &mut Context<'_>) -> StageResult<Scan> {
    let lacks = |what: &str| StageError::input(format!("`keys` must name {what}"));
    let [x, y] = match (&keys.positions, &keys.x, &keys.y) {
        (Some(key), None, None) => columns(files.of(key), key)?,
        (None, Some(x), Some(y)) => {
            let xs = files.of(x).finite_vector(x, None)?;
            let ys = files.of(y).finite_vector(y, Some(xs.len()))?;
            [xs, ys]
        }
        _ => return Err(lacks("either `positions`, or `x` and `y`")),
    };
    let key = keys.patterns.as_ref().ok_or_else(|| lacks("`patterns`"))?;
    let (diffraction, in_file) = patterns(files.of(key), key, most)?;
    let side = diffraction.dim().1;
    let probe = match &keys.probe {
        Some(key) => Some(first_mode(files.of(key), key, side, cx)?),
        None => None,
    };
    let object = keys.object.as_ref().map(|key| object(files.of(key), key)).transpose()?;
    let mask = match &keys.mask {
        Some(key) => mask(files.of(key), key, side)?,
        None => None,
    };
    Ok(Scan {
        key: key.clone(),
        in_file,
        diffraction,
        x,
        y,
        probe,
        object,
        mask,
        geometry: Geometry::default(),
    })
}

/// A dataset of a scan; `metric` says that its positions are metres.
fn dataset(
    scan: Scan,
    files: &mut Files,
    coordinates: &Coordinates,
    metric: bool,
    cx: &mut Context<'_>,
) -> StageResult<Imported> {
    let Scan { key, in_file, mut diffraction, mut x, mut y, probe, object, mask, geometry } = scan;
    let (m, side, _) = diffraction.dim();
    // More positions than patterns read is what `limit` makes; fewer, or others in the file, is a mistake.
    if x.len() < m || (m == in_file && x.len() != m) {
        let expected = format!("({}, N, N), one pattern for each position", x.len());
        return Err(files
            .of(&key)
            .fault(&key, Fault::Shape { found: vec![in_file, side, side], expected })
            .into());
    }
    x.truncate(m);
    y.truncate(m);
    let per_unit = match (metric, geometry.per_metre(), coordinates.pixels_per_unit) {
        (false, ..) => [1.0; 2],
        (true, Some(per_metre), _) => per_metre,
        (true, None, Some(_)) => [1.0; 2],
        (true, None, None) => {
            return Err(StageError::input(format!(
                "{}: positions are metres, but nothing tells how many there are in an object pixel",
                files.data().path().display()
            ))
            .hint("give `coordinates: {pixels_per_unit: 1/(object pixel in metres)}`"));
        }
    };
    coordinates.apply(&mut x, &mut y, per_unit);
    // What the user says about the pixel holds for all that follows.
    let given = coordinates.pixels_per_unit.filter(|_| metric).map(|n| [n.recip(); 2]);
    let geometry = Geometry { pixel: given.or(geometry.pixel), ..geometry };
    if let Some(mask) = &mask {
        // What stands there is often a value that no detector counts to.
        for mut image in diffraction.outer_iter_mut() {
            image.zip_mut_with(mask, |value, measured| {
                if !measured {
                    *value = 0.0;
                }
            });
        }
    }
    clean_counts(files.of(&key), &key, &mut diffraction, cx)?;
    let data = Dataset {
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        scan_index: vec![0; m],
        diffraction,
        probe: probe.unwrap_or_else(|| Array2::zeros((side, side))),
        object,
        dose_scale: None,
        measured_photons: None,
        mask,
        metadata: new_metadata(json!({}), json!({})),
    };
    Ok(Imported { data, in_file, geometry })
}

fn tike(npz: &mut impl Arrays, cx: &mut Context<'_>) -> Result<Dataset, FileError> {
    let scan = npz.array::<f64>("scan")?;
    let found = scan.shape().to_vec();
    let (m, pairs) = match found.as_slice() {
        [m, 2] | [1, m, 2] if *m > 0 => (*m, scan.into_iter().collect::<Vec<f64>>()),
        _ => {
            let expected = "(M, 2) or (1, M, 2): row and column of each patch".to_owned();
            return Err(npz.fault("scan", Fault::Shape { found, expected }));
        }
    };
    npz.check_values("scan", &ndarray::aview1(&pairs), f64::is_finite, "a finite number")?;
    let diffraction = counts(npz, m)?;
    let probe = first_mode(npz, "probe", diffraction.len_of(Axis(1)), cx)?;
    let (pairs, _) = pairs.as_chunks::<2>();
    let y: Vec<f64> = pairs.iter().map(|[row, _]| *row).collect();
    let x: Vec<f64> = pairs.iter().map(|[_, column]| *column).collect();
    Ok(Dataset {
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        scan_index: vec![0; m],
        diffraction,
        probe,
        object: None,
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({}), json!({})),
    })
}

fn counts(npz: &mut impl Arrays, m: usize) -> Result<Array3<f32>, FileError> {
    let mut array = npz.array::<f32>("data")?;
    let found = array.shape().to_vec();
    if found.len() == 4 && found[0] == 1 {
        array = array.remove_axis(Axis(0));
    }
    match array.into_dimensionality::<Ix3>() {
        Ok(cube) if cube.dim().0 == m && cube.dim().1 == cube.dim().2 && cube.dim().1 >= 2 => {
            npz.check_values(
                "data",
                &cube,
                |v: f32| v.is_finite() && v >= 0.0,
                "a finite count, not negative",
            )?;
            Ok(cube)
        }
        _ => {
            let expected = format!("({m}, N, N) or (1, {m}, N, N) for {m} positions in `scan`");
            Err(npz.fault("data", Fault::Shape { found, expected }))
        }
    }
}
