//! What figures show of a pair: the very arrays that the metrics compare, gauges removed.

use ndarray::Array2;

use super::figure::{Map, Scale};
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::{amplitude, flatten_phase, match_mean};

/// Amplitudes and phases of a pair.
pub(in crate::stages) struct Pictures {
    /// The truth's amplitude.
    pub(in crate::stages) true_amplitude: Array2<f64>,
    /// The prediction's, its mean matched to the truth's (as it is, if its mean is zero).
    pub(in crate::stages) amplitude: Array2<f64>,
    /// The truth's phase without its plane.
    pub(in crate::stages) true_phase: Array2<f64>,
    /// The prediction's phase without its own plane.
    pub(in crate::stages) phase: Array2<f64>,
}

impl Pictures {
    pub(in crate::stages) fn of(pair: &Pair) -> Self {
        let flat = |image| flatten_phase(image).0;
        let (true_amplitude, own) = (amplitude(pair.truth.view()), amplitude(pair.prediction.view()));
        let matched = match_mean(true_amplitude.view(), own.view()).map_or(own, |(scaled, _)| scaled);
        Self {
            amplitude: matched,
            true_phase: flat(pair.truth.view()),
            phase: flat(pair.prediction.view()),
            true_amplitude,
        }
    }

    /// Scale of amplitudes and phases, from the truth's values.
    pub(in crate::stages) fn scales(&self) -> [Scale; 2] {
        [
            Scale::spanning(Map::Grey, self.true_amplitude.view()),
            Scale::spanning(Map::Diverging, self.true_phase.view()),
        ]
    }
}
