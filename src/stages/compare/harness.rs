//! What the tests of the scoring stages share: a job on temporary files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use num_complex::Complex32;
use serde_json::Value;

use crate::diag::StageResult;
use crate::ptycho::image::Pair;
use crate::ptycho::metrics::{Options, evaluate};
use crate::stages::metrics::Scores;
use crate::stages::{Context, Device, Job, JobInput, Report, Stage};

/// Input files and the staging folder of one job, removed when dropped.
pub(in crate::stages) struct Files {
    folder: tempfile::TempDir,
    inputs: BTreeMap<String, Vec<JobInput>>,
    count: usize,
}

impl Files {
    pub(in crate::stages) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, inputs: BTreeMap::new(), count: 0 }
    }

    /// Adds a file to a slot, written by `write`.
    pub(in crate::stages) fn input(&mut self, slot: &str, write: impl FnOnce(&Path) -> StageResult) {
        self.input_at(slot, &[], write);
    }

    /// Adds a file to a slot that comes from a point.
    pub(in crate::stages) fn input_at(
        &mut self,
        slot: &str,
        point: &[(&str, &str)],
        write: impl FnOnce(&Path) -> StageResult,
    ) {
        let path = self.folder.path().join(format!("in{}", self.count));
        self.count += 1;
        write(&path).unwrap();
        let point: BTreeMap<String, String> =
            point.iter().map(|(a, l)| ((*a).to_owned(), (*l).to_owned())).collect();
        let origin = format!("{slot}{point:?}");
        self.inputs.entry(slot.to_owned()).or_default().push(JobInput { path, origin, point });
    }

    /// Runs a stage on the files.
    pub(in crate::stages) fn run(
        &self,
        stage: &dyn Stage,
        params: Value,
        seed: u64,
    ) -> (StageResult, Vec<Report>) {
        let kind = stage.kind();
        let job = Job {
            task: kind.name.to_owned(),
            kind: kind.name.to_owned(),
            point: BTreeMap::new(),
            params,
            seed,
            inputs: self.inputs.clone(),
            outputs: kind.outputs.iter().map(|o| (o.name.to_owned(), o.file.to_owned())).collect(),
            staging: self.folder.path().join("out"),
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
        let result = stage.run(&mut Context::new(&job, &mut emit));
        (result, reports)
    }

    /// Path of an output file.
    pub(in crate::stages) fn output(&self, file: &str) -> PathBuf {
        self.folder.path().join("out").join(file)
    }
}

/// An object with structure of all sizes in amplitude and phase: blobs strewn by a fixed sequence. (Waves
/// would not do: phase correlation needs a broad spectrum.)
pub(in crate::stages) fn texture(rows: usize, cols: usize) -> Array2<Complex32> {
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    };
    let mut object = Array2::zeros((rows, cols));
    for blob in 0..250 {
        let (y, x, width) = (next() * 128.0, next() * 128.0, 1.5 + 3.0 * next());
        let height = if blob % 2 == 0 { 0.35 } else { -0.35 };
        for ((r, c), v) in object.indexed_iter_mut() {
            let square = ((r as f32 - y).powi(2) + (c as f32 - x).powi(2)) / (width * width);
            if square < 20.0 {
                *v += Complex32::new(0.3 * height, height) * (-square / 2.0).exp();
            }
        }
    }
    // Real part: amplitude about 0.8. Imaginary part: phase.
    object.mapv(|v: Complex32| Complex32::from_polar((0.8 + v.re).clamp(0.3, 1.2), v.im))
}

/// A pair whose prediction is the truth plus noise of this size.
pub(in crate::stages) fn pair(noise: f32) -> Pair {
    let truth = texture(60, 72);
    let mut prediction = truth.clone();
    for ((r, c), v) in prediction.indexed_iter_mut() {
        *v += Complex32::new(((r * 31 + c * 17) % 13) as f32 - 6.0, ((r * 7 + c * 29) % 11) as f32 - 5.0)
            * noise;
    }
    Pair { prediction, truth, origin_yx: [10.0, 20.0], shift_yx: [0.1, -1.22], turn: 0.0 }
}

/// Its scores.
pub(in crate::stages) fn scores(pair: &Pair) -> Scores {
    Scores::new(pair, &evaluate(pair.truth.view(), pair.prediction.view(), Options::default()).unwrap())
}
