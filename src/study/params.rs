//! Parameters of a stage: its own, those that axis points lay on top, those of the command line,
//! with placeholders.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::node::Node;
use super::template::{Scope, axes_in_tree};

/// Parameters as written.
#[derive(Debug, Clone)]
pub(super) struct Params {
    /// The stage's own.
    pub(super) base: Node,
    /// What axis points add, in the study's axis order: a later axis wins.
    pub(super) overlays: Vec<Overlay>,
    /// What the command line sets: it wins over everything.
    pub(super) top: Option<Node>,
}

/// What the points of one axis add to a stage's parameters.
#[derive(Debug, Clone)]
pub(super) struct Overlay {
    pub(super) axis: String,
    /// Label → parameters.
    pub(super) by_label: BTreeMap<String, Node>,
}

impl Params {
    /// The parameters at one point, every value still knowing its place.
    pub(super) fn resolve(&self, scope: &Scope<'_>) -> Node {
        let mut node = self.base.clone();
        for overlay in &self.overlays {
            let over = scope.axis(&overlay.axis).and_then(|p| overlay.by_label.get(&p.label));
            if let Some(over) = over {
                node.merge(over);
            }
        }
        if let Some(top) = &self.top {
            node.merge(top);
        }
        scope.fill(&mut node);
        node
    }

    /// The parameters at one point as JSON, with those named in `tuning` apart.
    pub(super) fn split(&self, scope: &Scope<'_>, tuning: &[&str]) -> (Value, Value) {
        let Value::Object(all) = self.resolve(scope).to_json() else {
            return (Value::Object(Map::new()), Value::Object(Map::new()));
        };
        let (aside, kept): (Map<_, _>, Map<_, _>) =
            all.into_iter().partition(|(key, _)| tuning.contains(&key.as_str()));
        (Value::Object(kept), Value::Object(aside))
    }

    /// Every tree that contributes.
    pub(super) fn trees(&self) -> impl Iterator<Item = &Node> {
        let overlays = self.overlays.iter().flat_map(|overlay| overlay.by_label.values());
        std::iter::once(&self.base).chain(overlays).chain(&self.top)
    }

    /// The axes on which the parameters depend.
    pub(super) fn axes(&self) -> BTreeSet<&str> {
        let mut axes: BTreeSet<&str> = self.overlays.iter().map(|o| o.axis.as_str()).collect();
        self.trees().for_each(|node| axes_in_tree(node, &mut axes));
        axes
    }
}
