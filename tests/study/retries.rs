//! Retries and priorities: what a study says, what its tasks are given, what the schema takes.

use std::path::Path;

use phasegraph::diag::FailureClass;
use phasegraph::kind::Catalog;
use phasegraph::plan::{self, Plan};
use phasegraph::study::{self, Retries, Retry, Study};
use serde_json::json;

use super::catalog;

const GOOD: &str = include_str!("good/retries.yaml");

fn parse(text: &str, catalog: &Catalog) -> Study {
    study::parse(Path::new("retries.yaml"), text, catalog, &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn expand(text: &str) -> Plan {
    let catalog = catalog::catalog();
    plan::expand(&parse(text, &catalog), &catalog).unwrap()
}

#[test]
fn a_stage_overrides_the_study_class_by_class() {
    let study = parse(GOOD, &catalog::catalog());
    let retries = |stage| study.stage(stage).unwrap().retries.clone();
    let at_once = |times| Retry { times, wait_s: 0.0, factor: 1.0, longest_s: 0.0 };
    let io = Retry { times: 3, wait_s: 10.0, factor: 3.0, longest_s: 600.0 };
    let defaults = Retries([(FailureClass::OutOfMemory, at_once(1)), (FailureClass::Io, io)].into());
    assert_eq!(retries("default"), defaults);
    assert_eq!(retries("empty"), defaults);
    let own = [
        (FailureClass::OutOfMemory, at_once(1)),
        // The default for the longest wait gives way to a longer first one.
        (FailureClass::Timeout, Retry { times: 2, wait_s: 7200.0, factor: 2.0, longest_s: 7200.0 }),
        (FailureClass::ExitCode, Retry { times: 4, wait_s: 1.5, factor: 1.5, longest_s: 3600.0 }),
        (FailureClass::Other, at_once(5)),
    ];
    assert_eq!(retries("own"), Retries(own.into()), "0 times is never, also where the study says otherwise");
}

#[test]
fn tasks_carry_them_and_plans_without_them_do_not_change() {
    let plan = expand(GOOD);
    let task = |id: &str| serde_json::to_value(&plan.tasks[plan.find(id).unwrap()]).unwrap();
    assert_eq!(task("own")["priority"], -3);
    assert_eq!(task("own")["retries"]["timeout"]["times"], 2);
    let io = json!({"times": 3, "wait_s": 10.0, "factor": 3.0, "longest_s": 600.0});
    assert_eq!(task("default")["retries"]["io"], io);
    assert_eq!(task("default").get("priority"), None);
    let back: Retries = serde_json::from_value(task("own")["retries"].clone()).unwrap();
    assert_eq!(back, *plan.tasks[plan.find("own").unwrap()].retries);

    let bare =
        expand("version: 1\nstudy: s\nstages: {a: {phase: C, kind: simulate, params: {photons: 1}}}\n");
    let task = serde_json::to_value(&bare.tasks[0]).unwrap();
    assert_eq!((task.get("retries"), task.get("priority")), (None, None));
}

#[test]
fn the_schema_knows_them() {
    let schema = study::schema(&catalog::catalog());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good: serde_json::Value = serde_yaml::from_str(GOOD).unwrap();
    assert!(validator.is_valid(&good));
    for (pointer, value) in [
        ("/retries", json!(3)),
        ("/retries", json!({"input": 1})),
        ("/retries", json!({"runtime": 1})),
        ("/retries/io", json!(101)),
        ("/retries/io", json!({"wait": "10s"})),
        ("/retries/io/wait", json!(10)),
        ("/retries/io/factor", json!(0.5)),
        ("/stages/own/retries/other", json!({"times": 1, "factor": 2})),
        ("/stages/own/retries/timeout/times", json!(-1)),
        ("/stages/own/priority", json!(1001)),
        ("/stages/own/priority", json!("high")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&bad), "{pointer}: {value}");
    }
}
