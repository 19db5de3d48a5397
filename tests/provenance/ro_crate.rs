//! The crate, held against the rules of Provenance Run Crate 0.5 that make it readable by others.
//! `scripts/validate-ro-crate` asks the profile's own validator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use phasegraph::cache::{Layout, Stamp, StatIndex};
use phasegraph::io::digest::Digest;
use serde_json::Value;

use super::common::TestEnvironment;
use super::common::sums::RESULTS;
use super::{object, ran, total};

const CREDITS: [&str; 6] = [
    "--author",
    "Josiah Carberry <https://orcid.org/0000-0002-1825-0097>",
    "--organization",
    "Brown University <https://www.brown.edu/>",
    "--license",
    "https://creativecommons.org/publicdomain/zero/1.0/",
];

/// Entities by id.
struct Crate(BTreeMap<String, Value>);

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("ro-crate-metadata.json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["@context"][0], "https://w3id.org/ro/crate/1.1/context");
        let entities = document["@graph"].as_array().unwrap();
        let by_id: BTreeMap<String, Value> =
            entities.iter().map(|e| (e["@id"].as_str().unwrap().to_owned(), e.clone())).collect();
        assert_eq!(by_id.len(), entities.len(), "an @id is used twice");
        Self(by_id)
    }

    fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0
            .iter()
            .filter(move |(_, e)| list(&e["@type"]).iter().any(|t| *t == kind))
            .map(|(id, e)| (&**id, e))
    }

    fn ids(&self, of: &str, property: &str) -> Vec<&str> {
        list(&self.0[of][property]).into_iter().map(|v| v["@id"].as_str().unwrap()).collect()
    }

    fn is(&self, id: &str, kinds: &[&str]) -> bool {
        list(&self.0[id]["@type"]).iter().any(|t| kinds.contains(&t.as_str().unwrap()))
    }
}

fn make(env: &TestEnvironment, output: &str, more: &[&str]) -> Crate {
    env.ok(&[&["provenance", output, "--format", "ro-crate", "--out", "crate"], more].concat());
    Crate::read(&env.path("crate"))
}

/// What the profile and RO-Crate 1.1 demand.
fn check(found: &Crate, folder: &Path) {
    for (id, entity) in &found.0 {
        for (property, value) in entity.as_object().unwrap() {
            if let Value::Array(all) = value {
                assert!(all.len() > 1, "{id}: {property} is a list of {}", all.len());
            }
            for reference in list(value).into_iter().filter_map(|v| v.get("@id")) {
                let to = reference.as_str().unwrap();
                // The two specifications are described by themselves.
                let known = found.0.contains_key(to) || to == "https://w3id.org/ro/crate/1.1";
                assert!(known, "{id}: {property} refers to {to}, which is not described");
            }
        }
    }
    assert_eq!(found.ids("ro-crate-metadata.json", "about"), ["./"]);
    let conforms = found.ids("./", "conformsTo");
    for profile in ["process", "workflow", "provenance"] {
        let permalink = format!("https://w3id.org/ro/wfrun/{profile}/0.5");
        assert!(conforms.contains(&&*permalink) && found.is(&permalink, &["CreativeWork"]), "{profile}");
    }
    for property in ["name", "description", "datePublished", "license"] {
        assert!(!found.0["./"][property].is_null(), "{property}");
    }
    check_files(found, folder);
    check_workflow(found);
}

