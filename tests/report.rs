//! A small study, run in a sealed environment, and what is told about it: the data gathered, the page and its
//! tables, and what differs between two runs. scripts/check-report holds the page against a browser.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::TestEnvironment;
use phasegraph::cache::Layout;
use phasegraph::dossier::{Asking, Dossier, Role, TaskState, gather};
use phasegraph::plan::expand;
use phasegraph::{report, stages, study};
use serde_json::Value;

const STUDY: &str = include_str!("data/report-study.yaml");

fn finished() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", STUDY);
    env.ok(&["run", "study.yaml", "--jobs", "1"]);
    env
}

fn dossier(env: &TestEnvironment) -> Dossier {
    let catalog = stages::catalog();
    let study = study::load(&env.path("study.yaml"), &catalog, &[]).unwrap();
    let plan = expand(&study, &catalog).unwrap();
    let layout = Layout::new(env.path("phasegraph-out"), &study.name);
    let asking = Asking {
        study: &study,
        plan: &plan,
        layout: &layout,
        trial_axis: None,
        commands: vec!["phasegraph run study.yaml".to_owned()],
        scratch: &env.path(""),
    };
    gather(asking).unwrap()
}

/// What every machine and every run agree on: no times, names of hosts and runs or amounts of memory; digests
/// and numbers only so far as no processor computes them differently; long lists by their length and ends.
fn settled(value: &mut Value) {
    const TIMES: [&str; 12] = [
        "started",
        "seconds",
        "saved_seconds",
        "start",
        "peak_memory",
        "host",
        "name",
        "run",
        "made_in",
        "version",
        "digest",
        "limit",
    ];
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if TIMES.contains(&key.as_str())
                    && !value.is_object()
                    && !value.is_array()
                    && !value.is_null()
                {
                    *value = Value::from("…");
                } else {
                    settled(value);
                }
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(settled);
            if list.len() > 6 && list.iter().all(|v| v.is_number() || v.is_null()) {
                let ends = [list[0].to_string(), list[list.len() - 1].to_string()];
                *value = Value::from(format!("{} numbers, {} … {}", list.len(), ends[0], ends[1]));
            }
        }
        Value::Number(number) if number.is_f64() => {
            *value = Value::from(format!("{:.1e}", number.as_f64().unwrap()));
        }
        // A picture is its size and its digest.
        Value::String(text) if text.contains('×') => *text = text.split(' ').next().unwrap().to_owned(),
        _ => {}
    }
}

#[test]
fn everything_there_is_to_tell_is_gathered() {
    let env = finished();
    let dossier = dossier(&env);
    assert_eq!(dossier.study.axis(Role::Trial), Some("trial"));
    assert_eq!(dossier.study.axis(Role::Model), Some("model"));
    assert!(dossier.tasks.iter().all(|task| task.state == TaskState::Succeeded && task.outdated.is_empty()));
    assert!(dossier.trust.damage.is_empty(), "{:?}", dossier.trust.damage);
    let mut value = serde_json::to_value(&dossier).unwrap();
    // The same shape over and over: a few of each stand for all.
    value["study"]["text"] = Value::from("…");
    value["trust"]["finals"].as_array_mut().unwrap().truncate(2);
    value["trust"]["finals"].as_array_mut().unwrap().iter_mut().for_each(|f| f[2] = Value::from("…"));
    value["trust"]["made_with"] = Value::from("…");
    for list in ["tasks", "scores", "datasets", "convergence"] {
        value[list].as_array_mut().unwrap().truncate(2);
    }
    value["pictures"]["galleries"].as_array_mut().unwrap().truncate(1);
    value["timeline"]["bars"].as_array_mut().unwrap().truncate(1);
    settled(&mut value);
    insta::assert_json_snapshot!(value);
}

