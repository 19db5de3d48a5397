//! A reconstruction in the Coherent X-ray Imaging format, version 1.6 (<https://www.cxidb.org/cxi.html>), laid out
//! as ptychodus lays out its products, whose reader takes it: `image_1` is the probe, `image_2` the object.
//!
//! | path under `entry_1` | what |
//! |---|---|
//! | `image_1/data`, `instrument_1/source_1/illumination` | (…, N, N) complex64: probe |
//! | `image_2/data` | (1, H, W) complex64: object |
//! | `image_N/image_size` | (x, y, 0), m |
//! | `image_N/data_space`, `data_type` | `real`, `amplitude` |
//! | `sample_1/geometry_1/translation` | (M, 3) x, y, 0 of the probe from the middle of the object, m |
//! | `instrument_1/source_1/energy` | J |
//! | `instrument_1/detector_1/distance`, `x_pixel_size`, `y_pixel_size` | m |
//! | `ptychodus/…` | sizes of pixels and the object's centre, m |
//! | `phasegraph/origin_yx_px` | object coordinate of pixel (0, 0), which no other key tells |
//! | `phasegraph/positions_yx_px` | (M, 2): absolute positions, pixels |
//! | `phasegraph/coverage` | (H, W): how much data supports each pixel |
//!
//! What is not known is left out. No date is written: equal reconstructions give equal bytes.

use ndarray::{Array2, ArrayD, Axis, arr1};
use num_complex::Complex32;
use serde_json::Value;

use super::Params;
use crate::io::hdf5::{Contents, Hdf5Writer};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::image::Image;
use crate::stages::Context;

/// Version 1.6 of the format, as the format counts.
const VERSION: i64 = 160;

/// The file's contents.
pub fn contents(
    image: &Image,
    scan: Option<&Dataset>,
    probe: Option<&ArrayD<Complex32>>,
    params: &Params,
    cx: &mut Context<'_>,
) -> Hdf5Writer {
    let mut file = Hdf5Writer::new();
    let pixel = params.pixel_size_m.map(|p| [p; 2]).or_else(|| pair(scan?, "object_pixel_size_m"));
    file.put("cxi_version", Contents::whole(VERSION))
        .put("number_of_entries", Contents::whole(1))
        .put("entry_1/process_1/program", Contents::text("phasegraph"))
        .put("entry_1/process_1/version", Contents::text(env!("CARGO_PKG_VERSION")));
    if let Some(title) = params.title.as_ref().filter(|title| !title.is_empty()) {
        file.put("entry_1/title", Contents::text(title.as_str()));
    }
    let object = image.object.view().insert_axis(Axis(0)).into_dyn();
    picture(&mut file, 2, &object.to_owned(), "layer:y:x", pixel);
    file.put("entry_1/phasegraph/origin_yx_px", Contents::f64(&arr1(&image.origin_yx)));
    if let Some(coverage) = &image.coverage {
        file.put("entry_1/phasegraph/coverage", Contents::f32(coverage));
    }
    if let Some(probe) = probe {
        let axes = ["y", "x"].into_iter().rev();
        let axes: Vec<&str> = axes.chain(std::iter::repeat("incoherent")).take(probe.ndim()).collect();
        let axes: Vec<&str> = axes.into_iter().rev().collect();
        picture(&mut file, 1, probe, &axes.join(":"), pixel);
        // A copy: links cannot be written, and this is where others look.
        file.put("entry_1/instrument_1/source_1/illumination", Contents::complex(probe));
    }
    if let Some(scan) = scan {
        positions(&mut file, image, scan, pixel);
    }
    match pixel {
        Some([y, x]) => {
            for of in ["object", "probe"] {
                file.put(&format!("entry_1/ptychodus/{of}_pixel_width_m"), Contents::scalar(x))
                    .put(&format!("entry_1/ptychodus/{of}_pixel_height_m"), Contents::scalar(y));
            }
            file.put("entry_1/ptychodus/object_center_x_m", Contents::scalar(0.0))
                .put("entry_1/ptychodus/object_center_y_m", Contents::scalar(0.0));
        }
        None => cx.warn(
            "the size of an object pixel is not known, so the CXI file holds positions in pixels only: give \
             `pixel_size_m`",
        ),
    }
    file
}

/// An `image_N` group.
fn picture(file: &mut Hdf5Writer, n: usize, data: &ArrayD<Complex32>, axes: &str, pixel: Option<[f64; 2]>) {
    let at = |name: &str| format!("entry_1/image_{n}/{name}");
    file.put_with(&at("data"), Contents::complex(data), &[("axes", axes)])
        .put(&at("data_type"), Contents::text("amplitude"))
        .put(&at("data_space"), Contents::text("real"));
    if let ([.., rows, cols], Some([y, x])) = (data.shape(), pixel) {
        let size = [x * *cols as f64, y * *rows as f64, 0.0];
        file.put(&at("image_size"), Contents::f64(&arr1(&size)));
    }
}

/// Positions and what the scan's metadata tell of the experiment.
fn positions(file: &mut Hdf5Writer, image: &Image, scan: &Dataset, pixel: Option<[f64; 2]>) {
    let pixels = Array2::from_shape_fn((scan.len(), 2), |(i, axis)| [scan.y[i], scan.x[i]][axis]);
    file.put("entry_1/phasegraph/positions_yx_px", Contents::f64(&pixels));
    if let Some([y, x]) = pixel {
        let ((rows, cols), [top, left]) = (image.object.dim(), image.origin_yx);
        let metres = Array2::from_shape_fn((scan.len(), 3), |(i, axis)| match axis {
            0 => (scan.x[i] - left - cols as f64 / 2.0) * x,
            1 => (scan.y[i] - top - rows as f64 / 2.0) * y,
            _ => 0.0,
        });
        file.put("entry_1/sample_1/geometry_1/translation", Contents::f64(&metres));
    }
    let physics = &scan.metadata["physics_parameters"];
    let number = |key: &str| physics.get(key).and_then(Value::as_f64);
    if let Some(energy) = number("photon_energy_J") {
        file.put("entry_1/instrument_1/source_1/energy", Contents::scalar(energy));
    }
    if let Some(distance) = number("detector_distance_m") {
        file.put("entry_1/instrument_1/detector_1/distance", Contents::scalar(distance));
    }
    if let Some([y, x]) = pair(scan, "detector_pixel_size_m") {
        file.put("entry_1/instrument_1/detector_1/x_pixel_size", Contents::scalar(x))
            .put("entry_1/instrument_1/detector_1/y_pixel_size", Contents::scalar(y));
    }
}

/// Two numbers (y, x) above 0 of the metadata.
fn pair(scan: &Dataset, key: &str) -> Option<[f64; 2]> {
    let list = scan.metadata.get("physics_parameters")?.get(key)?.as_array()?;
    let [y, x] = list.as_slice() else { return None };
    Some([y.as_f64()?, x.as_f64()?]).filter(|pair| pair.iter().all(|v| v.is_finite() && *v > 0.0))
}
