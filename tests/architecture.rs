//! Holds the sources to the rules of `src/ARCHITECTURE.md`.

#![allow(clippy::unwrap_used)]

mod arch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arch::files::{Source, reachable, rust_files};
use arch::rooms::Room;
use arch::{assert_none, imports, rooms, rules};

/// Longest file, lines.
const MOST_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Source {
    Source::new(&name(path), &std::fs::read_to_string(path).unwrap())
}

/// The library's sources without test code.
fn library() -> Vec<Source> {
    let (files, tests) = reachable(&[root().join("src/lib.rs")]);
    let sources: Vec<Source> = files.difference(&tests).map(|f| read(f)).collect();
    assert!(sources.len() > 20, "only {} sources were found: is the reader broken?", sources.len());
    sources
}

/// Library and binary.
fn everything() -> Vec<Source> {
    let (files, tests) = reachable(&[root().join("src/main.rs")]);
    let mut sources = library();
    sources.extend(files.difference(&tests).map(|f| read(f)));
    sources
}

fn table() -> Vec<Room> {
    rooms::read(&std::fs::read_to_string(root().join("src/ARCHITECTURE.md")).unwrap())
}

fn each(sources: &[Source], rule: impl Fn(&Source) -> Vec<arch::Violation>) {
    assert_none(sources.iter().flat_map(rule).collect());
}

#[test]
fn rule_1_study_imports_only_diag_and_kind() {
    each(&library(), |s| rules::imports_only(s, "study", &["diag", "kind", "table"]));
}

#[test]
fn rule_2_plan_is_pure() {
    let library = library();
    each(&library, |s| if s.room() == "plan" { rules::pure(s) } else { Vec::new() });
    each(&library, |s| rules::imports_only(s, "plan", &["diag", "kind", "study", "table"]));
}

#[test]
fn rule_3_what_computes_knows_nothing_of_what_schedules() {
    let above = ["study", "plan", "cache", "exec", "worker", "events", "report"];
    for room in ["stages", "nn", "ptycho", "io", "kind", "diag"] {
        each(&library(), |s| rules::imports_none_of(s, room, &above));
    }
}

#[test]
fn rule_4_report_sees_events_dossiers_and_the_plan() {
    let hidden = ["cache", "exec", "worker", "stages", "io", "ptycho", "provenance"];
    each(&library(), |s| rules::imports_none_of(s, "report", &hidden));
    each(&library(), |s| {
        rules::imports_none_of(s, "dossier", &["exec", "worker", "report", "runtime", "nn"])
    });
}

#[test]
fn rule_5_the_library_is_silent() {
    each(&library(), rules::silent);
}

#[test]
fn rule_6_each_outside_crate_has_one_home() {
    let rooms = table();
    each(&everything(), |s| rules::homes(s, &rooms));
}

#[test]
fn rule_7_no_order_from_hashing() {
    each(&library(), |s| match s.room() {
        "plan" | "cache" | "events" | "dossier" | "report" | "provenance" => rules::ordered(s),
        _ => Vec::new(),
    });
}

#[test]
fn rule_8_provenance_walks_before_it_renders_and_runs_nothing() {
    let below = ["cache", "diag", "events", "io", "kind"];
    each(&library(), |s| rules::imports_only(s, "provenance", &below));
    let walks = |s: &Source| {
        ["walk", "lineage", "place", "verify", "findings"]
            .iter()
            .any(|m| s.within(&format!("provenance/{m}")))
    };
    for source in library().iter().filter(|s| walks(s)) {
        let seen = imports::inner(source).into_iter().filter(|i| i.room() == "provenance");
        let renderers: Vec<_> = seen
            .filter(|i| i.path.get(1).is_some_and(|m| ["text", "json", "ro_crate"].contains(&m.as_str())))
            .collect();
        assert!(renderers.is_empty(), "{} knows a renderer: {renderers:?}", source.path);
    }
}

