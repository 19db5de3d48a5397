//! Reading a file of either layout into a dataset whose positions and values are still the file's own.

use ndarray::{Array2, Array3, Axis, Ix3};
use num_complex::Complex32;
use serde_json::json;

use super::params::{LayoutChoice, Params, ValuesChoice, ZeroFrequencyChoice};
use crate::diag::StageResult;
use crate::io::Fault;
use crate::io::npz::{NpzError, NpzReader};
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
}

impl Layout {
    /// The layout asked for, or the one the keys speak of. A file with neither set of keys is taken for the
    /// contract, whose reader then says what is missing.
    pub fn decide(choice: LayoutChoice, npz: &NpzReader) -> Self {
        match choice {
            LayoutChoice::Phasegraph => Self::Phasegraph,
            LayoutChoice::Tike => Self::Tike,
            LayoutChoice::Auto if MEASURED.iter().any(|key| npz.contains(key)) => Self::Phasegraph,
            LayoutChoice::Auto if npz.contains("data") && npz.contains("scan") => Self::Tike,
            LayoutChoice::Auto => Self::Phasegraph,
        }
    }

    /// Name for metadata and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phasegraph => "phasegraph",
            Self::Tike => "tike",
        }
    }

    /// Whether stored values are counts.
    pub fn counts(self, choice: ValuesChoice) -> bool {
        match choice {
            ValuesChoice::Auto => self == Self::Tike,
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

    /// Reads the file, with positions as patch centres in object pixels of the file's own frame.
    pub fn read(self, npz: &mut NpzReader, params: &Params, cx: &mut Context<'_>) -> StageResult<Dataset> {
        let coordinates = &params.coordinates;
        match self {
            Self::Phasegraph => {
                let mut data = Dataset::from_npz(npz)?;
                coordinates.apply(&mut data.x, &mut data.y);
                coordinates.apply(&mut data.x_start, &mut data.y_start);
                Ok(data)
            }
            Self::Tike => {
                let mut data = tike(npz, cx)?;
                coordinates.apply(&mut data.x, &mut data.y);
                // tike places a patch by its first pixel; phasegraph by index N/2.
                let half = (data.side() / 2) as f64;
                data.x.iter_mut().chain(&mut data.y).for_each(|v| *v += half);
                data.x_start.clone_from(&data.x);
                data.y_start.clone_from(&data.y);
                Ok(data)
            }
        }
    }
}

fn tike(npz: &mut NpzReader, cx: &mut Context<'_>) -> Result<Dataset, NpzError> {
    let scan = npz.f64("scan")?;
    let found = scan.shape().to_vec();
    let (m, pairs) = match found.as_slice() {
        [m, 2] | [1, m, 2] if *m > 0 => (*m, scan.into_iter().collect::<Vec<f64>>()),
        _ => {
            let expected = "(M, 2) or (1, M, 2): row and column of each patch".to_owned();
            return Err(npz.fault("scan", Fault::Shape { found, expected }));
        }
    };
    npz.check_values("scan", &ndarray::aview1(&pairs), f64::is_finite, "a finite number")?;
    let diffraction = patterns(npz, m)?;
    let probe = first_mode(npz, diffraction.len_of(Axis(1)), cx)?;
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

fn patterns(npz: &mut NpzReader, m: usize) -> Result<Array3<f32>, NpzError> {
    let mut array = npz.f32("data")?;
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

/// The probe's first mode. tike's axes are (time, modes…, N, N).
fn first_mode(npz: &mut NpzReader, side: usize, cx: &mut Context<'_>) -> Result<Array2<Complex32>, NpzError> {
    npz.require_complex("probe")?;
    let array = npz.c32("probe")?;
    let found = array.shape().to_vec();
    if !found.ends_with(&[side, side]) || array.is_empty() {
        let expected = format!("(…, {side}, {side}), the shape of a diffraction pattern");
        return Err(npz.fault("probe", Fault::Shape { found, expected }));
    }
    npz.check_values("probe", &array, Complex32::is_finite, "a finite number")?;
    let power = |values: &[Complex32]| values.iter().map(|p| f64::from(p.norm_sqr())).sum::<f64>();
    let values: Vec<Complex32> = array.into_iter().collect();
    let (first, rest) = values.split_at(side * side);
    let (kept, lost) = (power(first), power(rest));
    if kept == 0.0 {
        return Err(
            npz.fault("probe", Fault::Value("is zero everywhere, expected an illumination".to_owned()))
        );
    }
    if !rest.is_empty() {
        cx.warn(format!(
            "the probe has {} modes; only the first is used, with {:.1} % of their power",
            values.len() / first.len(),
            100.0 * kept / (kept + lost)
        ));
    }
    Ok(Array2::from_shape_fn((side, side), |(r, c)| first[r * side + c]))
}
