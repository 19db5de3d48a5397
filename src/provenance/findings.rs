//! What is wrong with a lineage: everything that keeps it from being a proof.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::lineage::{Lineage, Node, State};
use crate::cache::NoManifest;
use crate::io::digest::Digest;

/// Something that is not what a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A result that was asked about.
    Result {
        /// The file.
        path: PathBuf,
        /// Digest in the record.
        digest: Digest,
        /// What it is.
        #[serde(flatten)]
        state: State,
        /// Whether the store still has the content in the record.
        kept: bool,
    },
    /// An object of the store.
    Object {
        /// Who made it.
        task: String,
        /// Name of the output.
        output: String,
        /// Digest in the record.
        digest: Digest,
        /// What it is.
        #[serde(flatten)]
        state: State,
    },
    /// A record.
    Record {
        /// Whose.
        task: String,
        /// Where it should be, or its name in the store.
        name: String,
        /// What is wrong with it.
        why: NoManifest,
    },
    /// Two records contradict each other.
    Contradiction {
        /// Who read it.
        reader: String,
        /// Who made it.
        task: String,
        /// Name of the output.
        output: String,
        /// What was read.
        digest: Digest,
        /// What was made.
        made: Option<Digest>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Result { path, digest, state, kept } => {
                write!(f, "{} {}: {}", path.display(), verdict(state), content(state, digest))?;
                let store = if *kept { "the store still has" } else { "the store, too, no longer has" };
                write!(f, "; {store} what was made")
            }
            Finding::Object { task, output, digest, state } => {
                write!(f, "the store's `{output}` of {task} {}: {}", verdict(state), content(state, digest))
            }
            Finding::Record { task, name, why } => {
                write!(f, "the record of {task} is {}: {name}", word(*why))
            }
            Finding::Contradiction { reader, task, output, digest, made } => {
                write!(f, "records contradict each other: {reader} read `{output}` of {task} as {digest}, ")?;
                match made {
                    Some(made) => write!(f, "but that task made {made}"),
                    None => write!(f, "but that task made no such output"),
                }
            }
        }
    }
}

fn verdict(state: &State) -> &'static str {
    match state {
        State::AsRecorded => "is as recorded",
        State::Differs { .. } => "is NOT what was made",
        State::Gone => "is gone",
        State::Unreadable { .. } => "cannot be read",
    }
}

fn content(state: &State, digest: &Digest) -> String {
    match state {
        State::Differs { now } => format!("its content is {now}, the record says {digest}"),
        State::Unreadable { message } => format!("{message}; the record says {digest}"),
        State::AsRecorded | State::Gone => format!("the record says {digest}"),
    }
}

/// `gone`, `damaged`, ….
pub(super) fn word(why: NoManifest) -> &'static str {
    match why {
        NoManifest::Gone => "gone",
        NoManifest::Damaged => "damaged",
        NoManifest::Older => "of an older format",
    }
}

impl Lineage {
    /// Everything that is wrong; the results that were asked about come first. That a source file has
    /// changed since is no fault of the results.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let made = self.tasks().next().map(|(_, task)| task);
        for asked in self.asked.iter().filter(|a| a.state != State::AsRecorded) {
            let held = made.and_then(|task| task.outputs.get(&asked.output));
            found.push(Finding::Result {
                path: asked.path.clone(),
                digest: asked.digest,
                state: asked.state.clone(),
                kept: held.is_some_and(|h| h.state == State::AsRecorded),
            });
        }
        if let (Some(why), Some(task)) = (self.record_beside, made) {
            let (task, name) = (task.record.task.clone(), self.record_path.display().to_string());
            found.push(Finding::Record { task, name, why });
        }
        for node in &self.nodes {
            match node {
                Node::Task(task) => {
                    let name = || task.record.task.clone();
                    if let Some(why) = task.store_record {
                        let record = task.fingerprint.to_string();
                        found.push(Finding::Record { task: name(), name: record, why });
                    }
                    for (output, held) in task.outputs.iter().filter(|(_, h)| h.state != State::AsRecorded) {
                        let (output, state) = (output.clone(), held.state.clone());
                        found.push(Finding::Object { task: name(), output, digest: held.digest, state });
                    }
                    found.extend(task.inputs.values().flatten().filter_map(|edge| {
                        let (Node::Task(from), Some(output)) = (&self.nodes[edge.node], &edge.output) else {
                            return None;
                        };
                        let made = from.outputs.get(output).map(|held| held.digest);
                        (made != Some(edge.digest)).then(|| Finding::Contradiction {
                            reader: name(),
                            task: from.record.task.clone(),
                            output: output.clone(),
                            digest: edge.digest,
                            made,
                        })
                    }));
                }
                Node::Lost(lost) => {
                    let (task, name) = (lost.task.clone(), lost.fingerprint.to_string());
                    found.push(Finding::Record { task, name, why: lost.why });
                }
                Node::Source(_) => {}
            }
        }
        found
    }
}
