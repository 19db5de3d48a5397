//! Metrics and registration against the reference implementations' own numbers.
//!
//! The reference computed amplitudes, SSIM and FRC in f32, so its values are good to about 10⁻⁶ only;
//! each tolerance below is what was measured. `golden_f64/values.json` holds what the same packages give in f64 for
//! the same files and for others, where agreement must be 10⁻¹⁰; its script tells how.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, s};
use num_complex::Complex32;
use phasegraph::ptycho::metrics::{
    Channel, MetricError, Options, RingCurve, Threshold, amplitude, crossing, evaluate, mae, match_mean,
    ms_ssim, ms_ssim_standard, mse, peak_to_peak, psnr_255, psnr_range, remove_plane, ring_correlation, ssim,
    ssim_gaussian,
};
use phasegraph::ptycho::registration::{
    RegistrationError, UPSAMPLE, fourier_shift, phase_correlation, plain_correlation,
};
use serde_json::Value;

fn path(file: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(file);
    assert!(path.exists(), "golden file {} is missing", path.display());
    path
}

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(path("golden.json")).unwrap()).unwrap()
}

/// Little-endian f32 data of an NPY 1.0 file, with its shape; for complex64, pairs of them.
fn npy(file: &str) -> (Vec<f32>, [usize; 2]) {
    let bytes = std::fs::read(path(file)).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..header]).unwrap();
    assert!(text.contains("'fortran_order': False"));
    let shape = text.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().unwrap()).collect();
    let values = bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (values.collect(), shape.try_into().unwrap())
}

fn real(name: &str) -> (Array2<f64>, Array2<f64>) {
    let read = |which| {
        let (values, shape) = npy(&format!("{name}_{which}.npy"));
        Array2::from_shape_vec(shape, values.into_iter().map(f64::from).collect()).unwrap()
    };
    (read("target"), read("pred"))
}

fn complex(name: &str, which: &str) -> Array2<Complex32> {
    let (values, shape) = npy(&format!("{name}_{which}.npy"));
    let values = values.chunks_exact(2).map(|v| Complex32::new(v[0], v[1])).collect();
    Array2::from_shape_vec(shape, values).unwrap()
}

/// Remembers the largest deviation of each metric, so that a failure shows how far off it is.
#[derive(Default, Debug)]
struct Worst(BTreeMap<String, (f64, String)>);

impl Worst {
    fn see(&mut self, metric: &str, case: &str, found: f64, expected: f64, tolerance: f64) {
        let off = (found - expected).abs();
        assert!(off <= tolerance, "{case} {metric}: {found} instead of {expected}, off by {off:e}");
        let worst = self.0.entry(metric.to_owned()).or_default();
        if off >= worst.0 {
            *worst = (off, case.to_owned());
        }
    }
}

#[test]
fn real_images_score_as_the_references_say() {
    let golden = golden();
    let mut worst = Worst::default();
    let regular = ["random_uniform_128", "structured_noisy_128", "structured_blurred_128", "shift_int_128"];
    for case in regular.into_iter().chain(["shift_sub_128", "identical_64", "tiny_7x7", "odd_101x101"]) {
        let (target, pred) = real(case);
        check_real(case, &golden["cases"][case]["real"], target.view(), pred.view(), &mut worst);
    }
    println!("{worst:#?}");
}

/// The same once the images are registered: shift found, applied in Fourier space, 2 pixels cut off each side.
#[test]
fn registered_images_score_as_the_references_say() {
    let golden = golden();
    let mut worst = Worst::default();
    for case in ["shift_int_128", "shift_sub_128"] {
        let (target, pred) = real(case);
        let shift = phase_correlation(target.view(), pred.view(), UPSAMPLE, None).unwrap();
        let moving = pred.mapv(|v| Complex32::new(v as f32, 0.0));
        let moved = fourier_shift(moving.view(), shift).mapv(|v| f64::from(v.re));
        let inner = s![2..126, 2..126];
        let expected = &golden["cases"][case]["after_register"];
        check_real(case, expected, target.slice(inner), moved.slice(inner), &mut worst);
    }
    println!("{worst:#?}");
}

