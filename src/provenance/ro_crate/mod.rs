//! A lineage as an RO-Crate: a folder with the results, all that they were made from, and
//! `ro-crate-metadata.json`, which describes every file and every task.
//!
//! The profile is Provenance Run Crate 0.5 (<https://w3id.org/ro/wfrun/provenance/0.5>) on RO-Crate 1.1: it
//! is the one of the Workflow Run profiles that describes the single tasks, not only the whole. Its parts are
//! filled like this: the workflow is `study.json`, a step a stage, a tool a stage kind in its version, a
//! `CreateAction` a task, and the `OrganizeAction` phasegraph itself.

mod files;
mod graph;
mod root;
mod study;
mod tasks;
mod tools;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::files::{Files, From, Placed};
use self::graph::{Graph, local};
use self::root::{README, STUDY, Title};
use self::tools::Tools;
use super::lineage::{Lineage, State};
use crate::cache::{Shelf, StoreError, hash};
use crate::io::atomic;
use crate::kind::Catalog;

/// The metadata document.
const METADATA: &str = "ro-crate-metadata.json";
/// Status of an action that did what it was to do; others leave no record.
const COMPLETED: &str = "http://schema.org/CompletedActionStatus";

/// A name with an address: a person and their ORCID, an institution and its page, a licence and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// Where it is on the web.
    pub url: Option<String>,
}

impl Named {
    /// From `NAME <URL>`, `NAME` or `URL`.
    pub fn parse(text: &str) -> Self {
        let address = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        let text = text.trim();
        let (name, url) = match text.strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
            Some((name, url)) if address(url.trim()) => (name.trim(), Some(url.trim())),
            _ => (text, address(text).then_some(text)),
        };
        let name = if name.is_empty() { url.unwrap_or_default() } else { name };
        Self { name: name.to_owned(), url: url.map(str::to_owned) }
    }

    fn id(&self) -> String {
        self.url.clone().unwrap_or_else(|| local(&["named", &self.name]))
    }
}

/// Who publishes a crate, and under which licence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credits {
    /// Who is answerable for the results.
    pub author: Option<Named>,
    /// Where they work, and who publishes.
    pub organization: Option<Named>,
    /// How the data may be used.
    pub license: Option<Named>,
}

/// A crate that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its folder.
    pub folder: PathBuf,
    /// Files in it, apart from the metadata document.
    pub files: usize,
    /// Their size, bytes.
    pub bytes: u64,
}

/// A crate that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CrateError {
    /// Something is in the way.
    #[error("{folder} is not empty: expected a new folder for the crate")]
    InTheWay {
        /// The folder.
        folder: PathBuf,
    },
    /// The results are not what the record says, so a crate would prove nothing.
    #[error("no crate was written: {path} is not what phasegraph made")]
    NotAsRecorded {
        /// The result.
        path: PathBuf,
    },
    /// A source file was written to just now.
    #[error("no crate was written: {path} changed while it was copied")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot write {path}: {source}")]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> CrateError {
    let path = path.to_owned();
    move |source| CrateError::Io { path, source }
}

