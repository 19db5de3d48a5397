//! The training itself: goes on where an earlier attempt was ended, and tells how far it is.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::params::Params;
use super::{export, state};
use crate::diag::{StageError, StageResult};
use crate::io::digest::Digest;
use crate::nn::network::Network;
use crate::nn::train::{Diverged, Epoch, Progress, Settings, Task, go_on};
use crate::stages::Context;
use crate::stages::checkpoint::Checkpoint;

/// Least time between two lines of progress within an epoch.
const EVERY: Duration = Duration::from_secs(1);

/// Name, beside the checkpoint, of the model that a diverged training leaves.
const LAST_GOOD: &str = "last-good.onnx";

/// Why a training ended before its time.
enum End {
    Diverged(Diverged),
    Other(StageError),
}

impl From<Diverged> for End {
    fn from(diverged: Diverged) -> Self {
        Self::Diverged(diverged)
    }
}

impl From<StageError> for End {
    fn from(error: StageError) -> Self {
        Self::Other(error)
    }
}

/// Trains and reports.
pub(super) fn learn<K: Task<f32>>(
    cx: &mut Context<'_>,
    network: &mut Network<f32>,
    task: &K,
    settings: &Settings,
    params: &Params,
    checkpoint: &mut Checkpoint,
) -> StageResult<Vec<Epoch>> {
    let start = Instant::now();
    let progress = state::restore(checkpoint, network);
    let mut clock = Clock::new(settings, task.samples(), &progress);
    if clock.before > 0 {
        let Clock { before, per_epoch, .. } = clock;
        cx.log(format!("{before} steps are there already, {per_epoch} make an epoch"));
    }
    cx.progress(progress.history.len() as u64, clock.epochs, "epochs", None);
    let ended = go_on(network, task, settings, progress, |network, progress| -> Result<(), End> {
        let over = progress.partial.steps == 0;
        if over || clock.told.elapsed() >= EVERY {
            clock.told = Instant::now();
            let note = clock.note(progress, settings.batch.min(task.samples()));
            cx.progress(progress.history.len() as u64, clock.epochs, "epochs", Some(note));
        }
        let done = || match progress.partial.steps {
            0 => format!("epoch {}", progress.history.len()),
            steps => format!("step {steps} of epoch {}", progress.history.len() + 1),
        };
        checkpoint.after(cx, done, |npz| state::save(npz, network, progress))?;
        Ok(())
    });
    let history = match ended {
        Ok(history) => history,
        Err(End::Other(error)) => return Err(error),
        Err(End::Diverged(diverged)) => return Err(keep_last_good(cx, network, params, &diverged)),
    };
    let seconds = start.elapsed().as_secs_f64();
    let epochs = history.len() as f64 - clock.before as f64 / clock.per_epoch as f64;
    cx.measure("training_s", seconds);
    cx.measure("groups_per_s", epochs * task.samples() as f64 / seconds);
    cx.measure("final_loss", history.last().map_or(f64::NAN, |epoch| epoch.loss));
    if (history.len() as u64) < clock.epochs {
        cx.log(format!("ended after {} of {} epochs: no smaller loss", history.len(), clock.epochs));
    }
    Ok(history)
}

/// The failure of a training that diverged; the last good weights stay where checkpoints are kept.
fn keep_last_good(
    cx: &Context<'_>,
    network: &Network<f32>,
    params: &Params,
    diverged: &Diverged,
) -> StageError {
    let path = cx.job().staging.join(LAST_GOOD);
    let kept = match std::fs::write(&path, export::encode(network, params, Digest::NONE)) {
        Ok(()) => format!("weights from before that epoch are in {}", path.display()),
        Err(e) => format!("weights from before that epoch could not be kept: {e}"),
    };
    let hint = match diverged.data {
        true => "look at the data: `phasegraph` reads patterns as amplitudes, which are finite",
        false => "lower `learning_rate`, or set `gradient_clip`",
    };
    StageError::check(format!("{diverged}; {kept}")).hint(hint)
}

/// How far it is, and how long it will take.
struct Clock {
    start: Instant,
    told: Instant,
    epochs: u64,
    per_epoch: u64,
    /// Steps of earlier attempts.
    before: u64,
}

impl Clock {
    fn new(settings: &Settings, samples: usize, progress: &Progress<f32>) -> Self {
        let per_epoch = samples.div_ceil(settings.batch.min(samples).max(1)) as u64;
        let before = progress.history.len() as u64 * per_epoch + progress.partial.steps as u64;
        let now = Instant::now();
        Self { start: now, told: now, epochs: u64::from(settings.epochs), per_epoch, before }
    }

    /// The loss, and the time that is left at the pace so far.
    fn note(&self, progress: &Progress<f32>, batch: usize) -> String {
        let within = &progress.partial;
        let mut note = match (within.steps, progress.history.last()) {
            (0, Some(epoch)) => format!("loss {:.5}", epoch.loss),
            (steps, _) => format!("loss {:.5}", within.loss / (steps * batch).max(1) as f64),
        };
        if let Some(validation) = progress.history.last().and_then(|epoch| epoch.validation) {
            let _ = write!(note, ", validation {validation:.5}");
        }
        let done = progress.history.len() as u64 * self.per_epoch + within.steps as u64;
        let (here, left) = (done - self.before, self.epochs * self.per_epoch - done);
        if here > 0 && left > 0 {
            let seconds = self.start.elapsed().as_secs_f64() / here as f64 * left as f64;
            let _ = write!(note, ", {} left", duration(seconds));
        }
        note
    }
}

/// `40 s`, `12 min`, `3.5 h`, `2.1 days`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 5970.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// `history.csv`. No times: they would differ from run to run.
pub(super) fn table(history: &[Epoch]) -> String {
    let mut text = "epoch,loss,validation_loss,learning_rate,gradient_norm\n".to_owned();
    for Epoch { number, loss, validation, learning_rate, gradient_norm } in history {
        let validation = validation.map_or(String::new(), |loss| loss.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{number},{loss},{validation},{learning_rate},{gradient_norm}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_do() {
        let told = [12.4, 99.0, 1200.0, 9000.0, 300_000.0].map(duration);
        assert_eq!(told, ["12 s", "99 s", "20 min", "2.5 h", "3.5 days"]);
    }
}
