//! The whole file: from its text to a study, or to every problem in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::axes::Axes;
use super::fields::{self, Fields, is_name, mapping, mismatch, text};
use super::model::Study;
use super::node::{Content, Node, shorten};
use super::overrides::{self, Overrides};
use super::retries::Policies;
use super::stage::{Context, StageDraft};
use super::{link, validate, yaml};
use crate::diag::{Location, Problem, Problems};
use crate::kind::Catalog;

/// Version of the format that this reads.
const VERSION: i128 = 1;

const KEYS: &[&str] =
    &["version", "study", "title", "seed", "retries", "axes", "exclude", "include", "stages"];

/// Why a study could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file has problems.
    #[error("{0}")]
    Invalid(Problems),
}

/// Loads a study file; `sets` are the arguments of `--set`.
pub fn load(path: &Path, catalog: &Catalog, sets: &[String]) -> Result<Study, LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    // Before reading: a device or a disk image named by mistake would fill the memory.
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > yaml::MAX_BYTES as u64 {
        let found = format!("the file is too large: {} MiB", size >> 20);
        let expected = format!("{} MiB", yaml::MAX_BYTES >> 20);
        return Err(LoadError::Invalid(Problems(vec![Problem::new(found).expected(expected)])));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        LoadError::Invalid(Problems(vec![not_utf8(path, valid)]))
    })?;
    parse(path, &text, catalog, sets).map_err(LoadError::Invalid)
}

fn not_utf8(path: &Path, valid: &[u8]) -> Problem {
    let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
    let start = valid.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let column = String::from_utf8_lossy(&valid[start..]).chars().count() + 1;
    let at = Location { file: Arc::new(path.to_owned()), line, column };
    Problem::at(at, "the file is not UTF-8 text").hint("save it as UTF-8")
}

/// Reads the text of a study file; files that it names are looked for beside `path`.
pub fn parse(path: &Path, text: &str, catalog: &Catalog, sets: &[String]) -> Result<Study, Problems> {
    let mut problems = Problems::default();
    let file = Arc::new(path.to_owned());
    let root = yaml::parse(&file, text, &mut problems);
    let unreadable: BTreeSet<Location> = problems.0.iter().filter_map(|problem| problem.at.clone()).collect();
    let mut found = Problems::default();
    let study = root.and_then(|root| read(path, &root, catalog, sets, &mut found));
    // What follows from a value that could not be read is not told as well.
    let follows = |problem: &Problem| problem.at.as_ref().is_some_and(|at| unreadable.contains(at));
    problems.0.extend(found.0.into_iter().filter(|problem| !follows(problem)));
    match study {
        Some(study) if problems.is_empty() => Ok(study),
        _ => Err(quoted(problems, text, sets)),
    }
}

/// Quotes the lines at fault, each from its own source.
fn quoted(mut problems: Problems, text: &str, sets: &[String]) -> Problems {
    for problem in &mut problems.0 {
        if let Some(at) = problem.at.as_ref().filter(|at| at.file.as_os_str() == overrides::FILE) {
            problem.excerpt = at.line.checked_sub(1).and_then(|i| sets.get(i)).cloned();
        }
    }
    problems.finish(text)
}

fn read(
    path: &Path,
    root: &Node,
    catalog: &Catalog,
    sets: &[String],
    problems: &mut Problems,
) -> Option<Study> {
    let set = Overrides::read(sets, root, problems);
    let fields = Fields::read_with_extensions(root, "the study file", KEYS, problems)?;
    if let Some(node) = fields.require("version", problems)
        && node.content != Content::Int(VERSION)
    {
        let expected = VERSION.to_string();
        problems.push(mismatch(node, "`version`", &expected));
    }
    let name = fields.require("study", problems).and_then(|node| study_name(node, problems));
    let title = fields.get("title").and_then(|node| text(node, "`title`", problems));
    let seed = set.seed.as_ref().or_else(|| fields.get("seed"));
    let seed = seed.and_then(|node| {
        fields::integer(node, "`seed`", "an integer from 0 to 18446744073709551615", problems)
    });
    let seed: u64 = seed.unwrap_or(0);
    let mut axes = Axes::read(fields.get("axes"), &set.axes, problems);
    axes.read_combinations(fields.get("exclude"), fields.get("include"), problems);
    let stages = read_stages(&fields, catalog, &axes, &set, problems);
    let dir = folder(path);
    link::check(&stages, &axes, seed, &dir, problems);
    validate::check(&stages, &axes, seed, problems);
    unused_axes(&stages, &axes, problems);
    let by_id = stages.iter().enumerate().map(|(i, stage)| (stage.decl.id.clone(), i)).collect();
    Some(Study {
        name: name?,
        title: title.map(str::to_owned),
        seed,
        stages: stages.into_iter().map(|stage| stage.decl).collect(),
        axes: axes.finish(),
        file: path.to_owned(),
        dir,
        by_id,
    })
}

/// The folder of a study's file, to which the paths in it are relative.
pub fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn study_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "`study`", problems)?;
    let start = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if is_name(name, start, start) {
        return Some(name.to_owned());
    }
    let expected = "small letters, digits, `_`, `-`: the name becomes a folder";
    problems.push(mismatch(node, "`study`", expected));
    None
}

fn read_stages<'c>(
    fields: &Fields<'_>,
    catalog: &'c Catalog,
    axes: &Axes,
    set: &Overrides,
    problems: &mut Problems,
) -> Vec<StageDraft<'c>> {
    let Some(node) = fields.require("stages", problems) else {
        return Vec::new();
    };
    let Some(entries) = mapping(node, "`stages`", problems) else {
        return Vec::new();
    };
    if entries.is_empty() {
        problems.push(Problem::at(node.at.clone(), "`stages` is empty"));
    }
    let ids: BTreeSet<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
    let mut overlays: BTreeMap<&str, BTreeMap<usize, BTreeMap<String, Node>>> = BTreeMap::new();
    for (axis, draft) in axes.drafts.iter().enumerate() {
        for params in &draft.params {
            let stage = params.stage.text.as_str();
            if !ids.contains(stage) {
                let message = format!("unknown stage `{}`", shorten(stage));
                let problem = Problem::at(params.stage.at.clone(), message);
                problems.push(fields::near(problem, stage, ids.iter().copied(), problems));
                continue;
            }
            let of_axis = overlays.entry(stage).or_default().entry(axis).or_default();
            of_axis.insert(params.label.clone(), params.node.clone());
        }
    }
    let retries = Policies::read(fields.get("retries"), "`retries`", problems);
    let context = Context { catalog, axes, overlays: &overlays, set: &set.params, retries: &retries };
    entries.iter().map(|(id, node)| context.read(id, node, problems)).collect()
}

/// An axis that no stage goes over does nothing: a slip more often than a wish.
fn unused_axes(stages: &[StageDraft<'_>], axes: &Axes, problems: &mut Problems) {
    // A misspelt axis may well be the one that seems unused.
    if stages.iter().any(|stage| !stage.over_known) {
        return;
    }
    let mut used = vec![false; axes.drafts.len()];
    for axis in stages.iter().flat_map(|stage| &stage.axes) {
        used[*axis] = true;
    }
    for (draft, used) in axes.drafts.iter().zip(used) {
        if !used {
            let message = format!("no stage goes over axis `{}`", shorten(&draft.axis.name));
            problems.push(
                Problem::at(draft.axis.at.clone(), message)
                    .hint("name it in `over` of a stage, or remove it"),
            );
        }
    }
}