/// Every key of a pair of real images.
fn check_real(
    case: &str,
    expected: &Value,
    t: ArrayView2<'_, f64>,
    p: ArrayView2<'_, f64>,
    worst: &mut Worst,
) {
    let number = |key: &str| expected[key].as_f64().unwrap_or_else(|| panic!("{case} {key}"));
    let range = peak_to_peak(t);
    worst.see("range", case, range, number("data_range_target"), 1e-7);
    worst.see("mae", case, mae(t, p).unwrap(), number("mae"), 5e-8);
    worst.see("mse", case, mse(t, p).unwrap(), number("mse"), 2e-8);
    let (scaled, _) = match_mean(t, p).unwrap();
    worst.see("mae scaled", case, mae(t, scaled.view()).unwrap(), number("mae_norm"), 1e-7);
    // Where nothing but rounding is left, its PSNR is that of the rounding.
    if number("mse") == 0.0 || number("mse") > 1e-12 {
        worst.see("psnr255", case, psnr_255(t, p).unwrap(), number("psnr_pp_cv2_R255"), 3e-4);
        match expected["psnr_skimage_range_target"].as_f64() {
            Some(db) => worst.see("psnr_range", case, psnr_range(t, p, range).unwrap(), db, 3e-4),
            None => assert_eq!(psnr_range(t, p, range), Err(MetricError::Identical)),
        }
    }
    worst.see("ssim", case, ssim(t, p, range).unwrap(), number("ssim_uniform7"), 3e-7);
    match expected["ssim_gauss1.5_popcov"].as_f64() {
        Some(gaussian) => {
            worst.see("ssim_gaussian", case, ssim_gaussian(t, p, range).unwrap(), gaussian, 1e-6);
            let torch = number("ssim_pytorch_msssim");
            worst.see("ssim_gaussian, torch", case, ssim_gaussian(t, p, range).unwrap(), torch, 4e-6);
        }
        None => assert_eq!(ssim_gaussian(t, p, range), Err(MetricError::TooSmall(t.dim(), 11))),
    }
    worst.see("ms_ssim σ0", case, ms_ssim(t, p, 0.0).unwrap(), number("ms_ssim_pp_sigma0"), 3e-7);
    worst.see("ms_ssim σ1", case, ms_ssim(t, p, 1.0).unwrap(), number("ms_ssim_pp_sigma1"), 3e-7);
    // All the others refuse, too: five levels of an 11×11 window need 161 pixels.
    assert!(expected["ms_ssim_pytorch_msssim"]["error"].is_string());
    assert_eq!(ms_ssim_standard(t, p, range), Err(MetricError::TooSmall(t.dim(), 161)));
    check_rings(case, expected, t, p, worst);
    let shift = phase_correlation(t, p, UPSAMPLE, None).unwrap();
    let unnormed = plain_correlation(t, p, UPSAMPLE, None).unwrap();
    let coarse = phase_correlation(t, p, 1, None).unwrap();
    for axis in 0..2 {
        let of = |key: &str| expected[key][axis].as_f64().unwrap();
        worst.see("shift", case, shift[axis], of("registration_offset_up50"), 1e-5);
        worst.see("shift, plain", case, unnormed[axis], of("registration_offset_up50_nonorm"), 1e-5);
        assert_eq!(coarse[axis], of("registration_offset_up1"), "{case} coarse shift");
    }
    let (rest, plane) = remove_plane(p);
    let about = &expected["plane_of_pred_dx_dy_c_and_residual_std"];
    for (i, found) in plane.into_iter().enumerate() {
        worst.see("plane", case, found, about[i].as_f64().unwrap(), 1e-7);
    }
    let spread = (rest.mapv(|v| v * v).sum() / rest.len() as f64).sqrt();
    worst.see("plane rest", case, spread, about[3].as_f64().unwrap(), 1e-7);
}

/// Curve and crossings, as they are and smoothed.
fn check_rings(
    case: &str,
    expected: &Value,
    t: ArrayView2<'_, f64>,
    p: ArrayView2<'_, f64>,
    worst: &mut Worst,
) {
    for sigma in [0.0, 2.0] {
        let expected = &expected[format!("frc_sigma{sigma}_curve_c50_c1over7")];
        let curve = ring_correlation(t, p).unwrap().smoothed(sigma);
        check_curve(case, &curve, &expected[0], worst);
        for (i, threshold) in [(1, 0.5), (2, 1.0 / 7.0)] {
            let found = curve.crossing(Threshold::Fixed(threshold)).unwrap();
            worst.see("frc crossing", case, found, expected[i].as_f64().unwrap(), 2e-4);
        }
    }
}

