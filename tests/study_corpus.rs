//! Study files, good and broken. Every broken file has its expected messages beside it; to change
//! them on purpose, run with `INSTA_UPDATE=always` and read the difference.
//!
//! A comment line `# set: TEXT` at the top of a file is an argument of `--set`.

#![allow(clippy::unwrap_used)]

#[path = "study/catalog.rs"]
mod catalog;
#[path = "study/retries.rs"]
mod retries;
#[path = "study/rescue.rs"]
mod rescue;
#[path = "study/semantics.rs"]
mod semantics;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use phasegraph::study::{self, Study};
use proptest::prelude::*;
use serde_json::json;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study").join(name)
}

/// Study files of a folder, by name.
fn files(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn sets(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("# set: ")).map(str::to_owned).collect()
}

/// Reads a text as the file of that name. Tests run in the package's root, so the relative path
/// finds the files that the study names and is the same on every machine.
fn parse(folder: &str, name: &str, text: &str) -> Result<Study, String> {
    let path = Path::new("tests/study").join(folder).join(name);
    study::parse(&path, text, &catalog::catalog(), &sets(text)).map_err(|p| p.to_string())
}

#[test]
fn broken_files_are_told_as_expected() {
    let files = files("broken");
    assert!(files.len() >= 30, "only {} broken files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("study/broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, text) in &files {
            let told = match parse("broken", name, text) {
                Ok(_) => panic!("{name} has no problem"),
                Err(told) => told,
            };
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), told);
        }
    });
}

#[test]
fn every_expectation_belongs_to_a_file() {
    let names: BTreeSet<String> =
        files("broken").into_iter().map(|(name, _)| name.replace(".yaml", "")).collect();
    let mut expected = BTreeSet::new();
    for entry in std::fs::read_dir(folder("broken")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        match name.strip_suffix(".snap") {
            Some(name) => assert!(expected.insert(name.to_owned())),
            None => assert!(name.ends_with(".yaml"), "a stray file: {name}"),
        }
    }
    assert_eq!(names, expected);
}

#[test]
fn good_files_are_good() {
    let files = files("good");
    assert!(files.len() >= 4);
    for (name, text) in &files {
        if let Err(told) = parse("good", name, text) {
            panic!("{name}:\n{told}");
        }
    }
}

/// The file as another YAML reader sees it.
fn as_json(text: &str) -> serde_json::Value {
    let options = serde_yaml::options! { strict_booleans: true };
    serde_yaml::from_str_with_options(text, options).unwrap()
}

