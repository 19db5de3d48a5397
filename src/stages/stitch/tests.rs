use ndarray::{Array2, Array3, s};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::*;
use crate::ptycho::dataset::new_metadata;
use crate::ptycho::image::Image;
use crate::ptycho::patches::Patches;
use crate::stages::compare::harness::{Files, texture};

const SIDE: usize = 16;

/// A scan on whole pixels, far from the corner, and the patches of its object.
fn scan() -> (Array2<Complex32>, Dataset, Patches) {
    let object = texture(70, 90);
    let (x, y): (Vec<f64>, Vec<f64>) =
        (0..20).map(|i| (30.0 + 9.0 * f64::from(i % 5), 20.0 + 8.0 * f64::from(i / 5))).unzip();
    let mut patches = Array3::zeros((20, SIDE, SIDE));
    for (i, mut patch) in patches.outer_iter_mut().enumerate() {
        let (r, c) = (y[i] as usize - SIDE / 2, x[i] as usize - SIDE / 2);
        patch.assign(&object.slice(s![r..r + SIDE, c..c + SIDE]));
    }
    let probe = Array2::from_shape_fn((SIDE, SIDE), |(r, c)| {
        let d = (r as f32 - 8.0).powi(2) + (c as f32 - 8.0).powi(2);
        Complex32::new((-d / 40.0).exp(), 0.1)
    });
    let data = Dataset {
        diffraction: Array3::zeros((20, SIDE, SIDE)),
        x: x.clone(),
        y: y.clone(),
        x_start: x.clone(),
        y_start: y.clone(),
        probe,
        object: None,
        scan_index: vec![0; 20],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({}), json!({})),
    };
    (object, data, Patches { patches, x, y })
}

fn run(data: &Dataset, patches: &Patches, params: Value) -> StageResult<Image> {
    let mut files = Files::new();
    files.input("patches", |path| patches.write(path));
    files.input("data", |path| data.write(path));
    files.run(&Stitch, params, 0).0?;
    Image::read(&files.output("image.npz"))
}

#[test]
fn true_patches_give_the_object_at_its_place_whatever_the_weights() {
    let (object, data, patches) = scan();
    for params in
        [json!({}), json!({"weights": {"kind": "crop", "size": 10}}), json!({"weights": {"kind": "probe"}})]
    {
        let image = run(&data, &patches, params.clone()).unwrap();
        assert_eq!(image.origin_yx, [12.0, 22.0]);
        assert_eq!(image.object.dim(), (24 + SIDE, 36 + SIDE));
        let coverage = image.coverage.unwrap();
        let mut covered = 0;
        for ((r, c), v) in image.object.indexed_iter() {
            if coverage[[r, c]] > 0.0 {
                covered += 1;
                assert!((v - object[[r + 12, c + 22]]).norm() < 1e-5, "{params}");
            }
        }
        assert!(covered > 24 * 36, "{params}: {covered}");
    }
}

#[test]
fn a_crop_smaller_than_the_step_leaves_holes_that_coverage_shows() {
    let (_, data, patches) = scan();
    let image = run(&data, &patches, json!({"weights": {"kind": "crop", "size": 4}})).unwrap();
    assert_eq!(image.coverage.unwrap().iter().filter(|c| **c > 0.0).count(), 20 * 16);
}

#[test]
fn patches_of_another_scan_are_refused() {
    let (_, data, mut patches) = scan();
    let error = run(&data, &patches, json!({"weights": {"kind": "crop", "size": 17}})).unwrap_err();
    assert!(error.message.ends_with("crop 17 must be from 1 to the patch side 16"), "{error}");
    patches.x.iter_mut().for_each(|x| *x += 500.0);
    let error = run(&data, &patches, json!({})).unwrap_err();
    assert!(error.message.contains("none of the 20 patches covers a pixel"), "{error}");
    patches.patches = Array3::zeros((20, 8, 8));
    let error = run(&data, &patches, json!({})).unwrap_err();
    assert!(error.message.contains("patches are 8×8, but the patterns they belong to are 16×16"), "{error}");
}
