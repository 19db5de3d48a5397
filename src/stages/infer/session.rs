//! One trained network, run through ONNX Runtime.

use std::path::Path;

use ndarray::{Array4, ArrayView4};
use ort::ep;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, SelectedOutputMarker, Session};
use ort::value::{Tensor, TensorRef, TensorValueType};

use super::arena::{self, Stats};
use super::contract::{self, ModelMeta};
use super::landing::{Landing, Outputs};
use super::library::{self, say};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::stages::{Device, oom};

/// A model that fits the contract, loaded and ready to run.
pub struct Model {
    session: Session,
    meta: ModelMeta,
    device: Device,
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
        Self::load_within(runtime, model, threads, device, Limits::default())
    }

    /// The same with limits on memory: beyond them loading and running fail with class `OutOfMemory`.
    pub fn load_within(
        runtime: &Path,
        model: &Path,
        threads: usize,
        device: Device,
        limits: Limits,
    ) -> StageResult<Self> {
        let path = model.display().to_string();
        if !model.is_file() {
            return Err(StageError::input(format!("model {path}: no such file")));
        }
        let session = library::with_builder(runtime, limits.host, |builder| {
            let builder = configure(builder, threads).map_err(|e| {
                StageError::new(FailureClass::Runtime, format!("ONNX Runtime session: {}", say(&e)))
            })?;
            let mut builder = on_device(builder, device, limits.device)?;
            builder.commit_from_file(model).map_err(|e| not_loaded(&path, device, &say(&e)))
        })?;
        let meta = contract::check(&session)
            .map_err(|problem| StageError::input(format!("model {path}: {problem}")).hint(contract::HINT))?;
        Ok(Self { session, meta, device, path })
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
        let expected = (self.meta.channels, self.meta.n, self.meta.n);
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
        let input = input.as_standard_layout();
        let [amplitude, phase] = self.outputs(input.view(), &anywhere()?)?;
        let array = |tensor: Tensor<f32>| {
            Array4::from_shape_vec(input.dim(), tensor.extract_tensor().1.to_vec())
                .map_err(|e| StageError::new(FailureClass::Other, format!("a network's output: {e}")))
        };
        Ok((array(amplitude)?, array(phase)?))
    }

    /// Runs the network on the beginning of `input`, [group, member, row, col]: on as many groups as `landing` has
    /// memory for.
    pub(super) fn run_into(&mut self, input: &[f32], landing: &mut Landing) -> StageResult {
        let ModelMeta { channels, n, .. } = self.meta;
        let batch = landing.batch;
        let input = ArrayView4::from_shape((batch, channels, n, n), &input[..batch * channels * n * n])
            .map_err(|e| StageError::new(FailureClass::Other, format!("a chunk's input: {e}")))?;
        let outputs = self.outputs(input, &landing.options).map_err(|error| match error.class {
            // Outputs of another shape do not fit the memory; said of them where they are free to be what they are.
            FailureClass::Other => anywhere().and_then(|o| self.outputs(input, &o)).err().unwrap_or(error),
            _ => error,
        });
        landing.found = Some(outputs?);
        Ok(())
    }

    /// Runs the network for nothing but to see what it needs; `shrink` gives the memory back afterwards.
    pub(super) fn probe(&mut self, groups: usize, input: &[f32], shrink: bool) -> StageResult {
        let mut landing = Landing::new(groups, &self.meta)?;
        if shrink {
            landing.give_back(self.device)?;
        }
        self.run_into(input, &mut landing)
    }

    /// Whether it computes on the host.
    pub(super) fn is_on_host(&self) -> bool {
        self.device == Device::Cpu
    }

    /// What the session's memory arena has handed out; on a CUDA device, the device's.
    pub(super) fn memory(&self) -> StageResult<Stats> {
        arena::stats(&self.session, self.device).map_err(|e| {
            StageError::new(
                FailureClass::Runtime,
                format!("ONNX Runtime tells nothing of its memory: {}", say(&e)),
            )
        })
    }

    /// Runs the network on `input`, contiguous, and gives its outputs after checking their shapes.
    fn outputs<O: SelectedOutputMarker>(
        &mut self,
        input: ArrayView4<'_, f32>,
        options: &RunOptions<O>,
    ) -> StageResult<Outputs> {
        let Self { session, path, .. } = self;
        let failed = |e: ort::Error| {
            let text = format!("model {path} on a batch of {}: {}", input.dim().0, say(&e));
            match oom::evidence(&text) {
                Some(_) => out_of_memory(text),
                None => StageError::new(FailureClass::Other, text),
            }
        };
        let tensor = TensorRef::from_array_view(input).map_err(failed)?;
        let inputs = ort::inputs![contract::INPUT => tensor];
        let mut outputs = session.run_with_options(inputs, options).map_err(failed)?;
        let mut find = |name: &str| {
            let value = outputs.remove(name).ok_or_else(|| {
                StageError::new(FailureClass::Other, format!("model {path} returned no `{name}`"))
            })?;
            let tensor = value.downcast::<TensorValueType<f32>>().map_err(failed)?;
            // A batch that collapses (n groups summed into one canvas) must not pass for a result.
            let shape: Vec<usize> = tensor.shape().iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
            if shape != input.shape() {
                return Err(StageError::check(format!(
                    "model {path}: output `{name}` has shape {shape:?} for an input of {:?}",
                    input.shape()
                )));
            }
            Ok(tensor)
        };
        Ok([find(contract::AMPLITUDE)?, find(contract::PHASE)?])
    }
}

