//! A training's state as a file: parameters, the optimiser's moments, the history, the epoch under way.

use ndarray::Array2;

use crate::io::Arrays;
use crate::io::npz::{NpzError, NpzReader, NpzWriter};
use crate::nn::adam::Adam;
use crate::nn::network::Network;
use crate::nn::train::{Epoch, Partial, Progress};
use crate::stages::checkpoint::Checkpoint;

/// Writes the state between two steps.
pub(super) fn save(
    npz: &mut NpzWriter,
    network: &Network<f32>,
    progress: &Progress<f32>,
) -> Result<(), NpzError> {
    let (first, second, steps) = progress.adam.state();
    npz.vector("parameters", &network.parameters)?;
    npz.vector("first_moment", first)?;
    npz.vector("second_moment", second)?;
    npz.vector("best", &progress.best)?;
    npz.vector("steps", &[i64::from(steps), progress.partial.steps as i64])?;
    npz.vector("partial", &[progress.partial.loss, progress.partial.norms, progress.last_loss])?;
    let table = Array2::from_shape_fn((progress.history.len(), 5), |(i, column)| {
        let Epoch { number, loss, validation, learning_rate, gradient_norm } = progress.history[i];
        [f64::from(number), loss, validation.unwrap_or(f64::NAN), learning_rate, gradient_norm][column]
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
    let best: Vec<f32> = npz.vector("best", None)?;
    let counts = npz.vector::<i64>("steps", Some(2))?;
    let sums = npz.vector::<f64>("partial", Some(3))?;
    let table = npz.f64("history")?;
    let rows = table.as_slice().unwrap_or_default().as_chunks::<5>().0;
    let history: Vec<Epoch> = rows
        .iter()
        .map(|&[number, loss, validation, learning_rate, gradient_norm]| Epoch {
            number: number as u32,
            loss,
            validation: Some(validation).filter(|loss| !loss.is_nan()),
            learning_rate,
            gradient_norm,
        })
        .collect();
    let (Ok(steps), Ok(within)) = (i32::try_from(counts[0]), usize::try_from(counts[1])) else {
        return Ok(None);
    };
    if !best.is_empty() && best.len() != parameters {
        return Ok(None);
    }
    let partial = Partial { steps: within, loss: sums[0], norms: sums[1] };
    let adam = Adam::restore(first, second, steps);
    Ok(adam.map(|adam| (values, Progress { adam, history, partial, last_loss: sums[2], best })))
}
