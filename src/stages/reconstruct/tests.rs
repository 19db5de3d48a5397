use ndarray::Array3;
use serde_json::{Value, json};

use super::*;
use crate::ptycho::dataset::new_metadata;
use crate::ptycho::forward;
use crate::stages::Report;
use crate::stages::compare::harness::{Files, texture};

/// A small simulated scan with its truth, positions between pixels.
fn scan() -> Dataset {
    let side = 32;
    let object = texture(80, 84);
    let probe = Array2::from_shape_fn((side, side), |(r, c)| {
        let (y, x) = (r as f32 - 16.0, c as f32 - 16.0);
        let radius = (y * y + x * x) / 1024.0;
        Complex32::from_polar(0.1 * (-radius * 14.0).exp(), 18.0 * radius)
    });
    let (x, y): (Vec<f64>, Vec<f64>) = (0..81)
        .map(|i| {
            (18.0 + 6.0 * f64::from(i % 9) + 0.37, 18.0 + 5.5 * f64::from(i / 9) + 0.11 * f64::from(i % 3))
        })
        .unzip();
    let mut diffraction = Array3::zeros((x.len(), side, side));
    forward::diffract(&object, &probe, &x, &y, diffraction.view_mut());
    Dataset {
        diffraction,
        x_start: x.clone(),
        y_start: y.clone(),
        scan_index: vec![0; x.len()],
        x,
        y,
        probe,
        object: Some(object),
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({}), json!({})),
    }
}

fn run(data: &Dataset, params: Value, seed: u64) -> (StageResult, Files, Vec<Report>) {
    let mut files = Files::new();
    files.input("data", |path| data.write(path));
    let (result, reports) = files.run(&Reconstruct, params, seed);
    (result, files, reports)
}

