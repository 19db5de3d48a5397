//! The training loop: seeded order, samples spread over threads, Adam.
//!
//! Each sample of a batch has its own gradient, computed by whichever thread is free; the gradients are
//! then added in the order of the batch, a micro-batch at a time (`lanes`). The result is thus the
//! same, bit for bit, for any number of threads and any micro-batch, and a sample's prediction cannot depend
//! on its batch-mates.

use rand::Rng;
use rand::seq::SliceRandom;

use super::adam::{Adam, Plateau, Schedule};
use super::graph::Graph;
use super::lanes::{Draw, Lanes};
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
    /// Number of samples to learn from: those from 0 on.
    fn samples(&self) -> usize;
    /// Number of samples behind those that are only looked at, to validate.
    fn held_out(&self) -> usize;
    /// Numbers that are learnt beside the network's: the last ones of [`Network::parameters`].
    fn physical(&self) -> usize {
        0
    }
    /// Writes the network's input for `sample` (`[channel][row][col]`); `draw` chooses among its
    /// augmentations, 0 means none.
    fn input(&self, sample: usize, draw: u64, input: &mut [T]);
    /// The loss of a prediction, and its gradient with respect to the prediction and the physical numbers.
    fn loss(&self, shot: Shot<'_, T>, slopes: Slopes<'_, T>, scratch: &mut Self::Scratch) -> f64;
}

/// A sample and what the network makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Shot<'a, T> {
    /// Which sample.
    pub sample: usize,
    /// Which of its augmentations.
    pub draw: u64,
    /// What [`Task::input`] gave.
    pub input: &'a [T],
    /// What the network gave.
    pub prediction: &'a Patches<T>,
    /// The physical numbers.
    pub physical: &'a [T],
}

/// Where the gradients of a loss go; all is overwritten.
#[derive(Debug)]
pub struct Slopes<'a, T> {
    /// With respect to the prediction.
    pub patches: &'a mut Patches<T>,
    /// With respect to the physical numbers.
    pub physical: &'a mut [T],
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Passes over all samples.
    pub epochs: u32,
    /// Samples per step.
    pub batch: usize,
    /// Samples whose gradients are held at a time; no influence on the result.
    pub micro_batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Its course.
    pub schedule: Schedule,
    /// How [`Schedule::Plateau`] lowers it.
    pub plateau: Plateau,
    /// After so many epochs without a smaller loss, training ends with the best epoch's parameters.
    pub patience: Option<u32>,
    /// Gradients longer than this are shortened to it; none if infinite.
    pub clip: f64,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads; no influence on the result.
    pub threads: usize,
}

impl Settings {
    /// Threads that are of use.
    fn hands(&self) -> usize {
        self.threads.clamp(1, self.micro_batch.min(self.batch).max(1))
    }

    /// Bytes that training holds beside samples, in single precision: `physical` numbers are learnt beside the
    /// network's, and a thread needs `scratch` bytes for the loss.
    pub fn bytes(&self, graph: &Graph, physical: usize, scratch: u64) -> u64 {
        let numbers = (graph.parameters + physical) as u64;
        let lanes = self.micro_batch.min(self.batch) as u64;
        // Parameters, turned kernels, sum of gradients, two moments, the last good parameters, and the best.
        let whole = 6 + u64::from(self.patience.is_some()) + lanes;
        let (input, drawn) = (graph.maps[0], graph.drawn());
        let own = input.channels * (input.side * input.side + 2 * drawn * drawn);
        let hand = Workspace::<f32>::bytes(graph) + scratch + 4 * own as u64;
        4 * whole * numbers + self.hands() as u64 * hand
    }
}

/// An epoch, as history records it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub number: u32,
    /// Mean loss over the epoch's samples, each before the step it took part in.
    pub loss: f64,
    /// Mean loss over the samples held out, after the epoch, if there are any.
    pub validation: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean length of the gradient, before clipping.
    pub gradient_norm: f64,
}

impl Epoch {
    /// What tells whether training gets anywhere: the loss of what was held out, else that of the training.
    pub fn watched(&self) -> f64 {
        self.validation.unwrap_or(self.loss)
    }
}

/// A training that produced NaN or infinity. The network has the parameters of the last good epoch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "training diverged in epoch {epoch}, step {step}: {what}; last finite loss {last_loss}, learning rate \
     {learning_rate:.1e}"
)]
pub struct Diverged {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step within the epoch, from 1.
    pub step: usize,
    /// Which number was not finite, and of which sample.
    pub what: String,
    /// Loss of the batch before; NaN if it was the first.
    pub last_loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Whether the data are to blame: a pattern holds numbers that are not finite.
    pub data: bool,
}

/// How far a training is: with the network's parameters, all it takes to go on. Order and augmentation of an
/// epoch follow from seed and number, learning rate and patience from the history, so they need no memory.
#[derive(Debug, Clone)]
pub struct Progress<T> {
    /// The optimiser.
    pub adam: Adam<T>,
    /// Epochs done.
    pub history: Vec<Epoch>,
    /// Of the epoch under way.
    pub partial: Partial,
    /// Mean loss of the last batch; NaN before the first.
    pub last_loss: f64,
    /// Parameters of the best epoch, if training may end early.
    pub best: Vec<T>,
}

