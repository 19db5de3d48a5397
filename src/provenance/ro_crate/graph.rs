//! A flat JSON-LD graph: entities that name each other by `@id`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// An entity being described.
#[derive(Debug, Clone)]
pub(super) struct Entity(Map<String, Value>);

impl Entity {
    /// Of one type or several.
    pub(super) fn new(id: impl Into<String>, types: &[&str]) -> Self {
        let mut map = Map::new();
        map.insert("@id".to_owned(), Value::String(id.into()));
        map.insert("@type".to_owned(), compact(types.iter().map(|t| json!(t)).collect()));
        Self(map)
    }

    /// With a plain value.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With a plain value, if there is one.
    pub(super) fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With references to other entities, each once; without any, the property is left out.
    pub(super) fn link<I: Into<String>>(self, name: &str, ids: impl IntoIterator<Item = I>) -> Self {
        let mut seen = BTreeSet::new();
        let ids = ids.into_iter().map(Into::into).filter(|id: &String| seen.insert(id.clone()));
        let ids: Vec<Value> = ids.map(|id| json!({"@id": id})).collect();
        if ids.is_empty() { self } else { self.with(name, compact(ids)) }
    }
}

/// RO-Crate 1.1 wants a single value to stand alone.
fn compact(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

/// All entities, in the order in which they were first described.
#[derive(Debug, Default)]
pub(super) struct Graph {
    entities: Vec<Value>,
    ids: BTreeSet<String>,
}

impl Graph {
    /// Adds an entity, unless there is one with its id.
    pub(super) fn add(&mut self, Entity(map): Entity) {
        let id = map.get("@id").and_then(Value::as_str).unwrap_or_default();
        if self.ids.insert(id.to_owned()) {
            self.entities.push(Value::Object(map));
        }
    }

    /// Adds all of another graph.
    pub(super) fn extend(&mut self, other: Self) {
        for entity in other.entities {
            if let Value::Object(map) = entity {
                self.add(Entity(map));
            }
        }
    }

    /// The metadata document.
    pub(super) fn document(self) -> Value {
        // The terms of https://w3id.org/ro/terms/workflow-run/context that are used here are spelled out, so
        // that a reader need fetch one document less.
        let term = |name: &str| format!("https://w3id.org/ro/terms/workflow-run#{name}");
        json!({
            "@context": [
                "https://w3id.org/ro/crate/1.1/context",
                {"environment": term("environment"), "resourceUsage": term("resourceUsage")},
            ],
            "@graph": self.entities,
        })
    }
}

/// A path in the crate as an `@id`: percent-encoded where a URI must be.
pub(super) fn id_of(path: &str) -> String {
    use std::fmt::Write;
    let mut id = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~=,@+!".contains(&byte) {
            id.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(id, "%{byte:02X}");
        }
    }
    id
}

/// A local identifier: `#` and what may stand in a fragment.
pub(super) fn local(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| id_of(part)).collect();
    format!("#{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_stand_alone_and_ids_are_uris() {
        let mut graph = Graph::default();
        graph.add(
            Entity::new("a b", &["File"]).link("hasPart", ["x", "x"]).link("about", Vec::<String>::new()),
        );
        graph.add(Entity::new("a b", &["Dataset"]));
        let document = graph.document();
        let entities = document["@graph"].as_array().unwrap();
        assert_eq!(entities, &[json!({"@id": "a b", "@type": "File", "hasPart": {"@id": "x"}})]);
        assert_eq!(
            id_of("results/s/dose=1e4,view=a b/ä#.txt"),
            "results/s/dose=1e4,view=a%20b/%C3%A4%23.txt"
        );
        assert_eq!(local(&["tool", "a b"]), "#tool/a%20b");
    }
}
