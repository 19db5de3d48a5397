use std::collections::BTreeMap;

use ndarray::{Array2, Array3};
use num_complex::Complex32;
use serde_json::{Value, json};

use super::*;
use crate::ptycho::dataset::new_metadata;
use crate::stages::{Device, Job, JobInput, Report};

/// A scan of `n` images on a coarse lattice, with repeats; image i holds the value i.
fn scan(n: usize) -> Dataset {
    let at = |i: usize| ((i % 13) as f64 * 3.0 + 20.0, (i % 17) as f64 * 2.0 + 20.0);
    let (x, y): (Vec<f64>, Vec<f64>) = (0..n).map(at).unzip();
    Dataset {
        diffraction: Array3::from_shape_fn((n, 8, 8), |(i, _, _)| i as f32),
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe: Array2::from_elem((8, 8), Complex32::new(1.0, 0.0)),
        object: Some(Array2::from_elem((60, 60), Complex32::new(1.0, 0.0))),
        scan_index: vec![0; n],
        dose_scale: Some(2.0),
        measured_photons: Some((0..n).map(|i| i as f64).collect()),
        mask: None,
        metadata: new_metadata(json!({"N": 8}), json!({})),
    }
}

/// Runs the stage; the kept images, the metrics file, the reports.
fn run(data: &Dataset, params: Value, seed: u64) -> StageResult<(Dataset, Value, Vec<Report>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.npz");
    data.write(&path).unwrap();
    let input = JobInput { path, origin: "here".into(), point: BTreeMap::new() };
    let outputs = Overlap.kind().outputs.iter().map(|o| (o.name.into(), o.file.into())).collect();
    let job = Job {
        task: "overlap".into(),
        kind: "overlap".into(),
        point: BTreeMap::new(),
        params,
        seed,
        inputs: BTreeMap::from([("data".to_owned(), vec![input])]),
        outputs,
        staging: dir.path().to_owned(),
        threads: 1,
        device: Device::Cpu,
        gpus: vec![],
        memory: None,
        timeout_s: None,
        gpu_memory: None,
        chunk: None,
        facts: BTreeMap::new(),
        runtime: None,
        log: None,
    };
    let mut reports = Vec::new();
    let mut emit = |report| reports.push(report);
    Overlap.run(&mut Context::new(&job, &mut emit))?;
    let kept = Dataset::read(&dir.path().join("dataset.npz"))?;
    let text = std::fs::read(dir.path().join("overlap.json")).unwrap();
    Ok((kept, serde_json::from_slice(&text).unwrap(), reports))
}

#[test]
fn keeps_the_share_in_file_order_and_says_so() {
    let data = scan(300);
    let params = json!({"gridsize": 2, "s_img": 0.5, "n_groups": 40, "seed_subsample": 456});
    let (kept, metrics, reports) = run(&data, params, 1).unwrap();
    let expected = overlap::subsample(300, 0.5, 456);
    let held: Vec<u32> = kept.diffraction.outer_iter().map(|i| i[[0, 0]] as u32).collect();
    assert_eq!(held, expected);
    assert_eq!(kept.measured_photons.unwrap()[7], f64::from(expected[7]));
    assert_eq!(kept.dose_scale, Some(2.0));
    assert!(kept.object.is_some());
    assert_eq!(kept.metadata["data_transformations"][0]["operation"], "subsample");
    assert_eq!(kept.metadata["physics_parameters"]["N"], 8);
    assert_eq!((&metrics["n_images_total"], &metrics["n_images_subsampled"]), (&json!(300), &json!(150)));
    assert_eq!(metrics["n_groups_actual"], 40);
    // 13 and 17 have no common factor, so 221 places repeat from image 221 on.
    let unique = expected.iter().map(|i| i % 221).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(metrics["n_unique_images"], unique);
    assert_eq!(metrics["probe_diameter_px"], 0.6 * 8.0);
    assert!(metrics["metric_1_group_based_avg"].as_f64().unwrap() > 0.0);
    let measured =
        |name: &str| reports.iter().any(|r| matches!(r, Report::Measure { name: n, .. } if n == name));
    assert!(measured("overlap_group_based") && measured("images_in_groups"));
}

#[test]
fn seeds_follow_the_study_unless_given() {
    let data = scan(100);
    let kept = |params: Value, seed: u64| run(&data, params, seed).unwrap().0.x;
    let half = json!({"s_img": 0.5});
    assert_eq!(kept(half.clone(), 1), kept(half.clone(), 1));
    assert_ne!(kept(half.clone(), 1), kept(half, 2));
    let fixed = json!({"s_img": 0.5, "seed_subsample": 3});
    assert_eq!(kept(fixed.clone(), 1), kept(fixed, 2));
}

#[test]
fn a_single_grid_keeps_all_and_has_no_first_metric() {
    let (kept, metrics, _) = run(&scan(50), json!({}), 1).unwrap();
    assert_eq!(kept.len(), 50);
    assert_eq!(metrics["n_groups_actual"], 50);
    assert!(metrics.get("metric_1_group_based_avg").is_none());
}

#[test]
fn too_few_images_for_a_group_are_told() {
    let error = run(&scan(3), json!({"gridsize": 2}), 1).unwrap_err();
    assert!(error.message.contains("groups of 4 images out of a scan of 3"), "{}", error.message);
}

#[test]
fn the_schema_bounds_the_share() {
    let schema = serde_json::to_value((Overlap.kind().params)()).unwrap();
    let share = &schema["properties"]["s_img"];
    assert_eq!((&share["exclusiveMinimum"], &share["maximum"]), (&json!(0), &json!(1)));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn groups_may_be_chosen_among_more_neighbours_and_outnumber_the_images() {
    let data = scan(60);
    let params = json!({"gridsize": 2, "n_groups": 150, "group_pool": 7, "seed_in_group": false});
    let (_, metrics, reports) = run(&data, params.clone(), 1).unwrap();
    assert_eq!(metrics["n_groups_actual"], 150);
    let measure = |name: &str| {
        reports.iter().find_map(|r| match r {
            Report::Measure { name: n, value } if n == name => value.as_f64(),
            _ => None,
        })
    };
    assert_eq!(measure("groups"), Some(150.0));
    assert!(measure("images_in_groups").unwrap() > 45.0);
    assert_eq!(run(&data, params, 1).unwrap().1, metrics);
    // More neighbours are farther away.
    let nearest = run(&data, json!({"gridsize": 2, "n_groups": 60}), 1).unwrap().1;
    let of = |m: &Value| m["metric_1_group_based_avg"].as_f64().unwrap();
    assert!(of(&metrics) < of(&nearest));
    let error = run(&data, json!({"gridsize": 2, "seed_in_group": false}), 1).unwrap_err();
    assert!(error.hint.unwrap().contains("group_pool"));
}