#[test]
fn the_schema_takes_good_files_and_refuses_slips() {
    let schema = study::schema(&catalog::catalog());
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, text) in files("good") {
        let told: Vec<String> =
            validator.iter_errors(&as_json(&text)).map(|e| format!("{e} {}", e.instance_path())).collect();
        assert_eq!(told, Vec::<String>::new(), "{name}");
    }
    let good = as_json(&std::fs::read_to_string(folder("good/quickstart.yaml")).unwrap());
    for (pointer, value) in [
        ("/version", json!(2)),
        ("/stages/train/phase", json!("H")),
        ("/stages/train/kind", json!("trian")),
        ("/stages/train/params/epochs", json!("many")),
        ("/stages/simulate/params/object", json!({"kind": "grf"})),
        ("/stages/simulate/params/object/kind", json!("gfr")),
        ("/stages/split/inputs", json!({})),
        ("/stages/ext/outputs", json!({})),
        ("/stages/train/resources/memory", json!("2GB?")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is done to a file, it is read or refused: nothing panics, and every place that is
    /// told is in the file.
    #[test]
    fn mutated_files_never_panic(edits in prop::collection::vec(edit(), 1..6)) {
        let good = include_str!("study/good/quickstart.yaml");
        let mut text: Vec<char> = good.chars().collect();
        for edit in edits {
            edit.apply(&mut text);
        }
        let text: String = text.into_iter().collect();
        let path = Path::new("tests/study/good/quickstart.yaml");
        if let Err(problems) = study::parse(path, &text, &catalog::catalog(), &[]) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count();
            for problem in &problems.0 {
                let at = problem.at.as_ref();
                prop_assert!(at.is_none_or(|at| at.line >= 1 && at.line <= lines + 1 && at.column >= 1));
            }
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    /// The same for the command line.
    #[test]
    fn odd_arguments_never_panic(set in "(dose|view|seed|overlap|simulate|[a-z]{1,3})?[.=]{0,2}[a-z_]{0,4}=?\\PC{0,12}") {
        let good = include_str!("study/good/quickstart.yaml");
        let path = Path::new("tests/study/good/quickstart.yaml");
        if let Err(problems) = study::parse(path, good, &catalog::catalog(), &[set]) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}

/// A change to a text.
#[derive(Debug, Clone)]
enum Edit {
    Insert(prop::sample::Index, String),
    Remove(prop::sample::Index, usize),
    /// Copies a piece to another place.
    Copy(prop::sample::Index, usize, prop::sample::Index),
    Cut(prop::sample::Index),
}

impl Edit {
    fn apply(&self, text: &mut Vec<char>) {
        let size = text.len().max(1);
        match self {
            Self::Insert(at, what) => {
                let at = at.index(size).min(text.len());
                text.splice(at..at, what.chars());
            }
            Self::Remove(at, length) => {
                let at = at.index(size).min(text.len());
                text.drain(at..(at + length).min(text.len()));
            }
            Self::Copy(from, length, to) => {
                let from = from.index(size).min(text.len());
                let piece = text[from..(from + length).min(text.len())].to_vec();
                let to = to.index(size).min(text.len());
                text.splice(to..to, piece);
            }
            Self::Cut(at) => text.truncate(at.index(size)),
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    use prop::sample::Index;
    let tokens = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        ",",
        "- ",
        "\n",
        "  ",
        "\t",
        "\"",
        "'",
        "&a ",
        "*a",
        "*slow",
        "<<: ",
        "!x ",
        "!!int ",
        "|",
        ">",
        "#",
        "---\n",
        "~",
        "null",
        "1e999",
        ".nan",
        "-1",
        "99999999999999999999",
        "{axis.",
        "{axis.dose}",
        "{seed}",
        "\u{feff}",
        "\0",
        "é",
        "🦀",
        "axis.view",
        "over: ",
        "params: ",
        "train",
        "dose",
        "kind: grf",
        "%YAML 1.1\n",
    ]);
    prop_oneof![
        4 => (any::<Index>(), tokens).prop_map(|(at, what)| Edit::Insert(at, what.to_owned())),
        2 => (any::<Index>(), "\\PC{1,4}").prop_map(|(at, what)| Edit::Insert(at, what)),
        3 => (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (any::<Index>(), 1_usize..200, any::<Index>())
            .prop_map(|(from, length, to)| Edit::Copy(from, length, to)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ]
}

/// A chain of ten thousand stages, each with parameters and an input.
fn many_stages() -> String {
    let mut text = String::from("version: 1\nstudy: large\naxes: {dose: [1e3, 1e4]}\nstages:\n");
    text += "  s0: {phase: C, kind: simulate, over: [dose], params: {photons: \"{axis.dose}\"}}\n";
    for i in 1..10_000 {
        text += &format!(
            "  s{i}: {{phase: D, kind: overlap, over: [dose], inputs: {{data: s{}.data}}, \
             params: {{gridsize: 2, s_img: 0.{i}}}, resources: {{cores: 2, memory: 2GiB}}}}\n",
            i - 1
        );
    }
    text
}

/// Two stages of a hundred thousand points, each with parameters of its own, and an axis that
/// would make a hundred million of them.
fn many_points() -> String {
    let numbers = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "version: 1\nstudy: large\naxes:\n  dose: [{}]\n  seed: [{}]\n  other: [{}]\n\
         exclude:\n  - {{dose: 7, seed: 8, other: [1, 2]}}\n  - {{seed: 9, dose: 1}}\nstages:\n",
        numbers(1000),
        numbers(100),
        numbers(1000)
    ) + "  simulate:\n    phase: C\n    kind: simulate\n    over: [dose, seed]\n    \
         params: {photons: \"{axis.dose}\", seed: \"{axis.seed}\"}\n  \
         overlap: {phase: D, kind: overlap, over: [dose, seed], inputs: {data: simulate.data}}\n  \
         train: {phase: E, kind: train, over: [other], inputs: {data: overlap.data}}\n"
}

/// The bound is far above what it takes (a tenth of a second, see `cargo test --release`), and far
/// below what a search that is quadratic in stages or points would take.
#[test]
fn large_files_are_read_without_quadratic_searches() {
    for (text, points) in [(many_stages(), 20_000), (many_points(), 2 * 99_999 + 1000)] {
        let start = std::time::Instant::now();
        let study = study::parse(Path::new("large.yaml"), &text, &catalog::catalog(), &[]);
        let took = start.elapsed();
        let study = study.unwrap_or_else(|problems| panic!("{problems}"));
        let found: usize = study.stages.iter().map(|stage| study.points(stage).len()).sum();
        println!("{} bytes, {found} points: {took:?}", text.len());
        assert_eq!(found, points);
        assert!(took.as_secs() < 20, "{took:?}");
    }
}

/// Ten thousand mistakes at once, each of which looks for a nearest name.
#[test]
fn many_mistakes_are_told_in_time() {
    let text = many_stages().replace(".data}", ".dta}").replace("gridsize", "gridsise");
    let start = std::time::Instant::now();
    let told = study::parse(Path::new("large.yaml"), &text, &catalog::catalog(), &[]).unwrap_err();
    println!("{} problems: {:?}", told.0.len(), start.elapsed());
    assert_eq!(told.0.len(), 2 * 9_999);
    assert!(start.elapsed().as_secs() < 20);
}
