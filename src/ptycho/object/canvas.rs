//! Drawing with soft edges: shapes are signed distances, values are grey levels between 0 and 1.

use ndarray::Array2;
use rayon::prelude::*;

/// A grey image on which shapes are painted one over another. Pixel [row, col] has its centre at
/// x = col, y = row.
pub struct Canvas {
    pixels: Array2<f32>,
}

/// Signed distance of points to a shape: negative inside, pixels.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Half axes `a` and `b` along the turned x and y.
    Ellipse { a: f64, b: f64 },
    /// Half sides `a` and `b` along the turned x and y.
    Box { a: f64, b: f64 },
    /// Equilateral triangle with its corners `r` from the centre.
    Triangle { r: f64 },
    /// Circle line of radius `r` and width `w`.
    Ring { r: f64, w: f64 },
}

/// A shape at a place.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    /// Centre, pixels.
    pub at: [f64; 2],
    /// Cosine and sine of the angle by which the shape is turned.
    direction: [f64; 2],
    shape: Shape,
}

impl Placed {
    /// A shape turned by `angle` radians.
    pub fn turned(at: [f64; 2], angle: f64, shape: Shape) -> Self {
        Self { at, direction: [angle.cos(), angle.sin()], shape }
    }

    /// A shape that is not turned.
    pub fn upright(at: [f64; 2], shape: Shape) -> Self {
        Self::turned(at, 0.0, shape)
    }

    /// Signed distance of (x, y) to the shape's edge, pixels; for ellipses to first order.
    pub fn distance(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.at[0], y - self.at[1]);
        let [cos, sin] = self.direction;
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        match self.shape {
            Shape::Ellipse { a, b } => {
                let scaled = (u / a).hypot(v / b);
                // |∇ scaled| · scaled; at the centre the distance is that of the shorter half axis.
                let slope = (u / (a * a)).hypot(v / (b * b));
                if slope > 0.0 { (scaled - 1.0) * scaled / slope } else { -a.min(b) }
            }
            Shape::Box { a, b } => {
                let (p, q) = (u.abs() - a, v.abs() - b);
                p.max(0.0).hypot(q.max(0.0)) + p.max(q).min(0.0)
            }
            Shape::Triangle { r } => {
                // Largest of the distances to the three sides, whose normals are 120° apart.
                let half_root3 = 3.0f64.sqrt() / 2.0;
                v.max(half_root3 * u - 0.5 * v).max(-half_root3 * u - 0.5 * v) - r / 2.0
            }
            Shape::Ring { r, w } => (u.hypot(v) - r).abs() - w / 2.0,
        }
    }

    /// Distance from the centre beyond which nothing of the shape lies, pixels.
    pub fn reach(&self) -> f64 {
        match self.shape {
            Shape::Ellipse { a, b } => a.max(b),
            Shape::Box { a, b } => a.hypot(b),
            Shape::Triangle { r } => r,
            Shape::Ring { r, w } => r + w / 2.0,
        }
    }
}

impl Canvas {
    /// A canvas of one grey level.
    pub fn new(shape: (usize, usize), value: f32) -> Self {
        Self { pixels: Array2::from_elem(shape, value) }
    }

    /// A canvas that continues a picture.
    pub fn over(pixels: Array2<f32>) -> Self {
        Self { pixels }
    }

    /// The picture.
    pub fn into_pixels(self) -> Array2<f32> {
        self.pixels
    }

    /// Paints a shape in one grey level.
    pub fn fill(&mut self, placed: Placed, value: f32) {
        self.paint(placed.at, placed.reach(), |x, y| (value, coverage(placed.distance(x, y))));
    }

    /// Calls `brush` for every pixel centre within `reach` of `at`; it answers with a grey level and
    /// how much of it to lay over the pixel (0 nothing, 1 all).
    pub fn paint(&mut self, at: [f64; 2], reach: f64, brush: impl Fn(f64, f64) -> (f32, f32)) {
        let (rows, cols) = self.pixels.dim();
        let (x_range, y_range) = (span(at[0], reach, cols), span(at[1], reach, rows));
        for row in y_range {
            for col in x_range.clone() {
                let (value, share) = brush(col as f64, row as f64);
                let pixel = &mut self.pixels[[row, col]];
                *pixel += (value - *pixel) * share;
            }
        }
    }
}

