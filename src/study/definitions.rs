//! Definitions of the JSON Schema that hold for every kind.

use serde_json::{Map, Value, json};

use super::rescue;
use super::retries::{FACTOR, MOST_FACTOR, MOST_TIMES, RETRIABLE, describe};
use crate::diag::FailureClass;

/// Scalars, references, resources, … by name.
pub(super) fn shared() -> Map<String, Value> {
    let definitions = json!({
        "scalar": { "type": ["number", "string", "boolean"] },
        "values": { "anyOf": [
            { "$ref": "#/$defs/scalar" },
            { "type": "array", "items": { "$ref": "#/$defs/scalar" } },
        ] },
        "combination": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "$ref": "#/$defs/values" },
        },
        "axis_point": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": false,
            "properties": {
                "value": { "$ref": "#/$defs/scalar" },
                "params": {
                    "type": "object",
                    "description": "Stage → parameters, laid over the stage's own.",
                    "additionalProperties": { "type": "object" },
                },
            },
        },
        "placeholder": {
            "type": "string",
            "pattern": "^\\{(seed|axis\\.[A-Za-z][A-Za-z0-9_-]*)\\}$",
            "description": "`{axis.NAME}` or `{seed}`: the value at the stage's point.",
        },
        "reference": { "anyOf": [
            { "type": "string", "description": "`STAGE.OUTPUT`" },
            {
                "type": "object",
                "required": ["from"],
                "additionalProperties": false,
                "properties": {
                    "from": { "type": "string", "description": "`STAGE.OUTPUT`" },
                    "where": {
                        "type": "object",
                        "description": "Axis of the producer → the values wanted.",
                        "additionalProperties": { "$ref": "#/$defs/values" },
                    },
                },
            },
            {
                "type": "object",
                "required": ["file"],
                "additionalProperties": false,
                "properties": {
                    "file": {
                        "type": "string",
                        "description": "A file, relative to the study file's folder.",
                    },
                },
            },
        ] },
        "references": { "anyOf": [
            { "$ref": "#/$defs/reference" },
            { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/reference" } },
        ] },
        "size": {
            "type": "string",
            "pattern": "^[0-9.]+ ?(B|[kKMGT]B|[KMGT]iB)$",
            "examples": ["512MiB", "2GiB", "6GB"],
        },
        "resources": {
            "type": "object",
            "additionalProperties": false,
            "description": "What one task of the stage needs.",
            "properties": {
                "cores": { "type": "integer", "minimum": 1, "maximum": 65536, "default": 1 },
                "memory": { "$ref": "#/$defs/size", "description": "Promised to the task, and its limit." },
                "device": { "enum": ["cpu", "cuda"], "default": "cpu" },
                "gpus": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 65536,
                    "description": "How many GPUs one task gets, all different; more than one for programs only.",
                },
                "gpu_memory": {
                    "$ref": "#/$defs/size",
                    "description": "Memory of each GPU that the task needs: others may use the rest. Without it, a GPU is the task's alone.",
                },
                "time": { "$ref": "#/$defs/time", "description": "Time limit." },
            },
        },
        "time": {
            "type": "string",
            "pattern": "^[0-9.]+ ?(ms|s|min|h|d)$",
            "examples": ["90s", "10min", "2h"],
        },
        "retry": { "anyOf": [
            {
                "type": "integer",
                "minimum": 0,
                "maximum": MOST_TIMES,
                "description": "How often to try again, at once.",
            },
            {
                "type": "object",
                "required": ["times"],
                "additionalProperties": false,
                "dependentRequired": { "factor": ["wait"], "longest": ["wait"] },
                "properties": {
                    "times": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": MOST_TIMES,
                        "description": "How often to try again.",
                    },
                    "wait": {
                        "$ref": "#/$defs/time",
                        "description": "Before the first time; without it, at once.",
                    },
                    "factor": {
                        "type": "number",
                        "minimum": 1,
                        "maximum": MOST_FACTOR,
                        "default": FACTOR,
                        "description": "Every further wait is so many times the one before.",
                    },
                    "longest": {
                        "$ref": "#/$defs/time",
                        "default": "1h",
                        "description": "No wait is longer.",
                    },
                },
            },
        ] },
        "on_out_of_memory": { "description": "What is tried when memory runs out.", "anyOf": [
            { "const": "fail", "description": "Nothing." },
            {
                "type": "object",
                "properties": {
                    "floor": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": rescue::MOST_FLOOR,
                        "default": 1,
                        "description": "It is not halved below this.",
                    },
                    "device": {
                        "const": "cpu",
                        "description": "A task that computes on a GPU moves there when nothing else is left.",
                    },
                    "memory": {
                        "type": "object",
                        "additionalProperties": false,
                        "description": "How the memory limit grows when nothing is left to halve.",
                        "properties": {
                            "factor": {
                                "type": "number",
                                "exclusiveMinimum": 1,
                                "maximum": rescue::MOST_FACTOR,
                                "default": rescue::FACTOR,
                                "description": "So many times the last limit.",
                            },
                            "most": {
                                "$ref": "#/$defs/size",
                                "description": "It does not grow beyond this.",
                            },
                        },
                    },
                },
                "additionalProperties": {
                    "enum": ["halve", "keep"],
                    "description": "`chunk`, or a tuning value of a command.",
                },
            },
        ] },
        "retries": {
            "type": "object",
            "additionalProperties": false,
            "description": "Class of failure → how often to try again; others fail at once.",
            "properties": retries(),
        },
    });
    match definitions {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn retries() -> Map<String, Value> {
    let property = |class: FailureClass| {
        let property = json!({ "$ref": "#/$defs/retry", "description": describe(class) });
        (class.name().to_owned(), property)
    };
    RETRIABLE.into_iter().map(property).collect()
}
