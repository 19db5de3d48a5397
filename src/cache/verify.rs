//! Looks at everything in the store: every object is hashed, every manifest opened. What is damaged is moved
//! to the quarantine, so that no run is ever served it, and named with the tasks that made it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::index::Index;
use super::quarantine::put_aside;
use super::shelf::Kept;
use super::stat::{Hashed, Stamp, hash};
use super::{History, Layout, Manifest, NoManifest, Shelf, StoreError, compact, layout, store};
use crate::io::digest::Digest;

/// A task of a study.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Owner {
    /// Name of the study.
    pub study: String,
    /// Id of the task.
    pub task: String,
}

/// Something in the store that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// An object whose content is not what its name says.
    Object {
        /// Its name.
        digest: Digest,
        /// What its content is, or what the system said.
        now: String,
        /// Tasks whose output it was.
        tasks: Vec<Owner>,
        /// Where it is now.
        aside: Option<PathBuf>,
    },
    /// A manifest that cannot be trusted, or that is gone though the index still answers for it.
    Manifest {
        /// Its name.
        fingerprint: Digest,
        /// What is wrong with it.
        why: NoManifest,
        /// The tasks that it was about.
        tasks: Vec<Owner>,
        /// Where it is now.
        aside: Option<PathBuf>,
    },
    /// An output that a manifest names and the store does not have, or not in that size.
    Lost {
        /// Digest of the output.
        digest: Digest,
        /// Name of the output.
        output: String,
        /// The manifest.
        fingerprint: Digest,
        /// The tasks that it is about.
        tasks: Vec<Owner>,
    },
}

