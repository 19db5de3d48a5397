//! Dead leaves: shapes of power-law sizes that hide each other. Edges, occlusion and the scale
//! invariance of photographs (Lee, Mumford and Huang 2001), without a photograph.

use ndarray::Array2;
use rand::{Rng, RngExt};

use super::canvas::{Placed, Shape, coverage, span};

/// A pixel this opaque is finished.
const OPAQUE: f32 = 0.999;
/// Leaves tried per pixel before the few pixels still bare are left grey.
const LEAVES_PER_PIXEL: usize = 4;

/// Leaves between `smallest` and `largest` pixels in radius, with number density ∝ r⁻³.
pub fn draw(shape: (usize, usize), smallest: f64, largest: f64, rng: &mut impl Rng) -> Array2<f32> {
    // Front to back: a leaf hides all that are drawn after it, so a pixel is done once opaque.
    let mut grey = Array2::<f32>::zeros(shape);
    let mut opacity = Array2::<f32>::zeros(shape);
    let mut bare = grey.len();
    let mut left = grey.len().saturating_mul(LEAVES_PER_PIXEL);
    while bare > 0 && left > 0 {
        left -= 1;
        let leaf = Leaf::draw(shape, smallest, largest, rng);
        let (rows, cols) = shape;
        let (x_range, y_range) = (
            span(leaf.outline.at[0], leaf.outline.reach(), cols),
            span(leaf.outline.at[1], leaf.outline.reach(), rows),
        );
        for row in y_range {
            for col in x_range.clone() {
                let covered = &mut opacity[[row, col]];
                if *covered >= OPAQUE {
                    continue;
                }
                let (x, y) = (col as f64, row as f64);
                let share = (1.0 - *covered) * coverage(leaf.outline.distance(x, y));
                grey[[row, col]] += share * leaf.grey(x, y);
                *covered += share;
                if *covered >= OPAQUE {
                    bare -= 1;
                }
            }
        }
    }
    grey.zip_mut_with(&opacity, |g, o| *g += (1.0 - o) * 0.5);
    grey
}

struct Leaf {
    outline: Placed,
    level: f64,
    /// Change of grey across one radius, per direction: leaves are lit from one side.
    slope: [f64; 2],
}

impl Leaf {
    fn draw(shape: (usize, usize), smallest: f64, largest: f64, rng: &mut impl Rng) -> Self {
        let mut unit = || rng.random::<f64>();
        // Inverse of the distribution function of r⁻³ on [smallest, largest].
        let (far, near) = (smallest.powi(-2), largest.powi(-2));
        let r = (far - unit() * (far - near)).powf(-0.5);
        // Centres reach beyond the edge, so that the border looks like the middle.
        let at = [shape.1, shape.0].map(|side| unit() * (side as f64 + 2.0 * r) - r);
        let stretch = 0.4 + 0.6 * unit();
        let outline = match (unit() * 4.0) as u32 {
            0 => Shape::Ellipse { a: r, b: r },
            1 => Shape::Ellipse { a: r, b: r * stretch },
            2 => Shape::Box { a: 0.9 * r, b: 0.9 * r * stretch },
            _ => Shape::Triangle { r: 1.2 * r },
        };
        let angle = unit() * std::f64::consts::TAU;
        let light = unit() * std::f64::consts::TAU;
        let strength = 0.15 * unit() / r;
        Self {
            outline: Placed::turned(at, angle, outline),
            level: unit(),
            slope: [light.cos() * strength, light.sin() * strength],
        }
    }

    fn grey(&self, x: f64, y: f64) -> f32 {
        let (dx, dy) = (x - self.outline.at[0], y - self.outline.at[1]);
        (self.level + self.slope[0] * dx + self.slope[1] * dy).clamp(0.0, 1.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use crate::ptycho::fft::{Fft2, frequency};
    use crate::ptycho::rng::keyed;
    use num_complex::Complex;

    /// The spectrum of natural images falls as |f|⁻²; a picture of one size only would not.
    #[test]
    fn power_falls_as_in_photographs() {
        const N: usize = 256;
        let picture = super::draw((N, N), 2.0, 80.0, &mut keyed(5, "test", 0));
        assert!(picture.iter().all(|v| (0.0..=1.0).contains(v)));
        let mean = picture.mean().unwrap();
        let mut data: Vec<Complex<f64>> = picture
            .indexed_iter()
            .map(|((r, c), v)| {
                // Hann window against the jump at the border.
                let hann = |i: usize| (std::f64::consts::PI * i as f64 / N as f64).sin().powi(2);
                Complex::new(f64::from(v - mean) * hann(r) * hann(c), 0.0)
            })
            .collect();
        Fft2::new(N, N).forward(&mut data);
        let ring = |lo: f64, hi: f64| {
            let (mut sum, mut count) = (0.0, 0usize);
            for (i, value) in data.iter().enumerate() {
                let f = frequency(i / N, N).hypot(frequency(i % N, N)) * N as f64;
                if (lo..hi).contains(&f) {
                    sum += value.norm_sqr();
                    count += 1;
                }
            }
            sum / count as f64
        };
        let exponent = (ring(30.0, 34.0) / ring(6.0, 10.0)).log2() / 2.0;
        assert!((-3.2..-1.6).contains(&exponent), "{exponent}");
    }
}
