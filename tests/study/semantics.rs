//! What a good study means: points, settings, matching, `--set`.

use std::path::Path;

use phasegraph::study::{self, DeviceKind, Found, Phase, Settings, Study};
use serde_json::json;

use super::catalog;

fn load(name: &str, sets: &[&str]) -> Study {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study/good").join(name);
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    study::load(&path, &catalog::catalog(), &sets).unwrap_or_else(|e| panic!("{e}"))
}

fn points(study: &Study, stage: &str) -> Vec<String> {
    study.points(study.stage(stage).unwrap()).labels().collect()
}

fn position(study: &Study, stage: &str, point: &str) -> usize {
    points(study, stage).iter().position(|p| p == point).unwrap()
}

fn settings(study: &Study, stage: &str, point: &str) -> Settings {
    let at = position(study, stage, point);
    study.fanout(study.stage(stage).unwrap()).settings(at).clone()
}

/// What a point gets from one slot: files, and outputs with the points of their stages.
fn sources(study: &Study, stage: &str, point: &str, slot: &str) -> Vec<String> {
    let at = position(study, stage, point);
    let mut fanout = study.fanout(study.stage(stage).unwrap());
    let slot = fanout.slots().position(|name| name == slot).unwrap();
    let mut sources = Vec::new();
    fanout.each_source(slot, at, |found| match found {
        Found::File(path) => sources.push(path.display().to_string()),
        Found::Output { stage, output, points: of_stage } => {
            let id = &study.stages[stage].id;
            let points = points(study, id);
            sources.extend(of_stage.iter().map(|i| format!("{id}.{output}@{}", points[*i])));
        }
    });
    sources
}

#[test]
fn points_are_the_projections_of_what_exclude_and_include_leave() {
    let study = load("quickstart.yaml", &[]);
    assert_eq!(study.name, "quickstart");
    assert_eq!(points(&study, "simulate"), ["dose=1e4", "dose=1e6", "dose=1e5"]);
    // 1e4 & sparse is excluded; 1e5 & dense is included.
    let views = ["dose=1e4,view=dense", "dose=1e6,view=dense", "dose=1e6,view=sparse", "dose=1e5,view=dense"];
    assert_eq!(points(&study, "reconstruct"), views.map(|view| format!("{view},model=rPIE")));
    assert_eq!(points(&study, "overlap").len(), 8);
    assert_eq!(points(&study, "infer").len(), 8);
    assert_eq!(points(&study, "register").len(), 12);
    assert_eq!(points(&study, "compare"), [""]);
    // `over` is kept in the study's axis order, however it is written.
    assert_eq!(study.stage("reconstruct").unwrap().over, ["dose", "view", "model"]);
}

#[test]
fn settings_have_placeholders_filled_and_point_parameters_merged() {
    let study = load("quickstart.yaml", &[]);
    assert_eq!(
        *settings(&study, "simulate", "dose=1e4").params,
        json!({"photons": 10_000, "side": 32, "seed": 7, "object": {"kind": "grf", "length": 5}})
    );
    let sparse = settings(&study, "overlap", "dose=1e6,view=sparse,split=test");
    assert_eq!(*sparse.params, json!({"gridsize": 2, "s_img": 0.3}));
    let dense = settings(&study, "overlap", "dose=1e6,view=dense,split=test");
    assert_eq!(*dense.params, json!({"gridsize": 2, "s_img": 0.8}));
    let train = settings(&study, "train", "model=Baseline");
    assert_eq!(*train.params, json!({"epochs": 3, "shuffle": true, "layers": [8, 16]}));
    assert_eq!(*train.tuning, json!({"chunk": 16}));
    let ext = settings(&study, "ext", "");
    assert_eq!(ext.params["argv"], json!(["python3", "{input.script}", "--seed=7", "{output.result}"]));
    assert_eq!(sources(&study, "ext", "", "script"), ["../tools/x.py"]);
    let data = sources(&study, "train", "model=Baseline", "data");
    assert!(
        !data.is_empty() && data.iter().all(|d| d.starts_with("overlap.data@") && d.ends_with("split=train"))
    );
}

#[test]
fn declarations_are_typed() {
    let study = load("quickstart.yaml", &[]);
    let train = study.stage("train").unwrap();
    assert_eq!((train.phase, train.kind.as_str()), (Phase::E, "train"));
    let resources = &train.resources;
    assert_eq!((resources.cores, resources.memory), (2, Some(2 << 30)));
    assert_eq!((resources.device, resources.gpus), (DeviceKind::Cuda, 1));
    assert_eq!((resources.gpu_memory, resources.time_s), (Some(6 << 30), Some(600.0)));
    assert_eq!(train.outputs["model"], "model.onnx");
    let ext = study.stage("ext").unwrap();
    assert_eq!(ext.outputs["log"], "logs/run.txt");
    assert_eq!(ext.env, ["CUDA_VISIBLE_DEVICES"]);
    assert_eq!(study.dir, study.file.parent().unwrap());
}

