//! Parameters against the JSON Schema of their kind, at every point where they differ.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::Value;

use super::axes::Axes;
use super::coverage::point;
use super::matching::{Key, select};
use super::model::Axis;
use super::shape::bound_integers;
use super::stage::StageDraft;
use super::template::Scope;
use super::wording::Wording;
use crate::diag::{Problem, Problems};
use crate::kind::Kind;

/// Points per stage whose mistakes are told; the others are only counted.
const TOLD: usize = 20;

/// Checks the parameters of all stages. Each distinct value is checked once.
pub(super) fn check(stages: &[StageDraft<'_>], axes: &Axes, seed: u64, problems: &mut Problems) {
    let mut compiled: BTreeMap<&str, Option<Compiled>> = BTreeMap::new();
    for stage in stages {
        let Some(kind) = stage.kind else {
            continue;
        };
        let compiled = compiled.entry(kind.name).or_insert_with(|| Compiled::new(kind, problems)).as_ref();
        if let Some(compiled) = compiled {
            let axes = stage.axes.iter().map(|axis| &axes.drafts[*axis].axis).collect();
            Stage { stage, axes, seed, compiled }.check(problems);
        }
    }
}

/// A kind's schema, ready for use.
struct Compiled {
    schema: Value,
    validator: Validator,
}

impl Compiled {
    fn new(kind: &Kind, problems: &mut Problems) -> Option<Self> {
        let mut schema = (kind.params)().to_value();
        bound_integers(&mut schema);
        match jsonschema::options().build(&schema) {
            Ok(validator) => Some(Self { schema, validator }),
            // A mistake in the kind, not in the file; better told than skipped.
            Err(error) => {
                let message = format!("the schema of kind `{}` is broken: {error}", kind.name);
                problems.push(Problem::new(message));
                None
            }
        }
    }
}

struct Stage<'a, 'c> {
    stage: &'a StageDraft<'c>,
    axes: Vec<&'a Axis>,
    seed: u64,
    compiled: &'a Compiled,
}

impl Stage<'_, '_> {
    fn check(&self, problems: &mut Problems) {
        let params = &self.stage.decl.params;
        let relevant = params.axes();
        let columns: Vec<usize> =
            (0..self.axes.len()).filter(|i| relevant.contains(self.axes[*i].name.as_str())).collect();
        let rows = self.stage.decl.tuples.iter();
        let variants: BTreeSet<Key> = match relevant.is_empty() {
            // The same at every point, and worth checking even when there is none.
            true => [Key::new()].into(),
            false => rows.map(|row| select(row, &columns)).collect(),
        };
        let axes: Vec<&Axis> = columns.iter().map(|column| self.axes[*column]).collect();
        let mut found: Vec<(Problem, usize, String)> = Vec::new();
        let (mut wrong, mut told) = (0, 0);
        for row in &variants {
            let values = axes
                .iter()
                .zip(row)
                .filter_map(|(axis, i)| Some((axis.name.as_str(), axis.points.get(*i as usize)?)))
                .collect();
            let node = params.resolve(&Scope { values, seed: self.seed });
            let json = node.to_json();
            if self.compiled.validator.is_valid(&json) {
                continue;
            }
            wrong += 1;
            if told == TOLD {
                continue;
            }
            told += 1;
            let wording = Wording::new(&self.compiled.schema, &node, &self.stage.decl.kind, problems);
            let errors: Vec<_> = self.compiled.validator.iter_errors(&json).collect();
            for problem in wording.tell(&errors) {
                match found.iter_mut().find(|(other, ..)| *other == problem) {
                    Some((_, count, _)) => *count += 1,
                    None => found.push((problem, 1, point(&axes, row))),
                }
            }
        }
        for (mut problem, count, first) in found {
            // A mistake at every point is none of the points.
            let everywhere = count == told && wrong == variants.len();
            if !everywhere {
                let more = if count > 1 || wrong > told { ", and at more points" } else { "" };
                problem.message = format!("{} (at {first}{more})", problem.message);
            }
            // A placeholder that stands for nothing has been reported where it stands.
            let told = || problems.0.iter().any(|other| other.at == problem.at);
            if self.stage.sound || !told() {
                problems.push(problem);
            }
        }
    }
}
