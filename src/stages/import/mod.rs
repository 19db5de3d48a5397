//! Stage kind `import`: measured data into the dataset contract.

mod convert;
mod cxi;
mod geometry;
mod layout;
mod params;
mod ptychodus;
mod source;

use serde_json::{Map, Value, json};

use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::{Dataset, mean_and_std};
use layout::{Imported, Layout};
pub use params::Params;
use params::ProbeChoice;
use source::Files;

/// The `import` stage.
pub struct Import;

impl Stage for Import {
    fn kind(&self) -> Kind {
        Kind {
            name: "import",
            version: 1,
            summary: "Read measured patterns, positions and probe from an NPZ, CXI or other HDF5 file",
            inputs: &[
                Slot {
                    name: "data",
                    arity: Arity::One,
                    doc: "NPZ or HDF5 file: the reference contract, tike's layout, CXI, ptychodus, or arrays that \
                          `keys` names",
                },
                Slot {
                    name: "product",
                    arity: Arity::Optional,
                    doc: "NPZ or HDF5 file with what `data` lacks, such as ptychodus's product with positions and \
                          probe",
                },
            ],
            outputs: &[Output { name: "data", file: "dataset.npz", doc: "the dataset in the contract" }],
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
        let mut files = Files::open(cx)?;
        let layout = Layout::decide(&params, &files);
        let imported = layout.read(&mut files, &params, cx)?;
        drop(files);
        let data = convert(imported, layout, &params, cx)?;
        data.write(&cx.output("data")?)
    }
}

/// Brings a dataset as read into the contract, and reports what was measured.
fn convert(
    imported: Imported,
    layout: Layout,
    params: &Params,
    cx: &mut Context<'_>,
) -> StageResult<Dataset> {
    let Imported { mut data, in_file, mut geometry } = imported;
    let corner = layout.corner(params.zero_frequency);
    if params.drop_object {
        data.object = None;
    }
    if let Some(limit) = params.limit.filter(|limit| *limit < data.len()) {
        data = data.select(&(0..limit).collect::<Vec<_>>());
    }
    if layout.counts(params.values) {
        convert::take_roots(&mut data.diffraction);
        // √counts is the amplitude itself; a scale in the file would speak of something else.
        data.dose_scale = None;
    }
    if corner {
        convert::center_zero_frequency(&mut data.diffraction);
        if let Some(mask) = &mut data.mask {
            convert::center(mask.view_mut());
        }
    }
    warn_of_zero_frequency(&data, cx);
    if data.probe.iter().all(|p| p.norm_sqr() == 0.0) {
        data.probe = convert::guess_probe(&data.diffraction);
        cx.warn(
            "the file has no probe: it is guessed from the mean pattern, with a flat phase on the detector",
        );
    }
    // As applied to the positions, before a crop makes pixels larger.
    let per_unit = match (params.coordinates.pixels_per_unit, geometry.pixel) {
        (None, Some([x, y])) => json!({ "x": 1.0 / x, "y": 1.0 / y }),
        (given, _) => json!(given.unwrap_or(1.0)),
    };
    let side = data.side();
    let kept = params.crop.map(|size| convert::crop_detector(&mut data, size)).transpose()?;
    geometry = geometry.coarser(side as f64 / data.side() as f64);
    if data.object.is_some() && !params.coordinates.is_identity() {
        cx.warn("coordinates are changed, but the object in the file is not: check that they still fit");
    }
    let offset_yx = convert::place(&mut data, params)?;
    match convert::outside(&data) {
        0 => {}
        n => cx.warn(format!("{n} of {} patches reach outside the object's canvas", data.len())),
    }

    let photons = data.photons();
    let (mean, spread) = mean_and_std(&photons);
    if mean == 0.0 {
        return Err(StageError::input("every pattern is zero: no photon was counted"));
    }
    let scales = match params.probe {
        ProbeChoice::Auto => layout != Layout::Phasegraph,
        ProbeChoice::Keep => false,
        ProbeChoice::Photons => true,
    };
    let probe_factor = if scales { convert::scale_probe(&mut data) } else { 1.0 };
    data.measured_photons = Some(photons);

    add_physics(&mut data.metadata, geometry.metadata());
    data.append_transformation(
        // The name that the reference's guards look for.
        "transpose_rename_convert",
        "canonicalize",
        json!({
            "layout": layout.name(),
            "values": if layout.counts(params.values) { "counts" } else { "amplitude" },
            "zero_frequency": if corner { "corner" } else { "center" },
            "flipx": params.coordinates.flip_x,
            "flipy": params.coordinates.flip_y,
            "swap_xy": params.coordinates.swap_xy,
            "pixels_per_unit": per_unit,
            "offset_yx_px": offset_yx,
            "probe_factor": probe_factor,
            "n_images": data.len(),
            "n_images_in_file": in_file,
            "crop": params.crop,
        }),
    );
    let [rows, cols] = data.canvas();
    cx.measure("images", data.len());
    cx.measure("pattern_side_px", data.side());
    cx.measure("photons_per_image_mean", mean);
    cx.measure("photons_per_image_std", spread);
    cx.measure("canvas_rows_px", rows);
    cx.measure("canvas_cols_px", cols);
    if let Some(mask) = &data.mask {
        cx.measure("masked_pixels", mask.iter().filter(|measured| !**measured).count());
    }
    if let Some(kept) = kept {
        cx.measure("photons_inside_crop_fraction", kept);
    }
    cx.log(format!(
        "{} layout, {} of {in_file} patterns of {side}×{side}, {mean:.1} ± {spread:.1} photons an image, positions moved by (y, x) = ({:.3}, {:.3}) px",
        layout.name(),
        data.len(),
        offset_yx[0],
        offset_yx[1],
        side = data.side(),
    ));
    Ok(data)
}

/// Adds what is known of the experiment to the metadata's `physics_parameters`.
fn add_physics(metadata: &mut Value, entries: Map<String, Value>) {
    if let Some(Value::Object(physics)) = metadata.get_mut("physics_parameters") {
        physics.extend(entries);
    }
}

/// After the shift that parameters ask for, most photons should be near the middle.
fn warn_of_zero_frequency(data: &Dataset, cx: &mut Context<'_>) {
    let [center, corner] = convert::concentration(&data.diffraction);
    if corner > 2.0 * center {
        cx.warn(format!(
            "after import {:.0} % of the photons lie near the corners of the patterns and {:.0} % near the \
             middle: the zero frequency seems to be elsewhere than `zero_frequency` says",
            100.0 * corner,
            100.0 * center
        ));
    }
}

#[cfg(test)]
mod formats;
#[cfg(test)]
pub(in crate::stages) mod testing;
#[cfg(test)]
mod tests;
