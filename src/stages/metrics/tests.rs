use ndarray::Array2;
use num_complex::Complex32;
use serde_json::json;

use super::*;
use crate::stages::Report;
use crate::stages::compare::harness::{Files, texture};

fn run(prediction: Array2<Complex32>) -> (StageResult<Scores>, Vec<Report>) {
    let truth = texture(48, 60);
    let pair = Pair { prediction, truth, origin_yx: [3.0, 4.0], shift_yx: [0.5, -0.25], turn: 0.25 };
    let mut files = Files::new();
    files.input("pair", |path| pair.write(path));
    let (result, reports) = files.run(&Metrics, json!({}), 0);
    (result.and_then(|()| Scores::read(&files.output("metrics.json"))), reports)
}

#[test]
fn a_close_prediction_beats_the_blank_guess() {
    let mut close = texture(48, 60);
    for ((r, c), v) in close.indexed_iter_mut() {
        *v += Complex32::new(0.005 * ((r * 7 + c) % 5) as f32, 0.005 * ((r + c * 3) % 7) as f32);
    }
    let (scores, reports) = run(close);
    let scores = scores.unwrap();
    assert_eq!((scores.shape, scores.registration_offset_yx), ([44, 56], [0.5, -0.25]));
    // These images are too small for the standard multi-scale form, which is told in the file alone.
    assert_eq!(
        scores.missing.keys().collect::<Vec<_>>(),
        ["amplitude ms_ssim_standard", "phase ms_ssim_standard"]
    );
    assert!(!reports.iter().any(|r| matches!(r, Report::Warning { .. })));
    assert!(scores.phase.mae.unwrap() * 5.0 < scores.blank_phase_mae.unwrap());
    assert!(scores.amplitude.mae.unwrap() < scores.blank_amplitude_mae.unwrap());
    // 255 against a range of 2π, and against that of the amplitude.
    let gap = scores.phase.psnr255.unwrap() - scores.phase.psnr_range.unwrap();
    assert!((gap - 20.0 * (255.0 / std::f64::consts::TAU).log10()).abs() < 1e-6);
    assert_eq!(scores.frc.side, 44);
    assert_eq!(scores.frc.phase.len(), 32);
    assert!(reports.iter().any(|r| matches!(r, Report::Measure { name, .. } if name == "phase_mae_rad")));
}

#[test]
fn what_has_no_value_is_null_with_a_reason_and_a_warning() {
    let (scores, reports) = run(texture(48, 60));
    let scores = scores.unwrap();
    assert_eq!(scores.phase.psnr_range, None);
    assert_eq!(scores.missing["phase psnr_range"], "images are identical: the ratio is infinite");
    assert_eq!(scores.phase.psnr255, Some(20.0 * (255.0 / f64::EPSILON).log10()));
    let warnings = reports.iter().filter(|r| matches!(r, Report::Warning { .. })).count();
    assert_eq!(warnings, scores.missing.len() - 2);
    let blank = Array2::from_elem((48, 60), Complex32::new(0.2, 0.2));
    let scores = run(blank).0.unwrap();
    assert!(scores.phase.frc50.is_none() && scores.missing["phase frc50"].contains("constant"));
    assert_eq!(scores.phase.mae, scores.blank_phase_mae);
}

#[test]
fn the_gauges_are_written_and_do_not_count() {
    let truth = texture(48, 60);
    let mut model = truth.clone();
    for ((r, c), v) in model.indexed_iter_mut() {
        *v *= Complex32::from_polar(0.625, 0.3 + 0.15 * r as f32 - 0.4 * c as f32);
    }
    let (scores, reports) = run(model);
    let scores = scores.unwrap();
    // Phases turn several times over the image, and none is torn.
    assert!(
        scores.phase.mae.unwrap() < 1e-5 && scores.amplitude.mae.unwrap() < 1e-6,
        "{:?}",
        scores.phase.mae
    );
    let gauge = &scores.gauge;
    assert!((gauge.amplitude_scale.unwrap() - 1.6).abs() < 1e-5);
    let [down, right] = gauge.phase_ramp_yx_rad_per_px;
    assert!((down - 0.15).abs() < 1e-6 && (right + 0.4).abs() < 1e-6, "{down} {right}");
    // In the middle of the 44 × 56 pixels compared; without the 0.25 that registration had added.
    let middle = 0.3 + 0.15 * 23.5 - 0.4 * 29.5 - 0.25;
    let off = crate::ptycho::metrics::wrap(gauge.phase_offset_rad - middle);
    assert!(off.abs() < 1e-4 && gauge.phase_offset_rad.abs() <= std::f64::consts::PI, "{gauge:?}");
    for (name, _) in gauge.named() {
        assert!(reports.iter().any(|r| matches!(r, Report::Measure { name: n, .. } if n == name)), "{name}");
    }
}

#[test]
fn tables_never_hold_nan() {
    let flat = |v: f32| Array2::from_elem((48, 60), Complex32::new(v, 0.0));
    let mut spot = flat(0.0);
    spot[[20, 20]] = Complex32::new(1e-20, 1e20);
    for prediction in [flat(0.0), flat(1.0), flat(1e-30), spot, texture(48, 60)] {
        let (scores, _) = run(prediction);
        let text = scores.unwrap().to_json();
        assert!(!text.to_lowercase().contains("nan") && !text.contains("inf\""), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        // Every gap has its reason.
        for channel in ["amplitude", "phase"] {
            for (name, score) in value[channel].as_object().unwrap() {
                let reason = &value["missing"][format!("{channel} {name}")];
                assert_eq!(score.is_null(), reason.is_string(), "{channel} {name}: {text}");
            }
        }
    }
    let mut broken = texture(48, 60);
    broken[[1, 2]].re = f32::NAN;
    let pair = Pair {
        prediction: broken,
        truth: texture(48, 60),
        origin_yx: [0.0; 2],
        shift_yx: [0.0; 2],
        turn: 0.0,
    };
    let mut files = Files::new();
    files.input("pair", |path| pair.write(path));
    let error = files.run(&Metrics, json!({}), 0).0.unwrap_err();
    assert!(error.message.contains("prediction") && error.message.contains("NaN"), "{error}");
}
