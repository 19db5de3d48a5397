//! Stage kind `reconstruct`: iterative reconstruction of object and probe from diffraction patterns.

mod params;
mod progress;

use std::fmt::Write as _;

use ndarray::{Array2, ArrayView2, Axis};
use num_complex::Complex32;

pub use self::params::{Algorithm, Batching, Noise, Params, ProbeScale, Scale, Subpixel};
use self::progress::Progress;
use super::checkpoint::Checkpoint;
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::{atomic, npy};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::image::Image;
use crate::ptycho::iterative::{
    Batches, Engine, Frame, Learn, Measured, SetupError, epoch_order, frame, starting_modes, subset,
};

/// The `reconstruct` stage.
pub struct Reconstruct;

/// Pixels of object kept around the outermost patches.
const BORDER: usize = 1;

/// The same where positions are refined: so far may they go.
const ROOM: usize = 10;

/// How far the probe's energy may be from the mean measured energy and still count as given in its unit.
const SAME_UNIT: f64 = 4.0;

impl Stage for Reconstruct {
    fn kind(&self) -> Kind {
        Kind {
            name: "reconstruct",
            version: 2,
            summary: "reconstruct object and probe iteratively (rPIE, ePIE, difference map, LSQML), from a flat object, all images used",
            inputs: &[Slot {
                name: "data",
                arity: Arity::One,
                doc: "dataset with positions, a starting probe and perhaps a mask; its true object, if any, is not looked at",
            }],
            outputs: &[
                Output {
                    name: "image",
                    file: "image.npz",
                    doc: "the object in absolute coordinates, coverage = Σ|probe|² in units of the probe's peak",
                },
                Output {
                    name: "probe",
                    file: "probe.npy",
                    doc: "the probe as it ended, (N, N) complex; (modes, N, N) if it has several modes",
                },
                Output {
                    name: "positions",
                    file: "positions.csv",
                    doc: "column and row of every image used, and by how much they were moved, pixels",
                },
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
        let settings = params.settings();
        let seed = cx.job().seed;
        if params.positions_from_epoch.is_some() && !Engine::can_refine(&settings) {
            return Err(StageError::input(
                "positions cannot be refined with dm, nor with `subpixel: nearest`",
            )
            .hint("leave out `positions_from_epoch`, or take another `algorithm` or `subpixel`"));
        }
        let path = cx.input("data")?;
        let data = chosen(Dataset::read(path)?, &params, seed);
        let fault = |e: SetupError| StageError::input(format!("{}: {e}", path.display()));
        let probe = starting_probe(cx, &data, &params).map_err(fault)?;
        let modes = starting_modes(probe.view(), params.probe_modes as usize, params.mode_power);
        let border = if params.positions_from_epoch.is_some() { ROOM } else { BORDER };
        let frame = frame(&data.x, &data.y, data.side(), border).map_err(fault)?;
        let mask = data.mask.as_ref().filter(|_| params.use_mask);
        cx.measure("images_used", data.len());
        cx.measure("initial_object", "ones");
        if let Some(mask) = mask {
            cx.measure("masked_pixels", mask.iter().filter(|measured| !**measured).count());
        }
        let measured = Measured {
            mask: mask.map(|mask| mask.view()),
            dose_scale: data.scale(),
            diffraction: data.diffraction,
            x: &data.x,
            y: &data.y,
        };
        let mut engine = Engine::new(measured, modes.view(), frame, settings).map_err(fault)?;

        let mut checkpoint = Checkpoint::new(cx, progress::origin(path, &params, seed)?);
        let mut progress =
            checkpoint.load(|npz| Progress::restore(npz, &mut engine)).flatten().unwrap_or_default();
        let first = engine.epochs();
        cx.progress(first.into(), params.epochs.into(), "epochs", None);
        if first > 0 {
            cx.log(format!("{first} of {} epochs are there already", params.epochs));
        }
        for epoch in first..params.epochs {
            let reached = |from: Option<u32>| from.is_some_and(|from| epoch >= from);
            let learn = Learn {
                probe: reached(params.probe_from_epoch),
                positions: reached(params.positions_from_epoch),
            };
            let residual = engine.epoch(&batches(&engine, &params, seed, epoch), learn);
            if !residual.is_finite() {
                return Err(diverged(epoch, "the residual is not a number"));
            }
            progress.epoch(epoch, residual);
            let (done, total) = (u64::from(epoch) + 1, u64::from(params.epochs));
            cx.progress(done, total, "epochs", Some(format!("residual {residual:.3e}")));
            checkpoint.after_epoch(cx, epoch, |npz| progress.save(npz, &engine))?;
        }
        cx.measure("residual", progress.residual);
        write(cx, &engine, frame, [&data.x, &data.y], &progress, params.epochs)?;
        checkpoint.remove()
    }
}

/// The batches of an epoch.
fn batches(engine: &Engine, params: &Params, seed: u64, epoch: u32) -> Batches {
    let size = params.batch_size();
    match params.batching {
        Batching::Random => Batches::random(epoch_order(seed, u64::from(epoch), engine.len()), size),
        Batching::Compact => {
            let (x, y) = engine.positions();
            Batches::compact(x, y, size, seed, u64::from(epoch))
        }
    }
}

/// Writes the outputs and tells what is worth knowing of them.
fn write(
    cx: &mut Context<'_>,
    engine: &Engine,
    frame: Frame,
    start: [&[f64]; 2],
    progress: &Progress,
    epochs: u32,
) -> StageResult {
    let image = Image {
        object: engine.object().to_owned(),
        origin_yx: frame.origin.map(|v| v as f64),
        coverage: Some(engine.coverage()),
    };
    let probe = engine.probe();
    if !image.object.iter().chain(&probe).all(|v| v.re.is_finite() && v.im.is_finite()) {
        return Err(diverged(epochs - 1, "object or probe hold values that are not finite"));
    }
    image.write(&cx.output("image")?)?;
    if probe.len_of(Axis(0)) == 1 {
        npy::write_file(&cx.output("probe")?, &probe.index_axis(Axis(0), 0))?;
    } else {
        npy::write_file(&cx.output("probe")?, &probe)?;
        let power =
            |mode: ArrayView2<'_, Complex32>| mode.iter().map(|p| f64::from(p.norm_sqr())).sum::<f64>();
        let powers: Vec<f64> = probe.outer_iter().map(power).collect();
        let total: f64 = powers.iter().sum();
        cx.measure("mode_powers", powers.iter().map(|p| p / total).collect::<Vec<f64>>());
    }
    let (x, y) = engine.positions();
    let mut table = "x,y,moved_x,moved_y\n".to_owned();
    let mut squares = 0.0;
    for i in 0..x.len() {
        let [dx, dy] = [x[i] - start[0][i], y[i] - start[1][i]];
        squares += dx * dx + dy * dy;
        let _ = writeln!(table, "{:?},{:?},{dx:.6},{dy:.6}", x[i], y[i]);
    }
    if squares > 0.0 {
        cx.measure("positions_moved_rms_px", (squares / x.len() as f64).sqrt());
    }
    atomic::write(&cx.output("positions")?, table.as_bytes())?;
    Ok(atomic::write(&cx.output("history")?, progress.history.as_bytes())?)
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
) -> Result<Array2<Complex32>, SetupError> {
    let energy: f64 = data.diffraction.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>() / data.len() as f64;
    let own: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    if energy <= 0.0 {
        return Err(SetupError::Dark("the data"));
    }
    if own <= 0.0 {
        return Err(SetupError::Dark("the probe"));
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
