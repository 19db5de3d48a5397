use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::*;
use crate::ptycho::dataset::new_metadata;
use crate::stages::import::testing::{self, Run};

/// Counts n(i, r, c), stored at dose scale s.
fn dataset(counts: Array3<f32>, scale: f64) -> Dataset {
    let m = counts.dim().0;
    let centres: Vec<f64> = (0..m).map(|i| 10.0 + i as f64).collect();
    Dataset {
        probe: Array2::from_elem((counts.dim().1, counts.dim().2), Complex32::new(1.0, 0.0)),
        diffraction: counts.mapv(|n| (f64::from(n).sqrt() / scale) as f32),
        x: centres.clone(),
        y: centres.clone(),
        x_start: centres.clone(),
        y_start: centres,
        object: None,
        scan_index: vec![0; m],
        dose_scale: Some(scale),
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({}), json!({})),
    }
}

fn run(data: &Dataset, params: Value, seed: u64) -> StageResult<(Dataset, Run)> {
    let run = testing::run(&Thin, params, seed, |dir| {
        let path = dir.join("in.npz");
        data.write(&path).unwrap();
        vec![("data", path)]
    })?;
    Ok((Dataset::read(&run.output("data")).unwrap(), run))
}

#[test]
fn mean_and_variance_are_binomial() {
    // 64 images of 1024 pixels with 40 photons each; p = 0.3: mean 12, variance 8.4.
    let data = dataset(Array3::from_elem((64, 32, 32), 40.0), 1.0);
    let (thinned, _) = run(&data, json!({ "fraction": 0.3 }), 1).unwrap();
    let s = thinned.scale();
    let counts: Vec<f64> = thinned.diffraction.iter().map(|a| counts(*a, s)).collect();
    assert!(counts.iter().all(|n| (n - n.round()).abs() < 1e-3 && *n < 40.5));
    let (mean, std) = mean_and_std(&counts);
    // Standard errors over 65 536 draws: 0.0113 of the mean, 0.046 of the variance. Five of them.
    assert!((mean - 12.0).abs() < 0.057, "{mean}");
    assert!((std * std - 8.4).abs() < 0.24, "{}", std * std);
}

#[test]
fn few_photons_are_thinned_alike() {
    for n in [1.0f32, 4.0, 5.0, 9.0] {
        let data = dataset(Array3::from_elem((32, 32, 32), n), 2.0);
        let (thinned, _) = run(&data, json!({ "fraction": 0.5 }), 7).unwrap();
        let (mean, _) = mean_and_std(&thinned.photons());
        // Per image 1024·n/2 ± √(1024·n/4); over 32 images five standard errors.
        let expected = 1024.0 * f64::from(n) / 2.0;
        assert!((mean - expected).abs() < 5.0 * (1024.0 * f64::from(n) / 4.0 / 32.0).sqrt(), "{n}: {mean}");
    }
}

#[test]
fn scale_and_probe_keep_their_contract() {
    let data = dataset(Array3::from_shape_fn((40, 16, 16), |(i, r, c)| (50 + i + r * c) as f32), 3.0);
    let before = data.photons().iter().sum::<f64>() / 40.0;
    let (thinned, run) = run(&data, json!({ "photons": before / 4.0 }), 3).unwrap();
    assert!((thinned.scale() - 1.5).abs() < 1e-6);
    assert_eq!(thinned.probe, data.probe);
    // Σ X² does not depend on dose, up to the noise of 40·0.25·before photons.
    let energy = |d: &Dataset| d.diffraction.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
    assert!((energy(&thinned) / energy(&data) - 1.0).abs() < 5.0 / (10.0 * before).sqrt());
    assert_eq!(thinned.measured_photons.as_deref(), Some(&thinned.photons()[..]));
    assert_eq!(run.measured("photons_per_image_nominal").as_f64().unwrap().round(), (before / 4.0).round());
    let list = &thinned.metadata["data_transformations"];
    assert_eq!(list[0]["operation"], "binomial_thinning");
}

#[test]
fn keeping_all_changes_no_count() {
    let data = dataset(Array3::from_shape_fn((3, 8, 8), |(i, r, c)| (i * 1000 + r * 8 + c) as f32), 1.0);
    let (mean, _) = mean_and_std(&data.photons());
    for params in [json!({ "fraction": 1.0 }), json!({ "photons": mean })] {
        let (same, _) = run(&data, params, 5).unwrap();
        assert_eq!(same.diffraction, data.diffraction);
    }
}

#[test]
fn draws_depend_on_seed_dose_and_image_only() {
    let data = dataset(Array3::from_elem((6, 16, 16), 30.0), 1.0);
    let thinned = |data: &Dataset, fraction: f64, seed: u64| {
        run(data, json!({ "fraction": fraction }), seed).unwrap().0
    };
    let first = thinned(&data, 0.5, 1);
    assert_eq!(first, thinned(&data, 0.5, 1));
    assert_ne!(first.diffraction, thinned(&data, 0.5, 2).diffraction);
    assert_ne!(first.diffraction.index_axis(Axis(0), 0), first.diffraction.index_axis(Axis(0), 1));
    // An image is thinned the same whatever comes after it, and on one thread as on many.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let part = alone.install(|| thinned(&data.select(&[0, 1]), 0.5, 1));
    assert_eq!(part.diffraction, first.select(&[0, 1]).diffraction);
}

#[test]
fn what_cannot_be_thinned_is_refused() {
    let data = dataset(Array3::from_elem((2, 4, 4), 10.0), 1.0);
    let error = run(&data, json!({ "photons": 1e9 }), 1).unwrap_err();
    assert_eq!(error.message, "`photons` is 1000000000, but the data have 160.0 photons an image");
    for params in [json!({}), json!({ "photons": 5.0, "fraction": 0.5 }), json!({ "fraction": 1.5 })] {
        assert!(run(&data, params, 1).unwrap_err().message.contains("either `photons`"));
    }
    let mut smooth = data;
    smooth.diffraction[[1, 2, 3]] = 0.8;
    let error = run(&smooth, json!({ "fraction": 0.5 }), 1).unwrap_err();
    assert!(error.message.ends_with("pixel [1, 2, 3] holds 0.6400 photons, expected a whole number"));
    assert!(error.hint.unwrap().contains("counted photons"));
}
