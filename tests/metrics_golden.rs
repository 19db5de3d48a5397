//! Metrics and registration against the reference implementations' own numbers.
//!
//! The reference computed amplitudes, SSIM and FRC in f32, so its values are good to about 10⁻⁶ only;
//! each tolerance below is what was measured. `SCIPY_F64` holds the same formulas evaluated by SciPy
//! 1.17 in f64 on the same files, where agreement must be 10⁻¹⁰.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, s};
use num_complex::Complex32;
use phasegraph::ptycho::metrics::{
    Channel, MetricError, amplitude, crossing, evaluate, mae, match_mean, ms_ssim, mse, peak_to_peak,
    psnr_255, psnr_range, remove_plane, ring_correlation, ssim,
};
use phasegraph::ptycho::registration::{RegistrationError, UPSAMPLE, fourier_shift, phase_correlation};
use serde_json::Value;

/// SSIM with the truth's range, MS-SSIM with σ 0 and σ 1.
const SCIPY_F64: [(&str, [f64; 3]); 7] = [
    ("random_uniform_128", [-0.0023986387802702146, 0.0019755209922275863, 0.003605216260145556]),
    ("structured_noisy_128", [0.6534334022644488, 0.8944982940215384, 0.9784255709547613]),
    ("structured_blurred_128", [0.7928940169012652, 0.9051108767454493, 0.9683250682048753]),
    ("shift_int_128", [0.25956895033333205, 0.40059860770979755, 0.4800903569188593]),
    ("shift_sub_128", [0.3793703480965754, 0.5907934322101932, 0.7190532008352195]),
    ("tiny_7x7", [0.9998092651459148, 0.9999914543742816, 0.9999933980070883]),
    ("odd_101x101", [0.4724554329857897, 0.7609625489285644, 0.9412394696598861]),
];

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
        let (t, p) = (target.view(), pred.view());
        let expected = &golden["cases"][case]["real"];
        let number = |key: &str| expected[key].as_f64().unwrap_or_else(|| panic!("{case} {key}"));
        let range = peak_to_peak(t);
        worst.see("mae", case, mae(t, p).unwrap(), number("mae"), 5e-8);
        worst.see("mse", case, mse(t, p).unwrap(), number("mse"), 2e-8);
        let (scaled, _) = match_mean(t, p).unwrap();
        worst.see("mae scaled", case, mae(t, scaled.view()).unwrap(), number("mae_norm"), 1e-7);
        worst.see("psnr255", case, psnr_255(t, p).unwrap(), number("psnr_pp_cv2_R255"), 1e-11);
        worst.see("ssim", case, ssim(t, p, range).unwrap(), number("ssim_uniform7"), 3e-7);
        worst.see("ms_ssim σ0", case, ms_ssim(t, p, 0.0).unwrap(), number("ms_ssim_pp_sigma0"), 3e-7);
        worst.see("ms_ssim σ1", case, ms_ssim(t, p, 1.0).unwrap(), number("ms_ssim_pp_sigma1"), 3e-7);
        if case == "identical_64" {
            assert_eq!(psnr_range(t, p, range), Err(MetricError::Identical));
        } else {
            let db = psnr_range(t, p, range).unwrap();
            worst.see("psnr_range", case, db, number("psnr_skimage_range_target"), 1e-6);
        }
        check_rings(case, &expected["frc_sigma0_curve_c50_c1over7"], t, p, &mut worst);
        let shift = phase_correlation(t, p, UPSAMPLE, None).unwrap();
        let coarse = phase_correlation(t, p, 1, None).unwrap();
        for axis in 0..2 {
            let fine = expected["registration_offset_up50"][axis].as_f64().unwrap();
            worst.see("shift", case, shift[axis], fine, 1e-6);
            let whole = expected["registration_offset_up1"][axis].as_f64().unwrap();
            assert_eq!(coarse[axis], whole, "{case} coarse shift");
        }
        let (rest, plane) = remove_plane(p);
        let about = &expected["plane_of_pred_dx_dy_c_and_residual_std"];
        for (i, found) in plane.into_iter().enumerate() {
            worst.see("plane", case, found, about[i].as_f64().unwrap(), 1e-12);
        }
        let spread = (rest.mapv(|v| v * v).sum() / rest.len() as f64).sqrt();
        worst.see("plane rest", case, spread, about[3].as_f64().unwrap(), 1e-12);
    }
    println!("{worst:#?}");
}

fn check_rings(
    case: &str,
    expected: &Value,
    t: ArrayView2<'_, f64>,
    p: ArrayView2<'_, f64>,
    worst: &mut Worst,
) {
    let curve = ring_correlation(t, p).unwrap();
    let values = expected[0].as_array().unwrap();
    assert_eq!(curve.values.len(), values.len(), "{case}: number of rings");
    for (found, expected) in curve.values.iter().zip(values) {
        worst.see("frc", case, found.unwrap(), expected.as_f64().unwrap(), 2e-6);
    }
    for (i, threshold) in [(1, 0.5), (2, 1.0 / 7.0)] {
        let found = curve.crossing(threshold).unwrap();
        worst.see("frc crossing", case, found, expected[i].as_f64().unwrap(), 2e-4);
    }
}

#[test]
fn the_structural_metrics_equal_scipy_in_f64() {
    for (case, [expected_ssim, expected_0, expected_1]) in SCIPY_F64 {
        let (target, pred) = real(case);
        let (t, p) = (target.view(), pred.view());
        for (name, found, expected) in [
            ("ssim", ssim(t, p, peak_to_peak(t)), expected_ssim),
            ("ms_ssim σ0", ms_ssim(t, p, 0.0), expected_0),
            ("ms_ssim σ1", ms_ssim(t, p, 1.0), expected_1),
        ] {
            let off = (found.unwrap() - expected).abs();
            assert!(off < 1e-10, "{case} {name}: off by {off:e}");
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
            matches!(ring_correlation(t, p).unwrap().crossing(0.5), Err(MetricError::NoPower(_))),
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
    assert_eq!(crossing(&curve.values, 0.5), expected[1].as_f64());
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
    let rings = &real_case("tiny_6x6")["frc_sigma0_curve_c50_c1over7"];
    check_rings("tiny_6x6", rings, t, p, &mut Worst::default());
}

#[test]
fn complex_pairs_score_and_register_as_the_reference_does() {
    let golden = golden();
    let mut worst = Worst::default();
    for case in ["complex_phase_ramp_128", "complex_noisy_128", "complex_shifted_128"] {
        let expected = &golden["cases"][case];
        let (target, pred) = (complex(case, "target"), complex(case, "pred"));
        // `complex_eval` trims 2 pixels itself.
        let raw = evaluate(target.view(), pred.view(), 2, 1.0).unwrap();
        check_channel(case, 0, &raw.amplitude, &expected["complex_eval"], &mut worst);
        check_channel(case, 1, &raw.phase, &expected["complex_eval"], &mut worst);
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
        let after = evaluate(target.slice(inner), aligned.view(), 2, 1.0).unwrap();
        check_channel(case, 0, &after.amplitude, &expected["after_register"], &mut worst);
        check_channel(case, 1, &after.phase, &expected["after_register"], &mut worst);
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
