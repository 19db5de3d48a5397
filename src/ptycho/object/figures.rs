//! Figures that a person knows at a glance: spoked star, rings, bars, head phantom, and their collage.

use std::f64::consts::{PI, TAU};

use ndarray::Array2;
use rand::{Rng, RngExt};

use super::canvas::{Canvas, Placed, Shape, coverage};
use super::dead_leaves;

const BLACK: f32 = 0.0;
const WHITE: f32 = 1.0;

/// Siemens star in the middle: `spokes` bright sectors out to 45 % of the shorter side, bright on dark,
/// cut by two thin rings as printed test targets are.
pub fn siemens(shape: (usize, usize), spokes: u32) -> Array2<f32> {
    let mut canvas = Canvas::new(shape, BLACK);
    let (rows, cols) = shape;
    let at = [(cols as f64 - 1.0) / 2.0, (rows as f64 - 1.0) / 2.0];
    let radius = 0.45 * rows.min(cols) as f64;
    star(&mut canvas, at, radius, spokes, 0.0, WHITE);
    for share in [1.0 / 3.0, 2.0 / 3.0] {
        canvas.fill(Placed::upright(at, Shape::Ring { r: share * radius, w: 0.03 * radius }), BLACK);
    }
    canvas.into_pixels()
}

/// Figures laid out in a fixed arrangement over dead leaves; the seed moves and turns them a little.
/// They keep to the middle 80 %, the part of an object that a scan with a buffer sees.
pub fn collage(shape: (usize, usize), rng: &mut impl Rng) -> Array2<f32> {
    let (rows, cols) = shape;
    let side = rows.min(cols) as f64;
    // Dull leaves, so that the figures stand out in amplitude and phase.
    let ground = dead_leaves::draw(shape, 0.012 * side, 0.2 * side, rng).mapv(|v| 0.3 + 0.35 * v);
    let mut canvas = Canvas::over(ground);
    let mut place = |x: f64, y: f64| {
        let mut moved = |at: f64, length: usize| {
            length as f64 / 2.0 + (at - 0.5 + 0.03 * (rng.random::<f64>() - 0.5)) * side
        };
        ([moved(x, cols), moved(y, rows)], 0.3 * (rng.random::<f64>() - 0.5))
    };
    let (at, angle) = place(0.33, 0.33);
    canvas.fill(Placed::upright(at, Shape::Ellipse { a: 0.205 * side, b: 0.205 * side }), BLACK);
    star(&mut canvas, at, 0.19 * side, 12, angle, WHITE);
    let (at, _) = place(0.7, 0.29);
    rings(&mut canvas, at, 0.15 * side);
    let (at, angle) = place(0.71, 0.7);
    head(&mut canvas, at, 0.19 * side, angle);
    let (at, angle) = place(0.3, 0.73);
    bars(&mut canvas, at, 0.16 * side, angle);
    canvas.into_pixels()
}

/// `spokes` sectors of one grey level, half of the circle in all.
fn star(canvas: &mut Canvas, at: [f64; 2], radius: f64, spokes: u32, angle: f64, value: f32) {
    let spokes = f64::from(spokes);
    canvas.paint(at, radius, |x, y| {
        let (dx, dy) = (x - at[0], y - at[1]);
        let r = dx.hypot(dy);
        // Angle to the nearest spoke's middle; its edges are a quarter period away.
        let turn = (dy.atan2(dx) - angle).rem_euclid(TAU) * spokes / TAU;
        let off = (turn - turn.round()).abs();
        let to_spoke = r * (off - 0.25) * TAU / spokes;
        // Where spokes are thinner than a pixel they blend to their mean.
        let sharp = (r * PI / spokes).min(1.0);
        let share = 0.5 + (f64::from(coverage(to_spoke)) - 0.5) * sharp;
        (value, share as f32 * coverage(r - radius))
    });
}

