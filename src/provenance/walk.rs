//! The walk back, record by record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::lineage::{Asked, Edge, Held, Lineage, LostNode, Node, SourceNode, TaskNode};
use super::verify::states;
use super::{Place, PlaceError, State};
use crate::cache::{
    History, Manifest, NoManifest, Origin, Shelf, StoreError, provenance, read_manifest, task_of_folder,
};
use crate::diag::nearest;
use crate::io::digest::Digest;

/// A walk that could not begin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalkError {
    /// The path is no result.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record beside the results is damaged, and no other is known.
    #[error("{path} is damaged, and the store has no other record of these results")]
    Damaged {
        /// The record.
        path: PathBuf,
    },
    /// The task made other files.
    #[error("{task} did not make `{file}`: expected {expected}{hint}")]
    NotAnOutput {
        /// The task.
        task: String,
        /// What was asked for.
        file: String,
        /// What it made.
        expected: String,
        /// The nearest.
        hint: String,
    },
}

/// Walks from a result back to the source files, and hashes everything on the way.
pub fn walk(place: &Place) -> Result<Lineage, WalkError> {
    let shelf = Shelf::at(place.layout.store());
    let (first, beside) = first(place, &shelf)?;
    let mut walk =
        Walk { shelf: &shelf, nodes: Vec::new(), tasks: BTreeMap::new(), sources: BTreeMap::new() };
    let asked = asked(place, &first)?;
    walk.begin(first)?;
    walk.all()?;
    let mut lineage =
        Lineage { asked, record_beside: beside, record_path: provenance(&place.folder), nodes: walk.nodes };
    verify(&mut lineage, &shelf);
    Ok(lineage)
}

/// The record beside the results; if that cannot be had, the store's own, which the study's history names.
fn first(place: &Place, shelf: &Shelf) -> Result<(Manifest, Option<NoManifest>), WalkError> {
    let path = provenance(&place.folder);
    let why = match read_manifest(&path)? {
        Ok(manifest) => return Ok((manifest, None)),
        Err(why) => why,
    };
    let file = place.layout.history();
    let history = History::load(&file).map_err(StoreError::io("read", &file))?;
    let last = task_of_folder(&place.below).and_then(|task| history.last(&task).copied());
    match last.map(|last| shelf.manifest(&last)).transpose()? {
        Some(Ok(manifest)) => Ok((manifest, Some(why))),
        _ if why == NoManifest::Gone => Err(PlaceError::NoRecord { folder: place.folder.clone() }.into()),
        _ => Err(WalkError::Damaged { path }),
    }
}

/// The outputs that were asked about; their states are found out later.
fn asked(place: &Place, manifest: &Manifest) -> Result<Vec<Asked>, WalkError> {
    let one = |(output, record): (&String, &crate::events::OutputRecord)| Asked {
        path: place.folder.join(&record.file),
        output: output.clone(),
        digest: record.digest,
        size: record.size,
        state: State::Gone,
    };
    // An output may lie in a folder of its own, which may be what was meant.
    let wanted = |file: &String| place.file.as_ref().is_none_or(|f| Path::new(file).starts_with(f));
    let asked: Vec<Asked> = manifest.outputs.iter().filter(|(_, r)| wanted(&r.file)).map(one).collect();
    if !asked.is_empty() {
        return Ok(asked);
    }
    let files = || manifest.outputs.values().map(|r| r.file.as_str());
    let file = place.file.as_ref().map(|f| f.display().to_string()).unwrap_or_default();
    let hint = nearest(&file, files()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    let expected = files().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", ");
    Err(WalkError::NotAnOutput { task: manifest.task.clone(), file, expected, hint })
}

struct Walk<'a> {
    shelf: &'a Shelf,
    nodes: Vec<Node>,
    tasks: BTreeMap<Digest, usize>,
    sources: BTreeMap<(PathBuf, Digest), usize>,
}

