//! Whether a task must run, and why. Needs the contents of its inputs, so it is asked when they are known.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::fingerprint::{Inputs, own_digest};
use super::{
    Change, Contents, FINGERPRINT_VERSION, Fingerprint, Finished, History, InputDigest, Known, Layout,
    Presence, Results, Store, StoreError, changes,
};
use crate::io::digest::Digest;
use crate::plan::{Labels, Plan, Source, Task, TaskSet};
use crate::study::DeviceKind;
use crate::table::Table;

/// What decides results but is not in the study file; the binary gathers it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Values of the environment variables that some task names.
    pub env: BTreeMap<String, Option<String>>,
    /// `onnxruntime 1.32.0`: the one found, or the one that would be fetched.
    pub runtime: Option<String>,
}

/// One reason to run.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Never finished in this study.
    First,
    /// Its fingerprint differs from the last one in these fields.
    Changed(Vec<Change>),
    /// The last fingerprint is known but what was recorded with it is gone, so fields cannot be compared.
    Unrecorded,
    /// Nothing changed but this output is no longer in the store, or is damaged.
    OutputLost(String),
    /// The user asked.
    Forced,
}

impl Why {
    /// A line per reason.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Why::Changed(changes) => changes.iter().map(Change::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::First => write!(f, "has not finished before"),
            Why::Changed(changes) => {
                let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
                write!(f, "{}", lines.join("; "))
            }
            Why::Unrecorded => write!(f, "the record of its last result is gone from the store"),
            Why::OutputLost(name) => write!(f, "its output `{name}` is missing from the store or damaged"),
            Why::Forced => write!(f, "asked for with --force"),
        }
    }
}

/// A file to hash before a decision is possible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToHash {
    /// An input that has changed since it was last hashed, or never was.
    Input(PathBuf),
    /// An object of the store whose stamp has changed.
    Object(PathBuf, Digest),
}

impl ToHash {
    /// The file.
    pub fn path(&self) -> &PathBuf {
        let (Self::Input(path) | Self::Object(path, _)) = self;
        path
    }
}

/// What a task that must run will be stored under.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// Digest of its fingerprint.
    pub fingerprint: Digest,
    /// Digests of its input files outside the store, in the order of [`Plan`]'s sources.
    pub files: Vec<Digest>,
    /// Why it must run.
    pub why: Why,
}

/// The decision on one task.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The store holds its outputs; `shown` tells whether its results folder does, too.
    Cached {
        /// What it left.
        finished: Finished,
        /// Whether all is in the results folder.
        shown: bool,
        /// Whether it took opening the manifest to know.
        from_manifest: bool,
    },
    /// It must run.
    Run(Miss),
    /// Not yet: these files must be hashed first.
    Hash(Vec<ToHash>),
}

/// What decisions look at, apart from the store and what is known so far.
#[derive(Clone, Copy)]
pub struct Deciding<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where results are.
    pub layout: &'a Layout,
    /// Last fingerprints.
    pub history: &'a History,
    /// Values from outside the study.
    pub around: &'a Surroundings,
}

impl<'a> Deciding<'a> {
    /// Decides on several tasks whose producers are all in `known`, on several threads where that pays.
    pub fn decide_all(
        &self,
        tasks: &[usize],
        known: &Known,
        store: &Store,
        forced: &TaskSet,
    ) -> Vec<Result<Decision, StoreError>> {
        let files = self.look_at_files(tasks, store);
        let results = match Results::open(self.layout.results()) {
            Ok(results) => results,
            Err(error) => return tasks.iter().map(|_| Err(error.clone())).collect(),
        };
        let seen = Seen { known, store, results, files, commons: self.commons(tasks) };
        let decide = |index: &usize| self.decide(*index, &seen, forced.contains(*index));
        match tasks.len() {
            0..FEW => tasks.iter().map(decide).collect(),
            _ => tasks.par_iter().with_min_len(FEW / 2).map(decide).collect(),
        }
    }