/// Indices below `length` within `reach`, and a pixel for the soft edge, of `centre`.
pub fn span(centre: f64, reach: f64, length: usize) -> std::ops::Range<usize> {
    // Casts of floats saturate, so a shape outside gives an empty range.
    let first = (centre - reach - 1.0).ceil().max(0.0) as usize;
    let end = (centre + reach + 2.0).floor().max(0.0) as usize;
    first.min(length)..end.min(length)
}

/// Share of a pixel inside an edge at signed distance `d` from its centre.
pub fn coverage(d: f64) -> f32 {
    (0.5 - d).clamp(0.0, 1.0) as f32
}

/// Gaussian blur of standard deviation `sigma` pixels, mirrored at the edges; cut off at 4 σ.
pub fn blur(picture: &Array2<f32>, sigma: f64) -> Array2<f32> {
    if sigma <= 0.0 {
        return picture.clone();
    }
    let reach = (4.0 * sigma).ceil() as isize;
    let mut weights: Vec<f64> = (-reach..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    let along_rows = |from: &Array2<f32>| {
        let (rows, cols) = from.dim();
        let lines: Vec<Vec<f32>> = (0..rows)
            .into_par_iter()
            .map(|r| {
                let line = from.row(r);
                let padded: Vec<f64> =
                    (-reach..cols as isize + reach).map(|c| f64::from(line[mirrored(c, cols)])).collect();
                let window = |w: &[f64]| w.iter().zip(&weights).map(|(v, w)| v * w).sum::<f64>() as f32;
                padded.windows(weights.len()).map(window).collect()
            })
            .collect();
        Array2::from_shape_fn((cols, rows), |(c, r)| lines[r][c])
    };
    // Each pass transposes, so two passes blur both ways and restore the orientation.
    along_rows(&along_rows(picture))
}

/// Index after mirroring at both ends, edge pixels repeated (… 1 0 | 0 1 … n−1 | n−1 …).
fn mirrored(i: isize, n: usize) -> usize {
    let period = 2 * n as isize;
    let i = i.rem_euclid(period);
    i.min(period - 1 - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_painted_shapes() {
        let area = |shape: Shape, angle: f64| {
            let mut canvas = Canvas::new((120, 120), 0.0);
            canvas.fill(Placed::turned([60.3, 59.6], angle, shape), 1.0);
            f64::from(canvas.into_pixels().sum())
        };
        let close = |found: f64, expected: f64| {
            assert!((found / expected - 1.0).abs() < 0.01, "{found} is not {expected}");
        };
        use std::f64::consts::PI;
        close(area(Shape::Ellipse { a: 40.0, b: 20.0 }, 0.7), PI * 800.0);
        close(area(Shape::Box { a: 30.0, b: 10.0 }, 0.4), 1200.0);
        close(area(Shape::Triangle { r: 40.0 }, 0.2), 3.0 * 3.0f64.sqrt() / 4.0 * 1600.0);
        close(area(Shape::Ring { r: 30.0, w: 6.0 }, 0.0), 2.0 * PI * 30.0 * 6.0);
    }

    #[test]
    fn shapes_outside_paint_nothing() {
        let mut canvas = Canvas::new((8, 8), 0.25);
        let disc = Shape::Ellipse { a: 3.0, b: 3.0 };
        for at in [[-50.0, 4.0], [4.0, 1e9], [f64::MIN, f64::MAX]] {
            canvas.fill(Placed::upright(at, disc), 1.0);
        }
        assert!(canvas.into_pixels().iter().all(|v| *v == 0.25));
    }

    #[test]
    fn blur_keeps_the_sum_and_has_the_width_asked_for() {
        let mut picture = Array2::zeros((41, 41));
        picture[[20, 20]] = 1.0f32;
        let soft = blur(&picture, 2.5);
        let sum: f64 = soft.iter().map(|v| f64::from(*v)).sum();
        let spread: f64 =
            soft.indexed_iter().map(|((r, _), v)| f64::from(*v) * (r as f64 - 20.0).powi(2)).sum();
        assert!((sum - 1.0).abs() < 1e-6 && (spread.sqrt() - 2.5).abs() < 0.01);
        assert!((&soft - &soft.t()).iter().all(|d| d.abs() < 1e-8));
        // Wider than the picture: mirrored as often as it takes.
        let flat = blur(&Array2::from_elem((3, 2), 0.5), 20.0);
        assert!(flat.iter().all(|v| (v - 0.5).abs() < 1e-6));
    }
}
