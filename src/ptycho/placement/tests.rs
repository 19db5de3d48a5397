use ndarray::{Array3, array};
use proptest::prelude::*;

use super::*;
use crate::io::npz::NpzReader;

fn texture(rows: usize, cols: usize) -> Array2<Complex32> {
    Array2::from_shape_fn((rows, cols), |(r, c)| {
        Complex32::new(((r * 31 + c * 17) % 23) as f32 / 23.0, ((r * 7 + c * c) % 19) as f32 / 19.0)
    })
}

/// The patch of `side` pixels around whole-pixel (x, y).
fn cut(object: &Array2<Complex32>, side: usize, x: usize, y: usize) -> Array2<Complex32> {
    let (r, c) = (y - side / 2, x - side / 2);
    object.slice(s![r..r + side, c..c + side]).to_owned()
}

fn cut_all(
    object: &Array2<Complex32>,
    side: usize,
    at: &[(usize, usize)],
) -> (Array3<Complex32>, Vec<f64>, Vec<f64>) {
    let mut patches = Array3::zeros((at.len(), side, side));
    for (mut patch, &(x, y)) in patches.outer_iter_mut().zip(at) {
        patch.assign(&cut(object, side, x, y));
    }
    (patches, at.iter().map(|p| p.0 as f64).collect(), at.iter().map(|p| p.1 as f64).collect())
}

/// Every covered pixel equals the object at the image's own coordinates: no frame error, whatever the
/// positions, although their mean is far from the middle of their bounding box.
fn assert_same_frame(object: &Array2<Complex32>, image: &Image) {
    let [top, left] = image.origin_yx.map(|v| v as i64);
    let coverage = image.coverage.as_ref().unwrap();
    let mut covered = 0;
    for ((r, c), value) in image.object.indexed_iter() {
        if coverage[[r, c]] > 0.0 {
            covered += 1;
            let truth = object[[(top + r as i64) as usize, (left + c as i64) as usize]];
            assert!((value - truth).norm() < 1e-6, "pixel {r}, {c}: {value} instead of {truth}");
        } else {
            assert_eq!(*value, Complex32::default());
        }
    }
    assert!(covered > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn patches_cut_at_whole_positions_stitch_back(
        half in 2usize..6,
        odd in 0usize..2,
        at in prop::collection::vec((6usize..40, 6usize..50), 1..12),
        crop in 1usize..5,
    ) {
        let object = texture(56, 46);
        let side = 2 * half + odd;
        let (patches, x, y) = cut_all(&object, side, &at);
        let given = Array2::from_shape_fn((side, side), |(r, c)| 0.01 + (r * c) as f64);
        for weights in [Weights::Crop(crop.min(side)), Weights::Given(given)] {
            assert_same_frame(&object, &stitch(patches.view(), &x, &y, &weights, Between::Bilinear).unwrap());
        }
    }

    #[test]
    fn a_constant_stays_constant_between_pixels(
        at in prop::collection::vec((-30.0f64..30.0, -30.0f64..30.0), 1..8),
    ) {
        let value = Complex32::new(0.25, -1.5);
        let patches = Array3::from_elem((at.len(), 8, 8), value);
        let (x, y): (Vec<f64>, Vec<f64>) = at.into_iter().unzip();
        let image = stitch(patches.view(), &x, &y, &Weights::Crop(8), Between::Bilinear).unwrap();
        let coverage = image.coverage.unwrap();
        for (v, c) in image.object.iter().zip(&coverage) {
            prop_assert!(*c == 0.0 || (v - value).norm() < 1e-6);
        }
        // Every patch fits whole: nothing was lost at the canvas edge.
        let total: f64 = coverage.iter().map(|c| f64::from(*c)).sum();
        prop_assert!((total - 64.0 * x.len() as f64).abs() < 1e-3);
    }
}

#[test]
fn the_reference_frame_error_is_gone() {
    // Two far apart on the left, many on the right: mean and bounding box disagree by several pixels.
    let object = texture(64, 90);
    let mut at = vec![(12, 12), (14, 50)];
    at.extend((0..20).map(|i| (60 + i, 20 + i)));
    let (patches, x, y) = cut_all(&object, 16, &at);
    assert_same_frame(
        &object,
        &stitch(patches.view(), &x, &y, &Weights::Crop(12), Between::Bilinear).unwrap(),
    );
}

#[test]
fn equals_the_golden_bilinear_stitch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/reassemble_bilinear.npz");
    let mut golden = NpzReader::open(std::path::Path::new(path)).unwrap();
    let patches: Array3<Complex32> = golden.c32("patches").unwrap().into_dimensionality().unwrap();
    let corner: Array2<f64> = golden.f64("topleft").unwrap().into_dimensionality().unwrap();
    let mut canvas = Canvas::new([0, 0], (64, 64));
    let ones = Array2::ones((16, 16));
    for (patch, at) in patches.outer_iter().zip(corner.outer_iter()) {
        canvas.add(patch, ones.view(), at[1] + 8.0, at[0] + 8.0);
    }
    let weight: Array2<f64> = golden.f64("weight").unwrap().into_dimensionality().unwrap();
    let off = (&canvas.weight - &weight).iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(off < 1e-12, "weights off by {off:e}");
    let image = canvas.finish();
    // The golden divides by weight + 1e-9, which shows where the weight is smallest (0.005).
    let result = golden.c32("result").unwrap();
    for (found, expected) in image.object.iter().zip(&result) {
        assert!((found - expected).norm() < 1e-6, "{found} instead of {expected}");
    }
}

