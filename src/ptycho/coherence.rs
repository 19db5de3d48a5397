//! Partially coherent beams: one probe as several modes that do not interfere.

use ndarray::Array2;
use num_complex::{Complex32, Complex64};

/// Probe modes P₀, P₁, … of the given weights (shares of the beam's power), made of `probe`.
///
/// Mode k is the probe times a polynomial in x and y, made orthogonal to the modes before it and of power wₖ times
/// the probe's: for a Gaussian probe these are the Hermite–Gauss modes, into which a Gaussian Schell-model beam, the
/// usual model of a synchrotron source, decomposes (Starikov & Wolf, J. Opt. Soc. Am. 72, 923 (1982)). The polynomials are
/// 1, x, y, x², xy, y², … by degree, about the probe's centre of power.
///
/// Weights are divided by their sum. With one weight the probe itself comes back, bit for bit. Returns none if `probe`
/// is dark, too few pixels are lit for so many modes, or no weight is above 0.
pub fn modes(probe: &Array2<Complex32>, weights: &[f64]) -> Option<Vec<Array2<Complex32>>> {
    let sum: f64 = weights.iter().sum();
    let usable = sum > 0.0 && sum.is_finite() && weights.iter().all(|w| *w >= 0.0);
    let lit: f64 = probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    if !usable || lit.is_nan() || lit <= 0.0 {
        return None;
    }
    if weights.len() == 1 {
        return Some(vec![probe.clone()]);
    }
    let (rows, cols) = probe.dim();
    let centre = probe.indexed_iter().fold((0.0, 0.0), |(y, x), ((r, c), p)| {
        let share = f64::from(p.norm_sqr()) / lit;
        (y + share * r as f64, x + share * c as f64)
    });
    // Lengths in units of the frame, so that powers stay near 1.
    let at = |r: usize, c: usize| {
        ((r as f64 - centre.0) / rows as f64 * 4.0, (c as f64 - centre.1) / cols as f64 * 4.0)
    };
    let degrees = (0i32..).flat_map(|degree| (0..=degree).map(move |y| (degree - y, y)));
    let mut basis: Vec<Vec<Complex64>> = Vec::with_capacity(weights.len());
    for (px, py) in degrees.take(weights.len()) {
        let mut mode: Vec<Complex64> = probe
            .indexed_iter()
            .map(|((r, c), p)| {
                let (y, x) = at(r, c);
                Complex64::new(f64::from(p.re), f64::from(p.im)) * (x.powi(px) * y.powi(py))
            })
            .collect();
        let before = norm(&mode);
        // Twice: what rounding leaves after one pass is gone after the second.
        for _ in 0..2 {
            for other in &basis {
                let overlap: Complex64 = other.iter().zip(&mode).map(|(o, m)| o.conj() * m).sum();
                mode.iter_mut().zip(other).for_each(|(m, o)| *m -= o * overlap);
            }
        }
        let left = norm(&mode);
        if left.is_nan() || left <= 1e-9 * before {
            return None;
        }
        mode.iter_mut().for_each(|m| *m /= left);
        basis.push(mode);
    }
    let scaled = |(mode, weight): (&Vec<Complex64>, &f64)| {
        let amplitude = (lit * weight / sum).sqrt();
        Array2::from_shape_fn((rows, cols), |(r, c)| {
            let value = mode[r * cols + c] * amplitude;
            Complex32::new(value.re as f32, value.im as f32)
        })
    };
    Some(basis.iter().zip(weights).map(scaled).collect())
}

fn norm(mode: &[Complex64]) -> f64 {
    mode.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::ptycho::forward::{diffract, diffract_modes};
    use crate::ptycho::probe::Probe;

    fn probe() -> Array2<Complex32> {
        Probe::Gaussian { sigma_px: 3.0, curvature_rad_per_px2: 0.02 }.sample(32).unwrap()
    }

    fn inner(a: &Array2<Complex32>, b: &Array2<Complex32>) -> Complex32 {
        a.iter().zip(b).map(|(a, b)| a.conj() * b).sum()
    }

    #[test]
    fn modes_are_orthogonal_and_share_the_power() {
        let weights = [4.0, 2.0, 1.0, 1.0];
        let (probe, modes) = (probe(), modes(&probe(), &weights).unwrap());
        let power = inner(&probe, &probe).re;
        for (i, a) in modes.iter().enumerate() {
            for (j, b) in modes.iter().enumerate() {
                let wanted = if i == j { power * weights[i] as f32 / 8.0 } else { 0.0 };
                assert!((inner(a, b) - wanted).norm() < 1e-5 * power, "{i} {j}");
            }
        }
        // The first is the probe, weaker; the second has its node on the centre's column.
        let factor = 0.5f32.sqrt();
        assert!(modes[0].iter().zip(&probe).all(|(m, p)| (m - p * factor).norm() < 1e-6));
        assert!((0..32).all(|r| modes[1][[r, 16]].norm() < 1e-3 * modes[1][[16, 19]].norm()));
    }

    #[test]
    fn one_mode_is_the_probe_and_impossible_ones_are_refused() {
        assert_eq!(modes(&probe(), &[0.3]).unwrap(), [probe()]);
        assert!(modes(&probe(), &[]).is_none());
        assert!(modes(&probe(), &[0.0, 0.0]).is_none());
        assert!(modes(&probe(), &[1.0, f64::NAN]).is_none());
        assert!(modes(&Array2::zeros((8, 8)), &[1.0, 1.0]).is_none());
        // One lit pixel has no second mode.
        let mut pixel = Array2::zeros((8, 8));
        pixel[[3, 4]] = Complex32::new(1.0, 0.0);
        assert!(modes(&pixel, &[1.0, 1.0]).is_none());
    }

    #[test]
    fn intensities_of_modes_add() {
        let object =
            Array2::from_shape_fn((60, 60), |(r, c)| Complex32::from_polar(1.0, 0.02 * (r * c % 31) as f32));
        let (x, y) = ([25.5, 30.0], [28.0, 31.25]);
        let modes = modes(&probe(), &[3.0, 1.0]).unwrap();
        let mut together = Array3::zeros((2, 32, 32));
        let power = diffract_modes(&object, &modes, &x, &y, together.view_mut());
        let mut sum = Array3::<f64>::zeros((2, 32, 32));
        let mut powers = vec![0.0; 2];
        for mode in &modes {
            let mut one = Array3::zeros((2, 32, 32));
            let part = diffract(&object, mode, &x, &y, one.view_mut());
            powers.iter_mut().zip(part).for_each(|(sum, p)| *sum += p);
            sum.zip_mut_with(&one, |sum, v: &f32| *sum += f64::from(*v).powi(2));
        }
        let brightest = sum.iter().copied().fold(0.0, f64::max);
        assert!(together.iter().zip(&sum).all(|(a, b)| (f64::from(*a).powi(2) - b).abs() < 1e-6 * brightest));
        assert!(power.iter().zip(&powers).all(|(a, b)| (a / b - 1.0).abs() < 1e-12));
        // Less coherent light has less contrast: the modes' pattern is not that of the probe alone.
        let mut coherent = Array3::zeros((2, 32, 32));
        diffract(&object, &probe(), &x, &y, coherent.view_mut());
        assert!(together.iter().zip(&coherent).any(|(a, b)| (a - b).abs() > 0.01 * b.abs()));
    }
}