fn check_curve(case: &str, curve: &RingCurve, expected: &Value, worst: &mut Worst) {
    let values = expected.as_array().unwrap();
    assert_eq!(curve.values.len(), values.len(), "{case}: number of rings");
    for (ring, (found, expected)) in curve.values.iter().zip(values).enumerate() {
        match expected.as_f64() {
            // A plane that was taken away leaves no mean: what the reference has there is rounding.
            Some(_) if ring == 0 && found.is_none() => {}
            // The reference transforms in f32; phases suffer most.
            Some(expected) => worst.see("frc", case, found.unwrap(), expected, 1e-5),
            None => assert_eq!(*found, None, "{case}: a ring without power"),
        }
    }
}

#[test]
fn thresholds_and_crossings_equal_the_golden_values() {
    let golden = golden();
    let list =
        |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    let published = &golden["vanHeel_thresholds"];
    for (threshold, key) in [(Threshold::HalfBit, "half_bit"), (Threshold::OneBit, "one_bit")] {
        let counts = list(&published["n_pixels_in_ring"]);
        for (count, expected) in counts.into_iter().zip(list(&published[key])) {
            assert!((threshold.at(count as u32) - expected).abs() < 1e-15, "{key} at {count}");
        }
    }
    let cases = golden["threshold_crossing"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let curve: Vec<Option<f64>> = case["curve"].as_array().unwrap().iter().map(Value::as_f64).collect();
        let found = crossing(&curve, |_| case["thr"].as_f64().unwrap());
        match case["expected"].as_f64() {
            Some(expected) => assert!((found.unwrap() - expected).abs() < 1e-12, "{case}: {found:?}"),
            None => assert_eq!(found, None, "{case}"),
        }
    }
}

/// The formula of `golden_f64/make.py`.
fn formula(rows: usize, cols: usize) -> (Array2<f64>, Array2<f64>) {
    let truth = Array2::from_shape_fn((rows, cols), |(r, c)| {
        let (y, x) = (r as f64, c as f64);
        0.5 + 0.3 * (0.11 * y + 0.05 * x).sin() * (0.07 * x).cos()
            + ((r * r * 7 + c * 13 + r * c) % 31) as f64 / 310.0
    });
    let off = |r: usize, c: usize| 0.08 * (((r * 5 + c * c * 3) % 17) as f64 / 17.0 - 0.5);
    let prediction = Array2::from_shape_fn((rows, cols), |(r, c)| truth[[r, c]] + off(r, c));
    (truth, prediction)
}

#[test]
fn every_metric_equals_the_references_in_f64() {
    let text = std::fs::read_to_string(path("../golden_f64/values.json")).unwrap();
    let values: Value = serde_json::from_str(&text).unwrap();
    let mut worst = Worst::default();
    for (case, expected) in values["golden"].as_object().unwrap() {
        let (target, pred) = real(case);
        check_f64(case, expected, target.view(), pred.view(), &mut worst);
    }
    for expected in values["formula"].as_array().unwrap() {
        let [rows, cols] = [0, 1].map(|i| expected["shape"][i].as_u64().unwrap() as usize);
        let (target, pred) = formula(rows, cols);
        check_f64(&format!("{rows} × {cols}"), expected, target.view(), pred.view(), &mut worst);
    }
    println!("{worst:#?}");
}

fn check_f64(
    case: &str,
    expected: &Value,
    t: ArrayView2<'_, f64>,
    p: ArrayView2<'_, f64>,
    worst: &mut Worst,
) {
    let range = peak_to_peak(t);
    let curve = ring_correlation(t, p).unwrap();
    let scalars = [
        ("mae", mae(t, p), 1e-13),
        ("mse", mse(t, p), 1e-13),
        ("psnr", psnr_range(t, p, range), 1e-10),
        ("ssim", ssim(t, p, range), 1e-10),
        ("ssim_gaussian", ssim_gaussian(t, p, range), 1e-10),
        ("ms_ssim_0", ms_ssim(t, p, 0.0), 1e-10),
        ("ms_ssim_1", ms_ssim(t, p, 1.0), 1e-10),
        ("ms_ssim_standard", ms_ssim_standard(t, p, range), 1e-10),
    ];
    for (key, found, tolerance) in scalars {
        match expected[key].as_f64() {
            Some(expected) => worst.see(key, case, found.unwrap(), expected, tolerance),
            None => assert!(
                matches!(found, Err(MetricError::TooSmall(..) | MetricError::Identical)),
                "{case} {key}"
            ),
        }
    }
    let curves = [("frc", curve.clone()), ("frc_smoothed_2", curve.smoothed(2.0))];
    for (key, curve) in curves {
        let expected = expected[key].as_array().unwrap();
        assert_eq!(curve.values.len(), expected.len(), "{case} {key}");
        for (found, expected) in curve.values.iter().zip(expected) {
            worst.see(key, case, found.unwrap(), expected.as_f64().unwrap(), 1e-10);
        }
    }
    let shifts = [
        ("shift_phase", phase_correlation(t, p, UPSAMPLE, None)),
        ("shift_plain", plain_correlation(t, p, UPSAMPLE, None)),
    ];
    for (key, found) in shifts {
        for (axis, found) in found.unwrap().into_iter().enumerate() {
            worst.see(key, case, found, expected[key][axis].as_f64().unwrap(), 1e-9);
        }
    }
}

