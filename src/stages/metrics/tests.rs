use ndarray::Array2;
use num_complex::Complex32;
use serde_json::json;

use super::*;
use crate::stages::Report;
use crate::stages::compare::harness::{Files, texture};

fn run(prediction: Array2<Complex32>) -> (StageResult<Scores>, Vec<Report>) {
    let truth = texture(48, 60);
    let pair = Pair { prediction, truth, origin_yx: [3.0, 4.0], shift_yx: [0.5, -0.25] };
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
    assert!(scores.missing.is_empty());
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
    assert_eq!(warnings, scores.missing.len());
    let blank = Array2::from_elem((48, 60), Complex32::new(0.2, 0.2));
    let scores = run(blank).0.unwrap();
    assert!(scores.phase.frc50.is_none() && scores.missing["phase frc50"].contains("constant"));
    assert_eq!(scores.phase.mae, scores.blank_phase_mae);
}
