//! Stage kind `reconstruct`: iterative reconstruction of object and probe from diffraction patterns.

mod params;

use std::fmt::Write as _;
use std::path::Path;

use ndarray::Array2;
use num_complex::Complex32;

pub use self::params::{Algorithm, Params, ProbeScale, Subpixel};
use super::checkpoint::Checkpoint;
use super::{Context, Stage};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::Digest;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::io::{Arrays, atomic, npy};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::image::Image;
use crate::ptycho::pie::{Engine, PieError, epoch_order, frame, subset};

/// The `reconstruct` stage.
pub struct Reconstruct;

/// Pixels of object kept around the outermost patches.
const BORDER: usize = 1;

/// How far the probe's energy may be from the mean measured energy and still count as given in its unit.
const SAME_UNIT: f64 = 4.0;

impl Stage for Reconstruct {
    fn kind(&self) -> Kind {
        Kind {
            name: "reconstruct",
            version: 1,
            summary: "reconstruct object and probe iteratively (rPIE or ePIE), from a flat object, all images used",
            inputs: &[Slot {
                name: "data",
                arity: Arity::One,
                doc: "dataset with positions and a starting probe; its true object, if any, is not looked at",
            }],
            outputs: &[
                Output {
                    name: "image",
                    file: "image.npz",
                    doc: "the object in absolute coordinates, coverage = Σ|probe|² in units of the probe's peak",
                },
                Output { name: "probe", file: "probe.npy", doc: "the probe as it ended, (N, N) complex" },
                Output { name: "history", file: "history.csv", doc: "residual of every epoch" },
            ],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: true,
            needs_runtime: false,
            resumes: true,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let seed = cx.job().seed;
        let path = cx.input("data")?;
        let data = chosen(Dataset::read(path)?, &params, seed);
        let fault = |e: PieError| StageError::input(format!("{}: {e}", path.display()));
        let count = data.len();
        let probe = starting_probe(cx, &data, &params).map_err(fault)?;
        let frame = frame(&data.x, &data.y, data.side(), BORDER).map_err(fault)?;
        let mut engine =
            Engine::new(data.diffraction, &data.x, &data.y, probe.view(), frame, params.settings())
                .map_err(fault)?;
        cx.measure("images_used", count);
        cx.measure("initial_object", "ones");

        let mut checkpoint = Checkpoint::new(cx, origin(path, &params, seed)?);
        let (first, mut history, mut last) = match checkpoint.load(|npz| restore(npz, &mut engine)).flatten()
        {
            Some(state) => state,
            None => (0, "epoch,residual\n".to_owned(), f64::NAN),
        };
        cx.progress(first.into(), params.epochs.into(), "epochs", None);
        if first > 0 {
            cx.log(format!("{first} of {} epochs are there already", params.epochs));
        }
        for epoch in first..params.epochs {
            let learns_probe = params.probe_from_epoch.is_some_and(|from| epoch >= from);
            let order = epoch_order(seed, u64::from(epoch), count);
            last = engine.epoch(&order, params.batch as usize, learns_probe);
            if !last.is_finite() {
                return Err(diverged(epoch, "the residual is not a number"));
            }
            if learns_probe {
                engine.keep_power();
            }
            let _ = writeln!(history, "{epoch},{last:.6e}");
            let (done, total) = (u64::from(epoch) + 1, u64::from(params.epochs));
            cx.progress(done, total, "epochs", Some(format!("residual {last:.3e}")));
            checkpoint.after_epoch(cx, epoch, |npz| save(npz, &engine, epoch + 1, &history, last))?;
        }
        cx.measure("residual", last);

        let image = Image {
            object: engine.object().to_owned(),
            origin_yx: frame.origin.map(|v| v as f64),
            coverage: Some(engine.coverage()),
        };
        let finite = |values: &Array2<Complex32>| values.iter().all(|v| v.re.is_finite() && v.im.is_finite());
        let probe = engine.probe().to_owned();
        if !finite(&image.object) || !finite(&probe) {
            return Err(diverged(params.epochs - 1, "object or probe hold values that are not finite"));
        }
        image.write(&cx.output("image")?)?;
        npy::write_file(&cx.output("probe")?, &probe)?;
        atomic::write(&cx.output("history")?, history.as_bytes())?;
        checkpoint.remove()
    }
}

/// All that a state follows from.
fn origin(data: &Path, params: &Params, seed: u64) -> StageResult<String> {
    let params = serde_json::to_string(params)
        .map_err(|e| StageError::new(FailureClass::Other, format!("parameters: {e}")))?;
    Ok(format!("{} {seed} {params}", Digest::of_file(data)?))
}

/// Writes the state after `done` epochs.
fn save(npz: &mut NpzWriter, engine: &Engine, done: u32, history: &str, last: f64) -> Result<(), NpzError> {
    npz.array("object", &engine.object())?;
    npz.array("probe", &engine.probe())?;
    npz.vector("epochs", &[i64::from(done)])?;
    npz.scalar_f64("residual", last)?;
    npz.text("history", history)
}

/// Puts the engine where an earlier attempt left it: epochs done, history, last residual.
fn restore(npz: &mut NpzReader, engine: &mut Engine) -> Result<Option<(u32, String, f64)>, NpzError> {
    let (object, probe) = (npz.finite_image("object")?, npz.finite_image("probe")?);
    let done = u32::try_from(npz.vector::<i64>("epochs", Some(1))?[0]).ok();
    let (last, history) = (npz.finite_scalar("residual")?, npz.text("history")?);
    let (Some(done), Some(history)) = (done, history) else { return Ok(None) };
    Ok(engine.go_on_from(object.view(), probe.view()).ok().map(|()| (done, history, last)))
}

/// The images to use: all, or as many as asked for.
fn chosen(data: Dataset, params: &Params, seed: u64) -> Dataset {
    match params.max_images {
        Some(most) if (most as usize) < data.len() => data.select(&subset(seed, data.len(), most as usize)),
        _ => data,
    }
}

/// The dataset's probe, in the unit that `probe_scale` asks for.
fn starting_probe(
    cx: &mut Context<'_>,
    data: &Dataset,
    params: &Params,
) -> Result<Array2<Complex32>, PieError> {
    let energy: f64 = data.diffraction.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>() / data.len() as f64;
    let own: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    if energy <= 0.0 {
        return Err(PieError::Dark("the data"));
    }
    if own <= 0.0 {
        return Err(PieError::Dark("the probe"));
    }
    let ratio = energy / own;
    let matched = match params.probe_scale {
        ProbeScale::Given => false,
        ProbeScale::Photons => true,
        ProbeScale::Auto => !(1.0 / SAME_UNIT..=SAME_UNIT).contains(&ratio),
    };
    let factor = if matched { ratio.sqrt() } else { 1.0 };
    cx.measure("probe_scale_factor", factor);
    Ok(data.probe.mapv(|p| p * factor as f32))
}

fn diverged(epoch: u32, what: &str) -> StageError {
    StageError::check(format!("the reconstruction diverged in epoch {epoch}: {what}"))
        .hint("lower `step`, raise `alpha`, or check that positions and probe belong to the data")
}

#[cfg(test)]
mod tests;