/// Target of rings that get narrower inwards, bright on black.
fn rings(canvas: &mut Canvas, at: [f64; 2], radius: f64) {
    canvas.fill(Placed::upright(at, Shape::Ellipse { a: radius, b: radius }), BLACK);
    for (middle, width) in [(0.84, 0.17), (0.54, 0.12), (0.32, 0.08)] {
        canvas.fill(Placed::upright(at, Shape::Ring { r: middle * radius, w: width * radius }), WHITE);
    }
    canvas.fill(Placed::upright(at, Shape::Ellipse { a: 0.13 * radius, b: 0.13 * radius }), WHITE);
}

/// Groups of three bars, upright and lying, each group finer, on a black plate.
fn bars(canvas: &mut Canvas, at: [f64; 2], half: f64, angle: f64) {
    let (sin, cos) = angle.sin_cos();
    let mut bar = |u: f64, v: f64, a: f64, b: f64, value: f32| {
        let middle = [at[0] + half * (u * cos - v * sin), at[1] + half * (u * sin + v * cos)];
        let shape = Shape::Box { a: a * half, b: b * half };
        canvas.fill(Placed::turned(middle, angle, shape), value);
    };
    bar(0.0, 0.0, 1.15, 1.0, BLACK);
    // (middle of the pair of groups, half length of a bar, bar width) in halves of the plate
    for (v, length, width) in [(-0.45, 0.4, 0.16), (0.28, 0.22, 0.088), (0.74, 0.12, 0.048)] {
        for i in [-1.0, 0.0, 1.0] {
            let step = i * 2.0 * width;
            bar(-0.55 + step, v, width / 2.0, length, WHITE);
            bar(0.55, v + step, length, width / 2.0, WHITE);
        }
    }
}

/// A head phantom after Shepp and Logan (1974), in grey levels that survive blurring.
fn head(canvas: &mut Canvas, at: [f64; 2], half: f64, angle: f64) {
    let (sin, cos) = angle.sin_cos();
    // x, y, half axes (shares of `half`), turn, grey
    const PARTS: [(f64, f64, f64, f64, f64, f32); 9] = [
        (0.0, 0.0, 0.76, 1.0, 0.0, WHITE),
        (0.0, 0.02, 0.66, 0.88, 0.0, 0.35),
        (0.25, 0.0, 0.13, 0.33, -0.31, BLACK),
        (-0.25, 0.0, 0.17, 0.44, 0.31, BLACK),
        (0.0, -0.4, 0.22, 0.25, 0.0, 0.75),
        (0.0, 0.12, 0.06, 0.06, 0.0, WHITE),
        (-0.1, 0.62, 0.06, 0.05, 0.0, WHITE),
        (0.02, 0.62, 0.04, 0.05, 0.0, 0.75),
        (0.12, 0.62, 0.04, 0.06, 0.0, WHITE),
    ];
    for (u, v, a, b, turn, value) in PARTS {
        let middle = [at[0] + half * (u * cos - v * sin), at[1] + half * (u * sin + v * cos)];
        let shape = Shape::Ellipse { a: a * half, b: b * half };
        canvas.fill(Placed::turned(middle, angle + turn, shape), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_star_alternates_as_often_as_it_has_spokes() {
        let picture = siemens((201, 201), 18);
        let turns = 4000;
        let bright: Vec<bool> = (0..turns)
            .map(|i| {
                let angle = TAU * i as f64 / turns as f64;
                let (y, x) = (100.0 + 75.0 * angle.sin(), 100.0 + 75.0 * angle.cos());
                picture[[y.round() as usize, x.round() as usize]] > 0.5
            })
            .collect();
        let edges = (0..turns).filter(|i| bright[*i] != bright[(i + 1) % turns]).count();
        assert_eq!(edges, 2 * 18);
        // Unresolved in the middle: grey, not noise.
        assert!((picture[[100, 101]] - 0.5).abs() < 0.3);
    }
}
