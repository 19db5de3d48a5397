//! Stage kind `export`: a reconstruction in the formats of other programs.

mod cxi;

use std::f64::consts::PI;

use ndarray::Array2;
use num_complex::Complex32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::{npy, png, tiff};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::image::Image;

/// The `export` stage.
pub struct Export;

/// Parameters of `export`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Size of an object pixel, metres. If not given, what the scan's metadata say (imports of CXI and ptychodus
    /// files write it there); without either, the CXI file holds no lengths.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub pixel_size_m: Option<f64>,
    /// Title in the CXI file.
    pub title: Option<String>,
    /// Amplitude that is white (65535) in the PNG picture; 0 is black. If not given, the largest.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub amplitude_white: Option<f64>,
}

impl Stage for Export {
    fn kind(&self) -> Kind {
        Kind {
            name: "export",
            version: 1,
            summary: "write a reconstruction for other programs: CXI (HDF5), TIFF, PNG",
            inputs: &[
                Slot { name: "image", arity: Arity::One, doc: "the reconstructed object" },
                Slot {
                    name: "scan",
                    arity: Arity::Optional,
                    doc: "dataset whose positions, probe and geometry go into the CXI file",
                },
                Slot {
                    name: "probe",
                    arity: Arity::Optional,
                    doc: "probe in place of the scan's (NPY), such as the one that a reconstruction ended with",
                },
            ],
            outputs: &[
                Output {
                    name: "cxi",
                    file: "reconstruction.cxi",
                    doc: "object, probe, positions and geometry in the Coherent X-ray Imaging format 1.6",
                },
                Output { name: "amplitude_tiff", file: "amplitude.tif", doc: "amplitude, single precision" },
                Output {
                    name: "phase_tiff",
                    file: "phase.tif",
                    doc: "phase in radians, −π to π, single precision",
                },
                Output {
                    name: "amplitude_png",
                    file: "amplitude.png",
                    doc: "amplitude in 16 bits: 0 is 0, 65535 is `amplitude_white`, linear between",
                },
                Output {
                    name: "phase_png",
                    file: "phase.png",
                    doc: "phase in 16 bits: 0 is −π, 65535 is π, linear between",
                },
            ],
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
        let image = Image::read(cx.input("image")?)?;
        let scan = cx.input_opt("scan").map(Dataset::read).transpose()?;
        let probe = match (cx.input_opt("probe"), &scan) {
            (Some(path), _) => Some(npy::read_file::<Complex32>(path)?),
            (None, Some(scan)) => Some(scan.probe.clone().into_dyn()),
            (None, None) => None,
        };
        let file = cxi::contents(&image, scan.as_ref(), probe.as_ref(), &params, cx);
        file.write(&cx.output("cxi")?)?;

        let amplitude = image.object.mapv(|z| z.norm());
        let phase = image.object.mapv(|z| z.arg());
        tiff::write_f32(&cx.output("amplitude_tiff")?, amplitude.view())?;
        tiff::write_f32(&cx.output("phase_tiff")?, phase.view())?;
        let largest = f64::from(amplitude.iter().copied().fold(0.0, f32::max));
        let white = params.amplitude_white.unwrap_or(largest);
        cx.measure("png_amplitude_white", white);
        picture(cx, "amplitude_png", &amplitude, [0.0, if white > 0.0 { white } else { 1.0 }])?;
        picture(cx, "phase_png", &phase, [-PI, PI])
    }
}

/// Writes values in 16 bits, `range` from black to white; what is outside is cut.
fn picture(cx: &Context<'_>, output: &str, values: &Array2<f32>, [black, white]: [f64; 2]) -> StageResult {
    let level =
        |v: &f32| ((f64::from(*v) - black) / (white - black) * 65535.0).round().clamp(0.0, 65535.0) as u16;
    let grey: Vec<u16> = values.iter().map(level).collect();
    let side = |n: usize| {
        u32::try_from(n)
            .map_err(|_| StageError::input(format!("an image side of {n} pixels is too long for PNG")))
    };
    Ok(png::write_grey16(&cx.output(output)?, side(values.ncols())?, side(values.nrows())?, &grey)?)
}

#[cfg(test)]
mod tests;
