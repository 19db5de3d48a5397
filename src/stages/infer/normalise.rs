//! The scale of a network's input.

use ndarray::{ArrayView3, Axis};

use crate::diag::{StageError, StageResult};

/// The factor √((N/2)² / mean over images of ΣX²) that brings amplitudes X of a whole dataset, (M, N, N),
/// to the scale networks are trained at (reference study, §5.3), accumulated in f64.
///
/// It belongs to the dataset: taken per chunk it would make brightness jump between chunks.
pub fn rms_factor(diffraction: ArrayView3<'_, f32>) -> StageResult<f64> {
    let (_, rows, _) = diffraction.dim();
    let mut energy = Energy::default();
    diffraction.axis_iter(Axis(0)).for_each(|image| energy.add(image.iter()));
    energy.factor(rows)
}

/// Σ of ΣX² over the patterns given so far, in f64.
#[derive(Debug, Default)]
pub(super) struct Energy {
    images: usize,
    sum: f64,
}

impl Energy {
    /// Adds a pattern's amplitudes.
    pub fn add<'a>(&mut self, image: impl Iterator<Item = &'a f32>) {
        self.images += 1;
        self.sum += image.map(|&a| f64::from(a).powi(2)).sum::<f64>();
    }

    /// The factor of [`rms_factor`] for patterns of that side.
    pub fn factor(&self, side: usize) -> StageResult<f64> {
        let Self { images, sum: energy } = *self;
        let half = side as f64 / 2.0;
        let factor = (half * half * images as f64 / energy).sqrt();
        if factor.is_finite() && factor > 0.0 {
            Ok(factor)
        } else {
            Err(StageError::input(format!(
                "the {images} diffraction patterns hold no light: ΣX² is {energy}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn the_mean_energy_becomes_a_quarter_of_the_pixels() {
        let x = Array3::from_shape_fn((5, 8, 8), |(i, r, c)| (i + 1) as f32 * ((r * 8 + c) % 7) as f32);
        let factor = rms_factor(x.view()).unwrap();
        let mean = x.iter().map(|&a| (f64::from(a) * factor).powi(2)).sum::<f64>() / 5.0;
        assert!((mean - 16.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn darkness_cannot_be_normalised() {
        assert!(rms_factor(Array3::zeros((2, 4, 4)).view()).is_err());
        assert!(rms_factor(Array3::zeros((0, 4, 4)).view()).is_err());
    }
}
