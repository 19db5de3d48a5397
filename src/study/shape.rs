//! Reading JSON Schemas as schemars writes them: what values a schema wants, in words.

use serde_json::{Map, Value};

use super::fields::one_of;

/// A schema object and the document that its `$ref`s point into.
#[derive(Clone, Copy)]
pub(super) struct Shape<'s> {
    root: &'s Value,
    object: &'s Map<String, Value>,
}

impl<'s> Shape<'s> {
    /// The schema at a JSON pointer of a document, with `$ref`s followed. `None` for the boolean
    /// schemas, which say nothing about a value.
    pub(super) fn at(root: &'s Value, pointer: &str) -> Option<Self> {
        Self::of(root, root.pointer(pointer)?)
    }

    fn of(root: &'s Value, schema: &'s Value) -> Option<Self> {
        let mut schema = schema;
        // A chain of references in schemars' output is one or two long; a circle would be endless.
        for _ in 0..16 {
            let object = schema.as_object()?;
            let target = object.get("$ref").and_then(Value::as_str);
            match target.and_then(|target| root.pointer(target.strip_prefix('#')?)) {
                Some(target) => schema = target,
                None => return Some(Self { root, object }),
            }
        }
        None
    }

    fn get(&self, key: &str) -> Option<Self> {
        Self::of(self.root, self.object.get(key)?)
    }

