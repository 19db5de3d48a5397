//! Colour scales that all pictures share.

use ndarray::Array2;

use super::colour::Map;
use super::pictures::{PairArrays, Scale};
use super::raster::{Raster, percentiles};

/// The ends of all scales.
pub(super) struct Scales {
    phase: [f64; 2],
    phase_error: f64,
    amplitude: [f64; 2],
    amplitude_error: f64,
}

/// Names of quantities, titles, units and maps, in the order of the choice that a reader has.
const QUANTITIES: [(&str, &str, &str, Map); 5] = [
    ("phase", "Phase", "rad", Map::Twilight),
    ("phase_stretched", "Phase, stretched", "rad", Map::Viridis),
    ("phase_error", "Phase error", "rad", Map::RedBlue),
    ("amplitude", "Amplitude", "", Map::Viridis),
    ("amplitude_error", "Amplitude error", "", Map::RedBlue),
];

impl Scales {
    /// The truth fills its scale from its 0.5th to its 99.5th percentile. Errors are shown up to the 99th
    /// percentile of the worst model, but never beyond the truth's own span: one that failed must not turn the
    /// errors of all others black.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a PairArrays> + Clone) -> Self {
        let span = |truth: fn(&PairArrays) -> &Array2<f64>| {
            let ends = all.clone().map(|a| percentiles(truth(a).view(), [0.005, 0.995]));
            ends.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([0.0, 1.0])
        };
        let (phase, amplitude) = (span(|p| &p.true_phase), span(|p| &p.true_amplitude));
        let worst = |error: fn(&PairArrays) -> Array2<f64>, span: [f64; 2]| {
            let ends = all.clone().map(|a| percentiles(error(a).mapv(f64::abs).view(), [0.99])[0]);
            ends.fold(0.0, f64::max).min(span[1] - span[0])
        };
        Self {
            phase_error: worst(|p| &p.phase - &p.true_phase, phase),
            amplitude_error: worst(|p| &p.amplitude - &p.true_amplitude, amplitude),
            phase,
            amplitude,
        }
    }

    fn ends(&self, quantity: &str) -> [f64; 2] {
        match quantity {
            "phase_stretched" => self.phase,
            "phase" => [-std::f64::consts::PI, std::f64::consts::PI],
            "phase_error" => [-self.phase_error, self.phase_error],
            "amplitude" => self.amplitude,
            _ => [-self.amplitude_error, self.amplitude_error],
        }
    }

    pub(super) fn legend(&self) -> std::io::Result<Vec<Scale>> {
        let one = |(quantity, title, unit, map): (&'static str, &'static str, &'static str, Map)| {
            let [lo, hi] = self.ends(quantity);
            Ok(Scale { quantity, title, unit, map: map.name(), lo, hi, bar: Raster::bar(map)? })
        };
        QUANTITIES.into_iter().map(one).collect()
    }

    pub(super) fn picture(
        &self,
        quantity: &'static str,
        image: &Array2<f64>,
    ) -> std::io::Result<(&'static str, Raster)> {
        let map =
            QUANTITIES.iter().find(|(name, ..)| *name == quantity).map_or(Map::Viridis, |(.., map)| *map);
        Ok((quantity, Raster::new(map, image.view(), self.ends(quantity))?))
    }
}
