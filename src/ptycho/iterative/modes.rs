//! Probe modes: illuminations that add their intensities (partial coherence).

use ndarray::{Array3, ArrayView2};
use num_complex::{Complex32, Complex64};

/// Sweeps of Jacobi's method; it converges quadratically, and a dozen modes need about six.
const SWEEPS: usize = 30;

/// `count` modes to start from, (count, N, N): the probe, and the probe times polynomials of degree 1, 2, … in
/// row and column, each made orthogonal to the ones before. Each further mode gets `share` of the probe's
/// power Σ|P|², the first what remains; the sum is the probe's own.
///
/// The polynomials are in units of the probe's own width about its centre of mass, so that the modes of a
/// Gaussian probe are Hermite–Gaussian ones: those that vibration and a source of finite size give.
pub fn starting_modes(probe: ArrayView2<'_, Complex32>, count: usize, share: f64) -> Array3<Complex32> {
    let (rows, cols) = probe.dim();
    let power: f64 = probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    let moment = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        let at = |((r, c), p): ((usize, usize), &Complex32)| f64::from(p.norm_sqr()) * f(r as f64, c as f64);
        probe.indexed_iter().map(at).sum::<f64>() / power.max(f64::MIN_POSITIVE)
    };
    let (y, x) = (moment(&|r, _| r), moment(&|_, c| c));
    let width = |v: f64| v.sqrt().max(1.0);
    let (wy, wx) = (width(moment(&|r, _| (r - y).powi(2))), width(moment(&|_, c| (c - x).powi(2))));
    let degrees = (0..).flat_map(|total: i32| (0..=total).map(move |down| (total - down, down)));
    let mut modes: Vec<Vec<Complex64>> = Vec::with_capacity(count);
    for (across, down) in degrees.take(count) {
        let mut mode: Vec<Complex64> = probe
            .indexed_iter()
            .map(|((r, c), p)| {
                let factor = ((r as f64 - y) / wy).powi(down) * ((c as f64 - x) / wx).powi(across);
                Complex64::new(f64::from(p.re) * factor, f64::from(p.im) * factor)
            })
            .collect();
        for earlier in &modes {
            let along: Complex64 = earlier.iter().zip(&mode).map(|(e, m)| e.conj() * m).sum();
            mode.iter_mut().zip(earlier).for_each(|(m, e)| *m -= along * e);
        }
        let own = mode.iter().map(Complex64::norm_sqr).sum::<f64>().max(f64::MIN_POSITIVE).sqrt();
        mode.iter_mut().for_each(|m| *m /= own);
        modes.push(mode);
    }
    let rest = (1.0 - share * (count.max(1) - 1) as f64).max(0.0);
    Array3::from_shape_fn((count, rows, cols), |(m, r, c)| {
        let value = modes[m][r * cols + c] * (power * if m == 0 { rest } else { share }).sqrt();
        Complex32::new(value.re as f32, value.im as f32)
    })
}

/// Turns modes of `pixels` values each into orthogonal ones of the same total intensity everywhere, the
/// strongest first: the eigenvectors of the modes' covariance, as pty-chi does after every epoch. Each
/// eigenvector's largest component is real and positive (LAPACK's convention), so that modes that are
/// orthogonal already keep their phase.
pub(super) fn orthogonalise(probe: &mut [Complex32], pixels: usize) {
    let count = probe.len() / pixels;
    if count < 2 {
        return;
    }
    let wide = |v: Complex32| Complex64::new(v.re.into(), v.im.into());
    // C[a][b] = Σ P_a·P_b*.
    let mut matrix = vec![vec![Complex64::default(); count]; count];
    for (a, row) in matrix.iter_mut().enumerate() {
        for (b, value) in row.iter_mut().enumerate() {
            let (p, q) = (&probe[a * pixels..(a + 1) * pixels], &probe[b * pixels..(b + 1) * pixels]);
            *value = p.iter().zip(q).map(|(p, q)| wide(*p) * wide(*q).conj()).sum();
        }
    }
    let vectors = eigenvectors(matrix);
    let old = probe.to_vec();
    for (k, vector) in vectors.iter().enumerate() {
        for pixel in 0..pixels {
            let value: Complex64 = (0..count).map(|a| wide(old[a * pixels + pixel]) * vector[a].conj()).sum();
            probe[k * pixels + pixel] = Complex32::new(value.re as f32, value.im as f32);
        }
    }
}

