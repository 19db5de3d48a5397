//! The model file, and whether ONNX Runtime computes from it what the trainer computes.

use std::path::Path;

use ndarray::Array4;
use serde::Serialize;

use super::params::Params;
use crate::diag::{StageError, StageResult};
use crate::io::digest::Digest;
use crate::nn::network::Network;
use crate::nn::onnx;
use crate::nn::samples::Samples;
use crate::nn::workspace::{Patches, Workspace};
use crate::stages::Device;
use crate::stages::infer::Model;

/// Groups on which both are compared, spread evenly over all.
const GROUPS: usize = 16;

/// Largest difference accepted.
const TOLERANCE: f64 = 1e-5;

/// How far ONNX Runtime and trainer are apart, over all pixels of [`GROUPS`] training groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Groups compared.
    pub groups: usize,
    /// Largest difference of amplitudes, divided by the largest amplitude.
    pub amplitude: f64,
    /// Largest difference of phases, divided by π.
    pub phase: f64,
    /// What both may be at most.
    pub tolerance: f64,
}

/// The network as ONNX, with what `infer` needs to know in its metadata.
pub fn encode(network: &Network<f32>, params: &Params, training: Digest) -> Vec<u8> {
    let architecture = format!("{}/{}", params.architecture.name(), network.graph.name());
    let metadata = [
        ("phasegraph.n", network.graph.architecture.side.to_string()),
        ("phasegraph.gridsize", params.gridsize().to_string()),
        ("phasegraph.channels", params.channels().to_string()),
        ("phasegraph.normalisation", "rms".to_owned()),
        ("phasegraph.architecture", architecture),
        ("phasegraph.drawn_px", network.graph.drawn().to_string()),
        ("phasegraph.scale", network.input_factor().to_string()),
        ("phasegraph.training_digest", training.to_string()),
    ];
    onnx::encode(network, &metadata)
}

/// Runs the model at `path` on training data and compares with the trainer's network.
///
/// One thread and the CPU, whatever the job has: the numbers go into the manifest, which must not
/// depend on either.
pub fn check(
    runtime: &Path,
    path: &Path,
    network: &Network<f32>,
    samples: &Samples<f32>,
) -> StageResult<Agreement> {
    let shape = network.graph.maps[0];
    let (n, channels, drawn) = (shape.side, shape.channels, network.graph.drawn());
    let count = samples.groups.len().min(GROUPS);
    let mut input = Array4::<f32>::zeros((count, channels, n, n));
    let mut workspace = Workspace::new(&network.graph);
    let mut own = Vec::with_capacity(count);
    for (i, mut planes) in input.outer_iter_mut().enumerate() {
        let mut flat = vec![0.0; channels * n * n];
        samples.input(i * samples.groups.len() / count, 0, &mut flat);
        workspace.forward(network, &flat);
        own.push(workspace.output.clone());
        planes.iter_mut().zip(&flat).for_each(|(to, from)| *to = *from);
    }
    let mut model = Model::load(runtime, path, 1, Device::Cpu)?;
    let (amplitude, phase) = model.run(input.view())?;

    let margin = (n - drawn) / 2;
    let largest = own.iter().flat_map(|p| &p.amplitude).fold(0.0f64, |m, a| m.max(f64::from(a.abs())));
    let compare = |theirs: &Array4<f32>, pick: fn(&Patches<f32>) -> &Vec<f32>, unit: f64| {
        let mut worst = 0.0f64;
        for ((group, channel, row, col), value) in theirs.indexed_iter() {
            let inside = (margin..margin + drawn).contains(&row) && (margin..margin + drawn).contains(&col);
            let at = || (channel * drawn + row - margin) * drawn + col - margin;
            let expected = if inside { pick(&own[group])[at()] } else { 0.0 };
            let difference = (f64::from(*value) - f64::from(expected)).abs() / unit;
            // NaN must fail the check, not vanish in a comparison.
            worst = if difference > worst || difference.is_nan() { difference } else { worst };
        }
        worst
    };
    let agreement = Agreement {
        groups: count,
        amplitude: compare(&amplitude, |p| &p.amplitude, largest.max(f64::MIN_POSITIVE)),
        phase: compare(&phase, |p| &p.phase, std::f64::consts::PI),
        tolerance: TOLERANCE,
    };
    if agreement.amplitude <= TOLERANCE && agreement.phase <= TOLERANCE {
        return Ok(agreement);
    }
    Err(StageError::check(format!(
        "ONNX Runtime does not compute what was trained: amplitudes differ by up to {:.1e} of the largest, phases by \
         up to {:.1e} of π, over {count} training groups; at most {TOLERANCE:.0e} is accepted",
        agreement.amplitude, agreement.phase
    ))
    .hint("another version of ONNX Runtime may compute it rightly; `phasegraph runtime` shows the one in use"))
}
