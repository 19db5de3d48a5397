//! The study file as a tree in which every value knows its place.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::diag::Location;

/// A value and the place where it is written. For a value reached through an alias or a merge key
/// that is where its text stands, since that is the line to mend.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) at: Location,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Int(i128),
    /// Never an integral value below 2^53 in magnitude: see [`Content::number`].
    Float(f64),
    Text(String),
    Seq(Vec<Node>),
    /// In the order of the file; keys may repeat until `yaml::parse` has reported them.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: Location,
}

/// Below this magnitude every integral `f64` is one integer and no other (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Content {
    /// A number, with `1e3` and `1000.0` and `1000` as one and the same content, so that equal
    /// parameters have equal fingerprints.
    pub(super) fn number(value: f64) -> Self {
        if value.fract() == 0.0 && value.abs() < EXACT {
            // Exact by the test above; `-0.0` becomes 0.
            Self::Int(value as i128)
        } else {
            Self::Float(value)
        }
    }

    /// What to call it in a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(_) => format!("the number {}", self.label().unwrap_or_default()),
            Self::Text(text) if text.is_empty() => "an empty text".into(),
            Self::Text(text) => format!("the text `{}`", shorten(text)),
            Self::Seq(_) => "a list".into(),
            Self::Map(_) => "a mapping".into(),
        }
    }

    /// The canonical short text of a scalar: numbers in the shorter of plain and exponent form
    /// (plain on a tie), so that 1000 and 1e3 are both `1e3`. `None` for nothing, lists, mappings.
    pub(super) fn label(&self) -> Option<Cow<'_, str>> {
        let shorter = |plain: String, exponent: String| {
            if exponent.len() < plain.len() { exponent } else { plain }
        };
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Bool(value) => Some(Cow::Owned(value.to_string())),
            Self::Int(v) => Some(Cow::Owned(shorter(v.to_string(), format!("{v:e}")))),
            Self::Float(v) => Some(Cow::Owned(shorter(v.to_string(), format!("{v:e}")))),
            Self::Null | Self::Seq(_) | Self::Map(_) => None,
        }
    }
}

impl Node {
    /// An empty mapping at a place.
    pub(super) fn empty_map(at: Location) -> Self {
        Self { content: Content::Map(Vec::new()), at }
    }

    /// The value under a key, if this is a mapping that has it. Linear: for small mappings only.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Calls `change` on every place in the tree.
    pub(super) fn each_place(&mut self, change: &mut impl FnMut(&mut Location)) {
        change(&mut self.at);
        match &mut self.content {
            Content::Seq(items) => items.iter_mut().for_each(|item| item.each_place(change)),
            Content::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
                change(&mut key.at);
                value.each_place(change);
            }),
            _ => {}
        }
    }

    /// As JSON: keys sorted (`serde_json` without `preserve_order`), numbers normalised. A number
    /// that JSON cannot hold becomes `null`; `yaml::parse` has reported it before.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => u64::try_from(*value)
                .map(Value::from)
                .or_else(|_| i64::try_from(*value).map(Value::from))
                .unwrap_or(Value::Null),
            Content::Float(value) => Value::from(*value),
            Content::Text(text) => Value::String(text.clone()),
            Content::Seq(items) => items.iter().map(Node::to_json).collect(),
            Content::Map(entries) => {
                entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect()
            }
        }
    }

    /// Lays `over` on `self`: mappings merge key by key, anything else is replaced. Two mappings
    /// whose `kind` differs are different variants of a tagged choice, whose parameters have
    /// nothing to do with each other: the upper one then replaces the lower one whole.
    pub(super) fn merge(&mut self, over: &Node) {
        let another_variant = match (self.get("kind"), over.get("kind")) {
            (Some(lower), Some(upper)) => lower.content != upper.content,
            _ => false,
        };
        match (&mut self.content, &over.content) {
            (Content::Map(lower), Content::Map(upper)) if !another_variant => {
                let places: BTreeMap<String, usize> =
                    lower.iter().enumerate().map(|(i, (k, _))| (k.text.clone(), i)).collect();
                for (key, value) in upper {
                    match places.get(&key.text) {
                        Some(&place) => lower[place].1.merge(value),
                        None => lower.push((key.clone(), value.clone())),
                    }
                }
            }
            _ => *self = over.clone(),
        }
    }
}

/// A text fit for a message: the first 60 characters, on one line.
pub(super) fn shorten(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => c.to_string(),
    };
    let mut short: String = text.chars().take(60).map(escape).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_have_one_label_and_one_json() {
        for (value, label) in [
            (1000.0, "1e3"),
            (100.0, "100"),
            (0.3, "0.3"),
            (0.001, "1e-3"),
            (12000.0, "12000"),
            (-0.0, "0"),
            (1e20, "1e20"),
            (2.5e-7, "2.5e-7"),
            (1e4, "1e4"),
        ] {
            assert_eq!(Content::number(value).label().as_deref(), Some(label));
        }
        assert_eq!(Content::number(1e3), Content::Int(1000));
        assert_eq!(Content::Int(1000).label(), Content::number(1e3).label());
        // 2^53 is where neighbouring integers begin to share a double.
        assert_eq!(Content::number(EXACT), Content::Float(EXACT));
    }
}
