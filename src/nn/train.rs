//! The training loop: seeded order, samples spread over threads, Adam.
//!
//! Each sample of a batch has its own gradient, computed by whichever thread is free; the gradients are
//! then added in the order of the batch. The result is thus the same, bit for bit, for any number of
//! threads, and a sample's prediction cannot depend on its batch-mates.

use std::sync::Mutex;
use std::thread;

use rand::seq::SliceRandom;

use super::adam::{Adam, Schedule};
use super::network::Network;
use super::real::Real;
use super::workspace::{Patches, Workspace};
use crate::ptycho::rng::keyed;

/// What a network is trained for: samples, and a loss on each.
pub trait Task<T>: Sync {
    /// Working memory of one thread.
    type Scratch: Send;

    /// Working memory for one thread.
    fn scratch(&self) -> Self::Scratch;
    /// Number of samples.
    fn samples(&self) -> usize;
    /// Writes the network's input for `sample` (`[channel][row][col]`); `draw` chooses among its
    /// augmentations, 0 means none.
    fn input(&self, sample: usize, draw: u64, input: &mut [T]);
    /// The loss of a prediction, and its gradient with respect to the prediction.
    fn loss(
        &self,
        sample: usize,
        draw: u64,
        input: &[T],
        prediction: &Patches<T>,
        gradient: &mut Patches<T>,
        scratch: &mut Self::Scratch,
    ) -> f64;
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Passes over all samples.
    pub epochs: u32,
    /// Samples per step.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Its course.
    pub schedule: Schedule,
    /// Gradients longer than this are shortened to it; none if infinite.
    pub clip: f64,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads; no influence on the result.
    pub threads: usize,
}

/// An epoch, as history records it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub number: u32,
    /// Mean loss over the epoch's samples, each before the step it took part in.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean length of the gradient, before clipping.
    pub gradient_norm: f64,
}

/// A training that produced NaN or infinity.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("training diverged in epoch {epoch}, step {step}: {what}; last finite loss {last_loss}")]
pub struct Diverged {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step within the epoch, from 1.
    pub step: usize,
    /// Which number was not finite, and of which sample.
    pub what: String,
    /// Loss of the batch before; NaN if it was the first.
    pub last_loss: f64,
}

/// One sample's place in a batch: its gradient and loss.
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

/// How far a training is: with the network's parameters, all it takes to go on. Order and augmentation of an
/// epoch follow from seed and number, so they need no memory.
#[derive(Debug, Clone)]
pub struct Progress<T> {
    /// The optimiser.
    pub adam: Adam<T>,
    /// Epochs done.
    pub history: Vec<Epoch>,
    /// Mean loss of the last batch; NaN before the first.
    pub last_loss: f64,
}

impl<T: Real> Progress<T> {
    /// Nothing done.
    pub fn new(parameters: usize) -> Self {
        Self { adam: Adam::new(parameters), history: Vec::new(), last_loss: f64::NAN }
    }
}

/// Trains the network in place and returns its history; `after` is called after every epoch.
pub fn train<T: Real, K: Task<T>>(
    network: &mut Network<T>,
    task: &K,
    settings: &Settings,
    mut after: impl FnMut(&Epoch),
) -> Result<Vec<Epoch>, Diverged> {
    let progress = Progress::new(network.parameters.len());
    go_on(network, task, settings, progress, |_, progress| {
        progress.history.last().into_iter().for_each(&mut after);
        Ok(())
    })
}

