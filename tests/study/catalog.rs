//! Kinds for tests of the study file: every form that parameters take, and nothing that runs.

use phasegraph::kind::{Arity, Catalog, Kind, Output, Slot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// Photons per image.
    #[schemars(extend("exclusiveMinimum" = 0))]
    photons: f64,
    /// What is imaged.
    #[serde(default)]
    object: Object,
    #[serde(default)]
    probe: Option<Probe>,
    /// Side of an image in pixels.
    #[serde(default = "side")]
    #[schemars(range(min = 8, max = 1024))]
    side: u32,
    #[serde(default)]
    seed: Option<u64>,
}

fn side() -> u32 {
    64
}

/// Object generators.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Object {
    /// Random lines.
    #[default]
    Lines,
    /// A smooth random field.
    Grf {
        /// Correlation length in pixels.
        #[schemars(range(min = 1.0))]
        length: f64,
    },
    /// An image file's contrast.
    Image {
        /// Range of the phase in radians.
        phase: [f64; 2],
        invert: Option<bool>,
    },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Probe {
    /// Radius in pixels.
    #[schemars(range(min = 1.0, max = 64.0))]
    radius: f64,
    #[serde(default)]
    shape: Shape,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Shape {
    /// A sharp edge.
    #[default]
    Disk,
    Gauss,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Overlap {
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 2))]
    gridsize: u32,
    /// Fraction of positions kept.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    s_img: Option<f64>,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Train {
    #[serde(default)]
    epochs: Option<u16>,
    #[serde(default)]
    shuffle: bool,
    /// Images at a time; cannot change the result.
    #[serde(default = "one")]
    chunk: u32,
    #[serde(default)]
    layers: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Command {
    /// Program and arguments.
    argv: Vec<String>,
    #[serde(default)]
    values: std::collections::BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    tuning: std::collections::BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, serde_json::Value>,
}

const fn slot(name: &'static str, arity: Arity) -> Slot {
    Slot { name, arity, doc: "a file" }
}

const fn output(name: &'static str, file: &'static str) -> Output {
    Output { name, file, doc: "a file" }
}

fn kind(
    name: &'static str,
    inputs: &'static [Slot],
    outputs: &'static [Output],
    params: fn() -> schemars::Schema,
) -> Kind {
    Kind {
        name,
        version: 1,
        summary: "a kind for tests",
        inputs,
        outputs,
        params,
        tuning: &[],
        seeded: false,
        needs_runtime: false,
        resumes: false,
        open: false,
    }
}

/// The kinds.
pub fn catalog() -> Catalog {
    const DATA: Slot = slot("data", Arity::One);
    Catalog(vec![
        kind(
            "simulate",
            const { &[slot("object", Arity::Optional), slot("probe", Arity::Optional)] },
            const { &[output("data", "data.npz")] },
            || schemars::schema_for!(Simulate),
        ),
        kind(
            "split",
            const { &[DATA] },
            const { &[output("train", "train.npz"), output("test", "test.npz")] },
            || schemars::schema_for!(Nothing),
        ),
        kind("overlap", const { &[DATA] }, const { &[output("data", "view.npz")] }, || {
            schemars::schema_for!(Overlap)
        }),
        Kind {
            tuning: &["chunk"],
            ..kind(
                "train",
                const { &[slot("data", Arity::Many)] },
                const { &[output("model", "model.onnx"), output("history", "history.json")] },
                || schemars::schema_for!(Train),
            )
        },
        kind("reconstruct", const { &[DATA] }, const { &[output("image", "image.npz")] }, || {
            schemars::schema_for!(Nothing)
        }),
        kind(
            "infer",
            const { &[DATA, slot("model", Arity::One)] },
            const { &[output("image", "image.npz")] },
            || schemars::schema_for!(Nothing),
        ),
        kind(
            "register",
            const { &[slot("image", Arity::One), slot("reference", Arity::One)] },
            const { &[output("pair", "pair.npz")] },
            || schemars::schema_for!(Nothing),
        ),
        kind(
            "compare",
            const { &[slot("pairs", Arity::Many)] },
            const { &[output("table", "table.csv")] },
            || schemars::schema_for!(Nothing),
        ),
        Kind {
            open: true,
            tuning: &["tuning"],
            ..kind("command", &[], &[], || schemars::schema_for!(Command))
        },
    ])
}