/// How far an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Partial {
    /// Steps taken.
    pub steps: usize,
    /// Sum of the losses of their samples.
    pub loss: f64,
    /// Sum of the gradients' lengths, times samples.
    pub norms: f64,
}

impl<T: Real> Progress<T> {
    /// Nothing done.
    pub fn new(parameters: usize) -> Self {
        Self {
            adam: Adam::new(parameters),
            history: Vec::new(),
            partial: Partial::default(),
            last_loss: f64::NAN,
            best: Vec::new(),
        }
    }

    /// Epochs done since the best one, that included.
    fn stale(&self) -> u32 {
        let best = self.history.iter().map(Epoch::watched).fold(f64::INFINITY, f64::min);
        self.history.iter().rev().take_while(|epoch| epoch.watched() > best).count() as u32
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
        if progress.partial.steps == 0 {
            progress.history.last().into_iter().for_each(&mut after);
        }
        Ok(())
    })
}

/// Goes on with a training from `progress`, with the network as it was then. `after` is called after every
/// step; after the last one of an epoch, the epoch is in the history and the partial one is empty. An error of
/// `after` ends the training.
pub fn go_on<T: Real, K: Task<T>, E: From<Diverged>>(
    network: &mut Network<T>,
    task: &K,
    settings: &Settings,
    mut progress: Progress<T>,
    mut after: impl FnMut(&Network<T>, &Progress<T>) -> Result<(), E>,
) -> Result<Vec<Epoch>, E> {
    let batch = settings.batch.min(task.samples()).max(1);
    let mut lanes = Lanes::new(network, task, settings.micro_batch.clamp(1, batch), settings.hands());
    let mut good = network.parameters.clone();
    let per_epoch = task.samples().div_ceil(batch);
    let steps = u64::from(settings.epochs) * per_epoch as u64;

    while (progress.history.len() as u32) < settings.epochs
        && settings.patience.is_none_or(|patience| progress.stale() < patience)
    {
        let number = progress.history.len() as u32 + 1;
        let order = epoch_order(settings.seed, number, task.samples());
        let plateau = settings.plateau.factor(progress.history.iter().map(Epoch::watched));
        let mut rate = 0.0;
        for (index, chunk) in order.chunks(batch).enumerate().skip(progress.partial.steps) {
            let step = u64::from(number - 1) * per_epoch as u64 + index as u64;
            rate = match settings.schedule {
                Schedule::Plateau => settings.learning_rate * plateau,
                other => settings.learning_rate * other.factor(step, steps),
            };
            let losses = lanes.gradient(network, task, chunk);
            let norm = lanes.norm() / chunk.len() as f64;
            let batch_loss: f64 = losses.iter().sum();
            if !(batch_loss.is_finite() && norm.is_finite()) {
                let bad = losses.iter().position(|loss| !loss.is_finite());
                let (what, data) = lanes.diagnose(network, task, bad.map(|i| (chunk[i], losses[i])), norm);
                network.parameters = good;
                return Err(E::from(Diverged {
                    epoch: number,
                    step: index + 1,
                    what,
                    last_loss: progress.last_loss,
                    learning_rate: rate,
                    data,
                }));
            }
            let scale = (settings.clip / norm.max(settings.clip)).min(1.0) / chunk.len() as f64;
            let scale = if scale.is_nan() { 1.0 / chunk.len() as f64 } else { scale };
            progress.adam.step(&mut network.parameters, lanes.total(), scale, rate);
            progress.last_loss = batch_loss / chunk.len() as f64;
            let Partial { steps, loss, norms } = &mut progress.partial;
            *steps += 1;
            *loss += batch_loss;
            *norms += norm * chunk.len() as f64;
            if *steps < per_epoch {
                after(network, &progress)?;
            }
        }
        let (samples, Partial { loss, norms, .. }) = (task.samples() as f64, progress.partial);
        let validation = lanes.validate(network, task);
        let (loss, gradient_norm) = (loss / samples, norms / samples);
        progress.history.push(Epoch { number, loss, validation, learning_rate: rate, gradient_norm });
        progress.partial = Partial::default();
        good.clone_from(&network.parameters);
        if settings.patience.is_some() && progress.stale() == 0 {
            progress.best.clone_from(&network.parameters);
        }
        after(network, &progress)?;
    }
    if !progress.best.is_empty() {
        network.parameters = progress.best;
    }
    Ok(progress.history)
}

/// All samples in the order of an epoch.
fn epoch_order(seed: u64, epoch: u32, samples: usize) -> Vec<Draw> {
    let mut draws = keyed(seed, "augmentation", u64::from(epoch));
    let mut order: Vec<Draw> =
        (0..samples).map(|sample| Draw { sample, draw: draws.next_u64() >> 1 }).collect();
    order.shuffle(&mut keyed(seed, "epoch order", u64::from(epoch)));
    order
}