/// Goes on with a training from `progress`, with the network as it was then. An error of `after`, called
/// after every epoch, ends it.
pub fn go_on<T: Real, K: Task<T>, E: From<Diverged>>(
    network: &mut Network<T>,
    task: &K,
    settings: &Settings,
    progress: Progress<T>,
    mut after: impl FnMut(&Network<T>, &Progress<T>) -> Result<(), E>,
) -> Result<Vec<Epoch>, E> {
    let parameters = network.parameters.len();
    let batch = settings.batch.min(task.samples());
    let mut lanes: Vec<Lane<T>> =
        (0..batch).map(|_| Lane { gradient: vec![T::zero(); parameters], loss: 0.0 }).collect();
    let input = network.graph.maps[0];
    let mut benches: Vec<Bench<T, K::Scratch>> = (0..settings.threads.clamp(1, batch.max(1)))
        .map(|_| {
            let workspace = Workspace::new(&network.graph);
            let gradient = workspace.output.clone();
            let input = vec![T::zero(); input.channels * input.side * input.side];
            Bench { workspace, input, gradient, scratch: task.scratch() }
        })
        .collect();
    let mut turned = Vec::new();
    let mut total = vec![T::zero(); parameters];
    let per_epoch = task.samples().div_ceil(batch.max(1)) as u64;
    let steps = u64::from(settings.epochs) * per_epoch;
    let mut progress = progress;
    let mut step = progress.history.len() as u64 * per_epoch;

    for number in progress.history.len() as u32 + 1..=settings.epochs {
        let order = epoch_order(settings.seed, number, task.samples());
        let (mut loss, mut norms, mut rate) = (0.0, 0.0, 0.0);
        for (index, chunk) in order.chunks(batch).enumerate() {
            let last_loss = progress.last_loss;
            let diverged = |what| E::from(Diverged { epoch: number, step: index + 1, what, last_loss });
            network.turn(&mut turned);
            let lanes = &mut lanes[..chunk.len()];
            gradients(network, &turned, task, chunk, lanes, &mut benches);
            if let Some(bad) = lanes.iter().position(|lane| !lane.loss.is_finite()) {
                return Err(diverged(format!("loss {} of sample {}", lanes[bad].loss, chunk[bad].sample)));
            }
            let norm = sum(lanes, &mut total) / chunk.len() as f64;
            if !norm.is_finite() {
                return Err(diverged(format!("length of the gradient {norm}")));
            }
            let batch_loss: f64 = lanes.iter().map(|lane| lane.loss).sum();
            rate = settings.learning_rate * settings.schedule.factor(step, steps);
            let scale = (settings.clip / norm.max(settings.clip)).min(1.0) / chunk.len() as f64;
            let scale = if scale.is_nan() { 1.0 / chunk.len() as f64 } else { scale };
            progress.adam.step(&mut network.parameters, &total, scale, rate);
            progress.last_loss = batch_loss / chunk.len() as f64;
            loss += batch_loss;
            norms += norm * chunk.len() as f64;
            step += 1;
        }
        let samples = task.samples() as f64;
        let epoch =
            Epoch { number, loss: loss / samples, learning_rate: rate, gradient_norm: norms / samples };
        progress.history.push(epoch);
        after(network, &progress)?;
    }
    Ok(progress.history)
}

/// A sample and the number that chooses its augmentation.
#[derive(Debug, Clone, Copy)]
struct Draw {
    sample: usize,
    draw: u64,
}

/// All samples in the order of an epoch.
fn epoch_order(seed: u64, epoch: u32, samples: usize) -> Vec<Draw> {
    use rand::Rng;
    let mut draws = keyed(seed, "augmentation", u64::from(epoch));
    let mut order: Vec<Draw> =
        (0..samples).map(|sample| Draw { sample, draw: draws.next_u64() >> 1 }).collect();
    order.shuffle(&mut keyed(seed, "epoch order", u64::from(epoch)));
    order
}

/// Loss and gradient of every sample of a batch, into its lane.
fn gradients<T: Real, K: Task<T>>(
    network: &Network<T>,
    turned: &[T],
    task: &K,
    batch: &[Draw],
    lanes: &mut [Lane<T>],
    benches: &mut [Bench<T, K::Scratch>],
) {
    let work = |bench: &mut Bench<T, K::Scratch>, draw: Draw, lane: &mut Lane<T>| {
        task.input(draw.sample, draw.draw, &mut bench.input);
        bench.workspace.forward(network, &bench.input);
        let output = &bench.workspace.output;
        lane.loss =
            task.loss(draw.sample, draw.draw, &bench.input, output, &mut bench.gradient, &mut bench.scratch);
        bench.workspace.backward(network, turned, &bench.gradient, &mut lane.gradient);
    };
    if let [bench] = benches {
        batch.iter().zip(lanes).for_each(|(draw, lane)| work(bench, *draw, lane));
        return;
    }
    let queue = Mutex::new(batch.iter().zip(lanes));
    thread::scope(|scope| {
        for bench in benches {
            scope.spawn(|| {
                loop {
                    // The queue stays valid if another thread panicked; the scope passes that panic on.
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                    let Some((draw, lane)) = next else { return };
                    work(bench, *draw, lane);
                }
            });
        }
    });
}

/// Adds the lanes' gradients in order, into `total`; returns the length of the sum.
fn sum<T: Real>(lanes: &[Lane<T>], total: &mut [T]) -> f64 {
    // In blocks that stay in the cache while lane after lane is added.
    const BLOCK: usize = 4096;
    let mut squares = 0.0;
    for (block, out) in total.chunks_mut(BLOCK).enumerate() {
        let start = block * BLOCK;
        out.fill(T::zero());
        for lane in lanes {
            out.iter_mut().zip(&lane.gradient[start..]).for_each(|(sum, &g)| *sum += g);
        }
        squares += out.iter().map(|g| g.wide() * g.wide()).sum::<f64>();
    }
    squares.sqrt()
}
