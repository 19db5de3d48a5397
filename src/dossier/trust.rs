//! Why to believe the results, or not: what made them, from what, whether it is still as recorded, and what the
//! tasks warned of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::gather::GatherError;
use super::model::{SourceFacts, Trust, WarningFacts};
use super::past::Past;
use super::records::Records;
use crate::cache::Layout;
use crate::plan::Source;
use crate::provenance::{Node, Place, State, walk};

/// Walks back from the final results, hashing everything on the way.
pub(super) fn trust(
    records: &Records<'_>,
    past: &mut Past<'_>,
    layout: &Layout,
    commands: Vec<String>,
) -> Result<Trust, GatherError> {
    let mut trust = Trust { commands, ..Trust::default() };
    let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut checked = BTreeSet::new();
    let mut sources = BTreeMap::new();
    for index in finals(records) {
        let task = &records.plan.tasks[index];
        let Some(record) = records.of(index) else { continue };
        for (output, kept) in &record.outputs {
            let name = format!("{} {output}", task.id);
            trust.finals.push((name, kept.file.clone(), kept.digest.to_string()));
        }
        let folder = layout.results().join(&task.folder);
        let place = Place::find(&folder, Some(layout.root())).map_err(crate::provenance::WalkError::from)?;
        let lineage = walk(&place)?;
        for finding in lineage.findings() {
            let finding = finding.to_string();
            if !trust.damage.contains(&finding) {
                trust.damage.push(finding);
            }
        }
        checked.extend(lineage.asked.iter().map(|asked| asked.path.display().to_string()));
        for node in &lineage.nodes {
            match node {
                Node::Task(task) => {
                    checked.insert(task.fingerprint.to_string());
                    checked.extend(task.outputs.values().map(|held| held.digest.to_string()));
                }
                Node::Source(source) => {
                    let path = source.path.strip_prefix(&records.plan.base).unwrap_or(&source.path);
                    let key = (path.display().to_string(), source.digest.to_string());
                    sources.insert(key, words(&source.state));
                }
                Node::Lost(_) => {}
            }
        }
    }
    let facts = |((path, digest), state): ((String, String), String)| SourceFacts { path, digest, state };
    trust.sources = sources.into_iter().map(facts).collect();
    trust.checked = checked.len();
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
            if !stages.contains(&task.stage.to_string()) {
                stages.push(task.stage.to_string());
            }
        }
    }
    let order = ["phasegraph", "ONNX Runtime", "host", "device"];
    let values = |what: &str| made.get(what).map(|values| values.iter().cloned().collect());
    trust.made_with = order.into_iter().filter_map(|what| Some((what.to_owned(), values(what)?))).collect();
    trust.damage.extend(records.damage());
    Ok(trust)
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
        State::Differs { now } => format!("differs: now {now}"),
        State::Gone => "gone".to_owned(),
        State::Unreadable { message } => format!("unreadable: {message}"),
    }
}

/// The text of the study file; empty if it cannot be read any more.
pub(super) fn study_text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
