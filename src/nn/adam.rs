//! Adam (Kingma & Ba 2015) and the learning-rate schedule.

use serde::{Deserialize, Serialize};

use super::real::Real;

/// How the learning rate runs over a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Rises linearly over the first 2 % of the steps, then falls to 1 % along half a cosine.
    #[default]
    Cosine,
    /// Stays as it is.
    Constant,
    /// Is lowered whenever the loss (of what is held out, if anything is) stops falling: see `plateau`.
    Plateau,
}

/// How [`Schedule::Plateau`] lowers the learning rate. Absent members are the reference study's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plateau {
    /// Factor of each lowering.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub factor: f64,
    /// Epochs without a smaller loss before it.
    #[schemars(range(min = 1))]
    pub patience: u32,
    /// Least learning rate, as a share of the first.
    #[schemars(range(min = 0, max = 1))]
    pub least: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 0.5, patience: 2, least: 0.1 }
    }
}

impl Plateau {
    /// Factor on the learning rate after epochs of those losses.
    pub fn factor(&self, losses: impl Iterator<Item = f64>) -> f64 {
        let (mut best, mut waited, mut factor) = (f64::INFINITY, 0, 1.0);
        for loss in losses {
            if loss < best {
                (best, waited) = (loss, 0);
                continue;
            }
            waited += 1;
            if waited >= self.patience {
                (waited, factor) = (0, (factor * self.factor).max(self.least));
            }
        }
        factor
    }
}

impl Schedule {
    /// Factor on the learning rate at `step` of `steps`, both counted from 0.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        const LAST: f64 = 0.01;
        match self {
            // What a plateau does is not known beforehand: see `Plateau::factor`.
            Self::Constant | Self::Plateau => 1.0,
            Self::Cosine => {
                let warm = steps.div_ceil(50);
                if step < warm {
                    return (step + 1) as f64 / warm as f64;
                }
                let part = (step - warm) as f64 / (steps - warm).max(1) as f64;
                LAST + (1.0 - LAST) * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
        }
    }
}

/// Running moments of the gradient.
#[derive(Debug, Clone)]
pub struct Adam<T> {
    first: Vec<T>,
    second: Vec<T>,
    steps: i32,
}

impl<T: Real> Adam<T> {
    const DECAY: (f64, f64) = (0.9, 0.999);
    const EPSILON: f64 = 1e-8;

    /// No moments yet.
    pub fn new(parameters: usize) -> Self {
        Self { first: vec![T::zero(); parameters], second: vec![T::zero(); parameters], steps: 0 }
    }

    /// Both moments and the number of steps taken, from which [`restore`](Self::restore) goes on.
    pub fn state(&self) -> (&[T], &[T], i32) {
        (&self.first, &self.second, self.steps)
    }

    /// What [`state`](Self::state) gave; `None` if the moments differ in number.
    pub fn restore(first: Vec<T>, second: Vec<T>, steps: i32) -> Option<Self> {
        (first.len() == second.len() && steps >= 0).then_some(Self { first, second, steps })
    }

    /// One step down the gradient times `scale`.
    pub fn step(&mut self, parameters: &mut [T], gradient: &[T], scale: f64, learning_rate: f64) {
        self.steps += 1;
        let (b1, b2) = (T::of(Self::DECAY.0), T::of(Self::DECAY.1));
        let (r1, r2) = (T::one() - b1, T::one() - b2);
        // Both bias corrections folded into the rate and the epsilon (section 2 of the paper).
        let correction = (1.0 - Self::DECAY.1.powi(self.steps)).sqrt();
        let rate = T::of(learning_rate * correction / (1.0 - Self::DECAY.0.powi(self.steps)));
        let epsilon = T::of(Self::EPSILON * correction);
        let scale = T::of(scale);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((p, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            let g = g * scale;
            *m = b1 * *m + r1 * g;
            *v = b2 * *v + r2 * g * g;
            *p -= rate * *m / (v.sqrt() + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_papers_steps() {
        // First step: m̂ = g, v̂ = g², so the step is the learning rate against the sign of g.
        let mut adam = Adam::<f64>::new(2);
        let mut p = [1.0, 1.0];
        adam.step(&mut p, &[3.0, -0.5], 1.0, 0.1);
        assert!((p[0] - 0.9).abs() < 1e-8 && (p[1] - 1.1).abs() < 1e-7);
        // Second step by the paper's algorithm 1, written out.
        let (m, v) = (0.9 * 0.3 + 0.1, 0.999 * 0.009 + 0.001);
        let expected = p[0] - 0.1 * (m / (1.0 - 0.81)) / ((v / (1.0f64 - 0.998_001)).sqrt() + 1e-8);
        adam.step(&mut p, &[2.0, 0.0], 0.5, 0.1);
        assert!((p[0] - expected).abs() < 1e-12);
    }

    #[test]
    fn cosine_warms_up_and_falls() {
        let at = |step| Schedule::Cosine.factor(step, 100);
        assert_eq!((at(0), at(1), at(2)), (0.5, 1.0, 1.0));
        assert!((2..99).all(|s| at(s + 1) < at(s)) && at(99) > 0.01 && at(99) < 0.012);
        assert_eq!(Schedule::Cosine.factor(0, 1), 1.0);
        assert_eq!(Schedule::Constant.factor(7, 10), 1.0);
    }

    #[test]
    fn a_plateau_lowers_the_rate_and_stops_at_the_least() {
        let after = |losses: &[f64]| Plateau::default().factor(losses.iter().copied());
        assert_eq!(after(&[3.0, 2.0, 1.0]), 1.0);
        assert_eq!(after(&[3.0, 3.0]), 1.0);
        assert_eq!(after(&[3.0, 3.0, 3.1]), 0.5);
        assert_eq!(after(&[3.0, 3.0, 3.1, 2.0, 2.5]), 0.5);
        assert_eq!(after(&[3.0, 3.0, 3.1, 2.0, 2.5, 2.5]), 0.25);
        assert_eq!(after(&[1.0; 60]), 0.1);
    }
}
