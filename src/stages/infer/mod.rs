//! Stage kind `infer`: a trained network predicts object patches from diffraction patterns.
//!
//! The order matters: the normalisation comes from the whole dataset, groups are formed over the whole
//! scan, and only then the groups are cut into chunks. A chunk size therefore changes memory and time and
//! not one bit of the result. (Chunking images before grouping would join images that are far apart.)

mod arena;
mod chunks;
mod contract;
mod library;
mod normalise;
mod session;
mod verdict;

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, Axis, s};
use num_complex::Complex32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chunks::Chunk;
pub use contract::{ModelMeta, Normalisation};
pub use library::{OLDEST_MINOR, Provider, Providers, providers};
pub use normalise::rms_factor;
pub use session::Model;

use super::{Context, Stage};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::groups;
use crate::ptycho::patches::Patches;
use verdict::Verdict;

/// The `infer` stage.
pub struct Infer;

/// Parameters of `infer`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Groups that go through the network at a time: a number, or `all`. More is faster until memory runs
    /// out. Never changes the result.
    #[serde(default)]
    pub chunk: Chunk,
}

impl Stage for Infer {
    fn kind(&self) -> Kind {
        Kind {
            name: "infer",
            version: 1,
            summary: "predict object patches from diffraction patterns with a trained network",
            inputs: &[
                Slot { name: "data", arity: Arity::One, doc: "dataset (NPZ)" },
                Slot { name: "model", arity: Arity::One, doc: "trained network (ONNX)" },
            ],
            outputs: &[Output {
                name: "patches",
                file: "patches.npz",
                doc: "complex object patches with the absolute centre of each",
            }],
            params: || schemars::schema_for!(Params),
            tuning: &["chunk"],
            seeded: false,
            needs_runtime: true,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let job = cx.job();
        let runtime = job.runtime.as_deref().ok_or_else(|| {
            StageError::new(FailureClass::Runtime, "the task was given no ONNX Runtime library")
        })?;

        let start = Instant::now();
        let mut model = Model::load(runtime, cx.input("model")?, job.threads, job.device)?;
        cx.measure("model_load_s", start.elapsed().as_secs_f64());

        let data = read(cx.input("data")?, model.meta())?;
        let members = members(&data, model.meta())?;
        let factor = match model.meta().normalisation {
            Normalisation::Rms => rms_factor(data.diffraction.view())?,
            Normalisation::None => 1.0,
        };
        cx.measure("images", data.len());
        cx.measure("groups", members.nrows());
        cx.measure("normalisation_factor", factor);

        let start = Instant::now();
        let (patches, verdict) = predict(cx, &mut model, &data, members.view(), factor, params.chunk)?;
        cx.measure("inference_s", start.elapsed().as_secs_f64());
        verdict.report(cx)?;

        let place = |centres: &[f64]| members.iter().map(|&image| centres[image as usize]).collect();
        let patches = Patches { patches, x: place(&data.x), y: place(&data.y) };
        patches.write(&cx.output("patches")?)
    }
}

/// Reads the dataset and checks that its patterns are those of the network.
fn read(path: &Path, meta: &ModelMeta) -> StageResult<Dataset> {
    let data = Dataset::read(path)?;
    if data.is_empty() {
        return Err(StageError::input(format!("{} holds no images", path.display())));
    }
    if data.side() != meta.n {
        return Err(StageError::input(format!(
            "{} holds patterns of {side}×{side} pixels, but the model was made for {n}×{n}",
            path.display(),
            side = data.side(),
            n = meta.n
        )));
    }
    Ok(data)
}

/// Image indices of each group, (G, C): the image itself, or around every image its C − 1 nearest.
fn members(data: &Dataset, meta: &ModelMeta) -> StageResult<Array2<u32>> {
    groups::around_every_image(&data.x, &data.y, meta.channels)
}

/// Runs all groups, chunk by chunk: (G·C, N, N), the C patches of a group one after another.
///
/// The result is held whole, G·C·N²·8 bytes; what a chunk needs on top is the network's own memory.
fn predict(
    cx: &mut Context<'_>,
    model: &mut Model,
    data: &Dataset,
    members: ArrayView2<'_, u32>,
    factor: f64,
    chunk: Chunk,
) -> StageResult<(Array3<Complex32>, Verdict)> {
    let (groups, channels) = members.dim();
    let n = model.meta().n;
    let mut patches = Array3::zeros((groups * channels, n, n));
    let mut verdict = Verdict::default();
    for range in chunks::split(groups, chunk) {
        cx.progress(range.start as u64, groups as u64, "groups", None);
        // Memory that runs out here is of class `OutOfMemory`: the place where smaller chunks may be tried.
        let input = gather(data.diffraction.view(), members.slice(s![range.clone(), ..]), factor);
        let (amplitude, phase) = run(model, input)?;
        verdict.add(range.start, &amplitude, &phase)?;
        let mut target = patches.slice_mut(s![range.start * channels..range.end * channels, .., ..]);
        let polar = amplitude.iter().zip(&phase).map(|(&a, &p)| Complex32::from_polar(a, p));
        target.iter_mut().zip(polar).for_each(|(pixel, value)| *pixel = value);
    }
    cx.progress(groups as u64, groups as u64, "groups", None);
    Ok((patches, verdict))
}

/// The network's input for some groups: amplitudes times `factor`, [group, member, row, col].
///
/// The factor is rounded to f32 first, as in training.
fn gather(diffraction: ArrayView3<'_, f32>, members: ArrayView2<'_, u32>, factor: f64) -> Array4<f32> {
    let ((groups, channels), (_, rows, cols)) = (members.dim(), diffraction.dim());
    let factor = factor as f32;
    let mut input = Array4::zeros((groups, channels, rows, cols));
    for ((group, channel), &image) in members.indexed_iter() {
        let source = diffraction.index_axis(Axis(0), image as usize);
        input.slice_mut(s![group, channel, .., ..]).zip_mut_with(&source, |to, &from| *to = from * factor);
    }
    input
}

/// Runs one chunk; a chunk of one group runs as two.
///
/// ONNX Runtime computes a single image by another path, split over threads, whose last bits differ.
fn run(model: &mut Model, input: Array4<f32>) -> StageResult<(Array4<f32>, Array4<f32>)> {
    if input.dim().0 != 1 {
        return model.run(input.view());
    }
    let twice = input.select(Axis(0), &[0, 0]);
    let (amplitude, phase) = model.run(twice.view())?;
    Ok((amplitude.select(Axis(0), &[0]), phase.select(Axis(0), &[0])))
}
