//! Tasks as actions: what each read, wrote, and with which tool.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::lineage::{Lineage, TaskNode};
use super::files::Files;
use super::graph::{Entity, Graph, id_of, local};
use super::root::README;
use super::time;
use super::tools::Tools;
use crate::io::digest::Digest;

/// What describing the tasks has come to.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Actions of tasks, producers first.
    pub(super) actions: Vec<String>,
    /// Step → (actions, the tool).
    pub(super) steps: BTreeMap<String, (Vec<String>, String)>,
    /// Step → steps that it reads from.
    pub(super) after: BTreeMap<String, BTreeSet<String>>,
    /// From the first start to the last end, seconds since 1970.
    pub(super) span: Option<(f64, f64)>,
}

/// Describes every task. `agent` is who is answerable.
pub(super) fn describe(
    lineage: &Lineage,
    files: &mut Files,
    tools: &mut Tools,
    graph: &mut Graph,
    agent: &str,
) -> Told {
    let mut told = Told::default();
    let tasks: BTreeMap<usize, &TaskNode> = lineage.tasks().collect();
    let steps: BTreeMap<usize, String> = tasks.iter().map(|(n, task)| (*n, step(task, tools))).collect();
    for index in lineage.producers_first() {
        let Some(task) = tasks.get(&index) else { continue };
        let tool = tools.of(task);
        let step = &steps[&index];
        let action = action(index, task, &tool, files, tools, graph, agent);
        let entry = told.steps.entry(step.clone()).or_insert_with(|| (Vec::new(), tool.clone()));
        entry.0.push(action.clone());
        let before = task.inputs.values().flatten().filter_map(|edge| steps.get(&edge.node));
        told.after.entry(step.clone()).or_default().extend(before.cloned());
        told.actions.push(action);
        let (start, end) = (task.record.started, task.record.started + task.record.seconds);
        let (first, last) = told.span.unwrap_or((start, end));
        told.span = Some((first.min(start), last.max(end)));
    }
    told
}

/// A step of the workflow is a stage of a study, done with one tool.
fn step(task: &TaskNode, tools: &mut Tools) -> String {
    let stage = task.record.task.split('@').next().unwrap_or_default();
    let tool = tools.of(task);
    local(&["step", &task.record.study, stage, tool.trim_start_matches("#tool/")])
}

fn action(
    index: usize,
    task: &TaskNode,
    tool: &str,
    files: &mut Files,
    tools: &mut Tools,
    graph: &mut Graph,
    agent: &str,
) -> String {
    let record = &task.record;
    let id = local(&["task", &task.fingerprint.to_string()]);
    let mut read = Vec::new();
    for (slot, edges) in &task.inputs {
        for edge in edges {
            let file = files.read(edge.node, edge.output.as_deref(), &edge.digest);
            if files.is_there(&file) {
                let parameter = tools.file(tool, "input", slot);
                files.examples.entry(file.clone()).or_default().insert(parameter);
            }
            read.push(file);
        }
    }
    let print = &record.fingerprint;
    let mut settings: Vec<(String, Value)> = match print.params.as_ref() {
        Value::Object(all) => all.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        Value::Null => Vec::new(),
        other => vec![("params".to_owned(), other.clone())],
    };
    settings.extend(print.seed.map(|seed| ("seed".to_owned(), seed.into())));
    for (name, value) in &settings {
        let parameter = tools.value(tool, name, value);
        read.push(setting(graph, name, value, Some(parameter)));
    }
    let environment: Vec<String> = print
        .env
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        .map(|(name, value)| setting(graph, name, &Value::String(value.to_string()), None))
        .collect();
    let mut wrote = Vec::new();
    for name in task.outputs.keys() {
        let Some(file) = files.outputs.get(&(index, name.clone())).cloned() else { continue };
        if files.is_there(&file) {
            let parameter = tools.file(tool, "output", name);
            files.examples.entry(file.clone()).or_default().insert(parameter);
        }
        wrote.push(file);
    }
    wrote.extend(record.measured.iter().map(|(name, value)| setting(graph, name, value, None)));
    let usage = usage(graph, &id, task);
    let point = record.task.as_str();
    let description = format!(
        "task {point} of study {}, run {}, attempt {}, on {} ({}, threads {}); fingerprint {}",
        record.study,
        record.run,
        record.attempt,
        record.host,
        record.device,
        record.threads,
        task.fingerprint
    );
    graph.add(
        Entity::new(&*id, &["CreateAction"])
            .with("name", point)
            .with("description", description)
            .with("startTime", time(record.started))
            .with("endTime", time(record.started + record.seconds))
            .with("actionStatus", super::COMPLETED)
            .link("instrument", [tool])
            .link("agent", [agent])
            .link("object", read)
            .link("result", wrote)
            .link("environment", environment)
            .link("resourceUsage", usage),
    );
    if let Some(placed) = files.records.get(&index) {
        graph.add(placed.entity(&["File"]).link("about", [&*id]));
    }
    id
}

/// A named value. Equal ones are one entity, so that a study of many points stays readable.
fn setting(graph: &mut Graph, name: &str, value: &Value, parameter: Option<String>) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let key = format!("{}\n{text}", parameter.as_deref().unwrap_or_default());
    let id = local(&["value", name, &Digest::of(key.as_bytes()).short()]);
    let value = Entity::new(&*id, &["PropertyValue"]).with("name", name).with("value", text);
    graph.add(value.link("exampleOfWork", parameter));
    id
}

/// Wall time and peak memory.
fn usage(graph: &mut Graph, action: &str, task: &TaskNode) -> Vec<String> {
    let wall = ("wall-time", Some(task.record.seconds.to_string()), "SEC");
    let peak = ("peak-memory", task.record.peak_memory.map(|bytes| bytes.to_string()), "BYTE");
    let mut ids = Vec::new();
    for (name, value, unit) in [wall, peak] {
        let Some(value) = value else { continue };
        let id = format!("{action}/{name}");
        graph.add(
            Entity::new(&*id, &["PropertyValue"])
                .with("name", name)
                .with("propertyID", format!("{}#{name}", id_of(README)))
                .with("unitCode", format!("https://qudt.org/vocab/unit/{unit}"))
                .with("value", value),
        );
        ids.push(id);
    }
    ids
}
