//! Violations of a schema, told in the words of the study file and with its places.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Violation;
use jsonschema::paths::{Location as Path, LocationSegment};
use serde_json::Value;

use super::fields::{mismatch, near, one_of, with_hint};
use super::node::{Content, Key, Node, shorten};
use super::scalar::Wanted;
use super::shape::Shape;
use crate::diag::{Problem, Problems};

/// Tells the violations of one parameter tree.
pub(super) struct Wording<'a> {
    schema: &'a Value,
    tree: &'a Node,
    kind: &'a str,
    /// Known so far: with very many, nearest names are no longer looked for.
    problems: &'a Problems,
}

impl<'a> Wording<'a> {
    pub(super) fn new(schema: &'a Value, tree: &'a Node, kind: &'a str, problems: &'a Problems) -> Self {
        Self { schema, tree, kind, problems }
    }

    /// One problem per mistake.
    pub(super) fn tell(&self, errors: &[ValidationError<'_>]) -> Vec<Problem> {
        errors.iter().flat_map(|error| self.tell_one(error)).collect()
    }

    fn tell_one(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let Some(node) = self.find(error.instance_path()) else {
            return vec![Problem::at(self.tree.at.clone(), error.to_string())];
        };
        let name = self.name(error.instance_path());
        let shape = self.shape(error);
        let expected = || match (&node.content, shape) {
            (Content::Int(value), Some(shape)) => shape.describe(Some(*value as f64)),
            (Content::Float(value), Some(shape)) => shape.describe(Some(*value)),
            (_, Some(shape)) => shape.describe(None),
            (_, None) => "another value".into(),
        };
        match error.kind() {
            Violation::AdditionalProperties { unexpected } => {
                let known = shape.map(|shape| shape.properties()).unwrap_or_default();
                let unexpected = unexpected.iter();
                unexpected.map(|key| self.unknown(node, &name, key, &known)).collect()
            }
            // What a mapping that takes nothing says, once for all its keys.
            Violation::FalseSchema => match &node.content {
                Content::Map(entries) => {
                    entries.iter().map(|(key, _)| self.unknown(node, &name, &key.text, &[])).collect()
                }
                _ => vec![self.wrong(node, &name, "nothing")],
            },
            Violation::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                vec![self.missing(node, error.instance_path(), property, shape)]
            }
            Violation::OneOfNotValid { context } | Violation::AnyOf { context } => {
                self.choice(node, &name, shape, context, &expected())
            }
            Violation::MinItems { .. } | Violation::MaxItems { .. } => {
                let count = match &node.content {
                    Content::Seq(items) => items.len(),
                    _ => 0,
                };
                let message = format!("{name} is a list of {count}");
                vec![Problem::at(node.at.clone(), message).expected(expected())]
            }
            Violation::Type { .. }
            | Violation::Minimum { .. }
            | Violation::Maximum { .. }
            | Violation::ExclusiveMinimum { .. }
            | Violation::ExclusiveMaximum { .. } => vec![self.wrong(node, &name, &expected())],
            Violation::Constant { .. } | Violation::Enum { .. } => {
                let problem = self.wrong(node, &name, &expected());
                vec![self.suggest(problem, node, shape)]
            }
            _ => vec![Problem::at(node.at.clone(), format!("{name} does not fit: {error}"))],
        }
    }

