//! What a training will take of memory and time, before it begins.

use std::time::Instant;

use super::learn::duration;
use super::params::Params;
use crate::diag::{FailureClass, StageError, StageResult, memory};
use crate::nn::graph::Graph;
use crate::nn::network::Network;
use crate::nn::physics::Physics;
use crate::nn::train::Settings;
use crate::nn::workspace::{Patches, Workspace};
use crate::os;
use crate::stages::{Context, Device, infer};

/// Networks with more parameters are of full size: days on a processor.
const FULL_SIZE: usize = 2_000_000;

/// Share of the limit that is left free: allocators round up, and threads have stacks.
const MARGIN: u64 = 16;

/// Memory of a worker that has done nothing yet, bytes.
const PROGRAM: u64 = 16 << 20;

/// What a training is about, as far as its memory depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size<'a> {
    pub graph: &'a Graph,
    /// Numbers learnt of the beam.
    pub physical: usize,
    /// Bytes a thread needs for the loss.
    pub scratch: u64,
    /// Bytes that are there before: program, datasets.
    pub base: u64,
}

impl Size<'_> {
    /// Peak of the process, bytes: while it trains, or while the model is checked.
    pub fn peak(&self, settings: &Settings) -> u64 {
        let weights = 4 * self.graph.parameters as u64;
        let training = settings.bytes(self.graph, self.physical, self.scratch);
        // The check holds the parameters, the file, one workspace, and the runtime's session.
        let check = 3 * weights + Workspace::<f32>::bytes(self.graph) + infer::LOADING_BARE + 3 * weights;
        self.base + training.max(check)
    }

    /// The largest micro-batch, by halving from the one asked for, whose peak is within the limit.
    fn within(&self, settings: &Settings, limit: Option<u64>) -> (Settings, Foreseen) {
        let mut settings = *settings;
        let margin = limit.map_or(0, |limit| limit / MARGIN);
        loop {
            let peak = self.peak(&settings);
            let fits = limit.is_none_or(|limit| peak <= limit - margin);
            if fits || settings.micro_batch <= 1 {
                return (settings, Foreseen { micro_batch: settings.micro_batch, peak, margin, fits });
            }
            settings.micro_batch /= 2;
        }
    }
}

/// What a training will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreseen {
    /// Groups whose gradients are held at a time.
    pub micro_batch: usize,
    /// The process's resident peak, bytes.
    pub peak: u64,
    /// What must stay free of the limit, bytes.
    pub margin: u64,
    /// Whether peak and margin are within the limit.
    pub fits: bool,
}

/// Foresees a training on datasets of so many images and such a side each, without running anything. `most` is
/// what is left of the micro-batch after attempts that ran out of memory.
///
/// # Errors
/// `Input` if there is no such network.
pub fn foresee(
    params: &Params,
    datasets: &[[usize; 2]],
    threads: usize,
    limit: Option<u64>,
    most: Option<u64>,
) -> StageResult<Foreseen> {
    let side = datasets.first().map_or(0, |[_, side]| *side);
    let graph = super::build(params, side)?;
    let learns = params.learns()?;
    let probes = if learns.probe { 2 * side * side * datasets.len() } else { 0 };
    let physical = usize::from(learns.scale) + probes;
    let patterns: usize = datasets.iter().map(|[images, side]| 4 * images * side * side).sum();
    let size = Size { graph: &graph, physical, scratch: scratch(&graph), base: PROGRAM + patterns as u64 };
    let settings = settings(params, 0, threads);
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX).max(1));
    let asked = Settings { micro_batch: settings.micro_batch.min(most), ..settings };
    Ok(size.within(&asked, limit).1)
}

/// What the study asks for.
pub(super) fn settings(params: &Params, seed: u64, threads: usize) -> Settings {
    Settings {
        epochs: params.epochs,
        batch: params.batch,
        micro_batch: params.micro_batch.unwrap_or(params.batch).min(params.batch),
        learning_rate: params.learning_rate,
        schedule: params.schedule,
        plateau: params.plateau.unwrap_or_default(),
        patience: params.early_stopping,
        clip: params.gradient_clip.unwrap_or(f64::INFINITY),
        seed,
        threads,
    }
}

/// Bytes a thread needs for the loss, whichever it is.
pub(super) fn scratch(graph: &Graph) -> u64 {
    let n = graph.architecture.side;
    Physics::<f32>::bytes(n, graph.drawn()) + (28 * n * n) as u64
}

