//! Stage kinds as the tools that tasks were done with, and their slots and parameters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::lineage::TaskNode;
use super::graph::{Entity, Graph, id_of, local};
use super::root::README;
use crate::kind::Catalog;

/// A tool: a stage kind as one version of phasegraph has it.
#[derive(Debug)]
struct Tool {
    kind: String,
    version: String,
    engine: String,
    runtime: Option<String>,
}

/// A formal parameter.
#[derive(Debug)]
struct Parameter {
    name: String,
    /// `File`, or the types that its values had.
    types: BTreeSet<&'static str>,
    is_output: bool,
}

/// All tools that were met, with what was put into them.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    catalog: &'a Catalog,
    tools: BTreeMap<String, Tool>,
    /// Tool → id → parameter.
    parameters: BTreeMap<String, BTreeMap<String, Parameter>>,
}

impl<'a> Tools<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, tools: BTreeMap::new(), parameters: BTreeMap::new() }
    }

    /// The tool of a task.
    pub(super) fn of(&mut self, task: &TaskNode) -> String {
        let print = &task.record.fingerprint;
        let (kind, version) = (print.kind.to_string(), print.kind_version.to_string());
        let engine = task.record.phasegraph.clone();
        let runtime = print.runtime.as_ref().map(ToString::to_string);
        let mut parts = vec!["tool", kind.as_str(), version.as_str(), engine.as_str()];
        parts.extend(runtime.as_deref());
        let id = local(&parts);
        self.tools.entry(id.clone()).or_insert_with(|| Tool { kind, version, engine, runtime });
        id
    }

    /// The slot or output of a tool that a file belongs to.
    pub(super) fn file(&mut self, tool: &str, way: &str, name: &str) -> String {
        self.parameter(tool, way, name, "File")
    }

    /// The parameter of a tool that a value belongs to.
    pub(super) fn value(&mut self, tool: &str, name: &str, value: &Value) -> String {
        let kind = match value {
            Value::Bool(_) => "Boolean",
            Value::Number(n) if n.is_f64() => "Float",
            Value::Number(_) => "Integer",
            Value::String(_) => "Text",
            Value::Null | Value::Array(_) | Value::Object(_) => "PropertyValue",
        };
        self.parameter(tool, "parameter", name, kind)
    }

    fn parameter(&mut self, tool: &str, way: &str, name: &str, kind: &'static str) -> String {
        let id = format!("{tool}/{way}/{}", id_of(name));
        let parameters = self.parameters.entry(tool.to_owned()).or_default();
        let entry = parameters.entry(id.clone()).or_insert_with(|| Parameter {
            name: name.to_owned(),
            types: BTreeSet::new(),
            is_output: way == "output",
        });
        entry.types.insert(kind);
        id
    }

    /// Ids of all tools.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Versions of phasegraph that had a part.
    pub(super) fn engines(&self) -> BTreeSet<String> {
        self.tools.values().map(|tool| engine(&tool.engine)).collect()
    }

    /// Names of all kinds, with what they do.
    pub(super) fn kinds(&self) -> BTreeMap<&str, &'static str> {
        let summary = |kind: &str| self.catalog.get(kind).map_or("no longer known", |k| k.summary);
        self.tools.values().map(|tool| (tool.kind.as_str(), summary(&tool.kind))).collect()
    }

    /// Describes tools, their parameters, the engines and ONNX Runtime.
    pub(super) fn describe(&self, graph: &mut Graph) {
        for (id, tool) in &self.tools {
            let parameters = self.parameters.get(id);
            let of = |is_output: bool| {
                let all = parameters.into_iter().flatten();
                all.filter(move |(_, p)| p.is_output == is_output).map(|(id, _)| id.as_str())
            };
            let summary = self.catalog.get(&tool.kind).map(|kind| kind.summary);
            let runtime = tool.runtime.as_deref().map(runtime_id);
            graph.add(
                Entity::new(&**id, &["SoftwareApplication"])
                    .with("name", format!("phasegraph {}", tool.kind))
                    .maybe("description", summary)
                    .with("softwareVersion", format!("{}+{}.{}", tool.engine, tool.kind, tool.version))
                    .with("url", format!("{}#{}", id_of(README), id_of(&tool.kind)))
                    .link("input", of(false))
                    .link("output", of(true))
                    .link("softwareRequirements", runtime),
            );
            for (id, parameter) in parameters.into_iter().flatten() {
                // A parameter that was now a number and now a text has no type but that of any value.
                let mut types = parameter.types.iter();
                let kind = match (types.next(), types.next()) {
                    (Some(only), None) => only,
                    _ => "PropertyValue",
                };
                let entity = Entity::new(&**id, &["FormalParameter"]).with("name", parameter.name.as_str());
                graph.add(entity.with("additionalType", kind));
            }
            describe_engine(graph, &tool.engine);
            if let Some(runtime) = &tool.runtime {
                let (name, version) = runtime.rsplit_once(' ').unwrap_or((runtime, "unknown"));
                graph.add(
                    Entity::new(runtime_id(runtime), &["SoftwareApplication"])
                        .with("name", name)
                        .with("softwareVersion", version)
                        .with("url", "https://onnxruntime.ai/"),
                );
            }
        }
    }
}

/// Id of a version of phasegraph.
pub(super) fn engine(version: &str) -> String {
    local(&["phasegraph", version])
}

/// Describes a version of phasegraph.
pub(super) fn describe_engine(graph: &mut Graph, version: &str) {
    graph.add(
        Entity::new(engine(version), &["SoftwareApplication"])
            .with("name", "phasegraph")
            .with("description", "runs studies as graphs of cached tasks")
            .with("softwareVersion", version)
            .with("url", id_of(README)),
    );
}

fn runtime_id(runtime: &str) -> String {
    local(&["runtime", runtime])
}