fn measured(reports: &[Report], wanted: &str) -> Value {
    let found = reports.iter().find_map(|r| match r {
        Report::Measure { name, value } if name == wanted => Some(value.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no measure {wanted}"))
}

#[test]
fn finds_the_object_at_its_absolute_place() {
    let data = scan();
    let (result, files, reports) = run(&data, json!({"epochs": 12}), 7);
    result.unwrap();
    let image = Image::read(&files.output("image.npz")).unwrap();
    let truth = data.object.unwrap();
    let coverage = image.coverage.unwrap();
    // Well-lit pixels, one global factor removed: small error only if the frame is right to the pixel.
    let (mut cross, mut own, mut other) = (Complex32::default(), 0.0, 0.0);
    for ((r, c), v) in image.object.indexed_iter() {
        if coverage[[r, c]] > 1.0 {
            let at = [r + image.origin_yx[0] as usize, c + image.origin_yx[1] as usize];
            cross += truth[at] * v.conj();
            own += v.norm_sqr();
            other += truth[at].norm_sqr();
        }
    }
    let error = 1.0 - cross.norm_sqr() / (own * other);
    assert!(error < 2e-3, "object error {error:e}");
    // The probe was right, so the modulus is absolute.
    assert!((cross.norm() / own - 1.0).abs() < 0.02);
    assert_eq!(measured(&reports, "images_used"), 81);
    assert_eq!(measured(&reports, "probe_scale_factor"), 1.0);
    let history = std::fs::read_to_string(files.output("history.csv")).unwrap();
    assert_eq!(history.lines().count(), 13);
    // One tells where it begins, and one every epoch.
    assert!(reports.iter().filter(|r| matches!(r, Report::Progress { .. })).count() == 13);
    let probe: ndarray::ArrayD<Complex32> = npy::read_file(&files.output("probe.npy")).unwrap();
    assert_eq!(probe.shape(), [32, 32]);
}

#[test]
fn depends_on_the_seed_and_on_nothing_else() {
    let data = scan();
    let bytes = |seed, with_truth: bool| {
        let mut data = data.clone();
        data.object = data.object.filter(|_| with_truth);
        let (result, files, _) = run(&data, json!({"epochs": 2}), seed);
        result.unwrap();
        ["image.npz", "probe.npy", "history.csv"].map(|f| std::fs::read(files.output(f)).unwrap())
    };
    assert!(bytes(1, true) == bytes(1, true));
    assert!(bytes(1, true) != bytes(2, true));
    assert!(bytes(1, true) == bytes(1, false), "the truth must not matter");
}

#[test]
fn a_probe_in_another_unit_is_matched_and_a_fixed_probe_stays() {
    let mut data = scan();
    data.probe.mapv_inplace(|p| p * 1000.0);
    let (result, files, reports) =
        run(&data, json!({"epochs": 1, "probe_from_epoch": null, "algorithm": "epie", "max_images": 20}), 1);
    result.unwrap();
    let factor = measured(&reports, "probe_scale_factor").as_f64().unwrap();
    assert!((0.0005..0.0011).contains(&factor), "{factor}");
    assert_eq!(measured(&reports, "images_used"), 20);
    let probe: ndarray::ArrayD<Complex32> = npy::read_file(&files.output("probe.npy")).unwrap();
    let kept = probe.iter().zip(&data.probe).all(|(a, b)| (a - b * factor as f32).norm() < 1e-6);
    assert!(kept);
}

#[test]
fn dark_data_and_divergence_are_named() {
    let mut data = scan();
    // Amplitudes whose squares overflow f32.
    let mut bright = data.clone();
    bright.diffraction.mapv_inplace(|a| a * 1e25);
    let (result, ..) = run(&bright, json!({"epochs": 2}), 1);
    let error = result.unwrap_err();
    assert_eq!(error.class, crate::diag::FailureClass::Check);
    assert!(error.message.contains("diverged in epoch 0") && error.hint.unwrap().contains("step"));
    data.diffraction.fill(0.0);
    let (result, ..) = run(&data, json!({}), 1);
    assert!(result.unwrap_err().message.ends_with("the data has no intensity"));
}

#[test]
fn every_algorithm_gives_a_whole_set_of_outputs() {
    let mut data = scan();
    let mut mask = Array2::from_elem((32, 32), true);
    mask[[3, 4]] = false;
    data.diffraction.outer_iter_mut().for_each(|mut p| p[[3, 4]] = 0.5);
    data.mask = Some(mask);
    for (params, modes) in [
        (json!({"algorithm": "dm", "epochs": 25}), 1),
        (json!({"algorithm": "lsqml", "epochs": 25, "batch": 20, "probe_modes": 2}), 2),
        (
            json!({"algorithm": "lsqml", "epochs": 25, "batch": 20, "noise": "poisson", "scale": "object_rms"}),
            1,
        ),
        (json!({"algorithm": "lsqml", "epochs": 25, "batch": 20, "batching": "compact", "scale": "free"}), 1),
        (json!({"epochs": 12, "batch": 4, "positions_from_epoch": 3}), 1),
    ] {
        let (result, files, reports) = run(&data, params.clone(), 7);
        result.unwrap();
        assert_eq!(measured(&reports, "masked_pixels"), 1);
        let residual = measured(&reports, "residual").as_f64().unwrap();
        assert!(residual < 2e-2, "{params}: {residual}");
        let probe: ndarray::ArrayD<Complex32> = npy::read_file(&files.output("probe.npy")).unwrap();
        if modes == 1 {
            assert_eq!(probe.shape(), [32, 32]);
        } else {
            assert_eq!(probe.shape(), [modes, 32, 32]);
            let powers: Vec<f64> = serde_json::from_value(measured(&reports, "mode_powers")).unwrap();
            assert!(powers[0] > powers[1] && (powers.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        let table = std::fs::read_to_string(files.output("positions.csv")).unwrap();
        assert_eq!(table.lines().count(), 82);
        let moved = table.lines().skip(1).any(|line| !line.ends_with(",0.000000,0.000000"));
        assert_eq!(moved, params.get("positions_from_epoch").is_some(), "{params}");
        // The hot pixel is behind the mask, and without the mask it is not.
        let unmasked =
            params.as_object().unwrap().clone().into_iter().chain([("use_mask".into(), json!(false))]);
        let (_, _, reports) = run(&data, Value::Object(unmasked.collect()), 7);
        // The difference map's tells how much its waves move.
        let unmasked = measured(&reports, "residual").as_f64().unwrap();
        assert!(unmasked > 2.0 * residual || params["algorithm"] == "dm", "{params}: {unmasked}, {residual}");
    }
}

#[test]
fn what_cannot_be_combined_is_refused() {
    for params in [
        json!({"algorithm": "dm", "positions_from_epoch": 0}),
        json!({"subpixel": "nearest", "positions_from_epoch": 0}),
        json!({"algorithm": "dm", "subpixel": "probe_shift"}),
    ] {
        let (result, ..) = run(&scan(), params.clone(), 1);
        assert_eq!(result.unwrap_err().class, crate::diag::FailureClass::Input, "{params}");
    }
}

#[test]
fn a_checkpoint_holds_all_that_the_algorithm_remembers() {
    let data = scan();
    for params in [
        json!({"algorithm": "dm", "epochs": 3, "probe_modes": 2}),
        json!({"algorithm": "lsqml", "epochs": 3, "batch": 20, "positions_from_epoch": 1}),
    ] {
        let params: Params = serde_json::from_value(params).unwrap();
        let frame = frame(&data.x, &data.y, 32, ROOM).unwrap();
        let modes = starting_modes(data.probe.view(), params.probe_modes as usize, params.mode_power);
        let new = || {
            let measured = Measured {
                diffraction: data.diffraction.clone(),
                mask: None,
                x: &data.x,
                y: &data.y,
                dose_scale: 1.0,
            };
            Engine::new(measured, modes.view(), frame, params.settings()).unwrap()
        };
        let learn = Learn { probe: true, positions: params.positions_from_epoch.is_some() };
        let go = |engine: &mut Engine, epochs: std::ops::Range<u32>| {
            for epoch in epochs {
                engine.epoch(&batches(engine, &params, 3, epoch), learn);
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.npz");
        let mut engine = new();
        go(&mut engine, 0..2);
        let mut progress = Progress::default();
        progress.epoch(1, 0.5);
        let mut npz = crate::io::npz::NpzWriter::create(&path).unwrap();
        progress.save(&mut npz, &engine).unwrap();
        npz.finish().unwrap();
        go(&mut engine, 2..3);

        let mut other = new();
        let mut npz = crate::io::npz::NpzReader::open(&path).unwrap();
        let restored = Progress::restore(&mut npz, &mut other).unwrap().unwrap();
        assert_eq!((restored.history, other.epochs()), (progress.history, 2));
        go(&mut other, 2..3);
        assert!(engine.snapshot() == other.snapshot(), "{params:?}");
    }
}
