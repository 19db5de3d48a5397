//! What reconstruction cannot determine, and so is removed before images are compared: the amplitude's
//! scale and the phase's plane.

use ndarray::{Array2, ArrayView2, s};
use num_complex::{Complex32, Complex64};

use super::{MetricError, MetricResult, mean};

/// Amplitude of a complex image.
pub fn amplitude(image: ArrayView2<'_, Complex32>) -> Array2<f64> {
    image.mapv(|v| f64::from(v.re).hypot(f64::from(v.im)))
}

/// Wrapped phase of a complex image, radians in (−π, π].
pub fn phase(image: ArrayView2<'_, Complex32>) -> Array2<f64> {
    image.mapv(|v| f64::from(v.im).atan2(f64::from(v.re)))
}

/// The image without `pixels` on every side; an error if nothing would be left.
pub fn trim<T: Clone>(image: ArrayView2<'_, T>, pixels: usize) -> MetricResult<Array2<T>> {
    let (rows, cols) = image.dim();
    if rows <= 2 * pixels || cols <= 2 * pixels {
        return Err(MetricError::Empty);
    }
    Ok(image.slice(s![pixels..rows - pixels, pixels..cols - pixels]).to_owned())
}

/// Scales `prediction` by mean(truth)/mean(prediction), as the reference study does with amplitudes.
/// Returns the scaled image and the factor.
pub fn match_mean(
    truth: ArrayView2<'_, f64>,
    prediction: ArrayView2<'_, f64>,
) -> MetricResult<(Array2<f64>, f64)> {
    super::check(truth, prediction)?;
    let own = mean(prediction);
    if own == 0.0 {
        return Err(MetricError::ZeroMean);
    }
    let factor = mean(truth) / own;
    Ok((prediction.mapv(|v| v * factor), factor))
}

/// Subtracts the least-squares plane a·x + b·y + c (x = column, y = row). Returns the rest and
/// \[a, b, c\], c being the plane's height at pixel \[0, 0\]. A rest that is nothing but rounding
/// (10⁻¹² of the largest value, or 10⁻¹²) becomes exactly zero, so that a flat image stays flat.
pub fn remove_plane(image: ArrayView2<'_, f64>) -> (Array2<f64>, [f64; 3]) {
    let (rows, cols) = image.dim();
    // Centred coordinates are orthogonal to each other and to the constant, which makes the normal
    // equations diagonal: no 3×3 solve, and exact for any size (a line one pixel wide has slope 0).
    let centre = |n: usize| (n as f64 - 1.0) / 2.0;
    let spread = |n: usize| (n * (n * n).saturating_sub(1)) as f64 / 12.0;
    let (cx, cy) = (centre(cols), centre(rows));
    let (mut sx, mut sy) = (0.0, 0.0);
    for (r, row) in image.rows().into_iter().enumerate() {
        let sum: f64 = row.iter().sum();
        sy += (r as f64 - cy) * sum;
        sx += row.iter().enumerate().map(|(c, v)| (c as f64 - cx) * v).sum::<f64>();
    }
    let slope = |s: f64, n: usize, lines: usize| if n > 1 { s / (spread(n) * lines as f64) } else { 0.0 };
    let (a, b) = (slope(sx, cols, rows), slope(sy, rows, cols));
    let level = mean(image);
    let mut rest = Array2::from_shape_fn((rows, cols), |(r, c)| {
        image[[r, c]] - level - a * (c as f64 - cx) - b * (r as f64 - cy)
    });
    let largest = |image: ArrayView2<'_, f64>| image.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if largest(rest.view()) <= 1e-12 * largest(image).max(1.0) {
        rest.fill(0.0);
    }
    (rest, [a, b, level - a * cx - b * cy])
}

/// The phase of a complex image without its least-squares plane, whatever the plane's height and slope: no phase is
/// torn where it passes ±π. Returns the rest, radians, and the plane as [`remove_plane`] does, its height c in (−π, π].
///
/// The wrapped angle is fitted twice: as it is, and after the plane has been turned away that neighbouring pixels' mean
/// phase steps suggest (arg ΣO(r, c + 1)·O(r, c)*, weighted by amplitude) together with the mean phase. The fit that
/// leaves less is taken, the first if both leave the same: an image whose phase does not wrap gets exactly the plain
/// least-squares fit.
pub fn flatten_phase(image: ArrayView2<'_, Complex32>) -> (Array2<f64>, [f64; 3]) {
    let (plain, plane) = remove_plane(phase(image).view());
    let start = steps(image);
    let turned = turn_back(image, start);
    let (rest, more) = remove_plane(turned.view());
    let squares = |image: &Array2<f64>| image.iter().map(|v| v * v).sum::<f64>();
    // Rounding alone must not decide.
    if squares(&plain) <= squares(&rest) * (1.0 + 1e-9) + f64::MIN_POSITIVE {
        return (plain, [plane[0], plane[1], wrap(plane[2])]);
    }
    (rest, [start[0] + more[0], start[1] + more[1], wrap(start[2] + more[2])])
}

/// Angle in (−π, π].
pub fn wrap(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    let rest = angle - turn * (angle / turn).round();
    if rest <= -std::f64::consts::PI { rest + turn } else { rest }
}

fn wide(v: Complex32) -> Complex64 {
    Complex64::new(v.re.into(), v.im.into())
}

