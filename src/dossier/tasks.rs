//! The tasks, and how their results came to be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::model::{StageFacts, TaskFacts, TaskState};
use super::past::Past;
use super::records::Records;
use crate::cache::Manifest;
use crate::events::TaskPhase;
use crate::plan::{Plan, Source, Task};

/// At most so many outdated fields are named for a task.
const FIELDS: usize = 4;

/// All tasks, in the order of the plan.
pub(super) fn tasks(records: &Records<'_>, past: &Past<'_>, study: &str) -> Vec<TaskFacts> {
    let one = |(index, task): (usize, &Task)| {
        let view = past.view.tasks.get(&*task.id);
        let record = records.of(index);
        let state = match view.map(|view| view.phase) {
            Some(TaskPhase::Succeeded) => TaskState::Succeeded,
            Some(TaskPhase::Cached) => TaskState::Cached,
            Some(TaskPhase::Failed) => TaskState::Failed,
            Some(TaskPhase::Blocked) => TaskState::Blocked,
            Some(TaskPhase::Cancelled) => TaskState::Cancelled,
            Some(TaskPhase::Running | TaskPhase::Delayed) => TaskState::Unfinished,
            None if record.is_some() => TaskState::Earlier,
            None => TaskState::Never,
        };
        let told = matches!(state, TaskState::Failed | TaskState::Blocked | TaskState::Unfinished);
        TaskFacts {
            id: task.id.to_string(),
            stage: task.stage.to_string(),
            point: task.point.to_map(),
            state,
            seconds: record.map(|r| r.seconds).or_else(|| view.and_then(|view| view.seconds)),
            peak_memory: record.and_then(|r| r.peak_memory),
            device: record.map(|r| r.device.clone()),
            attempt: record.map(|r| r.attempt),
            made_in: record.map(|r| r.run.clone()),
            made_by_study: record.map(|r| r.study.clone()).filter(|by| by != study),
            rescued: view.is_some_and(|view| view.rescued),
            message: view.filter(|_| told).and_then(|view| view.message.clone()),
            measured: record.map(|r| r.measured.clone()).unwrap_or_default(),
            outdated: record.map(|record| outdated(task, record)).unwrap_or_default(),
        }
    };
    records.plan.tasks.iter().enumerate().map(one).collect()
}

/// In what a task's record differs from what the study file says now.
fn outdated(task: &Task, record: &Manifest) -> Vec<String> {
    let made = &record.fingerprint;
    let mut fields = Vec::new();
    if made.kind != *task.kind || made.kind_version != task.kind_version {
        fields.push(format!(
            "kind: made by {} {}, now {} {}",
            made.kind, made.kind_version, task.kind, task.kind_version
        ));
    }
    if made.seed != task.seed {
        let text = |seed: Option<u64>| seed.map_or("none".to_owned(), |s| s.to_string());
        fields.push(format!("seed: made with {}, now {}", text(made.seed), text(task.seed)));
    }
    differences("", &made.params, &task.params, &mut fields);
    if fields.len() > FIELDS {
        let more = fields.len() - FIELDS;
        fields.truncate(FIELDS);
        fields.push(format!("and {more} more"));
    }
    fields
}

fn differences(path: &str, made: &Value, now: &Value, fields: &mut Vec<String>) {
    match (made, now) {
        (a, b) if a == b => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let (made, now) = (a.get(key), b.get(key));
                differences(&path, made.unwrap_or(&Value::Null), now.unwrap_or(&Value::Null), fields);
            }
        }
        (a, b) => fields.push(format!("{path}: made with {a}, now {b}")),
    }
}

/// The stages in the order in which the plan first comes to them.
pub(super) fn stages(plan: &Plan, order: &[String]) -> Vec<StageFacts> {
    let mut found: BTreeMap<&str, StageFacts> = BTreeMap::new();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for task in &plan.tasks {
        let of_stage = needs.entry(&task.stage).or_default();
        of_stage.extend(task.inputs.sources().filter_map(|source| match source {
            Source::Task { task, .. } => Some(&*plan.tasks[*task].stage),
            Source::File { .. } => None,
        }));
        found.entry(&task.stage).or_insert_with(|| StageFacts {
            id: task.stage.to_string(),
            phase: format!("{:?}", task.phase),
            kind: task.kind.to_string(),
            kind_version: task.kind_version,
            needs: Vec::new(),
        });
    }
    for (stage, facts) in &mut found {
        let of_stage = needs.get(stage);
        let needed = order.iter().filter(|id| of_stage.is_some_and(|of| of.contains(id.as_str())));
        facts.needs = needed.cloned().collect();
    }
    order.iter().filter_map(|id| found.remove(id.as_str())).collect()
}