    /// The properties it names.
    pub(super) fn properties(&self) -> Vec<&'s str> {
        let properties = self.object.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(|p| p.keys().map(String::as_str)).collect()
    }

    /// The schema of a property.
    pub(super) fn property(&self, name: &str) -> Option<Self> {
        Self::of(self.root, self.object.get("properties")?.get(name)?)
    }

    /// The branches of `oneOf` or `anyOf`.
    pub(super) fn branches(&self) -> Option<Vec<Option<Self>>> {
        let list = self.object.get("oneOf").or_else(|| self.object.get("anyOf"))?.as_array()?;
        Some(list.iter().map(|branch| Self::of(self.root, branch)).collect())
    }

    /// Whether it takes nothing but `null`: the empty half of an `Option`.
    pub(super) fn is_null(&self) -> bool {
        self.object.get("type").and_then(Value::as_str) == Some("null")
    }

    /// The texts it allows, if it is a closed list of texts.
    pub(super) fn texts(&self) -> Option<Vec<&'s str>> {
        if let Some(text) = self.object.get("const") {
            return Some(vec![text.as_str()?]);
        }
        if let Some(list) = self.object.get("enum") {
            return list.as_array()?.iter().map(Value::as_str).collect();
        }
        let branches = self.branches()?.into_iter().flatten().filter(|branch| !branch.is_null());
        let texts: Option<Vec<_>> = branches.map(|branch| branch.texts()).collect();
        texts.map(|texts| texts.concat()).filter(|texts| !texts.is_empty())
    }

    /// The property that tells the branches of a tagged enum apart, and its value in each branch
    /// (`None` for a branch that takes nothing).
    pub(super) fn tags(&self) -> Option<(&'s str, Vec<Option<&'s str>>)> {
        let branches = self.branches()?;
        let constant =
            |branch: &Self, name: &str| branch.property(name)?.object.get("const").and_then(Value::as_str);
        let first = branches.iter().flatten().find(|branch| !branch.is_null())?;
        let tag = first.properties().into_iter().find(|name| {
            branches.iter().all(|branch| {
                branch.is_some_and(|branch| branch.is_null() || constant(&branch, name).is_some())
            })
        })?;
        let value = |branch: &Option<Self>| branch.and_then(|branch| constant(&branch, tag));
        Some((tag, branches.iter().map(value).collect()))
    }

    /// What it wants, in words. `found` is the number at fault, if it is one: a bound that no one
    /// would come near is mentioned only when it is passed.
    pub(super) fn describe(&self, found: Option<f64>) -> String {
        if let Some(texts) = self.texts() {
            return one_of(&texts);
        }
        if let Some((tag, values)) = self.tags() {
            let values: Vec<&str> = values.into_iter().flatten().collect();
            return format!("a mapping whose `{tag}` is {}", one_of(&values));
        }
        if let Some(branches) = self.branches() {
            let branches = branches.into_iter().flatten().filter(|branch| !branch.is_null());
            let words: Vec<String> = branches.map(|branch| branch.describe(found)).collect();
            return words.join(", or ");
        }
        let types: Vec<&str> = match self.object.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let words: Vec<String> = types
            .into_iter()
            .filter(|name| *name != "null")
            .map(|name| match name {
                "integer" => format!("an integer{}", self.range(found)),
                "number" => format!("a number{}", self.range(found)),
                "boolean" => "`true` or `false`".to_owned(),
                "string" => "a text".to_owned(),
                "array" => self.describe_list(),
                _ => "a mapping".to_owned(),
            })
            .collect();
        if words.is_empty() { "another value".into() } else { words.join(", or ") }
    }

    fn describe_list(&self) -> String {
        let number = |key: &str| self.object.get(key).and_then(Value::as_u64);
        let items = self.get("items").map(|items| items.describe(None));
        let items = items.map_or(String::new(), |words| format!(", each {words}"));
        match (number("minItems"), number("maxItems")) {
            (Some(least), Some(most)) if least == most => format!("a list of {least}{items}"),
            (Some(least), Some(most)) => format!("a list of {least} to {most}{items}"),
            (Some(least), None) => format!("a list of at least {least}{items}"),
            (None, Some(most)) => format!("a list of at most {most}{items}"),
            (None, None) => format!("a list{items}"),
        }
    }

    fn range(&self, found: Option<f64>) -> String {
        let bound = |key: &str| self.object.get(key).filter(|value| value.is_number());
        let technical = |value: &Value| {
            let size = value.as_f64().unwrap_or(f64::NAN).abs();
            size >= f64::from(i32::MAX) && found.is_none_or(|found| found.abs() <= size)
        };
        let usual = |key: &str| bound(key).filter(|value| !technical(value));
        let above = bound("exclusiveMinimum").map(|value| format!(" above {}", plain(value)));
        let below = bound("exclusiveMaximum").map(|value| format!(" below {}", plain(value)));
        match (above, usual("minimum"), below, usual("maximum")) {
            (None, Some(least), None, Some(most)) => {
                format!(" from {} to {}", plain(least), plain(most))
            }
            (above, least, below, most) => {
                let least = above.or(least.map(|value| format!(" of at least {}", plain(value))));
                let most = below.or(most.map(|value| format!(" of at most {}", plain(value))));
                let ends: Vec<String> = least.into_iter().chain(most).collect();
                ends.join(" and")
            }
        }
    }
}

/// A number without the `.0` of whole floats.
fn plain(value: &Value) -> String {
    match value.as_f64() {
        Some(float) if value.is_f64() => float.to_string(),
        _ => value.to_string(),
    }
}

/// Bounds of Rust's integers that schemars names only by their format.
const FORMATS: &[(&str, Option<i64>, u64)] = &[
    ("int8", Some(-128), 127),
    ("int16", Some(-32_768), 32_767),
    ("int32", Some(-2_147_483_648), 2_147_483_647),
    ("int64", None, 9_223_372_036_854_775_807),
    ("int", None, 9_223_372_036_854_775_807),
    ("uint8", None, 255),
    ("uint16", None, 65_535),
    ("uint32", None, 4_294_967_295),
];

/// Adds to a schema the bounds that its integer formats imply, so that a value which the stage
/// could not hold is found here, with its place, and not when the stage starts.
pub(super) fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let format = object.get("format").and_then(Value::as_str);
            let bounds = FORMATS.iter().find(|(name, ..)| format == Some(name));
            if let Some((_, least, most)) = bounds {
                object.entry("maximum").or_insert((*most).into());
                if let Some(least) = least {
                    object.entry("minimum").or_insert((*least).into());
                }
            }
            object.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}
