//! One trained network, run through ONNX Runtime.

use std::path::Path;

use ndarray::{Array4, ArrayView4, Ix4};
use ort::ep;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;

use super::contract::{self, ModelMeta};
use super::library::{self, say};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::stages::{Device, oom};

/// A model that fits the contract, loaded and ready to run.
pub struct Model {
    session: Session,
    meta: ModelMeta,
    /// For messages.
    path: String,
}

impl Model {
    /// Loads `model` with the ONNX Runtime library at `runtime`, to run on `device` with at most `threads`
    /// threads.
    ///
    /// Fails with class `Runtime` if the library or the device cannot be had (a CUDA device is never
    /// replaced by the CPU), and with class `Input` if the file is no model or does not fit the contract
    /// of [`ModelMeta`].
    pub fn load(runtime: &Path, model: &Path, threads: usize, device: Device) -> StageResult<Self> {
        let path = model.display().to_string();
        if !model.is_file() {
            return Err(StageError::input(format!("model {path}: no such file")));
        }
        let builder = library::session_builder(runtime)?;
        let builder = configure(builder, threads).map_err(|e| {
            StageError::new(FailureClass::Runtime, format!("ONNX Runtime session: {}", say(&e)))
        })?;
        let mut builder = on_device(builder, device)?;
        let session = builder.commit_from_file(model).map_err(|e| not_loaded(&path, device, &say(&e)))?;
        let meta = contract::check(&session)
            .map_err(|problem| StageError::input(format!("model {path}: {problem}")).hint(contract::HINT))?;
        Ok(Self { session, meta, path })
    }

    /// What the model's file says about it.
    pub fn meta(&self) -> &ModelMeta {
        &self.meta
    }

    /// Runs the network: `input` `[batch, C, N, N]`, normalised diffraction amplitudes, gives amplitude
    /// and phase (radians), each `[batch, C, N, N]`.
    ///
    /// Memory that ran out is class `OutOfMemory`; after that a smaller batch may succeed on the CPU,
    /// but a CUDA session must be loaded anew.
    pub fn run(&mut self, input: ArrayView4<'_, f32>) -> StageResult<(Array4<f32>, Array4<f32>)> {
        let (batch, expected) = (input.dim().0, (self.meta.channels, self.meta.n, self.meta.n));
        let (_, channels, rows, cols) = input.dim();
        if (channels, rows, cols) != expected {
            return Err(StageError::input(format!(
                "model {} takes [batch, {}, {}, {}], not {:?}",
                self.path,
                expected.0,
                expected.1,
                expected.2,
                input.shape()
            )));
        }
        let path = &self.path;
        let failed = |e: ort::Error| {
            let text = format!("model {path} on a batch of {batch}: {}", say(&e));
            match oom::evidence(&text) {
                Some(_) => out_of_memory(text),
                None => StageError::new(FailureClass::Other, text),
            }
        };
        let input = input.as_standard_layout();
        let tensor = TensorRef::from_array_view(&input).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![contract::INPUT => tensor]).map_err(failed)?;
        let take = |name: &str| -> StageResult<Array4<f32>> {
            let value = outputs.get(name).ok_or_else(|| {
                StageError::new(FailureClass::Other, format!("model {path} returned no `{name}`"))
            })?;
            let array = value.try_extract_array::<f32>().map_err(failed)?;
            // A batch that collapses (n groups summed into one canvas) must not pass for a result.
            if array.shape() != input.shape() {
                return Err(StageError::check(format!(
                    "model {path}: output `{name}` has shape {:?} for an input of {:?}",
                    array.shape(),
                    input.shape()
                )));
            }
            array
                .into_dimensionality::<Ix4>()
                .map(|a| a.to_owned())
                .map_err(|e| StageError::check(format!("model {path}: output `{name}`: {e}")))
        };
        Ok((take(contract::AMPLITUDE)?, take(contract::PHASE)?))
    }
}

/// Settings that hold on every device.
///
/// All optimisations: with the blocked convolution layout every image's arithmetic is its own, so that
/// neither batch size nor thread count reaches the numbers; at level 2 they do, in the last bits. The
/// memory pattern is off because it doubles the peak and gains no time. Spinning is off because waiting
/// threads would take a quarter of the processor time from other tasks (0.60 against 0.46 s for 256 images).
fn configure(builder: SessionBuilder, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_deterministic_compute(true)?
        .with_memory_pattern(false)?
        .with_env_allocators()?
        .with_parallel_execution(false)?
        .with_inter_threads(1)?
        .with_intra_threads(threads.max(1))?
        .with_intra_op_spinning(false)?)
}

fn on_device(builder: SessionBuilder, device: Device) -> StageResult<SessionBuilder> {
    let index = match device {
        Device::Cpu => return Ok(builder),
        Device::Cuda(index) => index,
    };
    let id = i32::try_from(index).map_err(|_| unusable(index, "no such device index"))?;
    // TensorFloat-32 keeps 10 bits of the mantissa, and an exhaustive search may pick another algorithm
    // on every run: both off, so that a GPU run repeats.
    let cuda = ep::CUDA::default()
        .with_device_id(id)
        .with_tf32(false)
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .build()
        .error_on_failure();
    builder.with_execution_providers([cuda]).map_err(|e| unusable(index, &say(&e)))
}

fn unusable(index: u32, why: &str) -> StageError {
    StageError::new(FailureClass::Runtime, format!("CUDA device {index} cannot be used: {why}")).hint(
        "install `onnxruntime-gpu` with its CUDA libraries and point ORT_DYLIB_PATH at its libonnxruntime.so, \
         or ask for `device: cpu`",
    )
}

/// A session is where a device is first touched, so its failure may be the device's or the model's.
fn not_loaded(path: &str, device: Device, text: &str) -> StageError {
    if oom::evidence(text).is_some() {
        return out_of_memory(format!("loading model {path}: {text}"));
    }
    match device {
        Device::Cuda(index) if ["CUDA", "CUBLAS", "CUDNN"].iter().any(|name| text.contains(name)) => {
            unusable(index, text)
        }
        _ => StageError::input(format!("model {path} cannot be loaded: {text}")),
    }
}

fn out_of_memory(message: String) -> StageError {
    StageError::new(FailureClass::OutOfMemory, message)
        .hint("lower `chunk` of the infer stage, or give the task more memory")
}
