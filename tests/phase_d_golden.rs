//! The reference's recorded overlap table (study.md §4.5), reproduced from the seeds alone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use ndarray::{Array2, Array3};
use num_complex::Complex32;
use phasegraph::ptycho::dataset::{Dataset, new_metadata};
use phasegraph::ptycho::groups::Neighbours;
use phasegraph::ptycho::overlap;
use phasegraph::ptycho::positions;
use phasegraph::stages::{self, Context, Device, Job, JobInput};
use serde_json::{Value, json};

const DIAMETER: f64 = 38.4;
const SEED_SUBSAMPLE: u64 = 456;
const SEED_GROUPS: u64 = 42;
const N_GROUPS: u32 = 512;
const TOLERANCE: f64 = 1e-12;

/// One row of the table: metric 1 where it is defined, metric 2 at K = 6 and K = 25, metric 3, bound.
struct Row {
    split: &'static str,
    gridsize: usize,
    s_img: f64,
    total: usize,
    kept: usize,
    metric_1: Option<f64>,
    metric_2: [f64; 2],
    metric_3: f64,
    bound: f64,
}

const TABLE: [Row; 4] = [
    Row {
        split: "train",
        gridsize: 2,
        s_img: 0.8,
        total: 5088,
        kept: 4070,
        metric_1: Some(0.8908832219844647),
        metric_2: [0.8777230238176428, 0.7612521791652203],
        metric_3: 0.2706207501148672,
        bound: 0.011961400374736652,
    },
    Row {
        split: "test",
        gridsize: 2,
        s_img: 0.8,
        total: 5216,
        kept: 4173,
        metric_1: Some(0.8942481591520092),
        metric_2: [0.8794250175349867, 0.7634150785371115],
        metric_3: 0.26725705757217955,
        bound: 0.011667613696020717,
    },
    Row {
        split: "train",
        gridsize: 1,
        s_img: 1.0,
        total: 5088,
        kept: 5088,
        metric_1: None,
        metric_2: [0.8907604917927726, 0.7865097030132506],
        metric_3: 0.26618181291368215,
        bound: 0.009571268204822002,
    },
    Row {
        split: "test",
        gridsize: 1,
        s_img: 1.0,
        total: 5216,
        kept: 5216,
        metric_1: None,
        metric_2: [0.8916988299540307, 0.7882086465766043],
        metric_3: 0.2658150613606451,
        bound: 0.009339239536093634,
    },
];

/// The reference's positions, halved at the middle of their y range.
fn positions(split: &str) -> (Vec<f64>, Vec<f64>) {
    let region = positions::Region::inside((464, 464), 64.0).unwrap();
    let (x, y) = positions::uniform(region, 10_304, 42);
    let (lo, hi) = y.iter().fold((f64::MAX, f64::MIN), |(lo, hi), y| (lo.min(*y), hi.max(*y)));
    let middle = lo + (hi - lo) * 0.5;
    assert_eq!(middle, 232.01387199708716);
    x.into_iter().zip(y).filter(|(_, y)| (*y < middle) == (split == "train")).unzip()
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= TOLERANCE, "{what}: {found} is not {expected}");
}

#[test]
fn functions_reproduce_the_table() {
    for row in &TABLE {
        let (x, y) = positions(row.split);
        assert_eq!(x.len(), row.total);
        let kept = overlap::subsample(x.len() as u32, row.s_img, SEED_SUBSAMPLE);
        assert_eq!(kept.len(), row.kept);
        let pick = |of: &[f64]| kept.iter().map(|i| of[*i as usize]).collect::<Vec<f64>>();
        let (x, y) = (pick(&x), pick(&y));
        let scan = Neighbours::new(&x, &y).unwrap();
        let groups = overlap::metric_groups(&scan, row.gridsize, N_GROUPS, SEED_GROUPS).unwrap();
        let centres = overlap::centres(&x, &y, &groups);
        let centres = Neighbours::new(&centres.0, &centres.1).unwrap();
        for (k, expected) in [6, 25].into_iter().zip(row.metric_2) {
            let metric_1 = overlap::group_based(&x, &y, &groups, k, DIAMETER);
            assert_eq!(metric_1.is_some(), row.metric_1.is_some());
            if let (Some(found), Some(expected)) = (metric_1, row.metric_1) {
                close(found, expected, "metric 1");
            }
            close(overlap::image_based(&scan, k, DIAMETER), expected, "metric 2");
        }
        close(overlap::group_to_group(&centres, DIAMETER), row.metric_3, "metric 3");
        close(overlap::geometry_bound(&x, &y, DIAMETER), row.bound, "bound");
    }
}

/// The stage, from a dataset file to `overlap.json`.
#[test]
fn the_stage_reproduces_the_table() {
    for row in &TABLE {
        let (x, y) = positions(row.split);
        let side = 4;
        let data = Dataset {
            diffraction: Array3::ones((x.len(), side, side)),
            x_start: x.clone(),
            y_start: y.clone(),
            scan_index: vec![0; x.len()],
            x,
            y,
            probe: Array2::from_elem((side, side), Complex32::new(1.0, 0.0)),
            object: None,
            dose_scale: None,
            measured_photons: None,
            mask: None,
            metadata: new_metadata(json!({}), json!({})),
        };
        for (k, metric_2) in [6, 25].into_iter().zip(row.metric_2) {
            let metrics = run_stage(
                &data,
                json!({
                    "gridsize": row.gridsize,
                    "s_img": row.s_img,
                    "n_groups": N_GROUPS,
                    "neighbor_count": k,
                    "probe_diameter_px": DIAMETER,
                    "seed_subsample": SEED_SUBSAMPLE,
                    "seed_groups": SEED_GROUPS,
                }),
            );
            let number = |key: &str| metrics[key].as_f64().unwrap();
            assert_eq!(metrics["n_images_total"], row.total);
            assert_eq!(metrics["n_images_subsampled"], row.kept);
            assert_eq!(metrics["n_unique_images"], row.kept);
            match row.metric_1 {
                Some(expected) => close(number("metric_1_group_based_avg"), expected, "metric 1"),
                None => assert!(metrics.get("metric_1_group_based_avg").is_none()),
            }
            close(number("metric_2_image_based_avg"), metric_2, "metric 2");
            close(number("metric_3_group_to_group_avg"), row.metric_3, "metric 3");
            close(number("geometry_acceptance_bound"), row.bound, "bound");
            close(number("effective_min_acceptance"), row.bound, "acceptance");
        }
    }
}

fn run_stage(data: &Dataset, params: Value) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.npz");
    data.write(&path).unwrap();
    let stage = stages::find("overlap").unwrap();
    let job = Job {
        task: "overlap".into(),
        kind: "overlap".into(),
        point: BTreeMap::new(),
        params,
        seed: 0,
        inputs: BTreeMap::from([(
            "data".to_owned(),
            vec![JobInput { path, origin: "here".into(), point: BTreeMap::new() }],
        )]),
        outputs: stage.kind().outputs.iter().map(|o| (o.name.into(), o.file.into())).collect(),
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
    stage.run(&mut Context::new(&job, &mut |_| {})).unwrap();
    serde_json::from_slice(&std::fs::read(dir.path().join("overlap.json")).unwrap()).unwrap()
}
