//! Stage kind `train`: a network learns object patches from diffraction patterns, on the processor.
//!
//! Datasets of several doses, views or objects may be given at once: one model is trained on all and
//! evaluated on each. The model is written as ONNX, then run through ONNX Runtime on training data; unless
//! that agrees with the trainer's own output, the stage fails. What it writes depends on inputs,
//! parameters and seed alone: not on threads, not on the clock.

mod data;
mod export;
mod params;
mod state;

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

pub use params::{Architecture, Engine, Params};

use super::checkpoint::Checkpoint;
use super::{Context, Stage};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::{Digest, Hasher};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::nn::graph::Graph;
use crate::nn::network::Network;
use crate::nn::task::{LabelTask, PhysicsTask, Samples};
use crate::nn::train::{Diverged, Epoch, Settings, Task, go_on};
use data::{Part, Prepared};

/// The `train` stage.
pub struct Train;

/// Largest amplitude a network can draw, in root-mean-square amplitudes of the object.
const CEILING: f64 = 2.5;

/// The manifest, `train.json`.
#[derive(Serialize)]
struct Manifest<'a> {
    /// As given, with defaults filled in.
    parameters: &'a Params,
    seed: u64,
    gridsize: usize,
    /// Side of the patterns, pixels.
    n: usize,
    /// Side of the part of a patch that is drawn, pixels.
    drawn_px: usize,
    network: String,
    network_parameters: usize,
    datasets: &'a [Part],
    groups: usize,
    epochs: u32,
    final_loss: f64,
    /// BLAKE3 of `model.onnx`.
    model_digest: Digest,
    /// See `export::Agreement`.
    export: export::Agreement,
}

impl Stage for Train {
    fn kind(&self) -> Kind {
        Kind {
            name: "train",
            version: 1,
            summary: "train a network on datasets and export it as ONNX",
            inputs: &[Slot { name: "data", arity: Arity::Many, doc: "datasets (NPZ) of one pattern size" }],
            outputs: &[
                Output { name: "model", file: "model.onnx", doc: "trained network" },
                Output { name: "history", file: "history.csv", doc: "loss and learning rate of every epoch" },
                Output {
                    name: "manifest",
                    file: "train.json",
                    doc: "parameters, groups and images used, final loss, digest of the model, export check",
                },
            ],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: true,
            needs_runtime: true,
            resumes: true,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let job = cx.job();
        // Asked first: a training must not end in finding that its result cannot be checked.
        let runtime = job.runtime.as_deref().ok_or_else(|| {
            StageError::new(FailureClass::Runtime, "the task was given no ONNX Runtime library")
        })?;
        let start = Instant::now();
        let Prepared { graph, samples, level, parts } = data::prepare(cx, &params)?;
        report(cx, &samples, &parts);
        cx.measure("preparation_s", start.elapsed().as_secs_f64());

        let mut network = Network::new(graph, job.seed, level, CEILING * level);
        cx.measure("network_parameters", network.parameters.len());
        let settings = Settings {
            epochs: params.epochs,
            batch: params.batch,
            learning_rate: params.learning_rate,
            schedule: params.schedule,
            clip: params.gradient_clip.unwrap_or(f64::INFINITY),
            seed: job.seed,
            threads: job.threads,
        };
        let training = training_digest(cx, &params)?;
        let mut checkpoint = Checkpoint::new(cx, training.to_string());
        let (samples, history) = match params.architecture {
            Architecture::Pinn => {
                let task = PhysicsTask(samples);
                let history = learn(cx, &mut network, &task, &settings, &mut checkpoint)?;
                (task.0, history)
            }
            Architecture::Baseline => {
                let task = LabelTask(samples);
                let history = learn(cx, &mut network, &task, &settings, &mut checkpoint)?;
                (task.0, history)
            }
        };
        std::fs::write(cx.output("history")?, table(&history))?;

        let model = export::encode(&network, &params, training);
        let path = cx.output("model")?;
        std::fs::write(&path, &model)?;
        let export = export::check(runtime, &path, &network, &samples)?;
        cx.measure("export_amplitude_difference", export.amplitude);
        cx.measure("export_phase_difference", export.phase);

        let manifest = Manifest {
            parameters: &params,
            seed: job.seed,
            gridsize: params.gridsize(),
            n: samples.side,
            drawn_px: samples.drawn,
            network: network.graph.name(),
            network_parameters: network.parameters.len(),
            datasets: &parts,
            groups: samples.groups.len(),
            epochs: params.epochs,
            final_loss: history.last().map_or(f64::NAN, |epoch| epoch.loss),
            model_digest: Digest::of(&model),
            export,
        };
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|e| StageError::new(FailureClass::Other, format!("train.json: {e}")))?;
        std::fs::write(cx.output("manifest")?, text + "\n")?;
        checkpoint.remove()
    }
}

