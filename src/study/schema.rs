//! The JSON Schema of the study file, for editors and other tools.
//!
//! It says what can be said about a file without following its references. Two rules of the format
//! make it more lenient than the parameter schemas it is made of: a placeholder may stand for any
//! scalar, and a parameter that a kind needs may come from an axis point instead of the stage.

use serde_json::{Map, Value, json};

use super::definitions;
use super::model::Phase;
use super::priority;
use crate::kind::{Arity, Catalog, Kind, Slot};

/// JSON Schema (2020-12) of the study file, with the parameters of every kind.
pub fn schema(catalog: &Catalog) -> Value {
    let mut definitions = definitions::shared();
    let mut cases = Vec::new();
    for kind in &catalog.0 {
        cases.push(case(kind));
        define_params(kind, &mut definitions);
    }
    definitions.insert("stage".into(), stage(catalog, cases));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "phasegraph study",
        "type": "object",
        "required": ["version", "study", "stages"],
        "additionalProperties": false,
        "patternProperties": { "^x-": { "description": "A place for anchors; passed over." } },
        "properties": {
            "version": { "const": 1, "description": "Version of this format." },
            "study": {
                "type": "string",
                "pattern": "^[a-z0-9][a-z0-9_-]*$",
                "description": "Name of the study; becomes a folder.",
            },
            "title": { "type": "string", "description": "One sentence about the study." },
            "seed": {
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": "Seed of every random draw.",
            },
            "retries": { "$ref": "#/$defs/retries" },
            "axes": {
                "type": "object",
                "description": "Axes of the study: name → points.",
                "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9_-]*$" },
                "additionalProperties": {
                    "type": "array",
                    "minItems": 1,
                    "items": { "anyOf": [
                        { "$ref": "#/$defs/scalar" },
                        { "$ref": "#/$defs/axis_point" },
                    ] },
                },
            },
            "exclude": {
                "type": "array",
                "items": { "$ref": "#/$defs/combination" },
                "description": "Combinations of axis values that are taken out.",
            },
            "include": {
                "type": "array",
                "items": { "$ref": "#/$defs/combination" },
                "description":
                    "Combinations that are added afterwards, also with values not on the axis; \
                     axes not named take all their values.",
            },
            "stages": {
                "type": "object",
                "minProperties": 1,
                "description": "Stages: id → stage.",
                "propertyNames": { "pattern": "^[a-z][a-z0-9_-]*$" },
                "additionalProperties": { "$ref": "#/$defs/stage" },
            },
        },
        "$defs": definitions,
    })
}

fn stage(catalog: &Catalog, cases: Vec<Value>) -> Value {
    let kinds: Vec<Value> =
        catalog.0.iter().map(|kind| json!({ "const": kind.name, "description": kind.summary })).collect();
    json!({
        "type": "object",
        "required": ["phase", "kind"],
        "additionalProperties": false,
        "properties": {
            "phase": { "enum": Phase::ALL.map(Phase::name) },
            "kind": { "oneOf": kinds },
            "over": {
                "type": "array",
                "items": { "type": "string" },
                "uniqueItems": true,
                "description": "Axes over which the stage fans out.",
            },
            "only": {
                "type": "object",
                "description": "Axis of `over` → the values for which the stage runs.",
                "additionalProperties": { "$ref": "#/$defs/values" },
            },
            "inputs": {
                "type": "object",
                "description": "Slot → what fills it.",
                "additionalProperties": { "$ref": "#/$defs/references" },
            },
            "params": { "type": "object" },
            "resources": { "$ref": "#/$defs/resources" },
            "retries": { "$ref": "#/$defs/retries" },
            "on_out_of_memory": { "$ref": "#/$defs/on_out_of_memory" },
            "priority": {
                "type": "integer",
                "minimum": priority::RANGE.start(),
                "maximum": priority::RANGE.end(),
                "default": 0,
                "description": "Of tasks that could start, those with the higher priority start first.",
            },
            "env": {
                "type": "array",
                "items": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "uniqueItems": true,
                "description": "Environment variables whose values enter the fingerprint.",
            },
            "outputs": {
                "type": "object",
                "description": "Output → file; only for kinds without outputs of their own.",
                "additionalProperties": { "type": "string" },
            },
        },
        "allOf": cases,
    })
}

