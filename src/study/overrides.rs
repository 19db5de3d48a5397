//! `--set` on the command line: axis values, stage parameters, the seed.
//!
//! The arguments are read as the lines of a file named `--set`, so that a problem in one of them
//! points at it like any other problem.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::fields::one_of;
use super::node::{Content, Key, Node, shorten};
use super::yaml;
use crate::diag::{Location, Problem, Problems};

/// What the command line puts in place of the file's values.
#[derive(Default)]
pub(super) struct Overrides {
    pub(super) seed: Option<Node>,
    /// Axis → list of values.
    pub(super) axes: BTreeMap<String, Node>,
    /// Stage → parameters, laid on top of everything the file says.
    pub(super) params: BTreeMap<String, Node>,
}

/// The name that stands for the command line in places.
pub(super) const FILE: &str = "--set";

impl Overrides {
    /// Reads the arguments against the axes and stages of the file.
    pub(super) fn read(sets: &[String], root: &Node, problems: &mut Problems) -> Self {
        let mut overrides = Self::default();
        let file = Arc::new(PathBuf::from(FILE));
        for (i, text) in sets.iter().enumerate() {
            let argument = Argument { file: &file, line: i + 1, text };
            if let Err(problem) = overrides.take(&argument, root, problems) {
                problems.push(problem);
            }
        }
        overrides
    }

    fn take(&mut self, argument: &Argument<'_>, root: &Node, problems: &mut Problems) -> Result<(), Problem> {
        let Some((target, value)) = argument.text.split_once('=') else {
            return Err(argument
                .problem(0, "no `=` in it")
                .expected("`AXIS=VALUE,VALUE`, `STAGE.PARAMETER=VALUE` or `seed=NUMBER`"));
        };
        let start = target.len() + 1;
        let axes = keys(root.get("axes"));
        if let Some((stage, path)) = target.split_once('.') {
            let stages = keys(root.get("stages"));
            if !stages.contains(&stage) {
                let problem = argument.problem(0, format!("unknown stage `{}`", shorten(stage)));
                return Err(problem.expected(one_of(&stages)).did_you_mean(stage, stages));
            }
            let value = argument.value(start, value, problems).unwrap_or_else(|| argument.null());
            let node = argument.nest(stage.len() + 1, path, value)?;
            self.params.entry(stage.to_owned()).or_insert_with(|| argument.null()).merge(&node);
        } else if axes.contains(&target) {
            let listed = format!("[{value}]");
            // One column less: the bracket is ours.
            if let Some(values) = argument.value(start - 1, &listed, problems) {
                self.axes.insert(target.to_owned(), values);
            }
        } else if target == "seed" {
            self.seed = argument.value(start, value, problems);
        } else {
            let problem = argument.problem(0, format!("unknown axis `{}`", shorten(target)));
            let names: Vec<&str> = axes.into_iter().chain(["seed"]).collect();
            return Err(problem.expected(one_of(&names)).did_you_mean(target, names));
        }
        Ok(())
    }
}

fn keys(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.content) {
        Some(Content::Map(entries)) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// One argument.
struct Argument<'a> {
    file: &'a Arc<PathBuf>,
    line: usize,
    text: &'a str,
}

impl Argument<'_> {
    /// The place of the character at a byte offset.
    fn at(&self, offset: usize) -> Location {
        let column = self.text.get(..offset).map_or(0, |before| before.chars().count()) + 1;
        Location { file: Arc::clone(self.file), line: self.line, column }
    }

    fn problem(&self, offset: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.at(offset), message)
    }

    fn null(&self) -> Node {
        Node { content: Content::Null, at: self.at(0) }
    }

    /// Reads a value that starts at a byte offset of the argument.
    fn value(&self, offset: usize, text: &str, problems: &mut Problems) -> Option<Node> {
        // Places are relative to the value until they are moved to where it stands.
        let mut found = Problems::default();
        let mut node = match text.trim() {
            "" => Some(self.null()),
            _ => yaml::parse(self.file, text, &mut found),
        };
        let base = self.at(offset).column - 1;
        let shift = |at: &mut Location| {
            if at.line == 1 {
                at.column += base;
            }
            at.line = self.line;
        };
        if let Some(node) = &mut node {
            node.each_place(&mut |at| shift(at));
        }
        for mut problem in found.0 {
            problem.at.iter_mut().for_each(shift);
            problems.push(problem);
        }
        node
    }

    /// `a.b` = value → `{a: {b: value}}`.
    fn nest(&self, offset: usize, path: &str, value: Node) -> Result<Node, Problem> {
        let mut node = value;
        let mut end = path.len();
        for name in path.rsplit('.') {
            let at = self.at(offset + end - name.len());
            if name.is_empty() {
                return Err(Problem::at(at, "a parameter name is missing"));
            }
            end = (end - name.len()).saturating_sub(1);
            let key = Key { text: name.to_owned(), at: at.clone() };
            node = Node { content: Content::Map(vec![(key, node)]), at };
        }
        Ok(node)
    }
}
