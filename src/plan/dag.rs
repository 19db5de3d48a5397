//! The graph of tasks. The only file that knows petgraph.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// Tasks by their number of creation, and edges from producer to consumer.
pub(super) struct Dag(DiGraph<(), ()>);

impl Dag {
    /// A graph of `nodes` tasks; edges are (producer, consumer).
    pub(super) fn new(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut graph = DiGraph::with_capacity(nodes, nodes);
        (0..nodes).for_each(|_| {
            graph.add_node(());
        });
        for (from, to) in edges {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), ());
        }
        Self(graph)
    }

    /// Topological order that takes, among the tasks that could come next, the one created first. `Err`
    /// holds the tasks of one cycle.
    pub(super) fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let graph = &self.0;
        let incoming = |n| graph.neighbors_directed(n, Direction::Incoming).count();
        let mut missing: Vec<usize> = graph.node_indices().map(incoming).collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            missing.iter().enumerate().filter(|(_, m)| **m == 0).map(|(n, _)| Reverse(n)).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for next in graph.neighbors(NodeIndex::new(node)) {
                let missing = &mut missing[next.index()];
                *missing -= 1;
                if *missing == 0 {
                    ready.push(Reverse(next.index()));
                }
            }
        }
        if order.len() == graph.node_count() {
            return Ok(order);
        }
        let mut cycle: Vec<usize> = tarjan_scc(graph)
            .into_iter()
            .find(|c| c.len() > 1 || graph.contains_edge(c[0], c[0]))
            .map(|c| c.iter().map(|n| n.index()).collect())
            .unwrap_or_default();
        cycle.sort_unstable();
        Err(cycle)
    }
}

#[cfg(test)]
mod tests {
    use super::Dag;

    #[test]
    fn keeps_creation_order_where_free() {
        let dag = Dag::new(4, [(3, 1), (0, 2)]);
        assert_eq!(dag.order(), Ok(vec![0, 2, 3, 1]));
    }

    #[test]
    fn names_the_cycle() {
        assert_eq!(Dag::new(4, [(0, 1), (1, 2), (2, 1), (2, 3)]).order(), Err(vec![1, 2]));
        assert_eq!(Dag::new(1, [(0, 0)]).order(), Err(vec![0]));
    }
}