/// Options of a run whose outputs land wherever the library likes.
fn anywhere() -> StageResult<RunOptions> {
    RunOptions::new()
        .map_err(|e| StageError::new(FailureClass::Runtime, format!("ONNX Runtime run: {}", say(&e))))
}

/// Groups that really go through the network for so many that should: a single one has company.
///
/// ONNX Runtime computes a single image by another path, split over threads, whose last bits differ.
pub(super) fn batch(chunk: usize) -> usize {
    chunk.max(2)
}

/// Most memory that a session may take, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of the host, for weights and activations.
    pub host: Option<u64>,
    /// Of the CUDA device.
    pub device: Option<u64>,
}

/// Settings that hold on every device.
///
/// All optimisations: with the blocked convolution layout every image's arithmetic is its own, so that
/// neither batch size nor thread count reaches the numbers; at level 2 they do, in the last bits. The
/// memory pattern is off because it doubles the peak and gains no time. Threads that wait spin: there are as
/// many as the cores that were promised to the task, which nobody else has meanwhile, and it is 3 % faster.
fn configure(builder: SessionBuilder, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_deterministic_compute(true)?
        .with_memory_pattern(false)?
        .with_env_allocators()?
        .with_parallel_execution(false)?
        .with_inter_threads(1)?
        .with_intra_threads(threads.max(1))?
        .with_intra_op_spinning(true)?)
}

fn on_device(builder: SessionBuilder, device: Device, limit: Option<u64>) -> StageResult<SessionBuilder> {
    let index = match device {
        Device::Cpu => return Ok(builder),
        Device::Cuda(index) => index,
    };
    let id = i32::try_from(index).map_err(|_| unusable(index, "no such device index"))?;
    // TensorFloat-32 keeps 10 bits of the mantissa, and an exhaustive search may pick another algorithm
    // on every run: both off, so that a GPU run repeats.
    let mut cuda = ep::CUDA::default();
    if let Some(bytes) = limit {
        cuda = cuda.with_memory_limit(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let cuda = cuda
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

pub(super) fn out_of_memory(message: String) -> StageError {
    StageError::new(FailureClass::OutOfMemory, message)
        .hint("lower `chunk` of the infer stage, or give the task more memory")
}