    /// Digests of the files that tasks read, as far as they need not be hashed first. Thousands of tasks may
    /// read one file, which is looked at once.
    fn look_at_files(&self, tasks: &[usize], store: &Store) -> Looked<'a> {
        let mut looked = Looked::new();
        for source in tasks.iter().flat_map(|index| self.plan.tasks[*index].inputs.sources()) {
            if let Source::File { path } = source {
                looked.entry(&**path).or_insert_with(|| store.input(&self.plan.base.join(path)));
            }
        }
        looked
    }

    fn decide(&self, index: usize, seen: &Seen<'_>, force: bool) -> Result<Decision, StoreError> {
        let store = seen.store;
        let mut files = Vec::new();
        let mut wanted = Vec::new();
        for source in self.plan.tasks[index].inputs.sources() {
            if let Source::File { path } = source {
                match seen.files.get(&**path) {
                    Some(Err(error)) => return Err(error.clone()),
                    Some(Ok(Some(digest))) => files.push(*digest),
                    Some(Ok(None)) | None => wanted.push(ToHash::Input(self.plan.base.join(path))),
                }
            }
        }
        if !wanted.is_empty() {
            return Ok(Decision::Hash(wanted));
        }
        let task = &self.plan.tasks[index];
        let inputs = self.inputs(index, seen.known, &files);
        let common = seen.commons.get(&alike(task)).copied();
        let common = common.unwrap_or_else(|| self.without_inputs(index).common());
        let digest = own_digest(&common, &task.point, &inputs);
        debug_assert_eq!(digest, self.fingerprint(index, seen.known, &files).digest());
        let why = if force {
            Why::Forced
        } else if let Some((outputs, from_manifest)) = store.lookup(&digest)? {
            match self.presence(index, &outputs, seen)? {
                Found::All { shown } => {
                    let finished = Finished { fingerprint: digest, outputs };
                    return Ok(Decision::Cached { finished, shown, from_manifest });
                }
                Found::Unsure(objects) => return Ok(Decision::Hash(objects)),
                Found::Lost(output) => Why::OutputLost(output),
            }
        } else {
            let fingerprint = Fingerprint { inputs, ..self.without_inputs(index) };
            self.why(index, &fingerprint, &digest, store)?
        };
        Ok(Decision::Run(Miss { fingerprint: digest, files, why }))
    }

    fn presence(&self, index: usize, outputs: &Contents, seen: &Seen<'_>) -> Result<Found, StoreError> {
        let task = &self.plan.tasks[index];
        let mut all_shown = true;
        let mut unsure = Vec::new();
        for (content, (name, file)) in outputs.iter().zip(task.outputs.iter()) {
            match seen.store.presence(content, &seen.results, &task.folder.join(file))? {
                Presence::Shown => {}
                Presence::Hidden => all_shown = false,
                Presence::Lost => return Ok(Found::Lost(name.clone())),
                Presence::Unsure(path) => unsure.push(ToHash::Object(path, content.digest)),
            }
        }
        Ok(if unsure.is_empty() { Found::All { shown: all_shown } } else { Found::Unsure(unsure) })
    }

    fn why(
        &self,
        index: usize,
        fingerprint: &Fingerprint<'_>,
        digest: &Digest,
        store: &Store,
    ) -> Result<Why, StoreError> {
        Ok(match self.history.last(&self.plan.tasks[index].id) {
            None => Why::First,
            Some(last) if last == digest => Why::Unrecorded,
            Some(last) => match store.manifest(last)? {
                Some(manifest) => Why::Changed(changes(&manifest.fingerprint, fingerprint)),
                None => Why::Unrecorded,
            },
        })
    }

    /// The fingerprint of a task whose producers are all in `known`; `files` are the digests of its input
    /// files outside the store, in the order of its sources.
    pub fn fingerprint(&self, index: usize, known: &Known, files: &[Digest]) -> Fingerprint<'a> {
        Fingerprint { inputs: self.inputs(index, known, files), ..self.without_inputs(index) }
    }

    fn inputs(&self, index: usize, known: &Known, files: &[Digest]) -> Inputs<'a> {
        let task = &self.plan.tasks[index];
        let mut files = files.iter();
        let mut digest = |source: &'a Source| match source {
            Source::File { .. } => {
                let digest = files.next().copied();
                InputDigest { digest: digest.unwrap_or(NOTHING), point: Cow::Owned(Labels::default()) }
            }
            Source::Task { task, output } => {
                let digest = known.content(self.plan, *task, output).map(|c| c.digest);
                let point = Cow::Borrowed(&*self.plan.tasks[*task].point);
                InputDigest { digest: digest.unwrap_or(NOTHING), point }
            }
        };
        let inputs = task.inputs.iter();
        inputs.map(|(slot, all)| (Cow::Borrowed(slot), all.iter().map(&mut digest).collect())).collect()
    }

    /// What these tasks have in common with others, as digests: it follows from the stage and its parameters.
    fn commons(&self, tasks: &[usize]) -> Commons {
        let mut commons = Commons::default();
        for index in tasks {
            commons
                .entry(alike(&self.plan.tasks[*index]))
                .or_insert_with(|| self.without_inputs(*index).common());
        }
        commons
    }

    /// The fingerprint but for its inputs.
    fn without_inputs(&self, index: usize) -> Fingerprint<'a> {
        let task = &self.plan.tasks[index];
        let variable = |name: &'a String| {
            let value = self.around.env.get(name).and_then(|v| v.as_deref());
            (Cow::Borrowed(&**name), value.map(Cow::Borrowed))
        };
        Fingerprint {
            version: FINGERPRINT_VERSION,
            kind: Cow::Borrowed(&task.kind),
            kind_version: task.kind_version,
            params: Cow::Borrowed(&task.params),
            seed: task.seed,
            point: Cow::Borrowed(&task.point),
            inputs: Inputs::new(),
            outputs: Cow::Borrowed(&task.outputs),
            env: task.env.iter().map(variable).collect(),
            runtime: if task.needs_runtime {
                self.around.runtime.as_deref().map(Cow::Borrowed)
            } else {
                None
            },
            device: match (task.resources.device, task.rescue.as_ref().and_then(|rescue| rescue.device)) {
                (DeviceKind::Cpu, _) => "cpu".into(),
                (DeviceKind::Cuda, Some(DeviceKind::Cpu)) => "cuda or cpu".into(),
                (DeviceKind::Cuda, _) => "cuda".into(),
            },
        }
    }
}

/// Files as the plan names them, with their digests where those are known.
type Looked<'a> = BTreeMap<&'a Path, Result<Option<Digest>, StoreError>>;

/// What several decisions look at.
struct Seen<'a> {
    known: &'a Known,
    store: &'a Store,
    results: Results,
    files: Looked<'a>,
    commons: Commons,
}

/// By [`alike`]: digests of what tasks have in common.
type Commons = Table<(usize, usize), Digest>;

/// The same for tasks of one stage with the same parameters, which the plan keeps only once: where those lie.
fn alike(task: &Task) -> (usize, usize) {
    (Arc::as_ptr(&task.stage).addr(), Arc::as_ptr(&task.params).addr())
}

/// Fewer decisions than this are made on one thread.
const FEW: usize = 128;

/// Stands for a digest that a caller failed to provide: no content has it, so nothing is found under it.
const NOTHING: Digest = Digest::NONE;

/// Where the outputs of a task are.
enum Found {
    All { shown: bool },
    Unsure(Vec<ToHash>),
    Lost(String),
}
