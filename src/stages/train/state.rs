//! A training's state as a file: parameters, the optimiser's moments, the history.

use ndarray::Array2;

use crate::io::Arrays;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::nn::adam::Adam;
use crate::nn::network::Network;
use crate::nn::train::{Epoch, Progress};
use crate::stages::checkpoint::Checkpoint;

/// Writes the state after an epoch.
pub(super) fn save(
    npz: &mut NpzWriter,
    network: &Network<f32>,
    progress: &Progress<f32>,
) -> Result<(), NpzError> {
    let (first, second, steps) = progress.adam.state();
    npz.vector("parameters", &network.parameters)?;
    npz.vector("first_moment", first)?;
    npz.vector("second_moment", second)?;
    npz.vector("steps", &[i64::from(steps)])?;
    npz.scalar_f64("last_loss", progress.last_loss)?;
    let table = Array2::from_shape_fn((progress.history.len(), 4), |(i, column)| {
        let Epoch { number, loss, learning_rate, gradient_norm } = progress.history[i];
        [f64::from(number), loss, learning_rate, gradient_norm][column]
    });
    npz.array("history", &table)
}

/// Puts the network where an earlier attempt left it; where there is none, nothing is done yet.
pub(super) fn restore(checkpoint: &Checkpoint, network: &mut Network<f32>) -> Progress<f32> {
    let parameters = network.parameters.len();
    match checkpoint.load(|npz| read(npz, parameters)).flatten() {
        Some((values, progress)) => {
            network.parameters = values;
            progress
        }
        None => Progress::new(parameters),
    }
}

/// A network's parameters, and how far its training was then.
type Left = (Vec<f32>, Progress<f32>);

fn read(npz: &mut NpzReader, parameters: usize) -> Result<Option<Left>, NpzError> {
    let values = npz.vector("parameters", Some(parameters))?;
    let first = npz.vector("first_moment", Some(parameters))?;
    let second = npz.vector("second_moment", Some(parameters))?;
    let steps = npz.vector::<i64>("steps", Some(1))?[0];
    let last_loss = npz.f64("last_loss")?.first().copied().unwrap_or(f64::NAN);
    let table = npz.f64("history")?;
    let rows = table.as_slice().unwrap_or_default().as_chunks::<4>().0;
    let history: Vec<Epoch> = rows
        .iter()
        .map(|&[number, loss, learning_rate, gradient_norm]| Epoch {
            number: number as u32,
            loss,
            learning_rate,
            gradient_norm,
        })
        .collect();
    let adam = i32::try_from(steps).ok().and_then(|steps| Adam::restore(first, second, steps));
    Ok(adam.map(|adam| (values, Progress { adam, history, last_loss })))
}