/// Every file is there, is listed, and is what its identifier says; nothing else is in the folder.
fn check_files(found: &Crate, folder: &Path) {
    let parts: BTreeSet<&str> = found.ids("./", "hasPart").into_iter().collect();
    let files: BTreeSet<&str> = found.of_type("File").map(|(id, _)| id).collect();
    assert_eq!(parts, files);
    let mut names = BTreeSet::from(["ro-crate-metadata.json".to_owned()]);
    for id in files {
        let name = id.replace("%20", " ");
        assert!(!name.contains('%'), "{name}");
        let content = std::fs::read(folder.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let entity = &found.0[id];
        assert_eq!(entity["identifier"], format!("blake3:{}", Digest::of(&content)), "{name}");
        assert_eq!(entity["contentSize"], content.len().to_string(), "{name}");
        assert!(entity["encodingFormat"].is_string());
        names.insert(name);
    }
    assert_eq!(names, below(folder, folder));
}

fn below(folder: &Path, root: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut names = BTreeSet::new();
    for path in entries {
        if path.is_dir() {
            names.extend(below(&path, root));
        } else {
            names.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    names
}

fn check_workflow(found: &Crate) {
    let [workflow] = found.ids("./", "mainEntity")[..] else { panic!("one main entity") };
    for kind in ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"] {
        assert!(found.is(workflow, &[kind]), "{kind}");
    }
    assert!(found.is(found.ids(workflow, "programmingLanguage")[0], &["ComputerLanguage"]));
    let tools: BTreeSet<&str> = found.ids(workflow, "hasPart").into_iter().collect();
    let mentions: BTreeSet<&str> = found.ids("./", "mentions").into_iter().collect();
    let mut used = BTreeSet::new();
    let mut of_workflow = 0;
    for (id, action) in found.of_type("CreateAction") {
        assert!(mentions.contains(id), "{id}");
        let [instrument] = found.ids(id, "instrument")[..] else { panic!("{id}: one instrument") };
        assert!(tools.contains(instrument) || instrument == workflow, "{id}");
        of_workflow += usize::from(instrument == workflow);
        used.insert(instrument);
        for data in found.ids(id, "object").into_iter().chain(found.ids(id, "result")) {
            assert!(found.is(data, &["File", "PropertyValue", "CreativeWork"]), "{id}: {data}");
        }
        assert!(!found.ids(id, "result").is_empty() && !found.ids(id, "agent").is_empty(), "{id}");
        for moment in ["startTime", "endTime"] {
            let text = action[moment].as_str().unwrap();
            assert!(text.len() == 29 && text.ends_with("+00:00"), "{text}");
        }
    }
    assert_eq!(of_workflow, 1);
    assert!(tools.iter().all(|tool| used.contains(tool)));
    let steps: BTreeSet<&str> = found.ids(workflow, "step").into_iter().collect();
    assert_eq!(steps, found.of_type("HowToStep").map(|(id, _)| id).collect());
    for step in &steps {
        assert!(found.ids(step, "workExample").iter().all(|tool| tools.contains(tool)));
    }
    let controlled: BTreeSet<&str> =
        found.of_type("ControlAction").flat_map(|(id, _)| found.ids(id, "instrument")).collect();
    assert_eq!(controlled, steps);
    let [organize] = found.of_type("OrganizeAction").map(|(id, _)| id).collect::<Vec<_>>()[..] else {
        panic!("one engine run")
    };
    assert!(found.is(found.ids(organize, "instrument")[0], &["SoftwareApplication"]));
    assert_eq!(found.ids(organize, "object").len(), found.of_type("ControlAction").count());
    let examples: BTreeSet<&str> =
        found.0.keys().flat_map(|id| found.ids_if_any(id, "exampleOfWork")).collect();
    for (id, parameter) in found.of_type("FormalParameter") {
        assert!(parameter["additionalType"].is_string() && parameter["name"].is_string(), "{id}");
        assert!(examples.contains(id), "nothing is an example of {id}");
    }
}

impl Crate {
    fn ids_if_any(&self, of: &str, property: &str) -> Vec<&str> {
        list(&self.0[of][property]).into_iter().filter_map(|v| v.get("@id")?.as_str()).collect()
    }
}

#[test]
fn a_crate_holds_the_results_and_everything_before_them() {
    let env = ran();
    let found = make(&env, &total(), &CREDITS);
    check(&found, &env.path("crate"));
    assert_eq!(found.of_type("CreateAction").count(), 6, "five tasks and the whole");
    let result = found.ids("#run", "result");
    assert_eq!(result, ["results/sums/sum/total.txt"]);
    let base = format!("inputs/{}/base.txt", Digest::of(b"10\n").short());
    assert_eq!(found.ids("#run", "object"), [&*base]);
    // The slots by which the sum read its parts are told.
    let doubled = found.ids("results/sums/double/n=1/doubled.txt", "exampleOfWork");
    assert!(
        doubled.iter().any(|p| p.ends_with("/input/parts"))
            && doubled.iter().any(|p| p.ends_with("/output/doubled"))
    );
    let orcid = "https://orcid.org/0000-0002-1825-0097";
    assert_eq!((found.ids("./", "author"), found.ids("#run", "agent")), (vec![orcid], vec![orcid]));
    assert_eq!(found.ids(orcid, "affiliation"), ["https://www.brown.edu/"]);
    let order: Vec<u64> = ["make", "double", "sum"]
        .map(|stage| {
            let step = |(id, _): &(&str, &Value)| id.starts_with(&format!("#step/sums/{stage}/"));
            let (_, step) = found.of_type("HowToStep").find(step).unwrap();
            step["position"].as_str().unwrap().parse().unwrap()
        })
        .to_vec();
    assert_eq!(order, [0, 1, 2]);
    let readme = env.read("crate/README.md");
    assert!(readme.contains("### command") && readme.contains("| sum |"), "{readme}");
}

#[test]
fn without_credits_the_program_is_what_acted() {
    let env = ran();
    let found = make(&env, &format!("{RESULTS}/double/n=1"), &[]);
    check(&found, &env.path("crate"));
    let [agent] = found.ids("#run", "agent")[..] else { panic!("one agent") };
    assert_eq!(found.0[agent]["name"], "phasegraph");
    assert_eq!(found.0[agent]["softwareVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found.of_type("CreateAction").count(), 3);
    assert_eq!(found.ids("#run", "result").len(), 2, "a folder stands for all its outputs");
}

#[test]
fn making_a_crate_costs_the_next_run_nothing() {
    let env = ran();
    make(&env, &total(), &[]);
    let stat =
        StatIndex::load(Layout::new(env.path("phasegraph-out"), "sums").store().join("stat.jsonl"), false);
    let stat = stat.unwrap();
    for content in ["11\n", "24\n", "22\n24\n"] {
        let meta = std::fs::metadata(object(&env, content)).unwrap();
        let vouched = stat.object(&Digest::of(content.as_bytes()));
        assert_eq!(vouched, Some(&Stamp::of(&meta)), "{content:?} would be read again");
    }
}

#[test]
fn what_cannot_be_had_is_described_and_not_promised() {
    let env = ran();
    env.write("base.txt", "20\n");
    let told = env.run(&["provenance", &total(), "--format", "ro-crate", "--out", "crate"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let found = Crate::read(&env.path("crate"));
    check(&found, &env.path("crate"));
    let absent = format!("#absent/{}", Digest::of(b"10\n"));
    assert_eq!(found.ids("#run", "object"), [&*absent]);
    assert!(found.is(&absent, &["CreativeWork"]));
    // A record that is gone: the walk ends there, and the crate says so.
    std::fs::remove_dir_all(env.path("crate")).unwrap();
    let actions = env.path("phasegraph-out/store/actions");
    let text = env.run(&["provenance", &format!("{RESULTS}/make/n=1"), "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&text).unwrap();
    let name = document["nodes"][0]["fingerprint"].as_str().unwrap();
    std::fs::remove_file(actions.join(&name[..2]).join(format!("{}.json", &name[2..]))).unwrap();
    let told = env.run(&["provenance", &total(), "--format", "ro-crate", "--out", "crate"]);
    assert_eq!(told.code, Some(8), "{}", told.stderr);
    let found = Crate::read(&env.path("crate"));
    check(&found, &env.path("crate"));
    assert_eq!(found.of_type("CreateAction").count(), 5);
}

#[test]
fn no_crate_vouches_for_an_edited_result_and_none_is_written_over() {
    let env = ran();
    env.write("crate/mine.txt", "mine");
    let told = env.run(&["provenance", &total(), "--format", "ro-crate", "--out", "crate"]);
    assert_eq!(told.code, Some(5));
    assert!(told.stderr.contains("crate is not empty: expected a new folder"), "{}", told.stderr);
    std::fs::remove_file(env.path(&total())).unwrap();
    env.write(&total(), "mine\n");
    let told = env.run(&["provenance", &total(), "--format", "ro-crate", "--out", "other"]);
    assert_eq!(told.code, Some(8));
    assert!(told.stderr.contains("no crate was written"), "{}", told.stderr);
    assert!(!env.path("other").exists());
    let left: Vec<_> = std::fs::read_dir(env.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with(".ro-crate")), "{left:?}");
}
