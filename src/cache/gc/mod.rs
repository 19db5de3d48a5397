//! Cleaning: what no study needs any more goes. First what would go is found out, as data; then exactly that
//! is removed.
//!
//! Kept is whatever the last fingerprints of any study need: their manifests, the manifests of all that they
//! were made from, and every object that one of these names. Whoever cleans has the store alone
//! ([`StoreLock::own`](super::StoreLock::own)).

mod choose;
mod inventory;
mod runs;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use self::sweep::Swept;

use self::choose::{Choice, choose};
use self::inventory::Inventory;
use super::compact::{self, Compaction};
use super::lock::running;
use super::{Layout, Shelf, StoreError, layout, shelf, store};

/// What may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Runs of every study whose journals and logs stay; all of them if not said.
    pub keep_runs: Option<usize>,
    /// Only what was written longer ago than this.
    pub older_than: Option<Duration>,
    /// Only as much, oldest first, as it takes for objects and manifests to fit.
    pub max_size: Option<u64>,
    /// Damaged files that were put aside, too.
    pub quarantine: bool,
}

/// Something that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Going {
    /// The file or folder.
    pub path: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// Whether a result still shows it: then the space is not freed before that goes, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// What it is, for people.
    pub what: String,
}

/// Everything that goes, in the order in which it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// The index, rewritten first: it must not answer for manifests that are gone.
    #[serde(skip)]
    index: Compaction,
    /// Manifests. They go before objects, so that none is ever left without its outputs.
    pub manifests: Vec<Going>,
    /// Objects.
    pub objects: Vec<Going>,
    /// Journals and logs of old runs.
    pub runs: Vec<Going>,
    /// What runs that died have left behind.
    pub leftovers: Vec<Going>,
    /// Damaged files that were put aside.
    pub quarantine: Vec<Going>,
    /// Whether they go.
    pub quarantine_goes: bool,
    /// Other files of lines, rewritten.
    #[serde(skip)]
    compactions: Vec<Compaction>,
    /// Bytes that rewriting files of lines saves.
    pub compacted_bytes: u64,
    /// Manifests that stay.
    pub kept_manifests: usize,
    /// Objects that stay.
    pub kept_objects: usize,
    /// Bytes of both.
    pub kept_bytes: u64,
    /// Bytes by which that is more than was asked for.
    pub too_much: u64,
    /// Studies whose history has damaged lines: all their manifests are kept this time.
    pub guarded: Vec<String>,
    /// Studies that are being run now, and by whom: nothing can be removed meanwhile.
    pub running: Vec<(String, String)>,
}

impl Sweep {
    /// Finds out what would go from a folder; `now` is the time.
    pub fn plan(root: &Path, policy: &Policy, now: SystemTime) -> Result<Self, StoreError> {
        let store = Layout::store_in(root);
        store::check_format(&store)?;
        let inventory = Inventory::take(root)?;
        let Choice { manifests, objects, too_much } = choose(&inventory, policy, now);
        // What the index says of a root is believed by the next run, with or without a manifest.
        let answers = |name: &_| {
            let stays = inventory.manifests.contains_key(name) && !manifests.contains(name);
            stays || inventory.roots.contains(name)
        };
        let there = |digest: &_| inventory.objects.contains_key(digest) && !objects.contains(digest);
        let index = compact::index(&store, &answers)?;
        let mut compactions = vec![compact::stat(&store, &there)?];
        for (study, history) in &inventory.histories {
            compactions.push(compact::history(&study.history(), history)?);
        }
        let running = running(root);
        let is_running = |study: &Layout| running.iter().any(|(name, _)| name == study.study());
        let (mut old, mut leftovers) = (Vec::new(), Vec::new());
        for (study, _) in &inventory.histories {
            old.extend(runs::old(study, policy.keep_runs)?);
            if !is_running(study) {
                leftovers.extend(runs::left_behind(study)?);
            }
        }
        leftovers
            .extend(inventory.leftovers.iter().map(|kept| Going::of(kept, "unfinished file".to_owned())));
        let aside = shelf::files(&layout::quarantine(&store))?;
        let aside = aside.iter().map(|(name, kept)| Going::of(kept, format!("damaged {name}")));
        let kept_bytes = inventory.left(&manifests, &objects).sum();
        Ok(Self {
            compacted_bytes: index.saved() + compactions.iter().map(Compaction::saved).sum::<u64>(),
            index,
            compactions,
            kept_manifests: inventory.manifests.len() - manifests.len(),
            kept_objects: inventory.objects.len() - objects.len(),
            kept_bytes,
            manifests: inventory.going_manifests(&manifests),
            objects: inventory.going_objects(&objects),
            runs: old,
            leftovers,
            quarantine: aside.collect(),
            quarantine_goes: policy.quarantine,
            too_much,
            guarded: inventory.guarded,
            running,
        })
    }

    /// Everything that goes, apart from lines of files that are rewritten.
    pub fn going(&self) -> impl Iterator<Item = &Going> {
        let aside = if self.quarantine_goes { self.quarantine.as_slice() } else { &[] };
        let all = [&self.manifests, &self.objects, &self.runs, &self.leftovers];
        all.into_iter().flatten().chain(aside)
    }

    /// Bytes that go: the sizes of all that is removed, and what rewriting saves.
    pub fn bytes(&self) -> u64 {
        self.going().map(|going| going.bytes).sum::<u64>() + self.compacted_bytes
    }

    /// How many of these are still shown by results, so that their space is not freed yet.
    pub fn shown_bytes(&self) -> u64 {
        self.going().filter(|going| going.shown).map(|going| going.bytes).sum()
    }
}

impl Going {
    fn of(kept: &shelf::Kept, what: String) -> Self {
        Self { path: kept.path.clone(), bytes: kept.size, shown: kept.links > 1, what }
    }
}

/// The shelf of a folder's store.
fn shelf_in(root: &Path) -> Shelf {
    Shelf::at(Layout::store_in(root))
}
