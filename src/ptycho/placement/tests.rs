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
            assert_same_frame(&object, &stitch(patches.view(), &x, &y, &weights).unwrap());
        }
    }

    #[test]
    fn a_constant_stays_constant_between_pixels(
        at in prop::collection::vec((-30.0f64..30.0, -30.0f64..30.0), 1..8),
    ) {
        let value = Complex32::new(0.25, -1.5);
        let patches = Array3::from_elem((at.len(), 8, 8), value);
        let (x, y): (Vec<f64>, Vec<f64>) = at.into_iter().unzip();
        let image = stitch(patches.view(), &x, &y, &Weights::Crop(8)).unwrap();
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
    assert_same_frame(&object, &stitch(patches.view(), &x, &y, &Weights::Crop(12)).unwrap());
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
    let image = stitch(patch.view(), &[22.0], &[13.0], &Weights::Crop(8)).unwrap();
    let (row, col) = (13 - image.origin_yx[0] as usize, 22 - image.origin_yx[1] as usize);
    assert_eq!(image.object[[row, col]], Complex32::new(1.0, 0.0));
    let shared = stitch(patch.view(), &[22.25], &[13.0], &Weights::Crop(8)).unwrap();
    let (row, col) = (13 - shared.origin_yx[0] as usize, 22 - shared.origin_yx[1] as usize);
    assert_eq!(shared.object[[row, col]].re, 0.75);
    assert_eq!(shared.object[[row, col + 1]].re, 0.25);
}

#[test]
fn refuses_what_cannot_be_placed() {
    let patches = Array3::zeros((3, 8, 8));
    let run = |x: &[f64], y: &[f64], weights| stitch(patches.view(), x, y, &weights);
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
        stitch(Array3::zeros((0, 8, 8)).view(), &[], &[], &Weights::Crop(4)).unwrap_err(),
        PlacementError::Empty
    );
}
