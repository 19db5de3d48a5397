//! Stage kind `register`: brings an image and the truth into one frame, by the same policy for every model.
//!
//! The box that is compared follows from the scan's positions alone, so every model of a comparison is
//! scored on the same pixels. Both images are cut to it by their own coordinates; what shift is then
//! measured is the model's, not the bookkeeping's.

mod area;
mod params;

use ndarray::{Array2, ArrayView2, s};
use num_complex::{Complex32, Complex64};

use self::area::{Area, Place};
pub use self::params::{Method, On, Params};
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::Arrays;
use crate::io::npz::NpzReader;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::image::{Image, Pair};
use crate::ptycho::metrics;
use crate::ptycho::registration::{
    RegistrationError, cross_correlation, fourier_shift, phase_correlation, plain_correlation,
};

/// The `register` stage.
pub struct Register;

impl Stage for Register {
    fn kind(&self) -> Kind {
        Kind {
            name: "register",
            version: 2,
            summary: "cut an image and the truth to the scanned box and align them to a fraction of a pixel",
            inputs: &[
                Slot {
                    name: "image",
                    arity: Arity::One,
                    doc: "image under test, from `stitch` or `reconstruct`",
                },
                Slot {
                    name: "reference",
                    arity: Arity::One,
                    doc: "the truth: an image, or a dataset whose `objectGuess` is the true object",
                },
                Slot { name: "scan", arity: Arity::One, doc: "dataset whose positions define the box" },
            ],
            outputs: &[Output {
                name: "pair",
                file: "pair.npz",
                doc: "prediction and truth in one frame, with the shift that was applied",
            }],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: false,
            needs_runtime: false,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let (image_path, reference_path, scan_path) =
            (cx.input("image")?, cx.input("reference")?, cx.input("scan")?);
        let image = Image::read(image_path)?;
        let reference = area::truth(reference_path)?;
        let mut scan = NpzReader::open(scan_path)?;
        let x = scan.finite_vector("xcoords", None)?;
        let y = scan.finite_vector("ycoords", Some(x.len()))?;
        let truth_place = Place::of(&reference, reference_path)?;
        let wanted = Area::of_scan(&x, &y, params.margin_px).within(&truth_place.area);
        if wanted.rows() <= 2 * params.crop_px as usize || wanted.cols() <= 2 * params.crop_px as usize {
            return Err(StageError::input(format!(
                "{}: the scanned box, {wanted}, has no pixels left inside the reference ({}) and a crop of {} px",
                scan_path.display(),
                truth_place.area,
                params.crop_px
            ))
            .hint("raise `margin_px`, or check that scan and reference belong together"));
        }
        let truth = truth_place.cut(&reference, wanted)?;
        let prediction = Place::of(&image, image_path)?.cut(&image, wanted)?;
        report_holes(cx, &image, image_path, wanted)?;

        let shift = find_shift(cx, truth, prediction, &params)?;
        let moved = fourier_shift(prediction, shift);
        let crop = params.crop_px as usize;
        let inner = s![crop..wanted.rows() - crop, crop..wanted.cols() - crop];
        let truth = truth.slice(inner).to_owned();
        let mut prediction = moved.slice(inner).to_owned();
        let [scale, turn] = gauge(truth.view(), prediction.view());
        let turn = if params.global_phase { turn } else { 0.0 };
        let factor = Complex32::from_polar(1.0, turn as f32);
        prediction.mapv_inplace(|p| p * factor);
        cx.measure("registration_offset_dy_px", shift[0]);
        cx.measure("registration_offset_dx_px", shift[1]);
        cx.measure("global_phase_rad", turn);
        cx.measure("best_scale", scale);
        let origin_yx = [wanted.top + crop as i64, wanted.left + crop as i64].map(|v| v as f64);
        Pair { prediction, truth, origin_yx, shift_yx: shift, turn }.write(&cx.output("pair")?)
    }
}

/// Tells how much of the box the image has no data for: zeros there count in every metric.
fn report_holes(cx: &mut Context<'_>, image: &Image, path: &std::path::Path, wanted: Area) -> StageResult {
    let Some(coverage) = &image.coverage else { return Ok(()) };
    let place = Place::of(image, path)?;
    let [r, c] = place.offset(wanted);
    let inside = coverage.slice(s![r..r + wanted.rows(), c..c + wanted.cols()]);
    let empty = inside.iter().filter(|v| **v <= 0.0).count();
    cx.measure("uncovered_fraction", empty as f64 / inside.len() as f64);
    if empty > 0 {
        let total = inside.len();
        cx.warn(format!("{empty} of the {total} compared pixels have no data; they count as zero"));
    }
    Ok(())
}

/// The shift that moves the prediction onto the truth. A constant prediction cannot be registered and
/// stays where it is, which is said; a constant truth is an error, since it would leave every model so.
fn find_shift(
    cx: &mut Context<'_>,
    truth: ArrayView2<'_, Complex32>,
    prediction: ArrayView2<'_, Complex32>,
    params: &Params,
) -> StageResult<[f64; 2]> {
    let channel: fn(ArrayView2<'_, Complex32>) -> Array2<f64> = match params.on {
        On::None => return Ok([0.0; 2]),
        On::Amplitude => metrics::amplitude,
        On::Phase => |image| metrics::flatten_phase(image).0,
    };
    let (reference, moving) = (channel(truth), channel(prediction));
    let limit = params.max_shift_px;
    let correlate = match params.method {
        Method::CrossCorrelation => cross_correlation,
        Method::PhaseCorrelation => phase_correlation,
        Method::PlainCorrelation => plain_correlation,
    };
    match correlate(reference.view(), moving.view(), params.upsample as usize, limit) {
        Ok(shift) => {
            if limit.is_some_and(|limit| shift.iter().any(|s| s.abs() > limit - 1.0)) {
                let [dy, dx] = shift;
                cx.warn(format!(
                    "the best shift, ({dy:.2}, {dx:.2}) px, is at the limit of the search: the image may have \
                     nothing in common with the truth"
                ));
            }
            Ok(shift)
        }
        Err(RegistrationError::Constant("moving")) => {
            cx.warn("the image is constant, so it cannot be registered and stays where it is");
            Ok([0.0; 2])
        }
        Err(RegistrationError::Constant(_)) => Err(StageError::input(
            "the truth is constant in the scanned box, so nothing can be registered to it",
        )
        .hint("for an object without amplitude contrast set `on: phase`")),
        Err(e) => Err(StageError::input(e.to_string())),
    }
}

/// Modulus and phase of the complex factor that brings the prediction nearest to the truth (least
/// squares); (0, 0) for an empty prediction.
fn gauge(truth: ArrayView2<'_, Complex32>, prediction: ArrayView2<'_, Complex32>) -> [f64; 2] {
    let wide = |v: &Complex32| Complex64::new(v.re.into(), v.im.into());
    let cross: Complex64 = truth.iter().zip(prediction).map(|(t, p)| wide(t) * wide(p).conj()).sum();
    let power: f64 = prediction.iter().map(|p| wide(p).norm_sqr()).sum();
    if power > 0.0 { [cross.norm() / power, cross.arg()] } else { [0.0; 2] }
}

#[cfg(test)]
mod tests;