/// Writes a crate into a folder, which must be empty or new; it appears whole or not at all. `store` is the
/// folder of the store, `now` the time in seconds since 1970.
pub fn write_crate(
    lineage: &Lineage,
    store: &Path,
    catalog: &Catalog,
    credits: &Credits,
    folder: &Path,
    now: f64,
) -> Result<Written, CrateError> {
    if let Some(bad) = lineage.asked.iter().find(|a| a.state != State::AsRecorded) {
        return Err(CrateError::NotAsRecorded { path: bad.path.clone() });
    }
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CrateError::InTheWay { folder: folder.to_owned() });
    }
    let shelf = Shelf::at(store);
    let mut files = Files::of(lineage, &shelf);
    let (metadata, texts) =
        describe(lineage, &mut files, catalog, credits, now).map_err(|e| failed(folder)(e.into()))?;
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed(parent))?;
    let building =
        tempfile::Builder::new().prefix(".ro-crate.").tempdir_in(parent).map_err(failed(parent))?;
    let mut written = Written { folder: folder.to_owned(), files: 0, bytes: 0 };
    for file in texts.iter().chain(files.all()) {
        put(file, building.path())?;
        written.files += 1;
        written.bytes += file.size.unwrap_or(0);
    }
    let path = building.path().join(METADATA);
    std::fs::write(&path, metadata).map_err(failed(&path))?;
    let done = building.path();
    // Temporary folders are for their owner only; a crate is to be given away.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(done, open).map_err(failed(done))?;
    std::fs::rename(done, folder).map_err(failed(folder))?;
    // It has its name now, and there is nothing left to clear away.
    let _ = building.keep();
    let linked = files.placed.iter().filter(|file| matches!(file.from, From::Object(_)));
    shelf.relinked(linked.map(|file| &file.digest));
    Ok(written)
}

/// The metadata document, and the texts that go with it.
fn describe(
    lineage: &Lineage,
    files: &mut Files,
    catalog: &Catalog,
    credits: &Credits,
    now: f64,
) -> serde_json::Result<(String, Vec<Placed>)> {
    let mut tools = Tools::new(catalog);
    // Without a person or institution, the program itself is all that is known to have acted.
    let engine = tools::engine(env!("CARGO_PKG_VERSION"));
    let agent = root::agent(credits).unwrap_or_else(|| engine.clone());
    // Tasks are described first, because the root lists them, but the root comes first in the document.
    let mut actions = Graph::default();
    let told = tasks::describe(lineage, files, &mut tools, &mut actions, &agent);
    let task = lineage.tasks().next().map(|(_, task)| &task.record);
    let (study, name) = task.map_or(("", ""), |t| (t.study.as_str(), t.task.as_str()));
    let outputs: Vec<&str> = lineage.asked.iter().map(|a| a.output.as_str()).collect();
    let title = Title {
        name: format!("{} of {name} in study {study}", outputs.join(", ")),
        description: format!(
            "Results of the phasegraph study {study}: {} of {name}, with the {} tasks and {} source files that \
             they were made from",
            outputs.join(", "),
            told.actions.len(),
            files.sources.len()
        ),
        credits,
        now,
        results: outputs.iter().filter_map(|o| files.outputs.get(&(0, (*o).to_owned())).cloned()).collect(),
    };
    let texts = vec![
        Placed::text(STUDY, study::study(lineage)?),
        Placed::text(README, study::readme(lineage, files, &tools, &title.name)),
    ];
    let mut graph = Graph::default();
    root::describe(&mut graph, &title, files, &texts, &told);
    root::workflow(&mut graph, &title, &texts, files, &tools, &told, &agent);
    files.describe(&mut graph);
    graph.extend(actions);
    tools.describe(&mut graph);
    if agent == engine {
        tools::describe_engine(&mut graph, env!("CARGO_PKG_VERSION"));
    }
    let document: Value = graph.document();
    serde_json::to_string_pretty(&document).map(|text| (text + "\n", texts))
}

fn put(file: &Placed, folder: &Path) -> Result<(), CrateError> {
    let target = folder.join(&file.path);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    match &file.from {
        From::Object(object) => atomic::link_or_copy(object, &target).map_err(failed(&target)),
        From::Text(bytes) => std::fs::write(&target, bytes).map_err(failed(&target)),
        From::Foreign(path) => {
            std::fs::copy(path, &target).map_err(failed(&target))?;
            let copied = hash(&target).map_err(failed(&target))?;
            if copied.digest != file.digest {
                return Err(CrateError::Changed { path: path.clone() });
            }
            Ok(())
        }
    }
}

/// ISO 8601 with milliseconds and offset, as the profile's validator wants it.
fn time(seconds: f64) -> String {
    let stamp = jiff::Timestamp::from_millisecond((seconds * 1e3) as i64).unwrap_or_default();
    stamp.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00").to_string()
}
