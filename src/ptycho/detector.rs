//! What a detector does not see: a beam stop, dead pixels, counts above what it can count.

use ndarray::{Array2, ArrayViewMut3, Axis};
use rand::RngExt;
use rayon::prelude::*;

use super::rng::keyed;

/// A count this much above the saturation level, relative, is still taken for the level: stored amplitudes are in
/// single precision.
const ROUNDING: f64 = 5e-7;

/// A detector of N×N pixels, zero frequency at index N/2.
#[derive(Debug, Clone, PartialEq)]
pub struct Detector {
    /// (N, N): true where pixels are measured; none if all are.
    pub mask: Option<Array2<bool>>,
    /// Largest count of a pixel; what is above is cut to it.
    pub saturation: Option<f64>,
}

/// What a detector saw of one image.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Photons counted.
    pub photons: f64,
    /// Pixels whose count was cut.
    pub saturated: u64,
}

impl Detector {
    /// Whether it changes nothing.
    pub fn is_ideal(&self) -> bool {
        self.mask.is_none() && self.saturation.is_none()
    }

    /// Applies the detector to stored amplitudes (counts are `(amplitude · scale)²`), in place: masked pixels
    /// become 0, counts above the saturation level the level.
    pub fn apply(&self, mut amplitudes: ArrayViewMut3<f32>, scale: f64) -> Vec<Seen> {
        let level = self.saturation.unwrap_or(f64::INFINITY);
        amplitudes
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .map(|mut image| {
                let mut seen = Seen::default();
                for (i, value) in image.indexed_iter_mut() {
                    if self.mask.as_ref().is_some_and(|mask| !mask[i]) {
                        *value = 0.0;
                        continue;
                    }
                    let count = (f64::from(*value) * scale).powi(2);
                    if count > level * (1.0 + ROUNDING) {
                        *value = (level.sqrt() / scale) as f32;
                        seen.saturated += 1;
                    }
                    seen.photons += count.min(level);
                }
                seen
            })
            .collect()
    }
}

/// The measured pixels of a detector of side N with a round beam stop of radius `stop_px` on the zero frequency (index
/// N/2; a pixel is behind it if its centre is) and dead pixels, each pixel with the chance `dead`, drawn from
/// (`seed`, "dead pixels"). None if all pixels are measured.
pub fn mask(side: usize, stop_px: f64, dead: f64, seed: u64) -> Option<Array2<bool>> {
    let middle = (side / 2) as f64;
    let mut random = keyed(seed, "dead pixels", 0);
    let measured = Array2::from_shape_fn((side, side), |(r, c)| {
        let distance = (r as f64 - middle).hypot(c as f64 - middle);
        // Drawn behind the stop too: its size does not move dead pixels.
        let alive = random.random::<f64>() >= dead;
        alive && distance >= stop_px
    });
    if measured.iter().all(|m| *m) { None } else { Some(measured) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn stops_are_round_and_dead_pixels_as_many_as_asked_for() {
        assert_eq!(mask(16, 0.0, 0.0, 1), None);
        let stop = mask(16, 2.5, 0.0, 1).unwrap();
        let dark: Vec<_> = stop.indexed_iter().filter(|(_, m)| !**m).map(|(i, _)| i).collect();
        // Pixels with r² + c² < 6.25 around (8, 8): 21.
        assert_eq!(dark.len(), 21);
        assert!(dark.contains(&(8, 8)) && dark.contains(&(6, 9)) && !dark.contains(&(6, 10)));
        let dead = mask(128, 0.0, 0.02, 1).unwrap();
        let count = dead.iter().filter(|m| !**m).count() as f64;
        // Binomial: 327.7 ± 17.9.
        assert!((count - 327.68).abs() < 4.0 * 17.9, "{count}");
        assert_eq!(mask(128, 0.0, 0.02, 1).unwrap(), dead);
        assert_ne!(mask(128, 0.0, 0.02, 2).unwrap(), dead);
        let both = mask(128, 5.0, 0.02, 1).unwrap();
        assert!(both.iter().zip(&dead).all(|(both, dead)| *dead || !*both));
    }

    #[test]
    fn counts_are_cut_and_masked_pixels_count_nothing() {
        let scale = 3.0;
        // Counts 0 … 15 in each image.
        let stored = |count: usize| ((count as f64).sqrt() / scale) as f32;
        let clean = Array3::from_shape_fn((2, 4, 4), |(_, r, c)| stored(4 * r + c));
        let measured = Array2::from_shape_fn((4, 4), |i| i != (3, 3));
        let detector = Detector { mask: Some(measured), saturation: Some(10.0) };
        let mut seen = clean.clone();
        let reports = detector.apply(seen.view_mut(), scale);
        for image in 0..2 {
            // 11 … 14 are cut to 10; 15 is masked; exactly 10 is not cut.
            assert_eq!(reports[image].saturated, 4);
            assert!((reports[image].photons - (55.0 + 40.0)).abs() < 1e-4);
            assert_eq!(seen[[image, 3, 3]], 0.0);
            assert_eq!(seen[[image, 2, 2]], clean[[image, 2, 2]]);
            assert_eq!(seen[[image, 3, 0]], stored(10));
        }
        let ideal = Detector { mask: None, saturation: None };
        let mut same = clean.clone();
        assert!(ideal.is_ideal());
        assert!((ideal.apply(same.view_mut(), scale)[0].photons - 120.0).abs() < 1e-4);
        assert_eq!(same, clean);
    }
}