/// What holds for stages of one kind.
fn case(kind: &Kind) -> Value {
    let mut properties = Map::new();
    properties.insert("params".into(), json!({ "$ref": pointer(kind, "params") }));
    let mut required = Vec::new();
    if kind.open {
        properties.insert("outputs".into(), json!({ "minProperties": 1 }));
        required.push("outputs");
    } else {
        let slot = |slot: &Slot| {
            let value = json!({ "$ref": "#/$defs/references", "description": slot.doc });
            (slot.name.to_owned(), value)
        };
        let slots: Map<String, Value> = kind.inputs.iter().map(slot).collect();
        let needed: Vec<&str> =
            kind.inputs.iter().filter(|slot| slot.arity != Arity::Optional).map(|slot| slot.name).collect();
        if !needed.is_empty() {
            required.push("inputs");
        }
        let inputs = json!({ "properties": slots, "additionalProperties": false, "required": needed });
        properties.insert("inputs".into(), inputs);
        properties.insert("outputs".into(), Value::Bool(false));
    }
    json!({
        "if": { "properties": { "kind": { "const": kind.name } }, "required": ["kind"] },
        "then": { "properties": properties, "required": required },
    })
}

fn pointer(kind: &Kind, name: &str) -> String {
    format!("#/$defs/{}.{name}", kind.name)
}

/// Adds a kind's parameter schema to the definitions, its own definitions beside it.
fn define_params(kind: &Kind, definitions: &mut Map<String, Value>) {
    let Value::Object(mut params) = (kind.params)().to_value() else {
        return;
    };
    let own = match params.remove("$defs") {
        Some(Value::Object(own)) => own,
        _ => Map::new(),
    };
    params.remove("$schema");
    params.remove("required");
    for (name, definition) in own.into_iter().chain([("params".into(), Value::Object(params))]) {
        let lenient = relax(definition, kind);
        definitions.insert(format!("{}.{name}", kind.name), lenient);
    }
}

/// Moves references to where the definitions now are, and lets a placeholder stand for a scalar.
fn relax(schema: Value, kind: &Kind) -> Value {
    let Value::Object(object) = schema else {
        return schema;
    };
    let relaxed = object.into_iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("$ref", Value::String(target)) => {
                let name = target.strip_prefix("#/$defs/").map(|name| pointer(kind, name));
                Value::String(name.unwrap_or(target))
            }
            ("properties", Value::Object(properties)) => properties
                .into_iter()
                .map(|(name, property)| (name, or_placeholder(relax(property, kind))))
                .collect(),
            ("items" | "additionalProperties", value) => or_placeholder(relax(value, kind)),
            ("prefixItems", Value::Array(items)) => {
                items.into_iter().map(|item| or_placeholder(relax(item, kind))).collect()
            }
            ("oneOf" | "anyOf" | "allOf", Value::Array(branches)) => {
                branches.into_iter().map(|branch| relax(branch, kind)).collect()
            }
            (_, value) => value,
        };
        (key, value)
    });
    Value::Object(relaxed.collect())
}

/// A value's schema, or a placeholder. Left alone: texts (which take placeholders as they are),
/// constants (the tags of tagged choices) and the boolean schemas.
fn or_placeholder(schema: Value) -> Value {
    let Value::Object(mut object) = schema else {
        return schema;
    };
    let plain = object.get("type").is_some_and(|t| t == "string") && !object.contains_key("enum");
    if object.contains_key("const") || plain {
        return Value::Object(object);
    }
    let mut outer = Map::new();
    for note in ["description", "default"] {
        if let Some(value) = object.remove(note) {
            outer.insert(note.into(), value);
        }
    }
    outer.insert("anyOf".into(), json!([object, { "$ref": "#/$defs/placeholder" }]));
    Value::Object(outer)
}
