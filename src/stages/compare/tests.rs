use ndarray::Array2;
use num_complex::Complex32;
use serde_json::{Value, json};

use super::harness::{Files, pair, scores};
use super::*;

/// Files of the models with these labels, in this order.
fn files(models: &[&str]) -> Files {
    let mut files = Files::new();
    for (i, model) in models.iter().enumerate() {
        let pair = pair(0.004 * (i + 1) as f32);
        let point = [("dose", "1e3"), ("view", "dense"), ("model", *model)];
        let scores = scores(&pair);
        files.input_at("metrics", &point, |path| Ok(std::fs::write(path, scores.to_json())?));
        files.input_at("pairs", &point, |path| pair.write(path));
    }
    files
}

fn run(files: &Files, params: Value) -> StageResult<String> {
    files.run(&Compare, params, 0).0?;
    Ok(std::fs::read_to_string(files.output("comparison_metrics.csv")).unwrap())
}

#[test]
fn the_table_has_the_reference_format_and_order() {
    let files = files(&["PtyChi", "Baseline", "PtychoPINN", "another"]);
    let table = run(&files, json!({})).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "model,metric,amplitude,phase,value");
    let metrics = ["mae", "mse", "psnr", "ssim", "ms_ssim", "frc50", "frc1over7"];
    let models = ["PtychoPINN", "Baseline", "PtyChi", "another"];
    let mut expected: Vec<String> = models
        .iter()
        .flat_map(|model| metrics.iter().map(move |metric| format!("{model},{metric},")))
        .collect();
    for model in models {
        expected.extend(["dy", "dx"].map(|d| format!("{model},registration_offset_{d},,,")));
    }
    // The reference has them for every registered model, and then nothing but run times.
    let reference = expected.len();
    let gauges =
        ["amplitude_scale", "phase_offset_rad", "phase_ramp_dy_rad_per_px", "phase_ramp_dx_rad_per_px"];
    for model in models {
        expected.extend(gauges.map(|name| format!("{model},{name},,,")));
    }
    assert_eq!(lines.len(), 1 + expected.len());
    for (line, start) in lines[1..].iter().zip(&expected) {
        assert!(line.starts_with(start.as_str()), "{line} instead of {start}…");
        assert_eq!(line.split(',').count(), 5);
    }
    assert_eq!(lines[reference - 1], "another,registration_offset_dy,,,0.100000");
    assert_eq!(lines[reference], "another,registration_offset_dx,,,-1.220000");
    for line in &lines[reference + 1..] {
        assert!(line.rsplit(',').next().unwrap().parse::<f64>().unwrap().is_finite(), "{line}");
    }
    let mae: Vec<&str> = lines[1].split(',').collect();
    assert_eq!((mae[2].split('.').nth(1).unwrap().len(), mae[4]), (6, ""));
    let again = run(&files, json!({})).unwrap();
    assert_eq!(again, table);
    let comparison = Comparison::read(&files.output("comparison.json")).unwrap();
    assert_eq!(comparison.title(), "dose=1e3, view=dense");
    assert_eq!(comparison.to_csv(), table);
    assert!(std::fs::metadata(files.output("comparison.png")).unwrap().len() > 10_000);
}

#[test]
fn an_order_may_be_given_and_what_has_no_value_is_an_empty_cell() {
    let files = files(&["a", "b"]);
    let table = run(&files, json!({"order": ["b"]})).unwrap();
    assert!(table.lines().nth(1).unwrap().starts_with("b,mae,"));
    let mut blank = Files::new();
    let mut pair = pair(0.0);
    pair.prediction = Array2::from_elem(pair.truth.dim(), Complex32::new(0.5, 0.0));
    let scores = scores(&pair);
    blank.input("metrics", |path| Ok(std::fs::write(path, scores.to_json())?));
    blank.input("pairs", |path| pair.write(path));
    let table = run(&blank, json!({"single_model": "only"})).unwrap();
    assert!(table.contains("\nonly,frc50,,,\n"), "{table}");
}

#[test]
fn models_that_cannot_be_told_apart_or_compared_are_refused() {
    let error = run(&files(&["a", "a"]), json!({})).unwrap_err();
    assert!(error.message.contains("two inputs are the model `a`"), "{error}");
    let error = run(&files(&["a", "b"]), json!({"model_axis": "network"})).unwrap_err();
    assert!(
        error.message.contains("no axis `network`") && error.message.contains("dose, model, view"),
        "{error}"
    );
    let mut other = files(&["a"]);
    let mut moved = pair(0.1);
    moved.origin_yx = [11.0, 20.0];
    let scores = scores(&moved);
    let point = [("dose", "1e3"), ("view", "dense"), ("model", "b")];
    other.input_at("metrics", &point, |path| Ok(std::fs::write(path, scores.to_json())?));
    let error = run(&other, json!({})).unwrap_err();
    assert!(error.message.contains("no pair is given for the model `b`"), "{error}");
    other.input_at("pairs", &point, |path| moved.write(path));
    let error = run(&other, json!({})).unwrap_err();
    assert!(error.message.contains("different truths"), "{error}");
}

#[test]
fn a_file_that_is_no_metrics_file_is_named() {
    let mut files = Files::new();
    files.input("metrics", |path| Ok(std::fs::write(path, "{\"shape\": 3}")?));
    files.input("pairs", |path| pair(0.1).write(path));
    let error = run(&files, json!({})).unwrap_err();
    assert!(
        error.message.contains("in0: ") && error.message.contains("scores of the `metrics` stage"),
        "{error}"
    );
}