impl Fault {
    /// The tasks that have lost something.
    pub fn tasks(&self) -> &[Owner] {
        let (Self::Object { tasks, .. } | Self::Manifest { tasks, .. } | Self::Lost { tasks, .. }) = self;
        tasks
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Objects hashed.
    pub objects: usize,
    /// Their size, bytes.
    pub bytes: u64,
    /// Manifests opened.
    pub manifests: usize,
    /// Objects that no manifest names.
    pub orphans: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What could not be moved aside, and why: runs may still find it.
    pub stuck: Vec<String>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is so much to do.
    Begun {
        /// Objects and manifests.
        files: usize,
        /// Bytes to hash.
        bytes: u64,
    },
    /// An object or a manifest was looked at.
    Looked {
        /// Its size.
        bytes: u64,
    },
    /// Everything was looked at.
    Done,
}

/// Looks at everything in the store in `root`. `tell` is called from several threads.
pub fn verify(root: &Path, tell: &(dyn Fn(Step) + Sync)) -> Result<Verdict, StoreError> {
    let store = Layout::store_in(root);
    store::check_format(&store)?;
    let shelf = Shelf::at(&store);
    let (objects, actions) = (shelf.objects()?.named, shelf.actions()?.named);
    let bytes = objects.iter().map(|(_, kept)| kept.size).sum();
    tell(Step::Begun { files: objects.len() + actions.len(), bytes });
    let owners = Owners::of(root)?;
    let opened = actions.par_iter().map(|(fingerprint, _)| {
        let manifest = shelf.manifest(fingerprint);
        tell(Step::Looked { bytes: 0 });
        Ok((*fingerprint, manifest?))
    });
    let opened: Vec<(Digest, Result<Manifest, NoManifest>)> = opened.collect::<Result<_, StoreError>>()?;
    let makers = owners.of_outputs(&opened);
    let orphans = objects.iter().filter(|(digest, _)| !makers.contains_key(digest)).count();
    let (objects_seen, manifests) = (objects.len(), actions.len());
    let (mut faults, mut stuck) = (Vec::new(), Vec::new());
    let mut sound: BTreeMap<Digest, u64> =
        objects.iter().map(|(digest, kept)| (*digest, kept.size)).collect();
    let mut damaged = BTreeSet::new();
    for (digest, now) in look_at(&objects, tell) {
        sound.remove(&digest);
        damaged.insert(digest);
        let aside = moved(put_aside(&store, &shelf.object(&digest), &digest.to_string()), &mut stuck);
        let tasks = makers.get(&digest).into_iter().flatten().cloned().collect();
        faults.push(Fault::Object { digest, now, tasks, aside });
    }
    tell(Step::Done);
    let mut gone = BTreeSet::new();
    for (fingerprint, manifest) in &opened {
        match manifest {
            Ok(manifest) => {
                let lost = manifest.outputs.iter().filter(|(_, o)| sound.get(&o.digest) != Some(&o.size));
                // Those that are damaged are told already.
                let lost = lost.filter(|(_, o)| !damaged.contains(&o.digest));
                faults.extend(lost.map(|(name, output)| Fault::Lost {
                    digest: output.digest,
                    output: name.clone(),
                    fingerprint: *fingerprint,
                    tasks: owners.of_manifest(fingerprint, manifest),
                }));
            }
            // An older format is no damage: runs do not look at it, and `gc` removes it.
            Err(NoManifest::Gone | NoManifest::Older) => {}
            Err(why @ NoManifest::Damaged) => {
                let path = shelf.action(fingerprint);
                let tasks = owners.of_damaged(fingerprint, &path);
                let aside = moved(put_aside(&store, &path, &format!("{fingerprint}.json")), &mut stuck);
                gone.insert(*fingerprint);
                faults.push(Fault::Manifest { fingerprint: *fingerprint, why: *why, tasks, aside });
            }
        }
    }
    let file = layout::index(&store);
    let index = Index::load(&file).map_err(StoreError::io("read", &file))?;
    // Looked for once more: a run beside us may have put it there since they were listed.
    let unbacked = index.fingerprints().filter(|name| !gone.contains(name) && !shelf.action(name).exists());
    for fingerprint in unbacked.copied().collect::<Vec<_>>() {
        let tasks = owners.0.get(&fingerprint).into_iter().flatten().cloned().collect();
        faults.push(Fault::Manifest { fingerprint, why: NoManifest::Gone, tasks, aside: None });
        gone.insert(fingerprint);
    }
    if !gone.is_empty() {
        // It must not go on answering for them.
        let index = compact::index(&store, &|name| !gone.contains(name));
        stuck.extend(index.and_then(|index| index.write()).err().map(|error| error.to_string()));
    }
    Ok(Verdict { objects: objects_seen, bytes, manifests, orphans, faults, stuck })
}

/// Where a file was moved. On a disk that cannot be written it stays, and what was found is told all the same.
fn moved(moved: Result<Option<PathBuf>, StoreError>, stuck: &mut Vec<String>) -> Option<PathBuf> {
    moved.unwrap_or_else(|error| {
        stuck.push(error.to_string());
        None
    })
}

/// Hashes objects, several at a time; returns those that are damaged, with what they are instead.
fn look_at(objects: &[(Digest, Kept)], tell: &(dyn Fn(Step) + Sync)) -> Vec<(Digest, String)> {
    let looked = objects.par_iter().filter_map(|(digest, kept)| {
        let found = damage(digest, &kept.path);
        tell(Step::Looked { bytes: kept.size });
        found.map(|now| (digest, kept, now))
    });
    let damaged: Vec<_> = looked.collect();
    damaged
        .into_iter()
        .filter_map(|(digest, kept, now)| Some((*digest, still_damaged(digest, &kept.path, now)?)))
        .collect()
}

/// What an object is instead of what it should be.
struct Now {
    text: String,
    /// At the time of looking.
    stamp: Option<Stamp>,
}

fn damage(digest: &Digest, path: &Path) -> Option<Now> {
    match hash(path) {
        Ok(Hashed { digest: now, .. }) if now == *digest => None,
        Ok(Hashed { digest: now, stamp }) => Some(Now { text: now.to_string(), stamp: Some(stamp) }),
        // Gone since it was listed is lost, not damaged.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => Some(Now { text: e.to_string(), stamp: None }),
    }
}

/// A run beside us may have put the right content there meanwhile: then it is not damaged any more.
fn still_damaged(digest: &Digest, path: &Path, now: Now) -> Option<String> {
    let stamp = std::fs::metadata(path).ok().map(|meta| Stamp::of(&meta));
    let now = if stamp.is_some() && stamp == now.stamp { Some(now) } else { damage(digest, path) };
    now.map(|now| now.text)
}

/// Who manifests are about: those who made them, and those who were given their outputs from the store.
struct Owners(BTreeMap<Digest, BTreeSet<Owner>>);

impl Owners {
    fn of(root: &Path) -> Result<Self, StoreError> {
        let mut all: BTreeMap<Digest, BTreeSet<Owner>> = BTreeMap::new();
        for study in Layout::all(root).map_err(StoreError::io("read", root))? {
            let file = study.history();
            let history = History::load(&file).map_err(StoreError::io("read", &file))?;
            for (task, fingerprint) in history.all() {
                let owner = Owner { study: study.study().to_owned(), task: task.to_owned() };
                all.entry(*fingerprint).or_default().insert(owner);
            }
        }
        Ok(Self(all))
    }

    /// Digest of an output → who made it.
    fn of_outputs(
        &self,
        opened: &[(Digest, Result<Manifest, NoManifest>)],
    ) -> BTreeMap<Digest, BTreeSet<Owner>> {
        let mut makers: BTreeMap<Digest, BTreeSet<Owner>> = BTreeMap::new();
        for (fingerprint, manifest) in opened {
            let Ok(manifest) = manifest else { continue };
            for output in manifest.outputs.values() {
                makers.entry(output.digest).or_default().extend(self.of_manifest(fingerprint, manifest));
            }
        }
        makers
    }

    fn of_manifest(&self, fingerprint: &Digest, manifest: &Manifest) -> Vec<Owner> {
        let mut owners = self.0.get(fingerprint).cloned().unwrap_or_default();
        owners.insert(Owner { study: manifest.study.clone(), task: manifest.task.clone() });
        owners.into_iter().collect()
    }

    /// What a damaged manifest still says is better than nothing where no history knows it.
    fn of_damaged(&self, fingerprint: &Digest, path: &Path) -> Vec<Owner> {
        if let Some(owners) = self.0.get(fingerprint) {
            return owners.iter().cloned().collect();
        }
        let bytes = std::fs::read(path).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        let owner = text("study").zip(text("task")).map(|(study, task)| Owner { study, task });
        owner.into_iter().collect()
    }
}
