//! Inputs of a stage as written: slots filled from other stages' outputs or from files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::model::Reference;
use super::node::Node;
use super::template::Scope;
use crate::diag::Location;

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
pub(super) enum Source {
    Stage {
        /// `stage.output`.
        target: String,
        /// Axis of the producer → values, from `where`.
        filter: Vec<(String, Vec<Node>)>,
        at: Location,
    },
    File {
        path: String,
        at: Location,
    },
}

impl Input {
    /// The references at one point.
    pub(super) fn resolve(&self, scope: &Scope<'_>) -> Vec<Reference> {
        self.sources
            .iter()
            .map(|source| source.resolve(scope))
            .collect()
    }
}

impl Source {
    /// Where it is written.
    pub(super) fn at(&self) -> &Location {
        match self {
            Self::Stage { at, .. } | Self::File { at, .. } => at,
        }
    }

    /// The reference at one point.
    pub(super) fn resolve(&self, scope: &Scope<'_>) -> Reference {
        match self {
            Self::Stage { target, filter, at } => {
                let target = scope.text(target);
                let (stage, output) = target.split_once('.').unwrap_or((&target, ""));
                Reference::Stage {
                    stage: stage.to_owned(),
                    output: output.to_owned(),
                    filter: resolve_filter(filter, scope),
                    at: at.clone(),
                }
            }
            Self::File { path, at } => Reference::File {
                path: PathBuf::from(scope.text(path)),
                at: at.clone(),
            },
        }
    }
}

fn resolve_filter(
    filter: &[(String, Vec<Node>)],
    scope: &Scope<'_>,
) -> BTreeMap<String, Vec<String>> {
    let label = |value: &Node| {
        let value = scope.node(value);
        value.content.label().map(|label| label.into_owned())
    };
    filter
        .iter()
        .map(|(axis, values)| (axis.clone(), values.iter().filter_map(label).collect()))
        .collect()
}
