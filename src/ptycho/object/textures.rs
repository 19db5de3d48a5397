//! Irregular pictures: cells, and the reference's lines.

use std::f64::consts::TAU;

use ndarray::Array2;
use rand::{Rng, RngExt};

use super::canvas::{Canvas, Placed, Shape, blur, coverage};

/// Smooth cells of mean radius `radius` pixels: uneven outlines, bright membranes, bodies thicker in the
/// middle, nuclei with granules. They cover about two thirds of the picture.
pub fn cells(shape: (usize, usize), radius: f64, rng: &mut impl Rng) -> Array2<f32> {
    let (rows, cols) = shape;
    let mut canvas = Canvas::new(shape, 0.1);
    // Discs dropped at random leave exp(−n·area) bare, so n = 1.2 areas cover 70 %.
    let count = (1.2 * (rows * cols) as f64 / (std::f64::consts::PI * radius * radius)).ceil() as usize;
    for _ in 0..count {
        let mut unit = || rng.random::<f64>();
        let at = [unit() * cols as f64, unit() * rows as f64];
        let size = radius * (0.6 + 0.8 * unit());
        let lobes = [2.0, 3.0, 5.0].map(|n: f64| (n, 0.22 * unit() / n.sqrt(), unit() * TAU));
        let level = 0.3 + 0.25 * unit();
        let membrane = 0.75 + 0.25 * unit();
        let wall = (0.09 * size).max(1.0);
        canvas.paint(at, 1.5 * size, |x, y| {
            let (dx, dy) = (x - at[0], y - at[1]);
            let angle = dy.atan2(dx);
            let waves: f64 =
                lobes.iter().map(|(n, strength, turn)| strength * (n * angle + turn).cos()).sum();
            let edge = size * (1.0 + waves);
            let r = dx.hypot(dy);
            let thickness = (1.0 - (r / edge).powi(2)).max(0.0).sqrt();
            let body = level + 0.2 * thickness;
            let on_wall = f64::from(coverage((r - edge + wall / 2.0).abs() - wall / 2.0));
            ((body + (membrane - body) * on_wall) as f32, 0.92 * coverage(r - edge))
        });
        let (turn, off) = (unit() * TAU, 0.3 * unit() * size);
        let nucleus = [at[0] + off * turn.cos(), at[1] + off * turn.sin()];
        let body = Shape::Ellipse { a: 0.33 * size, b: (0.22 + 0.11 * unit()) * size };
        canvas.fill(Placed::turned(nucleus, unit() * TAU, body), 0.8);
        for _ in 0..3 {
            let speck = [unit(), unit()].map(|u| 0.3 * (u - 0.5) * size);
            let dot = Shape::Ellipse { a: 0.06 * size, b: 0.06 * size };
            canvas.fill(Placed::upright([nucleus[0] + speck[0], nucleus[1] + speck[1]], dot), 1.0);
        }
    }
    canvas.into_pixels()
}

/// The reference's synthetic lines: `count` straight lines one pixel wide between random points of a
/// field twice the size, of which the middle is taken; then the sum of Gaussian blurs G₁ + 2·G₅ + 5·G₁₀
/// (widths in pixels). As its `mk_lines_img`, but not its random numbers.
pub fn lines(shape: (usize, usize), count: u32, rng: &mut impl Rng) -> Array2<f32> {
    let (rows, cols) = shape;
    let mut canvas = Canvas::new(shape, 0.0);
    for _ in 0..count {
        let mut end = |length: usize| (2.0 * rng.random::<f64>() - 0.5) * length as f64;
        let (from, to) = ([end(cols), end(rows)], [end(cols), end(rows)]);
        let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
        let middle = [(from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0];
        let stroke = Shape::Box { a: dx.hypot(dy) / 2.0, b: 0.5 };
        canvas.fill(Placed::turned(middle, dy.atan2(dx), stroke), 1.0);
    }
    let sharp = canvas.into_pixels();
    [(1.0f32, 1.0), (2.0, 5.0), (5.0, 10.0)]
        .into_iter()
        .map(|(weight, sigma)| blur(&sharp, sigma) * weight)
        .fold(Array2::zeros(shape), |sum, part| sum + part)
}
