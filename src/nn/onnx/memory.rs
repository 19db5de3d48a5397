//! How much memory a network needs, from its file alone: which tensors live at the same time.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Graph, Model, Node};
use super::shape::{self, Shapes};

/// Memory of a network as a line over the batch, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Side of a pattern, N.
    pub n: usize,
    /// Images of a group, C.
    pub channels: usize,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes that do not depend on the batch, weights included.
    pub fixed: u64,
    /// Bytes a sample of the batch adds.
    pub per_sample: u64,
}

/// Channels that a runtime's fastest convolutions compute together; a tensor has a multiple of them.
const BLOCK: usize = 8;

/// Forecasts the memory of the model in `bytes`, a file with `infer`'s metadata. Tensors count as 32-bit.
///
/// # Errors
/// Says why the bytes are no such model.
pub fn footprint(bytes: Vec<u8>) -> Result<Footprint, String> {
    let model = Model::parse(bytes)?;
    let number = |key: &str| {
        let found = model.number(key).filter(|n| (1..=65_536).contains(n));
        found.ok_or_else(|| format!("has no metadata property `{key}` that is a whole number from 1"))
    };
    let (n, channels) = (number("phasegraph.n")?, number("phasegraph.channels")?);
    let graph = model.graph.as_ref().ok_or("has no graph")?;
    let weights = 4 * graph.constants.iter().map(|t| t.shape().iter().product::<usize>() as u64).sum::<u64>();
    let peak = |batch: usize| most_alive(graph, &shape::infer(graph, &[batch, channels, n, n]));
    let (few, many) = (peak(2), peak(8));
    let per_sample = many.saturating_sub(few).div_ceil(6);
    let fixed = weights + few.saturating_sub(2 * per_sample);
    Ok(Footprint { n, channels, weights, fixed, per_sample })
}

/// Most bytes of computed tensors that are alive at the same time, in the order of the nodes.
fn most_alive(graph: &Graph, shapes: &Shapes) -> u64 {
    let computed: BTreeSet<&str> =
        graph.nodes.iter().flat_map(|n| n.outputs.iter().map(String::as_str)).collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    let kept = graph.outputs.iter().map(|o| &o.name);
    for name in graph.nodes.iter().flat_map(|n| &n.inputs).chain(kept) {
        *uses.entry(name).or_default() += 1;
    }
    let size = |name: &str| shapes.get(name).map_or(0, |shape| bytes(shape));
    let (mut alive, mut most) = (0u64, 0u64);
    for node in &graph.nodes {
        let dying: Vec<&str> = node
            .inputs
            .iter()
            .map(String::as_str)
            .filter(|name| {
                let left = uses.get_mut(name);
                left.is_some_and(|left| {
                    *left -= 1;
                    *left == 0
                }) && computed.contains(name)
            })
            .collect();
        let freed: u64 = dying.iter().map(|name| size(name)).sum();
        let made: u64 = node.outputs.iter().map(|name| size(name)).sum();
        // Where a node writes over its input there is only one of them.
        let both = if in_place(node) && freed >= made { alive } else { alive + made };
        most = most.max(both);
        alive = (alive + made).saturating_sub(freed);
    }
    most
}

/// Element by element, so that the result may take the input's place.
fn in_place(node: &Node) -> bool {
    matches!(
        node.kind.as_str(),
        "Relu"
            | "LeakyRelu"
            | "Elu"
            | "Sigmoid"
            | "Tanh"
            | "Clip"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Reshape"
            | "Identity"
    )
}

fn bytes(shape: &[usize]) -> u64 {
    let blocked = |(i, d): (usize, &usize)| {
        let d = if shape.len() == 4 && i == 1 { d.next_multiple_of(BLOCK) } else { *d };
        d as u64
    };
    4 * shape.iter().enumerate().map(blocked).product::<u64>()
}
