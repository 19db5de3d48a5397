//! What differs between two runs: what decided the tasks, what they read, and what came out.
//!
//! Two runs are compared by what their journals say was made or taken from the store, and by the records of
//! these fingerprints, which are in the store as long as nobody has cleaned it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::runs::RunPlace;
use super::scores::METRICS;
use super::{gather::GatherError, scores};
use crate::cache::{Fingerprint, Manifest, Shelf, changes};
use crate::events::{Event, Record, RunView, TaskPhase, read};
use crate::io::digest::Digest;
use crate::stages::metrics::Scores;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The study.
    pub study: String,
    /// The run.
    pub run: String,
    /// When it began, seconds since 1970-01-01 UTC.
    pub started: f64,
    /// Wall time, seconds; none if it did not end in order.
    pub seconds: Option<f64>,
    /// Version of phasegraph.
    pub version: String,
    /// Tasks that ran, and that were taken from the store.
    pub ran_and_cached: [usize; 2],
}

/// One field of what decides a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDifference {
    /// `params.epochs`; `inputs.data[0].digest` for the content of an input.
    pub field: String,
    /// In A; none if it is not there.
    pub a: Option<Value>,
    /// In B.
    pub b: Option<Value>,
}

/// A task of both runs whose results were decided differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskDifference {
    /// Its id.
    pub task: String,
    /// Parameters, seeds, versions, devices.
    pub fields: Vec<FieldDifference>,
    /// Input slots whose content differs.
    pub inputs: Vec<FieldDifference>,
    /// Outputs whose content differs.
    pub outputs: Vec<String>,
    /// Why no more can be told: a record is gone from the store.
    pub unknown: Option<String>,
}

/// A metric that came out differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricDifference {
    /// The task that scored.
    pub task: String,
    /// Id of the metric.
    pub metric: String,
    /// In A; none if it has no value there.
    pub a: Option<f64>,
    /// In B.
    pub b: Option<f64>,
    /// Whether B is better; none if that cannot be said.
    pub better: Option<bool>,
}

/// Everything that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// The first run.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Tasks that only A has results of.
    pub only_a: Vec<String>,
    /// Tasks that only B has results of.
    pub only_b: Vec<String>,
    /// Tasks of both that were decided by the very same.
    pub same: usize,
    /// Tasks of both that were not.
    pub tasks: Vec<TaskDifference>,
    /// Metrics that both have and that differ.
    pub metrics: Vec<MetricDifference>,
    /// Metrics that both have and that are equal.
    pub equal_metrics: usize,
}

/// A run and what it made.
struct Run {
    side: Side,
    shelf: Shelf,
    /// Task → fingerprint of its results.
    made: BTreeMap<String, Digest>,
}

impl Run {
    fn load(place: &RunPlace) -> Result<Self, GatherError> {
        let records = read(&place.layout.journal(&place.run))?;
        let view = RunView::of(&records);
        let side = Side {
            study: place.layout.study().to_owned(),
            run: place.run.clone(),
            started: view.started,
            seconds: view.seconds,
            version: version(&records),
            ran_and_cached: [view.count(TaskPhase::Succeeded), view.count(TaskPhase::Cached)],
        };
        let made = records.iter().filter_map(|record| match &record.event {
            Event::TaskCached { task, fingerprint } | Event::TaskSucceeded { task, fingerprint, .. } => {
                Some((task.clone(), *fingerprint))
            }
            _ => None,
        });
        Ok(Self { side, made: made.collect(), shelf: Shelf::at(place.layout.store()) })
    }

    fn record(&self, task: &str) -> Result<Option<Manifest>, GatherError> {
        match self.made.get(task) {
            Some(fingerprint) => Ok(self.shelf.manifest(fingerprint)?.ok()),
            None => Ok(None),
        }
    }

    /// The scores that a task of kind `metrics` left.
    fn scores(&self, record: &Manifest) -> Option<Vec<Option<f64>>> {
        let output = record.outputs.get("metrics").filter(|_| record.fingerprint.kind == "metrics")?;
        Scores::read(&self.shelf.object(&output.digest)).ok().map(|s| scores::values(&s))
    }
}

fn version(records: &[Record]) -> String {
    let version = |record: &Record| match &record.event {
        Event::RunStarted { version, .. } => Some(version.clone()),
        _ => None,
    };
    records.iter().find_map(version).unwrap_or_default()
}

/// Compares two runs, of one study or of two.
///
/// # Errors
/// If a journal or the store cannot be read.
pub fn contrast(a: &RunPlace, b: &RunPlace) -> Result<Contrast, GatherError> {
    let (a, b) = (Run::load(a)?, Run::load(b)?);
    let mut found = Contrast {
        a: a.side.clone(),
        b: b.side.clone(),
        only_a: a.made.keys().filter(|task| !b.made.contains_key(*task)).cloned().collect(),
        only_b: b.made.keys().filter(|task| !a.made.contains_key(*task)).cloned().collect(),
        same: 0,
        tasks: Vec::new(),
        metrics: Vec::new(),
        equal_metrics: 0,
    };
    for (task, fingerprint) in &a.made {
        let Some(other) = b.made.get(task) else { continue };
        let records = (a.record(task)?, b.record(task)?);
        if let (Some(old), Some(new)) = &records
            && let (Some(old), Some(new)) = (a.scores(old), b.scores(new))
        {
            metrics(task, &old, &new, &mut found);
        }
        if fingerprint == other {
            found.same += 1;
            continue;
        }
        found.tasks.push(match records {
            (Some(old), Some(new)) => difference(task, &old, &new),
            (old, new) => {
                let gone = [(old, "A"), (new, "B")].map(|(record, side)| record.is_none().then_some(side));
                let sides: Vec<&str> = gone.into_iter().flatten().collect();
                let unknown = format!("its record in {} is gone from the store", sides.join(" and in "));
                TaskDifference {
                    task: task.clone(),
                    fields: Vec::new(),
                    inputs: Vec::new(),
                    outputs: Vec::new(),
                    unknown: Some(unknown),
                }
            }
        });
    }
    Ok(found)
}

fn difference(task: &str, old: &Manifest, new: &Manifest) -> TaskDifference {
    let fields = |a: &Fingerprint<'_>, b: &Fingerprint<'_>| {
        let field = |change: crate::cache::Change| FieldDifference {
            field: change.field,
            a: change.old,
            b: change.new,
        };
        changes(a, b).into_iter().map(field).collect::<Vec<_>>()
    };
    let all = fields(&old.fingerprint, &new.fingerprint);
    let (inputs, fields) = all.into_iter().partition(|field| field.field.starts_with("inputs."));
    let names: BTreeSet<&String> = old.outputs.keys().chain(new.outputs.keys()).collect();
    let digest = |record: &Manifest, name: &str| record.outputs.get(name).map(|output| output.digest);
    let differs = |name: &&String| digest(old, name) != digest(new, name);
    let outputs = names.into_iter().filter(differs).cloned().collect();
    TaskDifference { task: task.to_owned(), fields, inputs, outputs, unknown: None }
}

fn metrics(task: &str, old: &[Option<f64>], new: &[Option<f64>], found: &mut Contrast) {
    for (metric, (a, b)) in METRICS.iter().zip(old.iter().zip(new)) {
        if a == b {
            found.equal_metrics += usize::from(a.is_some());
            continue;
        }
        let better = a.zip(*b).map(|(a, b)| if metric.less { b < a } else { b > a });
        let (task, metric) = (task.to_owned(), metric.id.to_owned());
        found.metrics.push(MetricDifference { task, metric, a: *a, b: *b, better });
    }
}