/// Trains and reports every epoch; goes on where an earlier attempt was ended.
fn learn<K: Task<f32>>(
    cx: &mut Context<'_>,
    network: &mut Network<f32>,
    task: &K,
    settings: &Settings,
    checkpoint: &mut Checkpoint,
) -> StageResult<Vec<Epoch>> {
    let (start, total) = (Instant::now(), u64::from(settings.epochs));
    let progress = state::restore(checkpoint, network);
    let before = progress.history.len() as u64;
    if before > 0 {
        cx.log(format!("{before} of {total} epochs are there already"));
    }
    cx.progress(before, total, "epochs", None);
    let history = go_on(network, task, settings, progress, |network, progress| {
        let Some(epoch) = progress.history.last() else { return Ok(()) };
        let note = format!("loss {:.5}", epoch.loss);
        cx.progress(u64::from(epoch.number), total, "epochs", Some(note));
        checkpoint.after_epoch(cx, epoch.number, |npz| state::save(npz, network, progress))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    cx.measure("training_s", seconds);
    cx.measure("groups_per_s", (total - before) as f64 * task.samples() as f64 / seconds);
    cx.measure("final_loss", history.last().map_or(f64::NAN, |epoch| epoch.loss));
    Ok(history)
}

impl From<Diverged> for StageError {
    fn from(diverged: Diverged) -> Self {
        Self::check(diverged.to_string()).hint(
            "lower `learning_rate`, or set `gradient_clip`; if it happens in the first step, look at the data",
        )
    }
}

/// Tells what share of the data is used.
fn report(cx: &mut Context<'_>, samples: &Samples<f32>, parts: &[Part]) {
    cx.measure("groups", samples.groups.len());
    cx.measure("images", parts.iter().map(|p| p.images).sum::<usize>());
    cx.measure("images_used", parts.iter().map(|p| p.images_used).sum::<usize>());
    for part in parts {
        let Part { origin, images, images_used, groups, groups_without_overlap, orientations, .. } = part;
        cx.log(format!(
            "{origin}: {groups} groups, {images_used} of {images} images, {orientations} orientations"
        ));
        if *groups_without_overlap > 0 {
            cx.warn(format!(
                "{origin}: in {groups_without_overlap} of {groups} groups an image lies so far off that its patch \
                 shares no pixel with the first one's; `gridsize: 1` would use it as well"
            ));
        }
    }
}

/// `history.csv`. No times: they would differ from run to run.
fn table(history: &[Epoch]) -> String {
    let mut text = "epoch,loss,learning_rate,gradient_norm\n".to_owned();
    for Epoch { number, loss, learning_rate, gradient_norm } in history {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{number},{loss},{learning_rate},{gradient_norm}");
    }
    text
}

/// Digest of all that the training followed from: parameters, seed, content of the datasets in order.
fn training_digest(cx: &Context<'_>, params: &Params) -> StageResult<Digest> {
    let mut hasher = Hasher::new();
    let text = serde_json::to_string(params)
        .map_err(|e| StageError::new(FailureClass::Other, format!("parameters: {e}")))?;
    hasher.update(text.as_bytes());
    hasher.update(&cx.job().seed.to_le_bytes());
    for input in cx.inputs("data") {
        hasher.update(Digest::of_file(&input.path)?.bytes());
    }
    Ok(hasher.finish())
}

/// The model file that a training would begin with, for patterns of that side: its shapes are those of the one
/// it ends with.
///
/// # Errors
/// If there is no such network.
pub fn untrained(params: &Params, side: usize) -> StageResult<Vec<u8>> {
    let network = Network::new(build(params, side)?, 0, 1.0, CEILING);
    Ok(export::encode(&network, params, Digest::NONE))
}

/// The network for patterns of that side.
fn build(params: &Params, side: usize) -> StageResult<Graph> {
    let layers = params.layers(side)?;
    let (width, depth) = layers.design.size();
    Graph::new(layers).map_err(|why| {
        let what = format!("no network of width {width} and depth {depth} for patterns of {side} px: {why}");
        StageError::input(what).hint("lower `depth`, or change `width`")
    })
}
