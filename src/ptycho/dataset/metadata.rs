//! The metadata document: a JSON object in the reference's schema 1.0.0.

use serde_json::{Map, Value, json};

use super::Dataset;

/// Version of the metadata schema.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// A new document with the given physics and additional parameters and no transformations.
///
/// The reference's schema also has a `timestamp` and a `hostname`, in `creation_info` and in every
/// transformation. They are left out on purpose: two runs of the same study must give the same bytes, and
/// the journal records when and where each task ran.
pub fn new_metadata(physics_parameters: Value, additional_parameters: Value) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "creation_info": { "script": "phasegraph", "phasegraph_version": env!("CARGO_PKG_VERSION") },
        "physics_parameters": physics_parameters,
        "training_parameters": {},
        "data_transformations": [],
        "additional_parameters": additional_parameters,
    })
}

impl Dataset {
    /// Adds a transformation to the metadata. What is there stays: provenance only grows.
    ///
    /// `tool` and `operation` are the reference's names where it has one (`transpose_rename_convert`,
    /// `canonicalize`), because its downstream guards look for them.
    pub fn append_transformation(&mut self, tool: &str, operation: &str, parameters: Value) {
        if !self.metadata.is_object() {
            // Something else than a document was stored: kept, under a name of its own.
            let previous = self.metadata.take();
            let additional =
                if previous.is_null() { json!({}) } else { json!({ "previous_metadata": previous }) };
            self.metadata = new_metadata(json!({}), additional);
        }
        let entry = json!({ "tool": tool, "operation": operation, "parameters": parameters });
        if let Value::Object(document) = &mut self.metadata {
            match document.get_mut("data_transformations") {
                Some(Value::Array(list)) => list.push(entry),
                _ => replace_keeping(document, entry),
            }
        }
    }
}

/// Starts the list of transformations, keeping whatever else stood under its name as the first entry.
fn replace_keeping(document: &mut Map<String, Value>, entry: Value) {
    let list = match document.remove("data_transformations") {
        None | Some(Value::Null) => vec![entry],
        Some(other) => vec![other, entry],
    };
    document.insert("data_transformations".to_owned(), Value::Array(list));
}