    /// A value that fits none of several branches: those of a tagged enum, of a list of words, or
    /// the two of an `Option`.
    fn choice(
        &self,
        node: &Node,
        name: &str,
        shape: Option<Shape<'_>>,
        context: &[Vec<ValidationError<'static>>],
        expected: &str,
    ) -> Vec<Problem> {
        let Some(shape) = shape else {
            return vec![self.wrong(node, name, expected)];
        };
        if shape.texts().is_some() {
            let problem = self.wrong(node, name, expected);
            return vec![self.suggest(problem, node, Some(shape))];
        }
        let is_map = matches!(node.content, Content::Map(_));
        if let Some((tag, values)) = shape.tags().filter(|_| is_map) {
            let known: Vec<&str> = values.iter().copied().flatten().collect();
            let Some(chosen) = node.get(tag) else {
                let message = format!("{name} has no `{tag}`");
                return vec![Problem::at(node.at.clone(), message).expected(one_of(&known))];
            };
            let text = match &chosen.content {
                Content::Text(text) => text.as_str(),
                _ => "",
            };
            let branch = values.iter().position(|value| *value == Some(text));
            return match branch.and_then(|i| context.get(i)) {
                Some(errors) => self.tell(errors),
                None => {
                    let what = format!("`{tag}` of {name}");
                    let problem = mismatch(chosen, &what, &one_of(&known));
                    vec![near(problem, text, known, self.problems)]
                }
            };
        }
        let branches = shape.branches().unwrap_or_default();
        let real: Vec<usize> =
            (0..branches.len()).filter(|i| !branches[*i].is_some_and(|branch| branch.is_null())).collect();
        match real[..] {
            [only] if context.len() > only => self.tell(&context[only]),
            _ => vec![self.wrong(node, name, expected)],
        }
    }

    fn wrong(&self, node: &Node, name: &str, expected: &str) -> Problem {
        let problem = mismatch(node, name, expected);
        if expected.starts_with("`true`") {
            with_hint(problem, node, Wanted::Bool)
        } else if expected.starts_with("an integer") || expected.starts_with("a number") {
            with_hint(problem, node, Wanted::Number)
        } else if expected == "a text"
            && matches!(node.content, Content::Bool(_) | Content::Int(_) | Content::Float(_))
        {
            problem.hint("put it in quotes to make it a text")
        } else {
            problem
        }
    }

    fn suggest(&self, problem: Problem, node: &Node, shape: Option<Shape<'_>>) -> Problem {
        match (&node.content, shape.and_then(|shape| shape.texts())) {
            (Content::Text(text), Some(texts)) => near(problem, text, texts, self.problems),
            _ => problem,
        }
    }

    fn unknown(&self, node: &Node, name: &str, key: &str, known: &[&str]) -> Problem {
        let at = match &node.content {
            Content::Map(entries) => entries.iter().find(|(k, _)| k.text == key),
            _ => None,
        };
        let at = at.map_or(&node.at, |(Key { at, .. }, _)| at).clone();
        let problem = Problem::at(at, format!("unknown parameter `{}` in {name}", shorten(key)));
        match known {
            [] => problem.hint("it takes no parameters"),
            _ => near(problem.expected(one_of(known)), key, known.iter().copied(), self.problems),
        }
    }

    fn missing(&self, node: &Node, path: &Path, property: &str, shape: Option<Shape<'_>>) -> Problem {
        let message = match path.is_empty() {
            true => format!("kind `{}` needs the parameter `{property}`", self.kind),
            false => format!("{} has no `{property}`", self.name(path)),
        };
        let problem = Problem::at(node.at.clone(), message);
        match shape.and_then(|shape| shape.property(property)) {
            Some(shape) => problem.expected(format!("`{property}`: {}", shape.describe(None))),
            None => problem,
        }
    }

    /// The schema that was violated: the one that holds the keyword.
    fn shape(&self, error: &ValidationError<'_>) -> Option<Shape<'a>> {
        let (pointer, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
        Shape::at(self.schema, pointer)
    }

    fn find(&self, path: &Path) -> Option<&'a Node> {
        let mut node = self.tree;
        for segment in path.segments() {
            node = match (&node.content, segment) {
                (Content::Map(entries), LocationSegment::Property(name)) => {
                    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)?
                }
                (Content::Map(entries), LocationSegment::Index(i)) => {
                    let name = i.to_string();
                    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)?
                }
                (Content::Seq(items), LocationSegment::Index(i)) => items.get(i)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// What a value is called: `` `engine.depth` ``, `` `sizes[1]` ``.
    fn name(&self, path: &Path) -> String {
        let mut name = String::new();
        for segment in path.segments() {
            match segment {
                LocationSegment::Property(key) if name.is_empty() => name.push_str(&key),
                LocationSegment::Property(key) => name.extend([".", &key]),
                LocationSegment::Index(i) => name.push_str(&format!("[{i}]")),
            }
        }
        match name.as_str() {
            "" => format!("`params` of kind `{}`", self.kind),
            _ => format!("`{}`", shorten(&name)),
        }
    }
}