/// Where the references give NaN, 0 or an exception, here is a named error.
#[test]
fn degenerate_images_are_errors_where_the_references_are_silent() {
    for case in ["constant_vs_constant_64", "constant_vs_structured_64", "zero_target_64"] {
        let (target, pred) = real(case);
        let (t, p) = (target.view(), pred.view());
        assert!(matches!(ssim(t, p, peak_to_peak(t)), Err(MetricError::ZeroRange(_))), "{case}");
        assert!(matches!(psnr_range(t, p, peak_to_peak(t)), Err(MetricError::ZeroRange(_))), "{case}");
        let shift = phase_correlation(t, p, UPSAMPLE, None);
        assert_eq!(shift, Err(RegistrationError::Constant("reference")), "{case}");
        assert!(
            matches!(
                ring_correlation(t, p).unwrap().crossing(Threshold::Fixed(0.5)),
                Err(MetricError::NoPower(_))
            ),
            "{case}"
        );
    }
    let golden = golden();
    let real_case = |case: &str| &golden["cases"][case]["real"];
    // A flat truth still has an MS-SSIM, because its range is the larger of the two.
    for case in ["constant_vs_structured_64", "zero_target_64"] {
        let (target, pred) = real(case);
        for (sigma, key) in [(0.0, "ms_ssim_pp_sigma0"), (1.0, "ms_ssim_pp_sigma1")] {
            let found = ms_ssim(target.view(), pred.view(), sigma).unwrap();
            assert!((found - real_case(case)[key].as_f64().unwrap()).abs() < 1e-8, "{case} {key}");
        }
    }
    // The reference's crossing rule on a curve whose other rings are undefined: it never falls below.
    let (target, pred) = real("constant_vs_constant_64");
    let curve = ring_correlation(target.view(), pred.view()).unwrap();
    let expected = &real_case("constant_vs_constant_64")["frc_sigma0_curve_c50_c1over7"];
    assert_eq!(crossing(&curve.values, |_| 0.5), expected[1].as_f64());
    for (case, key) in
        [("constant_vs_constant_64", true), ("constant_vs_structured_64", true), ("zero_target_64", false)]
    {
        let (target, pred) = real(case);
        let (t, p) = (target.view(), pred.view());
        let expected = real_case(case);
        // What is defined is what the references say.
        let see = |key: &str, found: f64, tolerance: f64| {
            Worst::default().see(key, case, found, expected[key].as_f64().unwrap(), tolerance);
        };
        see("mae", mae(t, p).unwrap(), 5e-8);
        see("mse", mse(t, p).unwrap(), 2e-8);
        see("mae_norm", mae(t, match_mean(t, p).unwrap().0.view()).unwrap(), 1e-7);
        see("psnr_pp_cv2_R255", psnr_255(t, p).unwrap(), 1e-6);
        if key {
            let curve = ring_correlation(t, p).unwrap();
            check_curve(case, &curve, &expected["frc_sigma0_curve_c50_c1over7"][0], &mut Worst::default());
            assert!(curve.smoothed(2.0).values.iter().all(Option::is_none));
        }
    }
    assert!(matches!(ms_ssim(target.view(), pred.view(), 0.0), Err(MetricError::ZeroRange(_))));

    let (target, pred) = real("nan_pixel_64");
    let (t, p) = (target.view(), pred.view());
    for found in [mae(t, p), mse(t, p), psnr_255(t, p), ssim(t, p, 1.0), ms_ssim(t, p, 0.0)] {
        assert!(matches!(found, Err(MetricError::NotFinite { which: "second", .. })));
    }
    assert!(ring_correlation(t, p).is_err() && phase_correlation(t, p, UPSAMPLE, None).is_err());

    let (target, pred) = real("tiny_6x6");
    let (t, p) = (target.view(), pred.view());
    assert_eq!(ssim(t, p, 1.0), Err(MetricError::TooSmall((6, 6), 7)));
    assert_eq!(ms_ssim(t, p, 0.0), Err(MetricError::TooSmall((6, 6), 7)));
    let expected = real_case("tiny_6x6");
    check_rings("tiny_6x6", expected, t, p, &mut Worst::default());
    for (found, key) in [
        (mae(t, p).unwrap(), "mae"),
        (mse(t, p).unwrap(), "mse"),
        (psnr_255(t, p).unwrap(), "psnr_pp_cv2_R255"),
        (psnr_range(t, p, peak_to_peak(t)).unwrap(), "psnr_skimage_range_target"),
    ] {
        Worst::default().see(key, "tiny_6x6", found, expected[key].as_f64().unwrap(), 2e-6);
    }
    for (found, key) in [
        (phase_correlation(t, p, UPSAMPLE, None), "registration_offset_up50"),
        (plain_correlation(t, p, UPSAMPLE, None), "registration_offset_up50_nonorm"),
        (phase_correlation(t, p, 1, None), "registration_offset_up1"),
    ] {
        for (axis, found) in found.unwrap().into_iter().enumerate() {
            Worst::default().see(key, "tiny_6x6", found, expected[key][axis].as_f64().unwrap(), 1e-6);
        }
    }
}