#[test]
fn the_page_and_its_tables_are_written_and_the_same_each_time() {
    let env = finished();
    env.ok(&["report", "study.yaml", "-o", "out"]);
    let page = env.read("out/report.html");
    assert!(
        page.contains("Does &#60;ePIE&#62; do better than rPIE &#38; how sure is that?"),
        "texts are escaped"
    );
    assert!(!page.contains("<ePIE>"));
    for outside in ["http://", "https://", "src=\"/", "url(", "@import"] {
        let found = page.match_indices(outside).map(|(at, _)| &page[at..(at + 60).min(page.len())]);
        // The names of XML's spaces are no addresses.
        let found: Vec<&str> = found.filter(|text| !text.contains("www.w3.org/2000/svg")).collect();
        assert!(found.is_empty(), "the page names something outside: {found:?}");
    }
    env.ok(&["report", "study.yaml", "-o", "again"]);
    assert_eq!(page, env.read("again/report.html"));

    let summary = env.read("out/tables/summary.csv");
    let mut lines = summary.lines();
    let head = lines.next().unwrap();
    assert!(
        head.starts_with("dose,view,model,trials,photons_per_image,phase_mae,phase_mae_spread,"),
        "{head}"
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 8, "two doses, two views, two models");
    // The mean and the spread of two trials, by hand.
    let scores: Value = serde_json::from_str(&env.read("out/tables/scores.json")).unwrap();
    let of = |trial: &str| {
        let row = scores.as_array().unwrap().iter().find(|row| {
            row["dose"] == "1e4" && row["view"] == "sparse" && row["model"] == "ePIE" && row["trial"] == trial
        });
        row.unwrap()["phase_mae"].as_f64().unwrap()
    };
    let row = rows.iter().find(|row| row[..3] == ["1e4", "sparse", "ePIE"]).unwrap();
    let (a, b) = (of("0"), of("1"));
    assert!((row[5].parse::<f64>().unwrap() - (a + b) / 2.0).abs() < 1e-12);
    assert!((row[6].parse::<f64>().unwrap() - (a - b).abs() / 2f64.sqrt()).abs() < 1e-12);
    let tables = std::fs::read_dir(env.path("out/tables")).unwrap().count();
    assert_eq!(tables, 2 * report::tables(&dossier(&env)).len());

    let no_model = env.run(&["report", "study.yaml", "--reference", "DM"]);
    assert_eq!(no_model.code, Some(4));
    assert!(
        no_model.stderr.contains("no scored model is called `DM`; there are `rPIE`, `ePIE`"),
        "{}",
        no_model.stderr
    );
    let no_axis = env.run(&["report", "study.yaml", "--trials", "draw"]);
    assert_eq!(no_axis.code, Some(4));
    assert!(no_axis.stderr.contains("has no axis `draw`; it has `dose`, `view`"), "{}", no_axis.stderr);
}

#[test]
fn what_cannot_be_believed_is_said() {
    let env = finished();
    // The study file was changed after the run, a result was edited by hand, and an object is gone.
    env.write("study.yaml", &STUDY.replace("params: {epochs: 6}", "params: {epochs: 7}"));
    let edited = "phasegraph-out/results/trials/metrics/dose=1e4,view=dense,trial=0,model=rPIE/metrics.json";
    std::fs::remove_file(env.path(edited)).unwrap();
    env.write(edited, "{}");
    let pair = "phasegraph-out/results/trials/register/dose=1e6,view=dense,trial=0,model=rPIE";
    let record: Value = serde_json::from_str(&env.read(&format!("{pair}/provenance.json"))).unwrap();
    let digest = record["outputs"]["pair"]["digest"].as_str().unwrap();
    let object = format!("phasegraph-out/store/objects/{}/{}", &digest[..2], &digest[2..]);
    std::fs::remove_file(env.path(&object)).unwrap();

    let dossier = dossier(&env);
    let outdated = dossier.tasks.iter().filter(|task| !task.outdated.is_empty());
    let fields: Vec<&String> = outdated.flat_map(|task| &task.outdated).collect();
    assert_eq!(fields.len(), 16, "every reconstruction: {fields:?}");
    assert!(fields.iter().all(|field| *field == "epochs: made with 6, now 7"), "{fields:?}");
    let damage = dossier.trust.damage.join("\n");
    assert!(damage.contains("metrics.json"), "{damage}");
    assert!(
        damage.contains("`pair` of register@dose=1e6,view=dense,trial=0,model=rPIE could not be read"),
        "{damage}"
    );
    // What was scored is what the store has, not what someone wrote beside it.
    assert!(dossier.scores.iter().all(|row| row.values[0].is_some()));
    assert_eq!(dossier.scores.len(), 16);
    let page = report::html(&dossier, None).unwrap();
    assert!(page.contains("Read <a href=\"#trust\">Trust</a> first"));
    assert!(page.contains("epochs: made with 6, now 7"));
}