/// Mean phase step along a row and down a column, and the phase at \[0, 0\] of the plane with these slopes.
fn steps(image: ArrayView2<'_, Complex32>) -> [f64; 3] {
    let mut sums = [Complex64::default(); 2];
    let (rows, cols) = image.dim();
    for r in 0..rows {
        for c in 0..cols {
            let here = wide(image[[r, c]]).conj();
            if c + 1 < cols {
                sums[0] += wide(image[[r, c + 1]]) * here;
            }
            if r + 1 < rows {
                sums[1] += wide(image[[r + 1, c]]) * here;
            }
        }
    }
    let [a, b] = sums.map(|s| s.arg());
    let (down, across) = (phases(rows, -b), phases(cols, -a));
    let mean: Complex64 = image.indexed_iter().map(|((r, c), v)| wide(*v) * down[r] * across[c]).sum();
    [a, b, mean.arg()]
}

/// exp(i·step·k) for k < n.
fn phases(n: usize, step: f64) -> Vec<Complex64> {
    (0..n).map(|k| Complex64::cis(step * k as f64)).collect()
}

/// Wrapped phase after a plane has been turned away.
fn turn_back(image: ArrayView2<'_, Complex32>, [a, b, c]: [f64; 3]) -> Array2<f64> {
    let (down, across) = (phases(image.nrows(), -b), phases(image.ncols(), -a));
    let level = Complex64::cis(-c);
    Array2::from_shape_fn(image.dim(), |(row, col)| {
        // Zero has no phase: it counts as lying on the plane.
        (wide(image[[row, col]]) * down[row] * across[col] * level).arg()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_leaves_nothing() {
        let plane = Array2::from_shape_fn((9, 14), |(r, c)| 0.3 * c as f64 - 0.7 * r as f64 + 2.0);
        let (rest, [a, b, c]) = remove_plane(plane.view());
        assert!(rest.iter().all(|v| *v == 0.0));
        assert!((a - 0.3).abs() < 1e-13 && (b + 0.7).abs() < 1e-13 && (c - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_rest_is_orthogonal_to_planes() {
        let image = Array2::from_shape_fn((8, 5), |(r, c)| ((r * 7 + c * c * 3) % 5) as f64);
        let (rest, _) = remove_plane(image.view());
        let moment =
            |f: fn(usize, usize) -> f64| rest.indexed_iter().map(|((r, c), v)| f(r, c) * v).sum::<f64>();
        assert!(moment(|_, _| 1.0).abs() < 1e-12);
        assert!(moment(|r, _| r as f64).abs() < 1e-11);
        assert!(moment(|_, c| c as f64).abs() < 1e-11);
    }

    #[test]
    fn means_agree_after_matching() {
        let truth = Array2::from_shape_fn((4, 4), |(r, c)| (r + c) as f64);
        let prediction = truth.mapv(|v| v / 8.0 + 0.1);
        let (scaled, factor) = match_mean(truth.view(), prediction.view()).unwrap();
        assert!((mean(scaled.view()) - mean(truth.view())).abs() < 1e-12 && factor > 1.0);
        let zero = Array2::zeros((4, 4));
        assert_eq!(match_mean(truth.view(), zero.view()), Err(MetricError::ZeroMean));
    }

    fn textured(rows: usize, cols: usize, a: f64, b: f64, c: f64) -> Array2<Complex32> {
        Array2::from_shape_fn((rows, cols), |(r, col)| {
            let (x, y) = (col as f64, r as f64);
            let own = 0.5 * (0.3 * x + 0.2 * y).sin() + 0.4 * (0.17 * x - 0.4 * y).cos();
            let v = Complex64::from_polar(0.7 + 0.2 * (0.5 * x).sin(), own + a * x + b * y + c);
            Complex32::new(v.re as f32, v.im as f32)
        })
    }

    #[test]
    fn planes_of_any_height_and_slope_leave_the_same() {
        let (flat, own) = flatten_phase(textured(40, 53, 0.0, 0.0, 0.0).view());
        // No wraps: the plain fit, to the bit.
        assert_eq!(flat, remove_plane(phase(textured(40, 53, 0.0, 0.0, 0.0).view()).view()).0);
        for (a, b, c) in [(0.01, -0.02, 0.5), (0.0, 0.0, 3.1), (0.4, -0.9, 2.0), (-2.5, 1.3, -3.0)] {
            let (rest, [fa, fb, fc]) = flatten_phase(textured(40, 53, a, b, c).view());
            let off = (&rest - &flat).iter().fold(0.0f64, |m, v| m.max(v.abs()));
            // What single precision makes of the phase.
            assert!(off < 1e-6, "({a}, {b}, {c}): off by {off:e}");
            assert!((fa - own[0] - a).abs() < 1e-8 && (fb - own[1] - b).abs() < 1e-8, "{fa} {fb}");
            assert!(wrap(fc - own[2] - c).abs() < 1e-6, "{fc}");
        }
    }

    #[test]
    fn zeros_and_single_lines_have_planes_too() {
        let zero = Array2::from_elem((5, 4), Complex32::default());
        let (rest, plane) = flatten_phase(zero.view());
        assert!(rest.iter().all(|v| *v == 0.0) && plane == [0.0; 3]);
        let (rest, _) = flatten_phase(textured(1, 60, 1.2, 0.0, 0.0).view());
        assert!(rest.iter().all(|v| v.abs() < 1.5));
        assert_eq!(wrap(-std::f64::consts::PI), std::f64::consts::PI);
        assert!((wrap(7.0) - (7.0 - std::f64::consts::TAU)).abs() < 1e-15);
    }
}