/// Eigenvectors of a Hermitian matrix, of the largest eigenvalue first, by Jacobi's rotations.
fn eigenvectors(mut a: Vec<Vec<Complex64>>) -> Vec<Vec<Complex64>> {
    let n = a.len();
    // Column k of V, stored as v[k].
    let mut v: Vec<Vec<Complex64>> =
        (0..n).map(|k| (0..n).map(|i| Complex64::from(f64::from(u8::from(i == k)))).collect()).collect();
    let scale: f64 = (0..n).map(|i| a[i][i].re.abs()).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| a[p][q].norm()).sum();
        if off <= 1e-15 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| a[*j][*j].re.total_cmp(&a[*i][*i].re));
    order
        .into_iter()
        .map(|k| {
            let largest =
                v[k].iter().fold(Complex64::default(), |m, z| if z.norm() > m.norm() { *z } else { m });
            let turn = largest.conj() / largest.norm().max(f64::MIN_POSITIVE);
            v[k].iter().map(|z| z * turn).collect()
        })
        .collect()
}

/// The rotation that makes element (p, q) zero, applied to the matrix from both sides and to the vectors.
fn rotate(a: &mut [Vec<Complex64>], v: &mut [Vec<Complex64>], p: usize, q: usize) {
    let modulus = a[p][q].norm();
    if modulus == 0.0 {
        return;
    }
    let phase = a[p][q] / modulus;
    let theta = (a[q][q].re - a[p][p].re) / (2.0 * modulus);
    let t = if theta >= 0.0 { 1.0 } else { -1.0 } / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = phase * (t * c);
    for row in a.iter_mut() {
        let (x, y) = (row[p], row[q]);
        row[p] = x * c - y * s.conj();
        row[q] = x * s + y * c;
    }
    mix(a, (p, q), (c, s));
    mix(v, (p, q), (c, s.conj()));
}

/// Rows p < q of `m` replaced by p·c − q·s and p·s* + q·c.
fn mix(m: &mut [Vec<Complex64>], (p, q): (usize, usize), (c, s): (f64, Complex64)) {
    let (upper, lower) = m.split_at_mut(q);
    for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
        (*x, *y) = (*x * c - *y * s, *x * s.conj() + *y * c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn intensity(modes: &[Complex32], pixels: usize) -> Vec<f32> {
        (0..pixels).map(|i| modes.chunks_exact(pixels).map(|m| m[i].norm_sqr()).sum()).collect()
    }

    fn inner(modes: &[Complex32], pixels: usize, a: usize, b: usize) -> Complex32 {
        let mode = |m: usize| &modes[m * pixels..(m + 1) * pixels];
        mode(a).iter().zip(mode(b)).map(|(a, b)| a.conj() * b).sum()
    }

    #[test]
    fn modes_become_orthogonal_and_keep_their_intensity() {
        let pixels = 40;
        let mut modes: Vec<Complex32> = (0..4 * pixels)
            .map(|i| Complex32::new((i as f32 * 0.37).sin(), (i as f32 * 0.91 + 1.0).cos()))
            .collect();
        let before = intensity(&modes, pixels);
        orthogonalise(&mut modes, pixels);
        let after = intensity(&modes, pixels);
        assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-4));
        for a in 0..4 {
            for b in 0..a {
                assert!(inner(&modes, pixels, a, b).norm() < 1e-3, "{a} {b}");
                assert!(inner(&modes, pixels, a, a).re <= inner(&modes, pixels, b, b).re + 1e-3);
            }
        }
        let once = modes.clone();
        orthogonalise(&mut modes, pixels);
        assert!(once.iter().zip(&modes).all(|(a, b)| (a - b).norm() < 1e-4), "a second time changes nothing");
    }

    #[test]
    fn starting_modes_are_orthogonal_and_share_the_power() {
        let probe = Array2::from_shape_fn((24, 24), |(r, c)| {
            let (y, x) = (r as f32 - 11.0, c as f32 - 13.0);
            Complex32::from_polar((-(y * y + x * x) / 30.0).exp(), 0.02 * (y * y + x * x))
        });
        let modes = starting_modes(probe.view(), 4, 0.05);
        let values = modes.as_slice().unwrap();
        let power: f32 = probe.iter().map(|p| p.norm_sqr()).sum();
        for (m, share) in [0.85, 0.05, 0.05, 0.05].into_iter().enumerate() {
            assert!((inner(values, 576, m, m).re / power - share).abs() < 1e-4);
            (0..m).for_each(|b| assert!(inner(values, 576, m, b).norm() < 1e-4 * power));
        }
        let alone = starting_modes(probe.view(), 1, 0.05);
        assert!(alone.iter().zip(&probe).all(|(a, b)| (a - b).norm() < 1e-6));
    }
}