#[test]
fn rule_9_no_unwrap_no_stub_no_unproven_unsafe() {
    each(&library(), rules::no_panics);
    each(&everything(), rules::proven);
}

/// "Data flows one way": no two rooms import each other, not even around a corner.
#[test]
fn rooms_form_no_cycle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in library() {
        let from = source.room().to_owned();
        let to = imports::inner(&source).into_iter().map(|i| i.room().to_owned());
        edges.entry(from.clone()).or_default().extend(to.filter(|t| *t != from && !t.is_empty()));
    }
    // Rooms that import nothing but finished ones are finished; what remains is in a cycle.
    while let Some(done) = edges.iter().find(|(_, to)| to.is_empty()).map(|(from, _)| from.clone()) {
        edges.remove(&done);
        edges.values_mut().for_each(|to| {
            to.remove(&done);
        });
    }
    let known: BTreeSet<String> = edges.keys().cloned().collect();
    edges.values_mut().for_each(|to| to.retain(|t| known.contains(t)));
    assert!(edges.values().all(BTreeSet::is_empty), "rooms import each other in a circle: {edges:?}");
}

/// The table names rooms that exist and crates that are used; a rule about nothing holds nothing.
#[test]
fn the_table_speaks_of_what_is_there() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rooms = table();
    let names: BTreeSet<&str> = rooms.iter().map(|r| r.name.as_str()).collect();
    let mut there: BTreeSet<String> = library().iter().map(|s| s.room().to_owned()).collect();
    there.remove("");
    there.insert("cli".to_owned());
    assert_eq!(names, there.iter().map(String::as_str).collect(), "rooms in the table and in src/");
    for (outside, _) in rooms.iter().flat_map(|r| &r.crates) {
        let listed = rooms::dependencies(&manifest);
        assert!(
            listed.iter().any(|name| name.replace('-', "_") == *outside),
            "the table gives a home to `{outside}`, which Cargo.toml does not name"
        );
    }
}

/// What is listed is compiled by everyone who builds; what only tests use belongs to them.
#[test]
fn every_dependency_is_used() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let sources = everything();
    let unused: Vec<&str> = rooms::dependencies(&manifest)
        .into_iter()
        .filter(|name| sources.iter().all(|s| imports::outer(s, &name.replace('-', "_")).is_empty()))
        .collect();
    assert!(unused.is_empty(), "no source outside tests names these dependencies: {unused:?}");
}

#[test]
fn files_are_short() {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            sources.extend(rust_files(&folder).iter().map(|f| read(f)));
        }
    }
    let mut lengths: Vec<usize> = sources.iter().map(|s| s.lines).collect();
    lengths.sort_unstable();
    println!(
        "{} files, {} lines, median {}, longest {}",
        lengths.len(),
        lengths.iter().sum::<usize>(),
        lengths[lengths.len() / 2],
        lengths.last().unwrap()
    );
    each(&sources, |s| rules::short(s, MOST_LINES));
}

/// A file nobody declares is never compiled, and a test in it never runs.
#[test]
fn every_file_is_part_of_the_build() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("autotests"), "tests must be found by Cargo itself");
    let tests = root().join("tests");
    let mut roots: Vec<PathBuf> = vec![root().join("src/lib.rs"), root().join("src/main.rs")];
    for entry in std::fs::read_dir(&tests).unwrap() {
        let path = entry.unwrap().path();
        let main = path.join("main.rs");
        if path.extension().is_some_and(|e| e == "rs") {
            roots.push(path);
        } else if main.is_file() {
            roots.push(main);
        }
    }
    let (reached, _) = reachable(&roots);
    let mut forgotten: Vec<String> = Vec::new();
    for folder in [root().join("src"), tests] {
        forgotten.extend(rust_files(&folder).iter().filter(|f| !reached.contains(*f)).map(|f| name(f)));
    }
    assert!(forgotten.is_empty(), "no `mod` declares these files, so they are never compiled: {forgotten:?}");
}
