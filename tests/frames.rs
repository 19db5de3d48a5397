//! One frame for everything: where the reference study's canvas and crop part by pixels, stitching here does not.

#![allow(clippy::unwrap_used)]

use ndarray::{Array2, Array3, ArrayView2, s};
use num_complex::{Complex32, Complex64};
use phasegraph::ptycho::forward;
use phasegraph::ptycho::image::Image;
use phasegraph::ptycho::metrics::amplitude;
use phasegraph::ptycho::placement::{Between, Weights, stitch};
use phasegraph::ptycho::positions::{Region, uniform};
use phasegraph::ptycho::registration::{UPSAMPLE, cross_correlation};

/// Side of the object and of the patches' used middle in the reference study.
const SIDE: usize = 464;
const MIDDLE: usize = 20;

/// The reference's seed-42 positions, halved at the middle of their y range: (x, y) of the training half.
fn positions() -> (Vec<f64>, Vec<f64>) {
    let (x, y) = uniform(Region::inside((SIDE, SIDE), 64.0).unwrap(), 10_304, 42);
    let (lo, hi) = y.iter().fold((f64::MAX, f64::MIN), |(lo, hi), y| (lo.min(*y), hi.max(*y)));
    x.into_iter().zip(y).filter(|(_, y)| *y < lo + (hi - lo) * 0.5).unzip()
}

/// By how much the reference's reconstruction lies off the truth that it is compared with, along one axis: its canvas
/// has the mean of the positions in its middle, its crop of the truth begins at the smallest one, and both are then
/// cut about their middles to the shorter side.
fn reference_frame_error(along: &[f64], pad: usize) -> f64 {
    let canvas = MIDDLE + 2 * pad;
    let mean = along.iter().sum::<f64>() / along.len() as f64;
    let (lo, hi) = along.iter().fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    let first = (lo as usize).saturating_sub(MIDDLE / 2);
    let height = (hi as usize + MIDDLE / 2).min(SIDE) - first;
    let common = height.min(canvas);
    // Index of object coordinate 0 in either.
    let in_canvas = (pad + MIDDLE / 2) as f64 - mean - ((canvas - common) / 2) as f64;
    let in_truth = -(first as f64) - ((height - common) / 2) as f64;
    in_canvas - in_truth
}

fn object() -> Array2<Complex32> {
    Array2::from_shape_fn((SIDE, SIDE), |(r, c)| {
        let (y, x) = (r as f32, c as f32);
        let value = (0.21 * x).sin() * (0.13 * y + 0.04 * x).cos() + 0.5 * (0.31 * y - 0.17 * x).sin();
        Complex32::from_polar(0.8 + 0.2 * value, 0.4 * (0.17 * y).cos() + 0.3 * (0.11 * x).sin())
    })
}

fn cut(object: &Array2<Complex32>, x: &[f64], y: &[f64]) -> Image {
    let mut patches = Array3::zeros((x.len(), MIDDLE, MIDDLE));
    let mut patch = vec![Complex64::default(); MIDDLE * MIDDLE];
    for ((mut out, x), y) in patches.outer_iter_mut().zip(x).zip(y) {
        forward::patch(object, *x, *y, MIDDLE, &mut patch);
        out.iter_mut().zip(&patch).for_each(|(out, v)| *out = Complex32::new(v.re as f32, v.im as f32));
    }
    stitch(patches.view(), x, y, &Weights::Crop(MIDDLE), Between::Bilinear).unwrap()
}

/// The object where the image lies, by the image's own coordinates.
fn truth<'a>(object: &'a Array2<Complex32>, image: &Image) -> ArrayView2<'a, Complex32> {
    let [top, left] = image.origin_yx.map(|v| v as usize);
    let (rows, cols) = image.object.dim();
    object.slice(s![top..top + rows, left..left + cols])
}

#[test]
fn the_frame_error_of_the_reference_is_zero_here() {
    let (x, y) = positions();
    assert_eq!(x.len(), 5088);
    let centred = |of: &[f64]| {
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        of.iter().fold(0.0f64, |m, v| m.max((v - mean).abs()))
    };
    let pad = centred(&x).max(centred(&y)).ceil() as usize;
    let pad = pad + pad % 2;
    assert_eq!(MIDDLE + 2 * pad, 364);
    let [dy, dx] = [&y, &x].map(|along| reference_frame_error(along, pad));
    assert!((dy + 0.5).abs() < 0.05 && (dx - 3.1).abs() < 0.05, "({dy:.3}, {dx:.3})");

    // The same positions as whole pixels: every covered pixel is the object's.
    let object = object();
    let whole = |of: &[f64]| of.iter().map(|v| v.round()).collect::<Vec<f64>>();
    let image = cut(&object, &whole(&x), &whole(&y));
    let covered = image.coverage.as_ref().unwrap();
    let (mut off, mut size) = (0.0, 0.0);
    for ((at, found), expected) in image.object.indexed_iter().zip(truth(&object, &image)) {
        if covered[at] > 0.0 {
            off += f64::from((found - expected).norm_sqr());
            size += f64::from(expected.norm_sqr());
        }
    }
    let error: f64 = (off / size).sqrt();
    assert!(error < 1e-6, "relative error {error:e}");

    // As they are, between pixels: bilinear placement blurs what bilinear sampling took, and moves nothing.
    let image = cut(&object, &x, &y);
    let expected = truth(&object, &image);
    let inner = s![12..expected.nrows() - 12, 12..expected.ncols() - 12];
    let (found, expected) = (image.object.slice(inner), expected.slice(inner));
    let shift =
        cross_correlation(amplitude(expected).view(), amplitude(found).view(), UPSAMPLE, None).unwrap();
    // One step of the search, at most.
    assert!(shift.iter().all(|s| s.abs() < 0.021), "{shift:?}");
    let off: f64 = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).norm_sqr())).sum();
    let size: f64 = expected.iter().map(|v| f64::from(v.norm_sqr())).sum();
    let error = (off / size).sqrt();
    // Each of two bilinear steps takes at most f″/8 along each axis: here about 1 % in all.
    assert!(error < 0.03, "relative error {error:e}");
}