#[test]
fn complex_pairs_score_and_register_as_the_reference_does() {
    let golden = golden();
    let mut worst = Worst::default();
    for case in ["complex_phase_ramp_128", "complex_noisy_128", "complex_shifted_128"] {
        let expected = &golden["cases"][case];
        let (target, pred) = (complex(case, "target"), complex(case, "pred"));
        // `complex_eval` trims 2 pixels itself.
        let raw = evaluate(target.view(), pred.view(), Options::default()).unwrap();
        check_channel(case, 0, &raw.amplitude, &expected["complex_eval"], &mut worst);
        check_channel(case, 1, &raw.phase, &expected["complex_eval"], &mut worst);
        check_curve(
            case,
            raw.curves.amplitude.as_ref().unwrap(),
            &expected["complex_eval"]["frc_amp"],
            &mut worst,
        );
        check_curve(
            case,
            raw.curves.phase.as_ref().unwrap(),
            &expected["complex_eval"]["frc_phase"],
            &mut worst,
        );
        let (t, p) = (amplitude(target.view()), amplitude(pred.view()));
        let shift = phase_correlation(t.view(), p.view(), UPSAMPLE, None).unwrap();
        for axis in 0..2 {
            let offset = expected["registration_offset_up50_on_magnitude"][axis].as_f64().unwrap();
            worst.see("shift", case, shift[axis], offset, 1e-5);
        }
        let inner = s![2..126, 2..126];
        let aligned = fourier_shift(pred.view(), shift).slice_move(inner);
        let theirs = complex(case, "aligned");
        assert_eq!(aligned.dim(), theirs.dim());
        for (a, b) in aligned.iter().zip(&theirs) {
            worst.see("aligned", case, f64::from((a - b).norm()), 0.0, 2e-6);
        }
        let after = evaluate(target.slice(inner), aligned.view(), Options::default()).unwrap();
        check_channel(case, 0, &after.amplitude, &expected["after_register"], &mut worst);
        check_channel(case, 1, &after.phase, &expected["after_register"], &mut worst);
        let curves = &expected["after_register"];
        check_curve(case, after.curves.amplitude.as_ref().unwrap(), &curves["frc_amp"], &mut worst);
        check_curve(case, after.curves.phase.as_ref().unwrap(), &curves["frc_phase"], &mut worst);
    }
    println!("{worst:#?}");
}

fn check_channel(case: &str, index: usize, channel: &Channel, expected: &Value, worst: &mut Worst) {
    let name = ["amplitude", "phase"][index];
    let mut see = |metric: &str, found: &Result<f64, MetricError>, tolerance: f64| {
        let key = if metric == "psnr255" { "psnr" } else { metric };
        let wanted = expected[key][index].as_f64().unwrap();
        worst.see(&format!("{name} {metric}"), case, found.clone().unwrap(), wanted, tolerance);
    };
    see("mae", &channel.mae, 1e-7);
    see("mse", &channel.mse, 1e-8);
    see("ssim", &channel.ssim, 3e-6);
    see("ms_ssim", &channel.ms_ssim, 3e-6);
    see("frc50", &channel.frc50, 2e-4);
    see("frc1over7", &channel.frc1over7, 2e-4);
    // The ramp case is identical but for f32 rounding, which is all that its PSNR measures.
    if case != "complex_phase_ramp_128" {
        see("psnr255", &channel.psnr255, 1e-5);
    }
}
