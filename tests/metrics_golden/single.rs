//! The references see single precision images and calculate in single precision. The same formulas in the same
//! arithmetic give their numbers to 10⁻¹⁰, MAE and MSE to the bit: what parts those of `phasegraph`, which calculates
//! in double precision, from the golden ones is this rounding and nothing else.

use ndarray::{Array2, Axis, s};
use serde_json::Value;

use super::{golden, npy};

type Image = Array2<f32>;

fn images(case: &str) -> [Image; 2] {
    ["target", "pred"].map(|which| {
        let (values, shape) = npy(&format!("{case}_{which}.npy"));
        Array2::from_shape_vec(shape, values).unwrap()
    })
}

/// Index of a line of `n` samples continued by reflection with the edge sample repeated.
fn reflected(i: isize, n: usize) -> usize {
    let i = i.rem_euclid(2 * n as isize) as usize;
    i.min(2 * n - 1 - i)
}

/// A filter of SciPy: lines in double precision, each axis's result stored in single.
fn filtered(image: &Image, along: impl Fn(&dyn Fn(isize) -> f64, usize) -> Vec<f64>) -> Image {
    let mut image = image.clone();
    for axis in [Axis(0), Axis(1)] {
        for mut line in image.lanes_mut(axis) {
            let from: Vec<f64> = line.iter().map(|v| f64::from(*v)).collect();
            let n = from.len();
            let out = along(&|i| from[reflected(i, n)], n);
            line.iter_mut().zip(out).for_each(|(to, v)| *to = v as f32);
        }
    }
    image
}

/// `scipy.ndimage.uniform_filter(image, 7)`: a running mean.
fn uniform(image: &Image) -> Image {
    filtered(image, |at, n| {
        let mut means = vec![(-3..=3).map(at).sum::<f64>() / 7.0];
        for i in 1..n as isize {
            means.push(means[i as usize - 1] + (at(i + 3) - at(i - 4)) / 7.0);
        }
        means
    })
}

/// `scipy.ndimage.gaussian_filter(image, sigma)` with a kernel cut at `radius`.
fn gaussian(image: &Image, sigma: f64, radius: isize) -> Image {
    let weights: Vec<f64> =
        (-radius..=radius).map(|i| (-0.5 / (sigma * sigma) * (i * i) as f64).exp()).collect();
    let total: f64 = weights.iter().sum();
    let weight = |d: isize| weights[(d + radius) as usize] / total;
    filtered(image, |at, n| {
        let value = |i: isize| {
            (-radius..0).fold(at(i) * weight(0), |sum, d| sum + (at(i + d) + at(i - d)) * weight(d))
        };
        (0..n as isize).map(value).collect()
    })
}

/// scikit-image's `structural_similarity`, every array in single precision, the mean in double.
fn ssim(
    [t, p]: &[Image; 2],
    range: f32,
    filter: &dyn Fn(&Image) -> Image,
    pad: usize,
    covariance: f32,
) -> f64 {
    let c = |k: f64| (k * f64::from(range)).powi(2) as f32;
    let (c1, c2) = (c(0.01), c(0.03));
    let (mt, mp) = (filter(t), filter(p));
    let (tt, pp, tp) = (filter(&(t * t)), filter(&(p * p)), filter(&(t * p)));
    let (rows, cols) = t.dim();
    let map = Array2::from_shape_fn((rows, cols), |at| {
        let (x, y) = (mt[at], mp[at]);
        let vx = covariance * (tt[at] - x * x);
        let vy = covariance * (pp[at] - y * y);
        let vxy = covariance * (tp[at] - x * y);
        (2.0 * x * y + c1) * (2.0 * vxy + c2) / ((x * x + y * y + c1) * (vx + vy + c2))
    });
    let inner = map.slice(s![pad..rows - pad, pad..cols - pad]);
    inner.iter().map(|v| f64::from(*v)).sum::<f64>() / inner.len() as f64
}

fn ssim_uniform(images: &[Image; 2], range: f32) -> f64 {
    ssim(images, range, &uniform, 3, (49.0f64 / 48.0) as f32)
}