#[test]
fn a_delta_lands_where_its_centre_says() {
    // Asymmetric on purpose: a sign flip or an exchange of x and y moves it elsewhere.
    let mut patch = Array3::zeros((1, 8, 8));
    patch[[0, 4, 4]] = Complex32::new(1.0, 0.0);
    let image = stitch(patch.view(), &[22.0], &[13.0], &Weights::Crop(8), Between::Bilinear).unwrap();
    let (row, col) = (13 - image.origin_yx[0] as usize, 22 - image.origin_yx[1] as usize);
    assert_eq!(image.object[[row, col]], Complex32::new(1.0, 0.0));
    let shared = stitch(patch.view(), &[22.25], &[13.0], &Weights::Crop(8), Between::Bilinear).unwrap();
    let (row, col) = (13 - shared.origin_yx[0] as usize, 22 - shared.origin_yx[1] as usize);
    assert_eq!(shared.object[[row, col]].re, 0.75);
    assert_eq!(shared.object[[row, col + 1]].re, 0.25);
}

#[test]
fn refuses_what_cannot_be_placed() {
    let patches = Array3::zeros((3, 8, 8));
    let run = |x: &[f64], y: &[f64], weights| stitch(patches.view(), x, y, &weights, Between::Bilinear);
    let three = [0.0, 1.0, 2.0];
    assert_eq!(
        run(&three[..2], &three, Weights::Crop(8)).unwrap_err(),
        PlacementError::Count { patches: 3, x: 2, y: 3 }
    );
    assert!(matches!(
        run(&[0.0, f64::NAN, 1.0], &three, Weights::Crop(8)),
        Err(PlacementError::Position { index: 1, .. })
    ));
    assert!(matches!(
        run(&[0.0, 1e9, 1.0], &[0.0, 1e9, 1.0], Weights::Crop(8)),
        Err(PlacementError::TooLarge { .. })
    ));
    assert_eq!(run(&three, &three, Weights::Crop(9)).unwrap_err(), PlacementError::Crop { crop: 9, side: 8 });
    assert_eq!(run(&three, &three, Weights::Crop(0)).unwrap_err(), PlacementError::Crop { crop: 0, side: 8 });
    let given = Weights::Given(array![[1.0]]);
    assert!(matches!(run(&three, &three, given), Err(PlacementError::Weights { .. })));
    assert_eq!(
        stitch(Array3::zeros((0, 8, 8)).view(), &[], &[], &Weights::Crop(4), Between::Bilinear).unwrap_err(),
        PlacementError::Empty
    );
}

/// A smooth object that is known between pixels, too: blobs with σ = 4 px.
fn smooth(row: f64, col: f64) -> Complex32 {
    let blob = |k: usize| {
        let (y, x) = ((k * 37 % 64) as f64, (k * 53 % 90) as f64);
        (-((row - y).powi(2) + (col - x).powi(2)) / 32.0).exp()
    };
    let re: f64 = (0..24).map(blob).sum();
    let im: f64 = (24..48).map(blob).sum();
    Complex32::new(re as f32, im as f32)
}