#[test]
fn runs_are_compared() {
    let env = finished();
    env.write("study.yaml", &STUDY.replace("params: {epochs: 6}", "params: {epochs: 9}"));
    env.ok(&["run", "study.yaml", "--jobs", "1"]);
    let mut runs: Vec<String> = std::fs::read_dir(env.path("phasegraph-out/runs/trials"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("journal.jsonl").is_file())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    runs.sort();
    let [a, b] = runs.as_slice() else { panic!("{runs:?}") };

    // By name, by folder, by the study's name; the result is the same.
    let text = env.ok(&["compare", a, b]).stdout;
    let folder = env.path(&format!("phasegraph-out/runs/trials/{a}"));
    assert_eq!(env.ok(&["compare", folder.to_str().unwrap(), &format!("trials/{b}")]).stdout, text);
    assert_eq!(env.ok(&["compare", a, "trials"]).stdout, text);
    assert!(text.contains("12 tasks are the same in both"), "{text}");
    assert!(text.contains("reconstruct: params.epochs 6 → 9"), "{text}");
    assert!(text.contains("register: inputs.image[0].digest"), "{text}");
    assert!(text.contains("phase MAE"), "{text}");

    let value: Value = serde_json::from_str(&env.ok(&["compare", a, b, "--json"]).stdout).unwrap();
    assert_eq!((value["same"].as_u64(), value["a"]["run"].as_str()), (Some(12), Some(a.as_str())));
    assert_eq!(value["tasks"].as_array().unwrap().len(), 48);
    let back: Value = serde_json::from_str(&env.ok(&["compare", b, a, "--json"]).stdout).unwrap();
    let verdicts = |value: &Value| {
        let all = value["metrics"].as_array().unwrap();
        all.iter().map(|m| m["better"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    let turned: Vec<bool> = verdicts(&back).into_iter().map(|better| !better).collect();
    assert_eq!(verdicts(&value), turned);

    let same = env.ok(&["compare", a, a]).stdout;
    assert!(
        same.contains("60 tasks are the same in both") && same.contains("160 metrics are equal"),
        "{same}"
    );
    let none = env.run(&["compare", a, "20200101-000000.000"]);
    assert_eq!(none.code, Some(4));
    assert!(none.stderr.contains("is no run: expected DIR/runs/<study>/<run>"), "{}", none.stderr);
}

#[test]
fn a_study_without_scores_or_results_is_told_so() {
    let env = TestEnvironment::new();
    let simulate = STUDY.split("stages:\n").nth(1).and_then(|t| t.split("  overlap:\n").next()).unwrap();
    let simulate = simulate.replace("[dose, trial]", "[dose]");
    let only = format!("version: 1\nstudy: trials\nseed: 5\naxes: {{dose: [1e4]}}\nstages:\n{simulate}");
    env.write("study.yaml", &only);
    let never = env.run(&["report", "study.yaml"]);
    assert_eq!(never.code, Some(5));
    assert!(never.stderr.contains("study `trials` has not been run yet"), "{}", never.stderr);
    env.ok(&["run", "study.yaml", "--jobs", "1"]);
    let told = env.ok(&["report", "study.yaml"]).stdout;
    assert!(told.starts_with("phasegraph-out/reports/trials/report.html\n"), "{told}");
    let page = env.read("phasegraph-out/reports/trials/report.html");
    assert!(page.contains("No image was scored"));
    assert!(Path::new(&env.path("phasegraph-out/reports/trials/tables/datasets.csv")).is_file());
}
