//! What is in a store, and who needs what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use super::super::index::Index;
use super::super::shelf::{self, Kept, is_leftover};
use super::super::{History, Layout, Origin, StoreError, layout};
use super::{Going, shelf_in};
use crate::events::{Event, read};
use crate::io::digest::Digest;

/// A manifest, as far as cleaning must know it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) kept: Kept,
    /// Contents of its outputs.
    pub(super) outputs: Vec<Digest>,
    /// Manifests of the tasks whose outputs it was made from.
    pub(super) sources: Vec<Digest>,
    /// Whose it is, for people.
    pub(super) what: String,
}

/// Everything.
pub(super) struct Inventory {
    pub(super) manifests: BTreeMap<Digest, Record>,
    pub(super) objects: BTreeMap<Digest, Kept>,
    /// Fingerprints that some study needs, whether or not there is a manifest.
    pub(super) roots: BTreeSet<Digest>,
    /// Contents that the index names for a root: a run would take them from there.
    pub(super) indexed: BTreeSet<Digest>,
    pub(super) histories: Vec<(Layout, History)>,
    pub(super) leftovers: Vec<Kept>,
    pub(super) guarded: Vec<String>,
}

impl Inventory {
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let store = Layout::store_in(root);
        let shelf = shelf_in(root);
        let (objects, actions) = (shelf.objects()?, shelf.actions()?);
        let read = actions.named.into_par_iter().map(|(fingerprint, kept)| {
            let manifest = shelf.manifest(&fingerprint)?;
            Ok((fingerprint, kept, manifest))
        });
        let mut manifests = BTreeMap::new();
        let mut studies: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
        for (fingerprint, kept, manifest) in read.collect::<Result<Vec<_>, StoreError>>()? {
            // One that cannot be read names nothing, and is as good as missing.
            let record = match manifest {
                Ok(manifest) => {
                    studies.entry(manifest.study.clone()).or_default().push(fingerprint);
                    let sources = manifest.sources.values().flatten().filter_map(|origin| match origin {
                        Origin::Task { fingerprint, .. } => Some(*fingerprint),
                        Origin::File { .. } => None,
                    });
                    let outputs: Vec<Digest> = manifest.outputs.values().map(|o| o.digest).collect();
                    let what = format!("{} in study {}", manifest.task, manifest.study);
                    Record { sources: sources.collect(), outputs, what, kept }
                }
                Err(_) => {
                    Record { kept, outputs: Vec::new(), sources: Vec::new(), what: "unreadable".to_owned() }
                }
            };
            manifests.insert(fingerprint, record);
        }
        let mut inventory = Self {
            manifests,
            objects: objects.named.into_iter().collect(),
            roots: BTreeSet::new(),
            indexed: BTreeSet::new(),
            histories: Vec::new(),
            leftovers: [objects.leftovers, actions.leftovers].concat(),
            guarded: Vec::new(),
        };
        let files = shelf::files(&store)?;
        inventory
            .leftovers
            .extend(files.into_iter().filter(|(name, _)| is_leftover(name)).map(|(_, kept)| kept));
        inventory.find_roots(root, &studies)?;
        let file = layout::index(&store);
        let index = Index::load(&file).map_err(StoreError::io("read", &file))?;
        let contents = inventory.roots.iter().filter_map(|root| index.get(root)).flatten();
        inventory.indexed = contents.map(|content| content.digest).collect();
        Ok(inventory)
    }

    /// Last fingerprints of all tasks of all studies.
    fn find_roots(&mut self, root: &Path, studies: &BTreeMap<String, Vec<Digest>>) -> Result<(), StoreError> {
        for study in Layout::all(root).map_err(StoreError::io("read", root))? {
            let file = study.history();
            let history = History::load(&file).map_err(StoreError::io("read", &file))?;
            self.roots.extend(history.all().map(|(_, fingerprint)| *fingerprint));
            self.roots.extend(last_finished(&study));
            if history.unread() > 0 {
                // Which tasks the lost lines were about is not known: nothing of the study goes.
                self.roots.extend(studies.get(study.study()).into_iter().flatten());
                self.guarded.push(study.study().to_owned());
            }
            self.histories.push((study, history));
        }
        Ok(())
    }

    /// Sizes of what stays.
    pub(super) fn left<'a>(
        &'a self,
        manifests: &'a BTreeSet<Digest>,
        objects: &'a BTreeSet<Digest>,
    ) -> impl Iterator<Item = u64> + 'a {
        let records =
            self.manifests.iter().filter(|(name, _)| !manifests.contains(name)).map(|(_, r)| r.kept.size);
        let contents = self.objects.iter().filter(|(name, _)| !objects.contains(name)).map(|(_, k)| k.size);
        records.chain(contents)
    }

    pub(super) fn going_manifests(&self, going: &BTreeSet<Digest>) -> Vec<Going> {
        let records = going.iter().filter_map(|name| self.manifests.get(name));
        records.map(|record| Going::of(&record.kept, format!("record of {}", record.what))).collect()
    }

    pub(super) fn going_objects(&self, going: &BTreeSet<Digest>) -> Vec<Going> {
        let mut owners: BTreeMap<&Digest, &str> = BTreeMap::new();
        for record in self.manifests.values() {
            owners.extend(record.outputs.iter().map(|digest| (digest, record.what.as_str())));
        }
        let what = |digest| owners.get(digest).map_or("no task".to_owned(), |owner| (*owner).to_owned());
        let objects = going.iter().filter_map(|digest| Some((digest, self.objects.get(digest)?)));
        objects.map(|(digest, kept)| Going::of(kept, format!("output of {}", what(digest)))).collect()
    }
}

/// What the last run of a study finished, by its journal: a run that was killed may not have come to write it
/// into the history. A journal that cannot be read says nothing.
fn last_finished(study: &Layout) -> Vec<Digest> {
    let last = study.list_runs().unwrap_or_default().pop();
    let records = last.and_then(|run| read(&study.journal(&run)).ok()).unwrap_or_default();
    let fingerprint = |event| match event {
        Event::TaskCached { fingerprint, .. } | Event::TaskSucceeded { fingerprint, .. } => Some(fingerprint),
        _ => None,
    };
    records.into_iter().filter_map(|record| fingerprint(record.event)).collect()
}