/// Largest error of patches of the smooth object, cut between pixels, after stitching; the object is of order 1.
fn error_between_pixels(between: Between, weights: &Weights) -> f32 {
    let side = 32;
    let (x, y): (Vec<f64>, Vec<f64>) = (0..48)
        .map(|i| (20.0 + 7.3 * f64::from(i % 8), 18.0 + 6.1 * f64::from(i / 8)))
        .map(|(x, y)| (x + (13.0 * y).sin() * 0.5, y + (7.0 * x).cos() * 0.5))
        .unzip();
    let mut patches = Array3::zeros((x.len(), side, side));
    for ((mut patch, x), y) in patches.outer_iter_mut().zip(&x).zip(&y) {
        let half = (side / 2) as f64;
        for ((r, c), v) in patch.indexed_iter_mut() {
            *v = smooth(y + r as f64 - half, x + c as f64 - half);
        }
    }
    let image = stitch(patches.view(), &x, &y, weights, between).unwrap();
    let [top, left] = image.origin_yx;
    let at = image.object.indexed_iter().map(|((r, c), v)| (top + r as f64, left + c as f64, v));
    // At the very edge a bilinear pixel has a neighbour on one side only.
    let inside = at.filter(|(r, c, _)| (20.0..46.0).contains(r) && (22.0..68.0).contains(c));
    inside.map(|(r, c, v)| (v - smooth(r, c)).norm()).fold(0.0, f32::max)
}

#[test]
fn between_pixels_the_error_is_bounded() {
    // The probe's intensity: it falls off towards the edges.
    let probe = Weights::Given(Array2::from_shape_fn((32, 32), |(r, c)| {
        let off = |i: usize| (i as f64 - 16.0).powi(2);
        (-(off(r) + off(c)) / 40.0).exp()
    }));
    for weights in [Weights::Crop(16), probe] {
        // Half the largest curvature times the variance of a bilinear share, f″/2·¼ per axis.
        let blurred = error_between_pixels(Between::Bilinear, &weights);
        assert!((1e-3..4e-2).contains(&blurred), "{blurred}");
        let sharp = error_between_pixels(Between::Fourier, &weights);
        // What is left rings in from the edges, where these patches jump.
        assert!(sharp < blurred && sharp < 1.5e-2, "{sharp} with Fourier shifts, {blurred} bilinear");
    }
}

#[test]
fn a_patch_that_ends_as_it_begins_is_moved_exactly() {
    let mut patches = Array3::zeros((1, 32, 32));
    let value = |r: f64, c: f64| (-((r - 15.0).powi(2) + (c - 17.0).powi(2)) / 8.0).exp() as f32;
    for ((_, r, c), v) in patches.indexed_iter_mut() {
        *v = Complex32::new(value(r as f64, c as f64), -0.5 * value(r as f64, c as f64));
    }
    let image = stitch(patches.view(), &[40.3], &[29.6], &Weights::Crop(30), Between::Fourier).unwrap();
    let [top, left] = image.origin_yx;
    for ((r, c), v) in image.object.indexed_iter() {
        if image.coverage.as_ref().unwrap()[[r, c]] > 0.0 {
            let exact = value(top + r as f64 - (29.6 - 16.0), left + c as f64 - (40.3 - 16.0));
            assert!((v.re - exact).abs() < 1e-5 && (v.im + 0.5 * exact).abs() < 1e-5, "{r}, {c}: {v}");
        }
    }
}

#[test]
fn what_falls_off_the_canvas_is_dropped_and_nothing_else() {
    let patch = texture(6, 5);
    let ones = Array2::ones((6, 5));
    for (x, y) in [(0.0, 0.0), (-1.7, 3.2), (9.6, 7.5), (4.25, -2.5), (40.0, 2.0)] {
        let mut small = Canvas::new([0, 0], (8, 10));
        let mut large = Canvas::new([-50, -50], (110, 110));
        for canvas in [&mut small, &mut large] {
            canvas.add(patch.view(), ones.view(), x, y);
        }
        let same = s![50..58, 50..60];
        // A fraction counted from another origin differs by rounding.
        let off = (&small.sum - &large.sum.slice(same)).iter().fold(0.0f64, |m, v| m.max(v.norm()));
        let heavier = (&small.weight - &large.weight.slice(same)).iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(off < 1e-12 && heavier < 1e-12, "{x}, {y}: off by {off:e}, {heavier:e}");
    }
}