#[test]
fn consumers_get_share_and_gather_producers() {
    let study = load("quickstart.yaml", &[]);
    // The same dose, through the output that the placeholder names.
    assert_eq!(sources(&study, "overlap", "dose=1e6,view=dense,split=test", "data"), ["split.test@dose=1e6"]);
    // Fewer axes: all producers that `where` leaves.
    assert_eq!(
        sources(&study, "train", "model=Baseline", "data"),
        [
            "overlap.data@dose=1e4,view=dense,split=train",
            "overlap.data@dose=1e6,view=dense,split=train",
            "overlap.data@dose=1e6,view=sparse,split=train",
            "overlap.data@dose=1e5,view=dense,split=train",
        ]
    );
    // More axes: the producer is shared.
    for point in ["dose=1e4,view=dense,model=Baseline", "dose=1e6,view=sparse,model=Baseline"] {
        assert_eq!(sources(&study, "infer", point, "model"), ["train.model@model=Baseline"]);
    }
    // A list: whichever has the point.
    assert_eq!(
        sources(&study, "register", "dose=1e4,view=dense,model=rPIE", "image"),
        ["reconstruct.image@dose=1e4,view=dense,model=rPIE"]
    );
    assert_eq!(sources(&study, "compare", "", "pairs").len(), 12);
}

#[test]
fn where_takes_the_place_of_equality() {
    let study = load("pinned.yaml", &[]);
    // The consumer is at split=test, and asks for the split it does not have.
    assert_eq!(
        sources(&study, "infer", "dose=1e3,split=test", "data"),
        ["overlap.data@dose=1e3,split=train"]
    );
    assert_eq!(sources(&study, "other", "dose=1e3,split=test", "data"), ["overlap.data@dose=1e3,split=test"]);
}

#[test]
fn the_command_line_replaces_axes_parameters_and_the_seed() {
    let study = load("quickstart.yaml", &["dose=1e3,1e6", "seed=11", "overlap.s_img=0.5"]);
    assert_eq!(study.seed, 11);
    // `include` still adds its own.
    assert_eq!(points(&study, "simulate"), ["dose=1e3", "dose=1e6", "dose=1e5"]);
    // The excluded value is gone, so nothing is excluded.
    assert_eq!(points(&study, "reconstruct").len(), 5);
    assert_eq!(settings(&study, "simulate", "dose=1e3").params["seed"], 11);
    // The command line wins over the stage's parameters and over those of points.
    for view in ["dense", "sparse"] {
        let point = format!("dose=1e6,view={view},split=test");
        assert_eq!(*settings(&study, "overlap", &point).params, json!({"gridsize": 2, "s_img": 0.5}));
    }
    // Points that remain keep their parameters.
    let study = load("quickstart.yaml", &["view=sparse", "dose=1e6", "simulate.object.kind=lines"]);
    let sparse = settings(&study, "overlap", "dose=1e6,view=sparse,split=test");
    assert_eq!(sparse.params["s_img"], 0.3);
    // Another variant leaves nothing of the parameters of the first.
    assert_eq!(settings(&study, "simulate", "dose=1e6").params["object"], json!({"kind": "lines"}));
    // A model alone: the stages for the others have nothing to do.
    let study = load("quickstart.yaml", &["model=rPIE"]);
    assert_eq!(points(&study, "train"), Vec::<String>::new());
    assert_eq!(points(&study, "register").len(), 4);
}

#[test]
fn equal_numbers_make_equal_parameters() {
    let study = load("numbers.yaml", &[]);
    let of = |stage: &str| settings(&study, stage, "").params;
    assert_eq!(of("a"), of("b"));
    assert_eq!(of("a").to_string(), of("b").to_string());
    assert_eq!(of("a")["photons"].to_string(), "1000");
}

#[test]
fn a_missing_file_is_an_error_of_its_own() {
    let missing = study::load(Path::new("no/such.yaml"), &catalog::catalog(), &[]);
    assert!(matches!(missing, Err(study::LoadError::Io { .. })));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.yaml");
    std::fs::write(&path, b"version: 1\nstudy: s\ntitle: caf\xe9\n").unwrap();
    let told = study::load(&path, &catalog::catalog(), &[]).unwrap_err().to_string();
    assert!(told.contains("latin1.yaml:3:11: the file is not UTF-8 text"), "{told}");
}
