//! What the study file may say about a stage kind: slots, outputs, parameters. Plain data, so that
//! `study` can check a file against the kinds without importing the code that runs them.

pub mod placeholders;

/// The record of how a task's outputs were made, which lies beside them; no output may have its name.
pub const PROVENANCE: &str = "provenance.json";

/// How many producers a slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one file.
    One,
    /// One file, or none.
    Optional,
    /// One or more files (fan-in).
    Many,
}

/// A named input of a stage kind.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Name in the study file.
    pub name: &'static str,
    /// How many files it takes.
    pub arity: Arity,
    /// What the file must hold.
    pub doc: &'static str,
}

/// A named output of a stage kind.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Name in references (`stage.name`).
    pub name: &'static str,
    /// File name in the stage's results folder.
    pub file: &'static str,
    /// What the file holds.
    pub doc: &'static str,
}

/// A stage kind, as the study file, the planner and the cache see it.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Name in the study file (`kind: simulate`).
    pub name: &'static str,
    /// Version of the code: raise it whenever the same inputs would give other bytes.
    pub version: u32,
    /// One line for `--help`, the schema and the guide.
    pub summary: &'static str,
    /// Inputs it takes; empty with `open` set means any names.
    pub inputs: &'static [Slot],
    /// Outputs it writes; empty with `open` set means that the study declares them.
    pub outputs: &'static [Output],
    /// JSON Schema of its parameters, made by schemars from the parameter struct.
    pub params: fn() -> schemars::Schema,
    /// Top-level parameters that cannot change the result (chunk size, …) and so stay outside the fingerprint.
    pub tuning: &'static [&'static str],
    /// Whether it draws random numbers: only then does the study's seed enter the fingerprint.
    pub seeded: bool,
    /// Whether it needs ONNX Runtime, whose version then enters the fingerprint.
    pub needs_runtime: bool,
    /// Whether it leaves checkpoints in its staging folder from which a later attempt goes on.
    pub resumes: bool,
    /// Inputs and outputs are named by the study (`command`).
    pub open: bool,
}

/// All kinds, in the order they are documented.
#[derive(Debug, Clone, Default)]
pub struct Catalog(pub Vec<Kind>);

impl Catalog {
    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|k| k.name == name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|k| k.name)
    }
}
