//! Running one stage in a test: temporary folders, one file a slot, reports kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::diag::StageResult;
use crate::stages::{Context, Device, Job, JobInput, Report, Stage};

/// What a stage left behind. Its folder lives as long as this.
#[derive(Debug)]
pub struct Run {
    folder: TempDir,
    outputs: BTreeMap<String, String>,
    reports: Vec<Report>,
}

/// Runs `stage` with the input files that `inputs` makes in a folder, as (slot, path).
pub fn run(
    stage: &dyn Stage,
    params: Value,
    seed: u64,
    inputs: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>,
) -> StageResult<Run> {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join("staging");
    std::fs::create_dir(&staging).unwrap();
    let mut slots: BTreeMap<String, Vec<JobInput>> = BTreeMap::new();
    for (slot, path) in inputs(folder.path()) {
        let origin = path.display().to_string();
        slots.entry(slot.to_owned()).or_default().push(JobInput { path, origin, point: BTreeMap::new() });
    }
    let kind = stage.kind();
    let outputs: BTreeMap<_, _> =
        kind.outputs.iter().map(|o| (o.name.to_owned(), o.file.to_owned())).collect();
    let job = Job {
        task: format!("test/{}", kind.name),
        kind: kind.name.to_owned(),
        point: BTreeMap::new(),
        params,
        seed,
        inputs: slots,
        outputs: outputs.clone(),
        staging,
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
    stage.run(&mut Context::new(&job, &mut |report| reports.push(report)))?;
    Ok(Run { folder, outputs, reports })
}

impl Run {
    /// Path of an output.
    pub fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("staging").join(&self.outputs[name])
    }

    /// The measured value of that name.
    pub fn measured(&self, wanted: &str) -> Value {
        self.reports
            .iter()
            .find_map(|report| match report {
                Report::Measure { name, value } if name == wanted => Some(value.clone()),
                _ => None,
            })
            .unwrap_or_else(|| panic!("`{wanted}` was not measured: {:?}", self.reports))
    }

    /// The warnings, in order.
    pub fn warnings<'a>(&'a self) -> Vec<&'a str> {
        let warning = |report: &'a Report| match report {
            Report::Warning { message } => Some(message.as_str()),
            _ => None,
        };
        self.reports.iter().filter_map(warning).collect()
    }
}
