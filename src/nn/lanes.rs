//! Gradients of many samples: computed by several threads, added in order.

use std::sync::Mutex;
use std::thread;

use super::network::Network;
use super::real::Real;
use super::train::{Shot, Slopes, Task};
use super::workspace::{Patches, Workspace};

/// A sample and the number that chooses its augmentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub sample: usize,
    pub draw: u64,
}

/// One sample's place in a micro-batch: its gradient and loss.
struct Lane<T> {
    gradient: Vec<T>,
    loss: f64,
}

/// One thread's memory.
struct Bench<T, S> {
    workspace: Workspace<T>,
    input: Vec<T>,
    gradient: Patches<T>,
    scratch: S,
}

/// Memory for a micro-batch, and for the sum over the batch.
pub(super) struct Lanes<T, S> {
    lanes: Vec<Lane<T>>,
    benches: Vec<Bench<T, S>>,
    turned: Vec<T>,
    total: Vec<T>,
}

impl<T: Real, S: Send> Lanes<T, S> {
    /// Memory for micro-batches of that size on that many threads.
    pub fn new<K: Task<T, Scratch = S>>(network: &Network<T>, task: &K, size: usize, threads: usize) -> Self {
        let parameters = network.parameters.len();
        let input = network.graph.maps[0];
        let lane = |_| Lane { gradient: vec![T::zero(); parameters], loss: 0.0 };
        let bench = |_| {
            let workspace = Workspace::new(&network.graph);
            let gradient = workspace.output.clone();
            let input = vec![T::zero(); input.channels * input.side * input.side];
            Bench { workspace, input, gradient, scratch: task.scratch() }
        };
        Self {
            lanes: (0..size).map(lane).collect(),
            benches: (0..threads).map(bench).collect(),
            turned: Vec::new(),
            total: vec![T::zero(); parameters],
        }
    }

    /// Sum of the gradients of the last batch.
    pub fn total(&self) -> &[T] {
        &self.total
    }

    /// Length of that sum.
    pub fn norm(&self) -> f64 {
        let squares = |block: &[T]| block.iter().map(|g| g.wide() * g.wide()).sum::<f64>();
        self.total.chunks(BLOCK).map(squares).sum::<f64>().sqrt()
    }

    /// Sums the gradients of a batch and returns the loss of each sample.
    pub fn gradient<K: Task<T, Scratch = S>>(
        &mut self,
        network: &Network<T>,
        task: &K,
        batch: &[Draw],
    ) -> Vec<f64> {
        network.turn(&mut self.turned);
        self.total.fill(T::zero());
        let mut losses = Vec::with_capacity(batch.len());
        for micro in batch.chunks(self.lanes.len()) {
            let Self { lanes, benches, turned, .. } = self;
            let lanes = &mut lanes[..micro.len()];
            each(benches, micro.iter().zip(lanes), |bench, (draw, lane)| {
                lane.loss = bench.loss(network, task, *draw, &mut lane.gradient);
                bench.workspace.backward(network, turned, &bench.gradient, &mut lane.gradient);
            });
            self.add(micro.len());
            losses.extend(self.lanes[..micro.len()].iter().map(|lane| lane.loss));
        }
        losses
    }

    /// Adds the gradients of the first lanes, in their order, to the sum.
    fn add(&mut self, lanes: usize) {
        for (block, out) in self.total.chunks_mut(BLOCK).enumerate() {
            for lane in &self.lanes[..lanes] {
                out.iter_mut().zip(&lane.gradient[block * BLOCK..]).for_each(|(sum, &g)| *sum += g);
            }
        }
    }

    /// Mean loss over the samples held out, if there are any.
    pub fn validate<K: Task<T, Scratch = S>>(&mut self, network: &Network<T>, task: &K) -> Option<f64> {
        let first = task.samples();
        let held: Vec<usize> = (first..first + task.held_out()).collect();
        let mut sum = 0.0;
        for micro in held.chunks(self.lanes.len()) {
            let lanes = &mut self.lanes[..micro.len()];
            each(&mut self.benches, micro.iter().zip(lanes), |bench, (&sample, lane)| {
                lane.loss = bench.loss(network, task, Draw { sample, draw: 0 }, &mut lane.gradient);
            });
            sum += self.lanes[..micro.len()].iter().map(|lane| lane.loss).sum::<f64>();
        }
        (!held.is_empty()).then(|| sum / held.len() as f64)
    }

    /// Says what is not finite, and whether it is the data: `bad` is the first sample whose loss is not.
    pub fn diagnose<K: Task<T, Scratch = S>>(
        &mut self,
        network: &Network<T>,
        task: &K,
        bad: Option<(Draw, f64)>,
        norm: f64,
    ) -> (String, bool) {
        let Some((draw, loss)) = bad else {
            return (format!("length of the gradient {norm}, though every loss is finite"), false);
        };
        let what = format!("loss {loss} of sample {}", draw.sample);
        let (bench, lane) = (&mut self.benches[0], &mut self.lanes[0]);
        bench.loss(network, task, draw, &mut lane.gradient);
        let finite = |values: &[T]| values.iter().all(|v| v.is_finite());
        if !finite(&bench.input) {
            return (format!("{what}, whose patterns hold numbers that are not finite"), true);
        }
        let output = &bench.workspace.output;
        if !finite(&output.amplitude) || !finite(&output.phase) {
            return (format!("{what}: the network's output is not finite, though its input is"), false);
        }
        let largest = output.amplitude.iter().fold(0.0f64, |m, a| m.max(a.wide().abs()));
        (format!("{what}, though the network's output is finite, amplitudes up to {largest:.1e}"), false)
    }
}

impl<T: Real, S: Send> Bench<T, S> {
    /// Forward pass and loss. Gradients go to the bench, and those of the physical numbers behind the
    /// network's own in `to`.
    fn loss<K: Task<T, Scratch = S>>(
        &mut self,
        network: &Network<T>,
        task: &K,
        Draw { sample, draw }: Draw,
        to: &mut [T],
    ) -> f64 {
        task.input(sample, draw, &mut self.input);
        self.workspace.forward(network, &self.input);
        let own = network.graph.parameters;
        let (prediction, physical) = (&self.workspace.output, &network.parameters[own..]);
        let shot = Shot { sample, draw, input: &self.input, prediction, physical };
        let slopes = Slopes { patches: &mut self.gradient, physical: &mut to[own..] };
        task.loss(shot, slopes, &mut self.scratch)
    }
}

/// Numbers that stay in the cache while lane after lane is added.
const BLOCK: usize = 4096;

/// Does the work on every item, by as many threads as there are benches.
fn each<I: Send, B: Send>(
    benches: &mut [B],
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(&mut B, I) + Sync,
) {
    if let [bench] = benches {
        return items.for_each(|item| work(bench, item));
    }
    let queue = Mutex::new(items);
    thread::scope(|scope| {
        for bench in benches {
            scope.spawn(|| {
                loop {
                    // The queue stays valid if another thread panicked; the scope passes that panic on.
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                    let Some(item) = next else { return };
                    work(bench, item);
                }
            });
        }
    });
}
