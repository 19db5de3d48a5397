//! Axes × stages → tasks; references → edges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::dag::Dag;
use super::{Plan, Source, Task};
use crate::diag::{Problem, Problems};
use crate::kind::Catalog;
use crate::study::{Matcher, Point, Reference, StageDecl, Study};

/// Expands a study into its plan.
///
/// A consumer takes the producers whose labels agree with its own on every axis that both have; a filter
/// (`where`) replaces that agreement on its axis. A producer with fewer axes is thereby shared, one with
/// more is fanned in. A checked study has no cycle; should one appear, it is told.
pub fn expand(study: &Study, catalog: &Catalog) -> Result<Plan, Problems> {
    order(study, Expander::new(study, catalog).tasks())
}

struct Expander<'a> {
    study: &'a Study,
    catalog: &'a Catalog,
    /// Stage id → index of its first task; the others follow in the order of its points.
    first: BTreeMap<&'a str, usize>,
    /// Made once per (consumer, producer, filter).
    matchers: BTreeMap<MatcherKey, Matcher>,
}

type MatcherKey = (String, String, BTreeMap<String, Vec<String>>);

impl<'a> Expander<'a> {
    fn new(study: &'a Study, catalog: &'a Catalog) -> Self {
        let mut first = BTreeMap::new();
        let mut next = 0;
        for stage in &study.stages {
            first.insert(stage.id.as_str(), next);
            next += study.points(stage).len();
        }
        Self { study, catalog, first, matchers: BTreeMap::new() }
    }

    fn tasks(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for stage in &self.study.stages {
            for point in self.study.points(stage) {
                tasks.extend(self.task(stage, &point));
            }
        }
        tasks
    }

    fn task(&mut self, stage: &StageDecl, point: &Point) -> Option<Task> {
        let kind = self.catalog.get(&stage.kind)?;
        let settings = self.study.settings(stage, point);
        let inputs = settings
            .inputs
            .iter()
            .map(|(slot, references)| {
                let sources = references.iter().flat_map(|r| self.sources(stage, point, r)).collect();
                (slot.clone(), sources)
            })
            .collect();
        let label = point.to_string();
        Some(Task {
            id: if label.is_empty() { stage.id.clone() } else { format!("{}@{label}", stage.id) },
            stage: stage.id.clone(),
            phase: stage.phase,
            kind: stage.kind.clone(),
            kind_version: kind.version,
            point: point.0.iter().cloned().collect(),
            folder: PathBuf::from(&stage.id).join(label),
            params: settings.params,
            tuning: settings.tuning,
            seed: kind.seeded.then_some(self.study.seed),
            inputs,
            outputs: stage.outputs.clone(),
            env: stage.env.clone(),
            needs_runtime: kind.needs_runtime,
            resources: stage.resources.clone(),
        })
    }

    fn sources(&mut self, consumer: &StageDecl, point: &Point, reference: &Reference) -> Vec<Source> {
        match reference {
            Reference::File { path, .. } => vec![Source::File { path: path.clone() }],
            Reference::Stage { stage, output, filter, at: _ } => self
                .producers(consumer, point, stage, filter)
                .into_iter()
                .map(|task| Source::Task { task, output: output.clone() })
                .collect(),
        }
    }

    fn producers(
        &mut self,
        consumer: &StageDecl,
        point: &Point,
        stage: &str,
        filter: &BTreeMap<String, Vec<String>>,
    ) -> Vec<usize> {
        let (Some(producer), Some(&first)) = (self.study.stage(stage), self.first.get(stage)) else {
            return Vec::new();
        };
        let key = (consumer.id.clone(), stage.to_owned(), filter.clone());
        let make = || self.study.matcher(consumer, producer, filter);
        let matcher = self.matchers.entry(key).or_insert_with(make);
        matcher.producers(point).iter().map(|i| first + i).collect()
    }
}

/// Puts tasks into plan order and renumbers their edges.
fn order(study: &Study, tasks: Vec<Task>) -> Result<Plan, Problems> {
    let edges =
        tasks.iter().enumerate().flat_map(|(to, t)| t.upstream().into_iter().map(move |from| (from, to)));
    let order = Dag::new(tasks.len(), edges).order().map_err(|cycle| {
        let ids: BTreeSet<&str> = cycle.iter().map(|i| tasks[*i].id.as_str()).collect();
        let path = ids.into_iter().collect::<Vec<_>>().join(" → ");
        Problems(vec![Problem::new(format!("these tasks wait for each other: {path}"))])
    })?;
    let mut place = vec![0; tasks.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let mut slots: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    let mut ordered: Vec<Task> = order.iter().filter_map(|old| slots[*old].take()).collect();
    for source in ordered.iter_mut().flat_map(|t| t.inputs.values_mut().flatten()) {
        if let Source::Task { task, .. } = source {
            *task = place[*task];
        }
    }
    Ok(Plan { study: study.name.clone(), base: study.dir.clone(), tasks: ordered })
}
