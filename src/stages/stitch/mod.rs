//! Stage kind `stitch`: object patches into one image, at their absolute positions.

mod partial;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::patches::PatchesFile;
use crate::ptycho::placement::{self, Between, Canvas, PlacementError, Stitching};

/// The `stitch` stage.
pub struct Stitch;

/// Patches per progress report.
const BATCH: usize = 256;

/// Parameters of `stitch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much each pixel of a patch counts where patches overlap.
    #[serde(default)]
    pub weights: Weights,
    /// What happens to patches whose positions lie between pixels.
    #[serde(default)]
    pub between_pixels: BetweenPixels,
}

/// What happens to patches whose positions lie between pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BetweenPixels {
    /// Each value is shared among its four neighbours: robust, and blurs by up to half a pixel.
    #[default]
    Bilinear,
    /// Patches are moved by the fraction in Fourier space: nothing is blurred, but a patch whose edges differ rings
    /// there, so weigh by `probe` or `crop`. Takes about four times as long.
    Fourier,
}

/// How much each pixel of a patch counts where patches overlap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weights {
    /// By the probe's intensity there: a prediction counts where light has been.
    #[default]
    Probe,
    /// Only the central M×M pixels, all alike, as the reference study does with M = 20. Where positions
    /// are farther apart than M, holes remain.
    Crop {
        /// M, pixels.
        #[serde(default = "crop")]
        #[schemars(range(min = 1))]
        size: u32,
    },
}

fn crop() -> u32 {
    20
}

impl Stage for Stitch {
    fn kind(&self) -> Kind {
        Kind {
            name: "stitch",
            version: 2,
            summary: "stitch predicted patches into one image at their absolute positions",
            inputs: &[
                Slot { name: "patches", arity: Arity::One, doc: "object patches with their centres" },
                Slot {
                    name: "data",
                    arity: Arity::One,
                    doc: "the dataset the patches were predicted from: its positions span the canvas, its probe weighs",
                },
            ],
            outputs: &[Output {
                name: "image",
                file: "image.npz",
                doc: "the object in absolute coordinates, coverage = summed weights",
            }],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: false,
            needs_runtime: false,
            resumes: true,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let path = cx.input("patches")?;
        // Patches pass through one by one, and of the data only positions and probe are needed.
        let mut patches = PatchesFile::open(path)?;
        let data = Dataset::read_about(cx.input("data")?)?;
        let fault = |e: PlacementError| StageError::input(format!("{}: {e}", path.display()));
        if patches.side() != data.side() {
            let (found, expected) = (patches.side(), data.side());
            return Err(StageError::input(format!(
                "{}: patches are {found}×{found}, but the patterns they belong to are {expected}×{expected}",
                path.display()
            )));
        }
        let weights = match params.weights {
            Weights::Crop { size } => placement::Weights::Crop(size as usize),
            Weights::Probe => placement::Weights::Given(
                data.probe.mapv(|p| f64::from(p.re).powi(2) + f64::from(p.im).powi(2)),
            ),
        };
        // The scan's canvas, not the patches': images of one scan then share their frame.
        let canvas = Canvas::around(&data.x, &data.y, data.side()).map_err(fault)?;
        let between = match params.between_pixels {
            BetweenPixels::Bilinear => Between::Bilinear,
            BetweenPixels::Fourier => Between::Fourier,
        };
        let side = data.side();
        let mut stitching = Stitching::new(canvas, (side, side), &weights, between).map_err(fault)?;
        let (x, y, total) = (patches.x.clone(), patches.y.clone(), patches.len() as u64);
        let mut checkpoint = Checkpoint::new(cx, partial::origin(&mut patches, cx.input("data")?, &params)?);
        let first = checkpoint.load(|npz| partial::restore(npz, &mut stitching)).flatten().unwrap_or(0);
        cx.progress(first as u64, total, "patches", None);
        if first > 0 {
            cx.log(format!("{first} of {total} patches are there already"));
        }
        patches.each(first, |i, patch| {
            stitching.add(i, patch, x[i], y[i]).map_err(fault)?;
            let done = i + 1;
            if done.is_multiple_of(BATCH) {
                cx.progress(done as u64, total, "patches", None);
            }
            checkpoint.after(cx, || format!("{done} patches"), |npz| partial::save(npz, &stitching, done))
        })?;
        let image = stitching.finish();
        let covered = image.coverage.as_ref().map_or(0, |c| c.iter().filter(|c| **c > 0.0).count());
        if covered == 0 {
            return Err(StageError::check(format!(
                "{}: none of the {} patches covers a pixel of the scan's canvas",
                path.display(),
                patches.len()
            ))
            .hint("patches and data must come from the same scan"));
        }
        cx.measure("patches", patches.len());
        cx.measure("covered_fraction", covered as f64 / image.object.len() as f64);
        image.write(&cx.output("image")?)?;
        checkpoint.remove()
    }
}

#[cfg(test)]
mod tests;