impl Walk<'_> {
    /// The task that made the results. Its record was read from beside them; the store must have it, too.
    fn begin(&mut self, manifest: Manifest) -> Result<(), StoreError> {
        let fingerprint = manifest.fingerprint.digest();
        let missing = self.shelf.manifest(&fingerprint)?.err();
        self.tasks.insert(fingerprint, 0);
        self.nodes.push(task(fingerprint, manifest, missing));
        Ok(())
    }

    fn all(&mut self) -> Result<(), StoreError> {
        let mut next = 0;
        while next < self.nodes.len() {
            let inputs = match &self.nodes[next] {
                Node::Task(task) => inputs(&task.record),
                _ => Vec::new(),
            };
            for (slot, origin, digest) in inputs {
                let edge = self.edge(origin, digest)?;
                if let Node::Task(task) = &mut self.nodes[next] {
                    task.inputs.entry(slot).or_default().push(edge);
                }
            }
            next += 1;
        }
        Ok(())
    }

    fn edge(&mut self, origin: Origin, digest: Digest) -> Result<Edge, StoreError> {
        let new = self.nodes.len();
        match origin {
            Origin::File { path } => {
                let node = *self.sources.entry((path.clone(), digest)).or_insert(new);
                if node == new {
                    self.nodes.push(Node::Source(SourceNode { path, digest, state: State::Gone }));
                }
                Ok(Edge { node, output: None, digest })
            }
            Origin::Task { task: name, fingerprint, output } => {
                let node = *self.tasks.entry(fingerprint).or_insert(new);
                if node == new {
                    self.nodes.push(match self.shelf.manifest(&fingerprint)? {
                        Ok(manifest) => task(fingerprint, manifest, None),
                        Err(why) => Node::Lost(LostNode { task: name, fingerprint, why }),
                    });
                }
                Ok(Edge { node, output: Some(output), digest })
            }
        }
    }
}

fn task(fingerprint: Digest, record: Manifest, store_record: Option<NoManifest>) -> Node {
    let held = |(name, output): (&String, &crate::events::OutputRecord)| {
        let (file, digest, size) = (output.file.clone(), output.digest, output.size);
        (name.clone(), Held { file, digest, size, state: State::Gone })
    };
    let outputs = record.outputs.iter().map(held).collect();
    Node::Task(Box::new(TaskNode { fingerprint, store_record, inputs: BTreeMap::new(), outputs, record }))
}

/// Slot, origin and content of everything that a task read.
fn inputs(record: &Manifest) -> Vec<(String, Origin, Digest)> {
    let mut all = Vec::new();
    for (slot, origins) in &record.sources {
        let read = record.fingerprint.inputs.get(slot.as_str());
        for (place, origin) in origins.iter().enumerate() {
            let digest = read.and_then(|files| files.get(place)).map_or(Digest::NONE, |file| file.digest);
            all.push((slot.clone(), origin.clone(), digest));
        }
    }
    all
}

/// Hashes objects, source files and the results asked about.
fn verify(lineage: &mut Lineage, shelf: &Shelf) {
    let mut files: BTreeSet<(PathBuf, Digest)> = BTreeSet::new();
    files.extend(lineage.asked.iter().map(|a| (a.path.clone(), a.digest)));
    for node in &lineage.nodes {
        match node {
            Node::Task(task) => {
                files.extend(task.outputs.values().map(|held| (shelf.object(&held.digest), held.digest)));
            }
            // One path may have been read with different contents at different times.
            Node::Source(source) => files.extend([(source.path.clone(), source.digest)]),
            Node::Lost(_) => {}
        }
    }
    let files: Vec<(PathBuf, Digest)> = files.into_iter().collect();
    let found = states(&files);
    let state = |path: &Path, digest: &Digest| {
        let place = files.binary_search_by(|(p, d)| (p.as_path(), d).cmp(&(path, digest)));
        place.map_or(State::Gone, |place| found[place].clone())
    };
    for asked in &mut lineage.asked {
        asked.state = state(&asked.path, &asked.digest);
    }
    for node in &mut lineage.nodes {
        match node {
            Node::Task(task) => {
                for held in task.outputs.values_mut() {
                    held.state = state(&shelf.object(&held.digest), &held.digest);
                }
            }
            Node::Source(source) => source.state = state(&source.path, &source.digest),
            Node::Lost(_) => {}
        }
    }
}
