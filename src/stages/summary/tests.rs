use serde_json::{Value, json};

use super::*;
use crate::stages::compare::harness::{Files, pair, scores};

/// Comparisons and pairs of two conditions with two models each, the first better.
fn files() -> Files {
    let mut files = Files::new();
    for (dose, factor) in [("1e3", 3.0), ("1e5", 1.0)] {
        let mut models = Vec::new();
        for (model, noise) in [("PtychoPINN", 0.004), ("Baseline", 0.012)] {
            let pair = pair(noise * factor);
            let point = [("dose", dose), ("model", model)];
            files.input_at("pairs", &point, |path| pair.write(path));
            let point = point.iter().map(|(a, l)| ((*a).to_owned(), (*l).to_owned())).collect();
            models.push(Model { model: model.to_owned(), point, scores: scores(&pair) });
        }
        let condition = [("dose".to_owned(), dose.to_owned())].into();
        let comparison = Comparison { condition, model_axis: "model".to_owned(), models };
        files.input_at("comparisons", &[("dose", dose)], |path| {
            Ok(std::fs::write(path, pretty(&comparison))?)
        });
    }
    files
}

fn run(files: &Files, params: Value) -> StageResult<[String; 2]> {
    files.run(&Summary, params, 0).0?;
    Ok(["summary.csv", "summary.txt"].map(|f| std::fs::read_to_string(files.output(f)).unwrap()))
}

#[test]
fn every_condition_model_and_metric_has_its_row() {
    let files = files();
    let [table, text] = run(&files, json!({})).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "dose,model,metric,amplitude,phase,value");
    assert_eq!(lines.len(), 1 + 2 * 2 * (12 + 1 + 2 + 4));
    assert!(lines[1].starts_with("1e3,PtychoPINN,mae,"));
    assert!(
        lines[3].starts_with("1e3,PtychoPINN,psnr255,") && lines[4].starts_with("1e3,PtychoPINN,psnr_range,")
    );
    assert!(lines.iter().all(|l| l.split(',').count() == 6));
    assert!(lines.contains(&"1e5,Baseline,registration_offset_dx,,,-1.22"));
    assert_eq!(lines.iter().filter(|l| l.contains(",amplitude_scale,,,") && !l.ends_with(',')).count(), 4);
    // 60 × 72 pixels are too few for the standard multi-scale form.
    assert!(lines.contains(&"1e5,Baseline,ms_ssim_standard,,,"));

    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 2 + 4 + 1);
    assert!(rows[0].starts_with("dose  model       blank MAE"), "{text}");
    // The better model has every star of its condition.
    assert_eq!(rows[2].matches('*').count(), 8, "{text}");
    assert_eq!(rows[3].matches('*').count(), 0, "{text}");
    assert_eq!([rows[2], rows[3], rows[4], rows[5]].map(|r| r.matches('!').count()), [0; 4], "{text}");
    let end = rows[2..6].iter().map(|r| r.trim_end_matches('*').len()).collect::<Vec<_>>();
    assert!(end.iter().all(|e| *e == end[0]), "{text}");

    let first = ["summary.csv", "summary.txt", "summary.json", "overview.png"]
        .map(|f| std::fs::read(files.output(f)).unwrap());
    run(&files, json!({})).unwrap();
    let second = ["summary.csv", "summary.txt", "summary.json", "overview.png"]
        .map(|f| std::fs::read(files.output(f)).unwrap());
    assert!(first == second);
    run(&files, json!({"show": "amplitude", "tile_px": 64})).unwrap();
    assert!(std::fs::read(files.output("overview.png")).unwrap() != second[3]);
}

#[test]
fn a_model_no_better_than_blank_is_marked() {
    let mut files = Files::new();
    let mut bad = pair(0.0);
    bad.prediction.mapv_inplace(|v| v.conj());
    let model = Model { model: "bad".to_owned(), point: [].into(), scores: scores(&bad) };
    let comparison = Comparison { condition: [].into(), model_axis: "model".to_owned(), models: vec![model] };
    files.input("pairs", |path| bad.write(path));
    files.input("comparisons", |path| Ok(std::fs::write(path, pretty(&comparison))?));
    let [table, text] = run(&files, json!({})).unwrap();
    assert!(table.starts_with("model,metric,amplitude,phase,value\nbad,mae,"));
    assert!(text.lines().nth(2).unwrap().contains('!'), "{text}");
}

#[test]
fn one_condition_twice_or_a_missing_pair_is_refused() {
    let mut twice = files();
    let model = Model { model: "m".to_owned(), point: [].into(), scores: scores(&pair(0.1)) };
    let condition = [("dose".to_owned(), "1e3".to_owned())].into();
    let comparison = Comparison { condition, model_axis: "model".to_owned(), models: vec![model] };
    twice.input("comparisons", |path| Ok(std::fs::write(path, pretty(&comparison))?));
    assert!(run(&twice, json!({})).unwrap_err().message.contains("one condition (dose=1e3)"));

    let mut missing = Files::new();
    missing.input("pairs", |path| pair(0.1).write(path));
    let model =
        Model { model: "m".to_owned(), point: [("a".into(), "b".into())].into(), scores: scores(&pair(0.1)) };
    let comparison = Comparison { condition: [].into(), model_axis: "model".to_owned(), models: vec![model] };
    missing.input("comparisons", |path| Ok(std::fs::write(path, pretty(&comparison))?));
    assert!(run(&missing, json!({})).unwrap_err().message.contains("no pair is given for m (a=b)"));
}
