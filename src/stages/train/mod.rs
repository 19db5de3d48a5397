//! Stage kind `train`: a network learns object patches from diffraction patterns, on the processor.
//!
//! Datasets of several doses, views or objects may be given at once: one model is trained on all and
//! evaluated on each. The model is written as ONNX, then run through ONNX Runtime on training data; unless
//! that agrees with the trainer's own output, the stage fails. What it writes depends on inputs,
//! parameters and seed alone: not on threads, not on the clock.

mod budget;
mod data;
mod examples;
mod export;
mod learn;
mod params;
mod state;

use std::time::Instant;

use serde::Serialize;

pub use budget::{Foreseen, foresee};
pub use params::{Architecture, Engine, Learnt, Params};

use super::checkpoint::Checkpoint;
use super::{Context, Stage};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::{Digest, Hasher};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::nn::graph::Graph;
use crate::nn::network::Network;
use crate::nn::samples::Samples;
use crate::nn::task::{LabelTask, PhysicsTask};
use crate::nn::train::Epoch;
use crate::os;
use data::{Part, Prepared};
use learn::{learn, table};

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
    groups_held_out: usize,
    /// Epochs trained: fewer than asked for if training ended early.
    epochs: usize,
    /// Epoch whose weights the model has.
    epoch: u32,
    final_loss: f64,
    /// Loss on what was held out, of that epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_loss: Option<f64>,
    /// Factor on predicted amplitudes, where it was learnt.
    #[serde(skip_serializing_if = "Option::is_none")]
    intensity_scale: Option<f32>,
    /// BLAKE3 of `model.onnx`.
    model_digest: Digest,
    /// See `export::Agreement`.
    export: export::Agreement,
}

impl Stage for Train {
    fn kind(&self) -> Kind {
        Kind {
            name: "train",
            version: 2,
            summary: "train a network on datasets and export it as ONNX",
            inputs: &[Slot { name: "data", arity: Arity::Many, doc: "datasets (NPZ) of one pattern size" }],
            outputs: &[
                Output { name: "model", file: "model.onnx", doc: "trained network" },
                Output { name: "history", file: "history.csv", doc: "loss and learning rate of every epoch" },
                Output {
                    name: "examples",
                    file: "examples.npz",
                    doc: "patches that the network draws of some groups, with their patterns; the probes, if learnt",
                },
                Output {
                    name: "manifest",
                    file: "train.json",
                    doc: "parameters, groups and images used, final loss, digest of the model, export check",
                },
            ],
            params: || schemars::schema_for!(Params),
            tuning: &["micro_batch", "force"],
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
        // From the beginning, so that a forecast can tell what will be resident.
        os::give_back_freed_memory();
        let start = Instant::now();
        let Prepared { graph, samples, level, parts } = data::prepare(cx, &params)?;
        report(cx, &samples, &parts);
        cx.measure("preparation_s", start.elapsed().as_secs_f64());

        let physical = samples.physical();
        let mut network =
            Network::new(graph, job.seed, level, CEILING * level).with_physical(physical, samples.beam.scale);
        cx.measure("network_parameters", network.parameters.len());
        let settings = budget::settings(&params, job.seed, job.threads);
        let learnt_from = samples.groups.len() - samples.held_out;
        budget::refuse_full_size(&params, &network, &settings, learnt_from)?;
        let settings = budget::settle(cx, &network.graph, physical, settings)?;
        let training = training_digest(cx, &params)?;
        let mut checkpoint = Checkpoint::new(cx, training.to_string());
        let (samples, history) = match params.architecture {
            Architecture::Pinn => {
                let task = PhysicsTask(samples);
                let history = learn(cx, &mut network, &task, &settings, &params, &mut checkpoint)?;
                (task.0, history)
            }
            Architecture::Baseline => {
                let task = LabelTask(samples);
                let history = learn(cx, &mut network, &task, &settings, &params, &mut checkpoint)?;
                (task.0, history)
            }
        };
        std::fs::write(cx.output("history")?, table(&history))?;
        examples::write(&cx.output("examples")?, &network, &samples)?;

        let model = export::encode(&network, &params, training);
        let path = cx.output("model")?;
        std::fs::write(&path, &model)?;
        let export = export::check(runtime, &path, &network, &samples)?;
        cx.measure("export_amplitude_difference", export.amplitude);
        cx.measure("export_phase_difference", export.phase);

        let kept = kept_epoch(&params, &history)?;
        let own = network.graph.parameters;
        let manifest = Manifest {
            parameters: &params,
            seed: job.seed,
            gridsize: params.gridsize(),
            n: samples.side,
            drawn_px: samples.drawn,
            network: network.graph.name(),
            network_parameters: network.parameters.len(),
            datasets: &parts,
            groups: learnt_from,
            groups_held_out: samples.held_out,
            epochs: history.len(),
            epoch: kept.number,
            final_loss: kept.loss,
            validation_loss: kept.validation,
            intensity_scale: samples.beam.scale.then(|| samples.scale(&network.parameters[own..])),
            model_digest: Digest::of(&model),
            export,
        };
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|e| StageError::new(FailureClass::Other, format!("train.json: {e}")))?;
        std::fs::write(cx.output("manifest")?, text + "\n")?;
        checkpoint.remove()
    }
}

/// The epoch whose weights the network has in the end.
fn kept_epoch<'a>(params: &Params, history: &'a [Epoch]) -> StageResult<&'a Epoch> {
    let best =
        || history.iter().reduce(|best, epoch| if epoch.watched() <= best.watched() { epoch } else { best });
    let kept = if params.early_stopping.is_some() { best() } else { history.last() };
    kept.ok_or_else(|| StageError::new(FailureClass::Other, "not one epoch was trained"))
}

/// Tells what share of the data is used.
fn report(cx: &mut Context<'_>, samples: &Samples<f32>, parts: &[Part]) {
    cx.measure("groups", samples.groups.len() - samples.held_out);
    cx.measure("groups_held_out", samples.held_out);
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
