//! Why to believe the results, or not: what made them, from what, whether it is still as recorded, and what the
//! tasks warned of.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::model::{SourceFacts, Trust, WarningFacts};
use super::past::Past;
use super::records::Records;
use crate::cache::{Layout, Manifest, Origin};
use crate::io::digest::Digest;
use crate::plan::Source;
use crate::provenance::{State, states};

/// Hashes all results, their objects and the source files, and gathers versions, seeds and warnings.
pub(super) fn trust(
    records: &Records<'_>,
    past: &mut Past<'_>,
    layout: &Layout,
    commands: Vec<String>,
) -> Trust {
    let mut trust = Trust { commands, ..Trust::default() };
    check(records, layout, &mut trust);
    for index in finals(records) {
        let task = &records.plan.tasks[index];
        for (output, kept) in records.of(index).iter().flat_map(|record| &record.outputs) {
            let name = format!("{} {output}", task.id);
            trust.finals.push((name, kept.file.clone(), kept.digest.to_string()));
        }
    }
    let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (index, task) in records.plan.tasks.iter().enumerate() {
        let warnings = match records.of(index) {
            Some(record) => past.warnings(record),
            None => past.last_warnings(&task.id),
        };
        let facts = |message| WarningFacts { task: task.id.to_string(), message };
        trust.warnings.extend(warnings.into_iter().map(facts));
        let Some(record) = records.of(index) else { continue };
        let mut tell = |what, value: &str| made.entry(what).or_default().insert(value.to_owned());
        tell("phasegraph", &record.phasegraph);
        tell("host", &record.host);
        tell("device", &record.device);
        if let Some(runtime) = &record.fingerprint.runtime {
            tell("ONNX Runtime", runtime);
        }
        if let Some(seed) = record.fingerprint.seed {
            let stages = trust.seeds.entry(seed).or_default();
            if !stages.iter().any(|stage| **stage == *task.stage) {
                stages.push(task.stage.to_string());
            }
        }
    }
    let order = ["phasegraph", "ONNX Runtime", "host", "device"];
    let values = |what: &str| made.get(what).map(|values| values.iter().cloned().collect());
    trust.made_with = order.into_iter().filter_map(|what| Some((what.to_owned(), values(what)?))).collect();
    trust.damage.extend(records.damage());
    trust
}

/// Hashes everything that results rest on, each file once, and takes note of what is not as recorded.
fn check(records: &Records<'_>, layout: &Layout, trust: &mut Trust) {
    // File and what it should be → what it is called.
    let mut files: BTreeMap<(PathBuf, Digest), String> = BTreeMap::new();
    let mut sources: BTreeSet<(PathBuf, Digest)> = BTreeSet::new();
    for (index, task) in records.plan.tasks.iter().enumerate() {
        let Some(record) = records.of(index) else { continue };
        for (output, kept) in &record.outputs {
            let Some(object) = records.file(index, output) else { continue };
            let shown = layout.results().join(&task.folder).join(&kept.file);
            if !one_file(&shown, &object) {
                files.insert((shown, kept.digest), format!("the result `{output}` of {}", task.id));
            }
            let name = format!("the store's `{output}` of {}", task.id);
            files.entry((object, kept.digest)).or_insert(name);
        }
        sources.extend(read_from_outside(record));
    }
    let wanted: Vec<(PathBuf, Digest)> = files.keys().chain(&sources).cloned().collect();
    trust.checked = wanted.len();
    let found = states(&wanted);
    for ((place, name), state) in files.iter().zip(&found) {
        if *state != State::AsRecorded {
            trust.damage.push(format!("{name} is not what was made: {} {}", place.0.display(), words(state)));
        }
    }
    for ((path, digest), state) in sources.iter().zip(&found[files.len()..]) {
        let path = path.strip_prefix(&records.plan.base).unwrap_or(path).display().to_string();
        trust.sources.push(SourceFacts { path, digest: digest.to_string(), state: words(state) });
    }
}

/// Whether two paths are names of one file.
fn one_file(a: &Path, b: &Path) -> bool {
    let identity = |path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

/// Files that no task made, with the digest of what was read.
fn read_from_outside(record: &Manifest) -> Vec<(PathBuf, Digest)> {
    let mut all = Vec::new();
    for (slot, origins) in &record.sources {
        let read = record.fingerprint.inputs.get(slot.as_str());
        for (place, origin) in origins.iter().enumerate() {
            let digest = read.and_then(|files| files.get(place)).map(|file| file.digest);
            if let (Origin::File { path }, Some(digest)) = (origin, digest) {
                all.push((path.clone(), digest));
            }
        }
    }
    all
}

/// Tasks with results that no other task reads.
fn finals(records: &Records<'_>) -> Vec<usize> {
    let mut read = vec![false; records.plan.tasks.len()];
    for task in &records.plan.tasks {
        for source in task.inputs.sources() {
            if let Source::Task { task, .. } = source {
                read[*task] = true;
            }
        }
    }
    (0..read.len()).filter(|index| !read[*index] && records.of(*index).is_some()).collect()
}

fn words(state: &State) -> String {
    match state {
        State::AsRecorded => "as recorded".to_owned(),
        State::Differs { now } => format!("has other content, BLAKE3 {now}"),
        State::Gone => "is gone".to_owned(),
        State::Unreadable { message } => format!("cannot be read: {message}"),
    }
}

/// The text of the study file; empty if it cannot be read any more.
pub(super) fn study_text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
