//! Inputs of a stage as written: slots filled from other stages' outputs or from files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::fields::{Fields, mapping, mismatch, one_or_more, text};
use super::model::Reference;
use super::node::{Content, Key, Node, shorten};
use super::template::{Piece, Scope, axes_in, axes_in_tree, pieces};
use crate::diag::{Location, Problem, Problems};

/// A slot and what fills it.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) slot: String,
    /// Where the slot is named.
    pub(super) at: Location,
    pub(super) sources: Vec<Source>,
}

/// One reference, with placeholders still in it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) at: Location,
    pub(super) from: Origin,
}

/// Where a reference leads.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Stage {
        /// `stage.output`.
        target: String,
        /// Axis of the producer → values, from `where`.
        filter: Vec<(Key, Node)>,
    },
    File {
        path: String,
    },
}

impl Input {
    /// Reads `inputs` of a stage.
    pub(super) fn read_all(node: &Node, stage: &str, problems: &mut Problems) -> Vec<Self> {
        let what = format!("`inputs` of stage `{stage}`");
        let entries = mapping(node, &what, problems).unwrap_or_default();
        entries.iter().map(|(slot, node)| Self::read(slot, node, problems)).collect()
    }

    fn read(slot: &Key, node: &Node, problems: &mut Problems) -> Self {
        let items = one_or_more(node);
        if items.is_empty() {
            let message = format!("slot `{}` has an empty list", shorten(&slot.text));
            problems.push(Problem::at(node.at.clone(), message).expected(EXPECTED));
        }
        let sources = items.iter().filter_map(|item| Source::read(item, problems)).collect();
        Self { slot: slot.text.clone(), at: slot.at.clone(), sources }
    }
}

const EXPECTED: &str = "`STAGE.OUTPUT`, `{from: STAGE.OUTPUT, where: {AXIS: VALUE}}` or `{file: PATH}`";

impl Source {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let from = match &node.content {
            Content::Text(target) => {
                Origin::Stage { target: checked(node, target, problems)?, filter: Vec::new() }
            }
            Content::Map(_) => {
                let keys = ["from", "where", "file"];
                let fields = Fields::read(node, "a reference", &keys, problems)?;
                match (fields.get("from"), fields.get("file"), fields.get("where")) {
                    (Some(from), None, filter) => {
                        let target = checked(from, text(from, "`from`", problems)?, problems)?;
                        let filter = filter.and_then(|node| mapping(node, "`where`", problems));
                        Origin::Stage { target, filter: filter.unwrap_or_default().to_vec() }
                    }
                    (None, Some(file), None) => {
                        Origin::File { path: text(file, "`file`", problems)?.to_owned() }
                    }
                    _ => {
                        let message = "a reference has either `from`, with or without `where`, \
                                       or `file`";
                        let problem = Problem::at(node.at.clone(), message);
                        problems.push(problem.expected(EXPECTED));
                        return None;
                    }
                }
            }
            _ => {
                problems.push(mismatch(node, "a reference", EXPECTED));
                return None;
            }
        };
        Some(Self { at: node.at.clone(), from })
    }

    /// The axes named by its placeholders, each as often as it is named.
    pub(super) fn axes(&self) -> Vec<&str> {
        match &self.from {
            Origin::File { path } => axes_in(path).collect(),
            Origin::Stage { target, filter } => {
                let mut axes: Vec<&str> = axes_in(target).collect();
                filter.iter().for_each(|(_, node)| axes_in_tree(node, &mut axes));
                axes
            }
        }
    }

    /// The reference at one point.
    pub(super) fn resolve(&self, scope: &Scope<'_>) -> Reference {
        match &self.from {
            Origin::Stage { target, filter } => {
                let target = scope.text(target);
                let (stage, output) = target.split_once('.').unwrap_or((&target, ""));
                Reference::Stage {
                    stage: stage.to_owned(),
                    output: output.to_owned(),
                    filter: resolve_filter(filter, scope),
                }
            }
            Origin::File { path } => Reference::File { path: PathBuf::from(scope.text(path)) },
        }
    }
}

/// A target of the form `stage.output`: two names, so one dot outside placeholders.
fn checked(node: &Node, target: &str, problems: &mut Problems) -> Option<String> {
    let dots = |piece: &Piece<'_>| match piece {
        Piece::Literal(literal) => literal.matches('.').count(),
        Piece::Axis(_) | Piece::Seed => 0,
    };
    let dots: usize = pieces(target).iter().map(dots).sum();
    if dots == 1 && !target.starts_with('.') && !target.ends_with('.') {
        return Some(target.to_owned());
    }
    let problem = mismatch(node, "a reference", EXPECTED);
    problems.push(match dots {
        0 => problem.hint("name the output as well"),
        _ => problem.hint("a file is written `{file: PATH}`"),
    });
    None
}

fn resolve_filter(filter: &[(Key, Node)], scope: &Scope<'_>) -> BTreeMap<String, Vec<String>> {
    let labels = |node: &Node| -> Vec<String> {
        let mut node = node.clone();
        scope.fill(&mut node);
        let labels = one_or_more(&node).iter().filter_map(|value| value.content.label());
        labels.map(|label| label.into_owned()).collect()
    };
    filter.iter().map(|(axis, node)| (axis.text.clone(), labels(node))).collect()
}
