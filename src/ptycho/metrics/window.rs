//! Means of structural similarity over windows that lie wholly inside, in one pass over both images.

use crate::ptycho::vector::kernel;

/// Constants of the structural similarity (Wang et al. 2004).
const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Sums that run side by side; their number fixes the order of summation.
const LANES: usize = 8;

/// Two images of one shape, C order, each at least as large as the window.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub truth: &'a [f64],
    pub prediction: &'a [f64],
    pub cols: usize,
}

/// What the means of [`uniform`] and [`gaussian`] depend on beside the window.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// Data range.
    pub range: f64,
    /// Factor on variances and covariance: n/(n − 1) for those of a sample.
    pub covariance: f64,
}

kernel! {
    /// \[mean SSIM, mean contrast-structure term\] under the 7 × 7 uniform window.
    pub(super) fn uniform(images: Images<'_>, scale: Scale) -> [f64; 2] {
        means::<7>(images, &[1.0 / 7.0; 7], scale)
    }
}

kernel! {
    /// The same under an 11 × 11 Gaussian window, separable with `weights`, which sum to 1.
    pub(super) fn gaussian(images: Images<'_>, weights: &[f64; 11], scale: Scale) -> [f64; 2] {
        means::<11>(images, weights, scale)
    }
}

/// Rows are filtered along themselves as they come, the last K results kept, and then combined down the columns: a
/// window is summed afresh each time, so no rounding error travels.
#[inline(always)]
fn means<const K: usize>(images: Images<'_>, weights: &[f64; K], scale: Scale) -> [f64; 2] {
    let Images { truth, prediction, cols } = images;
    let kept = cols + 1 - K;
    // Five fields: truth, prediction, their squares, their product.
    let mut products = vec![0.0; 3 * cols];
    let mut ring = vec![0.0; K * 5 * kept];
    let mut fields = vec![0.0; 5 * kept];
    let (mut similar, mut structural) = (vec![0.0; kept], vec![0.0; kept]);
    let mut sums = [0.0; 2];
    for (row, (t, p)) in truth.chunks_exact(cols).zip(prediction.chunks_exact(cols)).enumerate() {
        let (tt, rest) = products.split_at_mut(cols);
        let (pp, tp) = rest.split_at_mut(cols);
        for c in 0..cols {
            tt[c] = t[c] * t[c];
            pp[c] = p[c] * p[c];
            tp[c] = t[c] * p[c];
        }
        let slot = &mut ring[row % K * 5 * kept..][..5 * kept];
        for (line, out) in [t, p, &*tt, &*pp, &*tp].into_iter().zip(slot.chunks_exact_mut(kept)) {
            let taps: [&[f64]; K] = std::array::from_fn(|k| &line[k..k + kept]);
            combine(&taps, weights, out);
        }
        if row + 1 < K {
            continue;
        }
        let taps: [&[f64]; K] = std::array::from_fn(|k| &ring[(row + 1 + k) % K * 5 * kept..][..5 * kept]);
        combine(&taps, weights, &mut fields);
        local(&fields, kept, scale, &mut similar, &mut structural);
        sums[0] += sum(&similar);
        sums[1] += sum(&structural);
    }
    let windows = ((truth.len() / cols + 1 - K) * kept) as f64;
    sums.map(|s| s / windows)
}

/// `out` = Σ weights·taps.
#[inline(always)]
fn combine<const K: usize>(taps: &[&[f64]; K], weights: &[f64; K], out: &mut [f64]) {
    let n = out.len();
    let taps: [&[f64]; K] = std::array::from_fn(|k| &taps[k][..n]);
    for i in 0..n {
        let mut value = 0.0;
        for k in 0..K {
            value += weights[k] * taps[k][i];
        }
        out[i] = value;
    }
}

/// SSIM and its contrast-structure term for each window of a row.
#[inline(always)]
fn local(fields: &[f64], n: usize, scale: Scale, similar: &mut [f64], structural: &mut [f64]) {
    let (c1, c2) = ((K1 * scale.range).powi(2), (K2 * scale.range).powi(2));
    let field = |k: usize| &fields[k * n..][..n];
    let (t, p, tt, pp, tp) = (field(0), field(1), field(2), field(3), field(4));
    let (similar, structural) = (&mut similar[..n], &mut structural[..n]);
    for i in 0..n {
        let (mt, mp) = (t[i], p[i]);
        let var_t = scale.covariance * (tt[i] - mt * mt);
        let var_p = scale.covariance * (pp[i] - mp * mp);
        let covariance = scale.covariance * (tp[i] - mt * mp);
        let structure = (2.0 * covariance + c2) / (var_t + var_p + c2);
        structural[i] = structure;
        similar[i] = (2.0 * mt * mp + c1) / (mt * mt + mp * mp + c1) * structure;
    }
}

/// Sum in lanes.
#[inline(always)]
fn sum(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).sum()
}
