//! From a task of the plan to the job of a worker.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::rescuing::declared;
use crate::cache::Layout;
use crate::plan::{Plan, Source, Task};
use crate::stages::{Device, Job, JobInput};

/// What the dispatcher decided about where a task runs.
pub(super) struct Place {
    pub(super) device: Device,
    /// Ids of the GPUs that were leased.
    pub(super) gpus: Vec<String>,
    pub(super) threads: usize,
    pub(super) runtime: Option<PathBuf>,
    pub(super) staging: PathBuf,
    pub(super) log: PathBuf,
    /// At most so many units at a time.
    pub(super) chunk: Option<u64>,
    /// Memory limit, bytes.
    pub(super) memory: Option<u64>,
    /// What tasks of the kind have learnt.
    pub(super) facts: BTreeMap<String, Value>,
}

/// The job of a task whose producers are all done.
pub(super) fn job(plan: &Plan, index: usize, layout: &Layout, place: Place) -> Job {
    let task = &plan.tasks[index];
    let results = layout.results();
    let input = |source: &Source| match source {
        Source::File { path } => JobInput {
            path: plan.base.join(path),
            origin: path.display().to_string(),
            point: BTreeMap::new(),
        },
        Source::Task { task, output } => {
            let producer = &plan.tasks[*task];
            let file = producer.outputs.get(&**output).map_or("", String::as_str);
            JobInput {
                path: results.join(&producer.folder).join(file),
                origin: producer.id.to_string(),
                point: producer.point.to_map(),
            }
        }
    };
    let inputs = task.inputs.iter().map(|(slot, all)| (slot.to_owned(), all.iter().map(input).collect()));
    Job {
        task: task.id.to_string(),
        kind: task.kind.to_string(),
        point: task.point.to_map(),
        params: tuned(merged(&task.params, &task.tuning), task, place.chunk),
        seed: task.seed.unwrap_or_default(),
        inputs: inputs.collect(),
        outputs: (*task.outputs).clone(),
        staging: place.staging,
        threads: place.threads,
        device: place.device,
        gpus: place.gpus,
        memory: place.memory,
        timeout_s: task.resources.time_s,
        gpu_memory: task.resources.gpu_memory,
        chunk: place.chunk,
        facts: place.facts,
        runtime: place.runtime,
        log: Some(place.log),
    }
}

/// A program knows of no chunks: it is given a smaller tuning value instead.
fn tuned(mut params: Value, task: &Task, chunk: Option<u64>) -> Value {
    if let (Some((name, _)), Some(chunk)) = (declared(task), chunk)
        && let Some(value) = params.get_mut("tuning").and_then(|tuning| tuning.get_mut(name))
    {
        *value = chunk.into();
    }
    params
}

/// Parameters and tuning together: the stage sees one object.
pub(super) fn merged(params: &Value, tuning: &Value) -> Value {
    match (params, tuning) {
        (Value::Object(params), Value::Object(tuning)) => {
            let mut all = params.clone();
            all.extend(tuning.clone());
            Value::Object(all)
        }
        (params, _) => params.clone(),
    }
}
