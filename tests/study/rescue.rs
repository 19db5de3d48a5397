//! What a study says is to be tried when memory runs out, and what its tasks are given.

use std::path::Path;

use phasegraph::plan;
use phasegraph::study::{self, DeviceKind, Grow, Halve, Rescue};
use serde_json::json;

use super::catalog;

const GOOD: &str = include_str!("good/rescue.yaml");

#[test]
fn stages_have_what_the_study_says_and_nothing_if_it_is_silent() {
    let catalog = catalog::catalog();
    let study = study::parse(Path::new("rescue.yaml"), GOOD, &catalog, &[]).unwrap();
    let rescue = |stage| study.stage(stage).unwrap().rescue.clone();
    let halve = |floor| Some(Halve { name: "chunk".to_owned(), floor });
    assert_eq!(rescue("silent"), None);
    let memory = Some(Grow { factor: 2.0, most: Some(4 << 30) });
    assert_eq!(
        rescue("usual"),
        Some(Rescue { halve: halve(4), memory, device: None }),
        "halving is what is usual"
    );
    let moves = Rescue { device: Some(DeviceKind::Cpu), ..Rescue::usual() };
    assert_eq!(rescue("moves"), Some(moves));
    assert_eq!(rescue("off"), Some(Rescue::none()));
    let memory = Some(Grow { factor: 1.5, most: None });
    assert_eq!(rescue("only_memory"), Some(Rescue { halve: None, memory, device: None }));
    assert_eq!(rescue("program"), Some(Rescue { halve: halve(1), memory: None, device: None }));

    let plan = plan::expand(&study, &catalog).unwrap();
    let task = |id: &str| serde_json::to_value(&plan.tasks[plan.find(id).unwrap()]).unwrap();
    assert_eq!(task("silent").get("rescue"), None, "plans that say nothing do not change");
    assert_eq!(task("usual")["rescue"]["memory"], json!({"factor": 2.0, "most": 4_294_967_296_u64}));
    let program = task("program@size=64");
    assert_eq!(program["tuning"], json!({"tuning": {"chunk": 64}}), "outside the fingerprint");
    assert_eq!(program["params"]["argv"][1], "{chunk}", "left for the stage to fill in");
}

#[test]
fn the_schema_knows_them() {
    let validator = jsonschema::validator_for(&study::schema(&catalog::catalog())).unwrap();
    let good: serde_json::Value = serde_yaml::from_str(GOOD).unwrap();
    assert!(validator.is_valid(&good));
    for value in [
        json!("retry"),
        json!({"chunk": "double"}),
        json!({"floor": 0}),
        json!({"memory": "8GiB"}),
        json!({"device": "cuda"}),
        json!({"memory": {"factor": 1}}),
        json!({"memory": {"least": "1GiB"}}),
        json!([]),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut("/stages/usual/on_out_of_memory").unwrap() = value.clone();
        assert!(!validator.is_valid(&bad), "{value}");
    }
}
