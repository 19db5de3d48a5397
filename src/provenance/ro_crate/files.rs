//! Which files a crate holds, and what they are called in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::lineage::{Lineage, Node, State, TaskNode};
use super::graph::{Entity, Graph, id_of, local};
use crate::cache::{Shelf, task_folder};
use crate::io::digest::Digest;
use crate::kind::PROVENANCE;

/// How a file comes into the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// An object of the store, of which a second name does.
    Object(PathBuf),
    /// A file that its owner may change at any time.
    Foreign(PathBuf),
    /// Written for the crate.
    Text(Vec<u8>),
}

/// A file of the crate.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Path below the crate's folder.
    pub(super) path: String,
    pub(super) from: From,
    pub(super) digest: Digest,
    pub(super) size: Option<u64>,
}

impl Placed {
    /// Its `@id`.
    pub(super) fn id(&self) -> String {
        id_of(&self.path)
    }

    /// A text that goes with the crate.
    pub(super) fn text(path: &str, text: String) -> Self {
        let (digest, size) = (Digest::of(text.as_bytes()), Some(text.len() as u64));
        Self { path: path.to_owned(), from: From::Text(text.into_bytes()), digest, size }
    }

    /// Its description, as a file.
    pub(super) fn entity(&self, types: &[&str]) -> Entity {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        Entity::new(self.id(), types)
            .with("name", name)
            .with("encodingFormat", media_type(name))
            .with("identifier", format!("blake3:{}", self.digest))
            .maybe("contentSize", self.size.map(|size| size.to_string()))
    }
}

/// Ids of everything that tasks read and wrote.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// (node, output) → file or stand-in.
    pub(super) outputs: BTreeMap<(usize, String), String>,
    /// Node of a source file → file or stand-in.
    pub(super) sources: BTreeMap<usize, String>,
    /// Node of a task → its record.
    pub(super) records: BTreeMap<usize, Placed>,
    /// Outputs and source files that are there.
    pub(super) placed: Vec<Placed>,
    /// Formal parameter ids that a file is an example of, by the file's id.
    pub(super) examples: BTreeMap<String, BTreeSet<String>>,
    /// Descriptions of what is not there.
    absent: Vec<Entity>,
}

impl Files {
    /// Finds names for all files of a lineage.
    pub(super) fn of(lineage: &Lineage, shelf: &Shelf) -> Self {
        let mut files = Self::default();
        let mut taken = BTreeSet::new();
        for (index, node) in lineage.nodes.iter().enumerate() {
            match node {
                Node::Task(task) => {
                    let folder = folder(task, &mut taken);
                    files.task(index, task, &folder, shelf);
                }
                Node::Source(source) => {
                    let name = source.path.file_name().unwrap_or_default().to_string_lossy();
                    let id = match &source.state {
                        State::AsRecorded => files.place(Placed {
                            path: format!("inputs/{}/{name}", source.digest.short()),
                            from: From::Foreign(source.path.clone()),
                            digest: source.digest,
                            size: std::fs::metadata(&source.path).ok().map(|meta| meta.len()),
                        }),
                        _ => files.stand_in(&name, &source.digest, "is no longer what the study read"),
                    };
                    files.sources.insert(index, id);
                }
                Node::Lost(_) => {}
            }
        }
        files
    }

    fn task(&mut self, index: usize, task: &TaskNode, folder: &str, shelf: &Shelf) {
        for (name, held) in &task.outputs {
            let id = match &held.state {
                State::AsRecorded => self.place(Placed {
                    path: format!("{folder}/{}", held.file),
                    from: From::Object(shelf.object(&held.digest)),
                    digest: held.digest,
                    size: Some(held.size),
                }),
                _ => self.stand_in(&held.file, &held.digest, "is no longer in the store"),
            };
            self.outputs.insert((index, name.clone()), id);
        }
        // The record itself, sealed: with it the crate can be walked again without this description.
        if let Ok(sealed) = task.record.seal() {
            let text = String::from_utf8_lossy(&sealed).into_owned();
            self.records.insert(index, Placed::text(&format!("{folder}/{PROVENANCE}"), text));
        }
    }

    fn place(&mut self, file: Placed) -> String {
        let id = file.id();
        self.placed.push(file);
        id
    }

    /// A file that cannot be had is described, not promised.
    fn stand_in(&mut self, name: &str, digest: &Digest, why: &str) -> String {
        let id = local(&["absent", &digest.to_string()]);
        let entity = Entity::new(&*id, &["CreativeWork"])
            .with("name", name)
            .with("description", format!("not in this crate: it {why}"))
            .with("identifier", format!("blake3:{digest}"));
        self.absent.push(entity);
        id
    }

    /// What a task read through an edge.
    pub(super) fn read(&mut self, node: usize, output: Option<&str>, digest: &Digest) -> String {
        let known = match output {
            Some(output) => self.outputs.get(&(node, output.to_owned())),
            None => self.sources.get(&node),
        };
        let known = known.cloned();
        known.unwrap_or_else(|| self.stand_in("file of unknown origin", digest, "has lost its record"))
    }

    /// Whether an id is that of a file in the crate.
    pub(super) fn is_there(&self, id: &str) -> bool {
        !id.starts_with('#')
    }

    /// Everything to be written, records included.
    pub(super) fn all(&self) -> impl Iterator<Item = &Placed> {
        self.placed.iter().chain(self.records.values())
    }

    /// Describes outputs, source files and what stands in for them.
    pub(super) fn describe(&mut self, graph: &mut Graph) {
        for file in &self.placed {
            let examples = self.examples.get(&file.id()).cloned().unwrap_or_default();
            let original = match &file.from {
                From::Foreign(path) => Some(path.display().to_string()),
                _ => None,
            };
            graph
                .add(file.entity(&["File"]).maybe("alternateName", original).link("exampleOfWork", examples));
        }
        self.absent.drain(..).for_each(|entity| graph.add(entity));
    }
}

/// The folder of a task. One task may be there twice, as it was made at different times.
fn folder(task: &TaskNode, taken: &mut BTreeSet<String>) -> String {
    let below = task_folder(&task.record.task);
    let plain = format!("results/{}/{}", task.record.study, below.display());
    let plain = plain.trim_end_matches('/').to_owned();
    if taken.insert(plain.clone()) { plain } else { format!("{plain}~{}", task.fingerprint.short()) }
}

/// Media type by extension.
pub(super) fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("png") => "image/png",
        Some("npz") => "application/zip",
        Some("yaml" | "yml") => "application/yaml",
        Some("h5" | "hdf5") => "application/x-hdf5",
        _ => "application/octet-stream",
    }
}