fn extent(image: &Image) -> f32 {
    let (lo, hi) = image.iter().fold((f32::MAX, f32::MIN), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    hi - lo
}

/// The reference study's multi-scale SSIM.
fn ms_ssim([t, p]: &[Image; 2], sigma: f64) -> f64 {
    let smooth = |image: &Image| match sigma {
        0.0 => image.clone(),
        _ => gaussian(image, sigma, (4.0 * sigma + 0.5) as isize),
    };
    let mut pair = [smooth(t), smooth(p)];
    let range = extent(&pair[0]).max(extent(&pair[1]));
    let mut product = 1.0;
    for (level, weight) in [0.0448, 0.2856, 0.3001, 0.2363, 0.1333].into_iter().enumerate() {
        if level > 0 {
            pair = pair.map(|image| image.slice(s![..;2, ..;2]).to_owned());
            if pair[0].nrows().min(pair[0].ncols()) < 7 {
                break;
            }
        }
        let value = ssim_uniform(&pair, range);
        product *= if value < 0.0 { 1e-4f64 } else { value }.powf(weight);
    }
    product
}

/// NumPy's sum of contiguous single precision numbers: pairwise, in eight lanes.
fn pairwise(values: &[f32]) -> f32 {
    let n = values.len();
    match n {
        0..8 => values.iter().fold(0.0, |sum, v| sum + v),
        8..=128 => {
            let (chunks, rest) = values.as_chunks::<8>();
            let mut lanes = [0.0f32; 8];
            for (i, chunk) in chunks.iter().enumerate() {
                lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane = if i == 0 { *v } else { *lane + v });
            }
            let [a, b, c, d, e, f, g, h] = lanes;
            rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, v| sum + v)
        }
        _ => {
            let half = n / 2 - n / 2 % 8;
            pairwise(&values[..half]) + pairwise(&values[half..])
        }
    }
}

fn mean(values: &[f32]) -> f64 {
    f64::from((f64::from(pairwise(values)) / values.len() as f64) as f32)
}

#[test]
fn in_single_precision_the_golden_values_come_out() {
    let golden = golden();
    let cases = golden["cases"].as_object().unwrap();
    let mut seen = 0;
    for (case, all) in cases {
        let expected = &all["real"];
        if case.starts_with("nan") || expected.is_null() {
            continue;
        }
        let pair = images(case);
        let [t, p] = &pair;
        let close = |key: &str, found: f64, tolerance: f64| {
            // The reference's own NaN and its exceptions are tested elsewhere.
            if let Some(expected) = expected[key].as_f64() {
                let off = (found - expected).abs();
                assert!(off <= tolerance, "{case} {key}: {found} instead of {expected}, off by {off:e}");
            }
        };
        let off: Vec<f32> = t.iter().zip(p).map(|(t, p)| t - p).collect();
        close("mae", mean(&off.iter().map(|v| v.abs()).collect::<Vec<_>>()), 0.0);
        close("mse", mean(&off.iter().map(|v| v * v).collect::<Vec<_>>()), 0.0);
        let range = extent(t);
        let squares = off.iter().map(|v| f64::from(v * v)).sum::<f64>() / off.len() as f64;
        if squares > 0.0 {
            close("psnr_skimage_range_target", 10.0 * (f64::from(range).powi(2) / squares).log10(), 1e-10);
        }
        if t.nrows() < 7 {
            continue;
        }
        close("ssim_uniform7", ssim_uniform(&pair, range), 1e-10);
        if t.nrows() >= 11 {
            close(
                "ssim_gauss1.5_popcov",
                ssim(&pair, range, &|image| gaussian(image, 1.5, 5), 5, 1.0),
                1e-10,
            );
        }
        if extent(t).max(extent(p)) > 0.0 {
            close("ms_ssim_pp_sigma0", ms_ssim(&pair, 0.0), 1e-9);
            close("ms_ssim_pp_sigma1", ms_ssim(&pair, 1.0), 1e-9);
        }
        seen += usize::from(expected.get("mae").is_some_and(Value::is_number));
    }
    assert!(seen >= 11, "only {seen} cases");
}
