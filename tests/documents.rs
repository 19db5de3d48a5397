//! README, schema, help and shipped pipelines stay in step with the program. With `UPDATE_DOCUMENTS=1`
//! the tests write what they would otherwise demand.

#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::TestEnvironment;
use phasegraph::diag::exit;
use phasegraph::kind::Arity;
use phasegraph::stages;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn readme() -> String {
    std::fs::read_to_string(root("README.md")).unwrap()
}

/// Compares a file with what it should be, or writes it.
fn in_step(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let name = path.display();
    assert!(
        found == wanted,
        "{name} is out of step; run the tests with UPDATE_DOCUMENTS=1 and look at the change"
    );
}

/// The README with the text between `<!-- begin:NAME -->` and `<!-- end:NAME -->` replaced.
fn with_section(text: &str, name: &str, content: &str) -> String {
    let (begin, end) = (format!("<!-- begin:{name} -->\n"), format!("<!-- end:{name} -->"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("README.md has no {begin}")) + begin.len();
    let to = text.find(&end).unwrap_or_else(|| panic!("README.md has no {end}"));
    format!("{}{content}{}", &text[..from], &text[to..])
}

fn kinds() -> String {
    let mut out = String::from("| kind | what it does | inputs | outputs |\n|---|---|---|---|\n");
    for kind in stages::catalog().0 {
        let slot = |slot: &phasegraph::kind::Slot| match slot.arity {
            Arity::One => format!("`{}`", slot.name),
            Arity::Optional => format!("`{}`?", slot.name),
            Arity::Many => format!("`{}`…", slot.name),
        };
        let mut inputs: Vec<String> = kind.inputs.iter().map(slot).collect();
        let mut outputs: Vec<String> = kind.outputs.iter().map(|o| format!("`{}`", o.name)).collect();
        if kind.open {
            inputs.push("any".into());
            outputs.push("any".into());
        }
        let (inputs, outputs) = (inputs.join(" "), outputs.join(" "));
        writeln!(out, "| `{}` | {} | {inputs} | {outputs} |", kind.name, kind.summary).unwrap();
    }
    out
}

fn exit_codes() -> String {
    let mut out = String::from("| code | meaning |\n|---|---|\n");
    for (code, meaning) in exit::ALL {
        writeln!(out, "| {code} | {meaning} |").unwrap();
    }
    out
}

/// The commands and their first lines, as `--help` lists them.
fn commands(env: &TestEnvironment) -> String {
    let help = env.ok(&["--help"]).stdout;
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| l.starts_with("  "));
    let mut out = String::from("| command | what it does |\n|---|---|\n");
    for line in lines.filter(|l| !l.trim_start().starts_with("help ")) {
        let (name, about) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
        writeln!(out, "| `phasegraph {name}` | {} |", about.trim()).unwrap();
    }
    out
}

#[test]
fn readme_tables_come_from_the_program() {
    let env = TestEnvironment::new();
    let text = with_section(&readme(), "commands", &commands(&env));
    let text = with_section(&text, "kinds", &kinds());
    let text = with_section(&text, "exit-codes", &exit_codes());
    in_step(&root("README.md"), &text);
}

#[test]
fn the_schema_is_the_programs() {
    let env = TestEnvironment::new();
    in_step(&root("docs/phasegraph.schema.json"), &env.ok(&["schema"]).stdout);
}

#[test]
fn the_example_study_of_the_readme_is_good() {
    let text = readme();
    let example = text.split("```yaml\n").nth(1).and_then(|t| t.split("```").next()).expect("a yaml example");
    let env = TestEnvironment::new();
    env.write("example.yaml", example);
    env.ok(&["check", "example.yaml"]);
}

#[test]
fn every_shipped_pipeline_is_planned_and_fits_the_schema() {
    let env = TestEnvironment::new();
    // A study whose files are missing is a study with problems, so the scan must be there.
    let local = root("../shared/data/siemens-star-small.npz.bz2");
    let from: &[&Path] = if local.is_file() { &[Path::new("--from"), &local] } else { &[] };
    let fetched = std::process::Command::new(root("scripts/fetch-siemens-star")).args(from).output().unwrap();
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let schema: serde_json::Value = serde_json::from_str(&env.ok(&["schema"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut seen = 0;
    for folder in ["pipelines", "examples"] {
        for entry in std::fs::read_dir(root(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            seen += 1;
            let name = path.display().to_string();
            let dir = env.path("out").display().to_string();
            env.ok(&["plan", &name, "--dir", &dir]);
            let value: serde_json::Value =
                serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let problems: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(problems.is_empty(), "{name} does not fit the schema:\n{}", problems.join("\n"));
        }
    }
    assert!(seen >= 2, "pipelines are missing");
}

#[test]
fn every_command_of_the_readme_exists() {
    let env = TestEnvironment::new();
    for line in readme().lines().filter(|l| l.contains("phasegraph ")) {
        for part in line.split('`').skip(1).step_by(2).filter(|p| p.starts_with("phasegraph ")) {
            let name = part.split_whitespace().nth(1).unwrap();
            env.ok(&[name, "--help"]);
        }
    }
}
