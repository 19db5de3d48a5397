//! The crate as a whole: root, profiles, workflow, the run, people and licence.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, Placed};
use super::graph::{Entity, Graph, local};
use super::tasks::Told;
use super::tools::Tools;
use super::{COMPLETED, Credits, Named, time};

/// What people read first.
pub(super) const README: &str = "README.md";
/// The workflow: the part of the study that led to the results.
pub(super) const STUDY: &str = "study.json";

const CRATE: &str = "https://w3id.org/ro/crate/1.1";
const WORKFLOW_CRATE: &str = "https://w3id.org/workflowhub/workflow-ro-crate/1.0";
const BIOSCHEMAS: &str = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE";

/// Profiles with their names and versions.
const PROFILES: [(&str, &str, &str); 4] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
];

/// What the root says of itself.
pub(super) struct Title<'a> {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) credits: &'a Credits,
    /// Seconds since 1970.
    pub(super) now: f64,
    /// The results asked about, as far as the crate has them.
    pub(super) results: Vec<String>,
}

/// Describes the metadata document, the root and the profiles. To be called first: readers look there.
pub(super) fn describe(graph: &mut Graph, title: &Title<'_>, files: &Files, texts: &[Placed], told: &Told) {
    graph.add(
        Entity::new("ro-crate-metadata.json", &["CreativeWork"])
            .link("about", ["./"])
            .link("conformsTo", [CRATE, WORKFLOW_CRATE]),
    );
    let credits = title.credits;
    let organization = credits.organization.as_ref().map(Named::id);
    let parts = texts.iter().chain(files.all()).map(Placed::id);
    let mentions = [ENGINE_RUN.to_owned(), RUN.to_owned()].into_iter().chain(told.actions.iter().cloned());
    graph.add(
        Entity::new("./", &["Dataset"])
            .with("name", title.name.as_str())
            .with("description", title.description.as_str())
            .with("datePublished", time(title.now))
            .link("license", [licence_id(credits)])
            .link("author", credits.author.as_ref().map(Named::id).or(organization.clone()))
            .link("publisher", organization)
            .link("conformsTo", PROFILES.map(|p| p.0))
            .link("mainEntity", [STUDY])
            .link("hasPart", parts)
            .link("mentions", mentions),
    );
    for (id, name, version) in PROFILES {
        graph.add(Entity::new(id, &["CreativeWork"]).with("name", name).with("version", version));
    }
    people(graph, credits);
}

/// Id of whoever is answerable, if anybody is named.
pub(super) fn agent(credits: &Credits) -> Option<String> {
    credits.author.as_ref().or(credits.organization.as_ref()).map(Named::id)
}

fn people(graph: &mut Graph, credits: &Credits) {
    let organization = credits.organization.as_ref();
    if let Some(author) = &credits.author {
        let person = Entity::new(author.id(), &["Person"]).with("name", author.name.as_str());
        graph.add(person.link("affiliation", organization.map(Named::id)));
    }
    if let Some(organization) = organization {
        let entity = Entity::new(organization.id(), &["Organization"]);
        graph.add(entity.with("name", organization.name.as_str()).maybe("url", organization.url.as_deref()));
    }
    let (name, description) = match &credits.license {
        Some(license) => (license.name.as_str(), "the licence under which the authors publish this crate"),
        None => ("no licence stated", "the authors have not said how these data may be used; ask them"),
    };
    let licence = Entity::new(licence_id(credits), &["CreativeWork"]).with("name", name);
    graph.add(licence.with("description", description));
}

fn licence_id(credits: &Credits) -> String {
    credits.license.as_ref().map_or_else(|| local(&["licence"]), Named::id)
}

const RUN: &str = "#run";
const ENGINE_RUN: &str = "#engine-run";

/// Describes the workflow, its steps, and their execution as one.
pub(super) fn workflow(
    graph: &mut Graph,
    title: &Title<'_>,
    texts: &[Placed],
    files: &Files,
    tools: &Tools<'_>,
    told: &Told,
    agent: &str,
) {
    for text in texts {
        let entity = match text.path.as_str() {
            STUDY => text
                .entity(&["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"])
                .with("description", "the tasks of the study that led to the results, producers first")
                // The content is what it is a version of.
                .with("version", text.digest.short())
                .with("url", README)
                .link("conformsTo", [BIOSCHEMAS])
                .link("programmingLanguage", ["#language"])
                .link("hasPart", tools.ids())
                .link("step", told.steps.keys().map(String::as_str)),
            _ => text.entity(&["File"]).link("about", ["./"]),
        };
        graph.add(entity);
    }
    let bioschemas = Entity::new(BIOSCHEMAS, &["CreativeWork"]);
    graph.add(bioschemas.with("name", "Bioschemas ComputationalWorkflow").with("version", "1.0-RELEASE"));
    let language =
        Entity::new("#language", &["ComputerLanguage"]).with("name", "tasks of phasegraph as JSON");
    graph.add(language.with("url", README));
    let positions = positions(&told.after);
    let mut controls = Vec::new();
    for (step, (actions, tool)) in &told.steps {
        let stage = step.split('/').nth(2).unwrap_or_default();
        graph.add(
            Entity::new(&**step, &["HowToStep"])
                .with("name", stage)
                .maybe("position", positions.get(step.as_str()).map(|p| p.to_string()))
                .link("workExample", [&**tool]),
        );
        let control = step.replacen("#step", "#control", 1);
        graph.add(
            Entity::new(&*control, &["ControlAction"])
                .with("name", format!("orchestration of {stage}"))
                .link("instrument", [&**step])
                .link("object", actions.iter().map(String::as_str)),
        );
        controls.push(control);
    }
    let (start, end) = told.span.unwrap_or((title.now, title.now));
    graph.add(
        Entity::new(RUN, &["CreateAction"])
            .with("name", title.name.as_str())
            .with("description", "everything that led to the results; tasks may be of several runs")
            .with("startTime", time(start))
            .with("endTime", time(end))
            .with("actionStatus", COMPLETED)
            .link("instrument", [STUDY])
            .link("agent", [agent])
            .link("object", files.sources.values().map(String::as_str))
            .link("result", title.results.iter().map(String::as_str)),
    );
    graph.add(
        Entity::new(ENGINE_RUN, &["OrganizeAction"])
            .with("name", "execution of phasegraph")
            .with("startTime", time(start))
            .with("endTime", time(end))
            .link("instrument", tools.engines())
            .link("agent", [agent])
            .link("object", controls)
            .link("result", [RUN]),
    );
}

/// Places of steps in the order of execution: after all that they read from. None if steps read from each
/// other, as stages of different studies may.
fn positions(after: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<&str, usize> {
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    while positions.len() < after.len() {
        let before = positions.len();
        for (step, needs) in after {
            let needs: Option<Vec<usize>> =
                needs.iter().filter(|n| *n != step).map(|n| positions.get(n.as_str()).copied()).collect();
            if let (false, Some(needs)) = (positions.contains_key(step.as_str()), needs) {
                positions.insert(step, needs.into_iter().max().map_or(0, |last| last + 1));
            }
        }
        if positions.len() == before {
            return BTreeMap::new();
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_after_those_they_read_from() {
        let edges = |list: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
            let needs = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
            list.iter().map(|(step, names)| ((*step).to_owned(), needs(names))).collect()
        };
        let after = edges(&[("a", &["c"]), ("b", &["a", "c"]), ("c", &[])]);
        assert_eq!(positions(&after), BTreeMap::from([("c", 0), ("a", 1), ("b", 2)]));
        assert!(positions(&edges(&[("a", &["b"]), ("b", &["a"])])).is_empty());
    }
}
