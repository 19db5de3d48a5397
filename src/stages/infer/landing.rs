//! Where a network's outputs land: memory that is there before it runs, so that nothing is copied afterwards, while
//! all threads would wait.

use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::Tensor;

use super::contract::{self, ModelMeta};
use super::library::say;
use super::session;
use super::stream::reserve;
use crate::diag::{FailureClass, StageError, StageResult};
use crate::stages::Device;

/// Amplitude and phase of a batch, each `[batch, C, N, N]`.
pub(super) type Outputs = [Tensor<f32>; 2];

/// Memory for the outputs of one batch, used again and again.
pub(super) struct Landing {
    /// Groups that a run is on.
    pub(super) batch: usize,
    /// Options of a run, which name this memory.
    pub(super) options: RunOptions<HasSelectedOutputs>,
    /// What the last run left there.
    pub(super) found: Option<Outputs>,
}

impl Landing {
    /// Memory for a run on so many groups, or two.
    ///
    /// # Errors
    /// `OutOfMemory` if there is none.
    pub(super) fn new(groups: usize, meta: &ModelMeta) -> StageResult<Self> {
        let ModelMeta { channels, n, .. } = *meta;
        let batch = session::batch(groups);
        let mut selector = OutputSelector::default();
        for name in [contract::AMPLITUDE, contract::PHASE] {
            let values = reserve(batch * channels * n * n)?;
            let tensor = Tensor::from_array(([batch, channels, n, n], values)).map_err(|e| failed(&e))?;
            selector = selector.preallocate(name, tensor);
        }
        let options = RunOptions::new().map_err(|e| failed(&e))?.with_outputs(selector);
        Ok(Self { batch, options, found: None })
    }

    /// Has the session's memory given back after a run.
    pub(super) fn give_back(&mut self, device: Device) -> StageResult {
        let arena = match device {
            Device::Cpu => "cpu:0".to_owned(),
            Device::Cuda(index) => format!("gpu:{index}"),
        };
        self.options.set("memory.enable_memory_arena_shrinkage", arena).map_err(|e| failed(&e))
    }

    /// Amplitudes and phases that the last run left, [group, member, row, col]; nothing if there was none.
    pub(super) fn values(&self) -> [&[f32]; 2] {
        self.found
            .as_ref()
            .map_or([&[], &[]], |[amplitude, phase]| [amplitude.extract_tensor().1, phase.extract_tensor().1])
    }
}

fn failed(error: &ort::Error) -> StageError {
    StageError::new(FailureClass::Other, format!("memory for a network's outputs: {}", say(error)))
}