/// Settles the micro-batch: what is asked for, less after attempts that ran out of memory, less where the
/// limit is near; and tells the forecast before anything is held.
pub(super) fn settle(
    cx: &mut Context<'_>,
    graph: &Graph,
    physical: usize,
    asked: Settings,
) -> StageResult<Settings> {
    let job = cx.job();
    let resident = os::resident_memory().unwrap_or(0);
    let size = Size { graph, physical, scratch: scratch(graph), base: resident };
    let most = job.chunk.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX).max(1));
    let asked = Settings { micro_batch: asked.micro_batch.min(most), ..asked };
    let free = || Some(os::free_memory()?.saturating_add(resident));
    let limit = if job.device == Device::Cpu { job.memory.or_else(free) } else { None };
    let (settings, seen) = size.within(&asked, limit);
    cx.chunk(settings.micro_batch as u64, "groups", Some(seen.peak));
    cx.measure("micro_batch", settings.micro_batch);
    cx.measure("predicted_peak_bytes", seen.peak);
    if settings.micro_batch < asked.micro_batch {
        cx.log(format!(
            "{} of {} groups of a batch at a time: more would not fit; the result stays the same",
            settings.micro_batch, settings.batch
        ));
    }
    match limit {
        Some(limit) if !seen.fits => Err(StageError::new(
            FailureClass::OutOfMemory,
            format!(
                "training needs {} with one group at a time, and {} may be used",
                memory(seen.peak),
                memory(limit)
            ),
        )
        .hint("take a smaller network, or raise `resources.memory` of the stage")),
        _ => Ok(settings),
    }
}

/// Refuses networks of full size, with the time they would take, unless forced.
pub(super) fn refuse_full_size(
    params: &Params,
    network: &Network<f32>,
    settings: &Settings,
    samples: usize,
) -> StageResult {
    let parameters = network.graph.parameters;
    if params.force || parameters <= FULL_SIZE {
        return Ok(());
    }
    let seconds =
        pass(network) * samples as f64 * f64::from(settings.epochs) / settings.threads.max(1) as f64;
    Err(StageError::input(format!(
        "a network of {parameters} parameters is of full size: {} epochs on {samples} groups would take about {} \
         on this processor with {} threads",
        settings.epochs,
        duration(seconds),
        settings.threads
    ))
    .hint("take `engine: torch` on a GPU, a smaller `width`, or `network: compact`; `force: true` trains it all the same"))
}

/// Seconds that one sample takes forwards and backwards on one thread.
fn pass(network: &Network<f32>) -> f64 {
    let graph = &network.graph;
    let input = graph.maps[0];
    let mut workspace = Workspace::new(graph);
    let (mut turned, mut gradient) = (Vec::new(), vec![0.0; network.parameters.len()]);
    let x = vec![0.5; input.channels * input.side * input.side];
    let upstream =
        Patches { amplitude: vec![1e-3; workspace.output.amplitude.len()], ..workspace.output.clone() };
    let start = Instant::now();
    network.turn(&mut turned);
    workspace.forward(network, &x);
    workspace.backward(network, &turned, &upstream, &mut gradient);
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(limit: Option<u64>, most: Option<u64>) -> Foreseen {
        let params = json!({ "architecture": "pinn", "network": "ptychopinn", "batch": 16 });
        let params: Params = serde_json::from_value(params).unwrap();
        foresee(&params, &[[5088, 128]], 2, limit, most).unwrap()
    }

    /// The micro-batch is the largest, by halving, whose peak and margin are within the limit.
    #[test]
    fn the_micro_batch_is_what_fits() {
        let roomy = seen(None, None);
        assert_eq!((roomy.micro_batch, roomy.fits), (16, true));
        let limit = |peak: u64| peak * 16 / 15 + 16;
        assert_eq!(seen(Some(limit(roomy.peak)), None).micro_batch, 16);
        let tight = seen(Some(limit(roomy.peak) - (1 << 20)), None);
        assert_eq!((tight.micro_batch, tight.fits), (8, true));
        // Eight gradients of 4 667 056 numbers less.
        assert_eq!(roomy.peak - tight.peak, 8 * 4 * 4_667_056);
        assert_eq!(seen(None, Some(4)).micro_batch, 4);
        let nothing = seen(Some(1 << 20), None);
        assert_eq!((nothing.micro_batch, nothing.fits), (1, false));
    }
}
