//! The walk as data: tasks and source files, and what was found of them on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::cache::{Manifest, NoManifest};
use crate::io::digest::Digest;

/// What a file's content turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It has the digest in the record.
    AsRecorded,
    /// It has another one.
    Differs {
        /// The digest of its content.
        now: Digest,
    },
    /// There is no such file.
    Gone,
    /// The system refused.
    Unreadable {
        /// What it said.
        message: String,
    },
}

/// A result that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The file.
    pub path: PathBuf,
    /// Name of the output.
    pub output: String,
    /// Digest in the record.
    pub digest: Digest,
    /// Size in the record, bytes.
    pub size: u64,
    /// What the file in the results folder is.
    #[serde(flatten)]
    pub state: State,
}

/// An output of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// File name in the task's results folder.
    pub file: String,
    /// Digest in the record.
    pub digest: Digest,
    /// Size in the record, bytes.
    pub size: u64,
    /// What its object in the store is.
    #[serde(flatten)]
    pub state: State,
}

/// Where an input came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Index of the node.
    pub node: usize,
    /// Name of the output, for an output of a task.
    pub output: Option<String>,
    /// Digest of what was read.
    pub digest: Digest,
}

/// A task on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskNode {
    /// Digest of its fingerprint: the name of its record.
    pub fingerprint: Digest,
    /// What is wrong with the record in the store, if this one comes from elsewhere.
    pub store_record: Option<NoManifest>,
    /// Slot → where its files came from, in order.
    pub inputs: BTreeMap<String, Vec<Edge>>,
    /// Its outputs.
    pub outputs: BTreeMap<String, Held>,
    /// Its record.
    pub record: Manifest,
}

/// A file that no task made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceNode {
    /// Its path at the time.
    pub path: PathBuf,
    /// Digest of what was read.
    pub digest: Digest,
    /// What is there now.
    #[serde(flatten)]
    pub state: State,
}

/// A task whose record cannot be had: the walk ends there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostNode {
    /// Name of the task, as those that read its outputs tell it.
    pub task: String,
    /// Name of the record.
    pub fingerprint: Digest,
    /// Why it cannot be had.
    pub why: NoManifest,
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "node", rename_all = "snake_case")]
pub enum Node {
    /// A task.
    Task(Box<TaskNode>),
    /// A file that no task made.
    Source(SourceNode),
    /// A task of which nothing is left.
    Lost(LostNode),
}

/// What results were made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lineage {
    /// The results asked about.
    pub asked: Vec<Asked>,
    /// What is wrong with the record beside them, if the one in the store stands in for it.
    pub record_beside: Option<NoManifest>,
    /// Where the record beside them lies.
    pub record_path: PathBuf,
    /// Tasks and source files, each once; the first made the results. Edges are indices of this list.
    pub nodes: Vec<Node>,
}

impl Lineage {
    /// The tasks, with their indices.
    pub fn tasks(&self) -> impl Iterator<Item = (usize, &TaskNode)> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| match node {
            Node::Task(task) => Some((index, &**task)),
            _ => None,
        })
    }

    /// Indices of all nodes, every one after those that it was made from. Records that were written anew by
    /// force may name each other in a circle; it is then cut somewhere.
    pub fn producers_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = BTreeSet::new();
        // (node, whether what it was made from has been seen to)
        let mut open: Vec<(usize, bool)> = (0..self.nodes.len()).rev().map(|n| (n, false)).collect();
        while let Some((index, ready)) = open.pop() {
            if ready {
                order.push(index);
            } else if seen.insert(index) {
                open.push((index, true));
                if let Node::Task(task) = &self.nodes[index] {
                    open.extend(task.inputs.values().flatten().rev().map(|edge| (edge.node, false)));
                }
            }
        }
        order
    }
}
