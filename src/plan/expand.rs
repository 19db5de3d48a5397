//! Axes × stages → tasks; references → edges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::dag::Dag;
use super::{Edges, Inputs, Labels, Plan, Source, Task};
use crate::diag::{Problem, Problems};
use crate::kind::{Catalog, Kind};
use crate::study::{Found, Points, Rescue, Resources, Retries, StageDecl, Study};

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
    /// Index of the first task of each stage; the others follow in the order of its points.
    first: Vec<usize>,
}

/// What all tasks of a stage have in common.
struct Common<'a> {
    stage: &'a StageDecl,
    kind: &'a Kind,
    id: Arc<str>,
    name: Arc<str>,
    outputs: Arc<BTreeMap<String, String>>,
    env: Arc<[String]>,
    resources: Arc<Resources>,
    retries: Arc<Retries>,
    rescue: Option<Arc<Rescue>>,
}

impl<'a> Common<'a> {
    fn new(stage: &'a StageDecl, catalog: &'a Catalog) -> Option<Self> {
        Some(Self {
            stage,
            kind: catalog.get(&stage.kind)?,
            id: stage.id.as_str().into(),
            name: stage.kind.as_str().into(),
            outputs: Arc::new(stage.outputs.clone()),
            env: stage.env.as_slice().into(),
            resources: Arc::new(stage.resources.clone()),
            retries: Arc::new(stage.retries.clone()),
            rescue: stage.rescue.clone().map(Arc::new),
        })
    }
}

impl<'a> Expander<'a> {
    fn new(study: &'a Study, catalog: &'a Catalog) -> Self {
        let mut next = 0;
        let first = study.stages.iter().map(|stage| {
            let first = next;
            next += study.points(stage).len();
            first
        });
        Self { study, catalog, first: first.collect() }
    }

    /// The tasks of all stages. Where another stage's tasks are is known beforehand, so stages are expanded
    /// side by side.
    fn tasks(&self) -> Vec<Task> {
        let labels = self.labels();
        let stages = self.study.stages.par_iter().zip(labels).filter_map(|(stage, labels)| {
            let common = Common::new(stage, self.catalog)?;
            Some(self.stage(&common, &labels))
        });
        let stages: Vec<Vec<Task>> = stages.collect();
        stages.into_iter().flatten().collect()
    }

    fn stage(&self, common: &Common<'_>, labels: &[Arc<Labels>]) -> Vec<Task> {
        let stage = common.stage;
        let points = self.study.points(stage);
        let mut tasks = Vec::with_capacity(points.len());
        let pairs = pairs(&points);
        let mut fanout = self.study.fanout(stage);
        // Slots in the order of their names, in which the plan has them.
        let mut slots: Vec<(usize, Arc<str>)> = fanout.slots().map(Arc::from).enumerate().collect();
        slots.sort_by(|a, b| a.1.cmp(&b.1));
        let names: Arc<[Arc<str>]> = slots.iter().map(|(_, name)| Arc::clone(name)).collect();
        let mut sources = Vec::new();
        let mut ends = Vec::with_capacity(slots.len());
        for (point, row) in points.rows().enumerate() {
            ends.clear();
            for (slot, _) in &slots {
                fanout.each_source(*slot, point, |found| match found {
                    Found::File(path) => sources.push(Source::File { path: Arc::clone(path) }),
                    Found::Output { stage, output, points } => {
                        let first = self.first[stage];
                        let source = |i: &usize| Source::Task { task: first + i, output: Arc::clone(output) };
                        sources.extend(points.iter().map(source));
                    }
                });
                ends.push(sources.len());
            }
            let settings = fanout.settings(point);
            let (id, folder) = names_of(&stage.id, &pairs, row);
            tasks.push(Task {
                id,
                stage: Arc::clone(&common.id),
                phase: stage.phase,
                kind: Arc::clone(&common.name),
                kind_version: common.kind.version,
                folder,
                point: Arc::clone(&labels[point]),
                params: Arc::clone(&settings.params),
                tuning: Arc::clone(&settings.tuning),
                seed: common.kind.seeded.then_some(self.study.seed),
                inputs: Inputs::new(Arc::clone(&names), &ends, sources.drain(..)),
                outputs: Arc::clone(&common.outputs),
                env: Arc::clone(&common.env),
                needs_runtime: common.kind.needs_runtime,
                resources: Arc::clone(&common.resources),
                retries: Arc::clone(&common.retries),
                rescue: common.rescue.clone(),
                resumes: common.kind.resumes,
                priority: stage.priority,
            });
        }
        tasks
    }

    /// The labels of every point of every stage. Stages often go over the very same points.
    fn labels(&self) -> Vec<Arc<[Arc<Labels>]>> {
        let mut made: Vec<(Points<'a>, Arc<[Arc<Labels>]>)> = Vec::new();
        let of_stage = |stage| {
            let points = self.study.points(stage);
            if let Some((_, labels)) = made.iter().find(|(known, _)| known.same(&points)) {
                return Arc::clone(labels);
            }
            let labels = labels(&points);
            made.push((points, Arc::clone(&labels)));
            labels
        };
        self.study.stages.iter().map(of_stage).collect()
    }
}

fn labels(points: &Points<'_>) -> Arc<[Arc<Labels>]> {
    let mut axes: Vec<usize> = (0..points.axes().len()).collect();
    axes.sort_by_key(|axis| &points.axes()[*axis].name);
    let texts: Vec<(Arc<str>, Vec<Arc<str>>)> = points
        .axes()
        .iter()
        .map(|axis| {
            let labels = axis.points.iter().map(|point| point.label.as_str().into());
            (axis.name.as_str().into(), labels.collect())
        })
        .collect();
    let pair = |row: &[u32], axis: usize| {
        let (name, labels) = &texts[axis];
        (Arc::clone(name), Arc::clone(&labels[row[axis] as usize]))
    };
    let labels = |row: &[u32]| Arc::new(Labels::sorted(axes.iter().map(|axis| pair(row, *axis))));
    points.rows().map(labels).collect()
}

/// `axis=label` for every value of every axis.
fn pairs(points: &Points<'_>) -> Vec<Vec<String>> {
    let axes = points.axes().iter();
    axes.map(|axis| axis.points.iter().map(|point| format!("{}={}", axis.name, point.label)).collect())
        .collect()
}

/// `stage@axis=label,…`, and the same as a folder; the stage alone when it has no axes.
fn names_of(stage: &str, pairs: &[Vec<String>], row: &[u32]) -> (Box<str>, PathBuf) {
    let parts = || pairs.iter().zip(row).map(|(of_axis, i)| of_axis[*i as usize].as_str());
    let length = stage.len() + parts().map(|part| part.len() + 1).sum::<usize>();
    let mut id = String::with_capacity(length);
    id.push_str(stage);
    for (i, part) in parts().enumerate() {
        id.push(if i == 0 { '@' } else { ',' });
        id.push_str(part);
    }
    let mut folder = String::with_capacity(length.max(stage.len() + 1));
    folder.push_str(stage);
    folder.push('/');
    folder.push_str(id.get(stage.len() + 1..).unwrap_or(""));
    (id.into(), folder.into())
}

/// Puts tasks into plan order and renumbers their edges.
fn order(study: &Study, tasks: Vec<Task>) -> Result<Plan, Problems> {
    let edges = Edges::of(&tasks);
    if edges.all_forward() {
        // Mostly so: taking the first that could come next then takes them as they were made.
        return Ok(Plan { study: study.name.clone(), base: study.dir.clone(), tasks });
    }
    let order = Dag::new(tasks.len(), edges.pairs()).order().map_err(|cycle| {
        let ids: BTreeSet<&str> = cycle.iter().map(|i| &*tasks[*i].id).collect();
        let path = ids.into_iter().collect::<Vec<_>>().join(" → ");
        Problems(vec![Problem::new(format!("these tasks wait for each other: {path}"))])
    })?;
    let mut place = vec![0; tasks.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let mut slots: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    let mut ordered: Vec<Task> = order.iter().filter_map(|old| slots[*old].take()).collect();
    for source in ordered.iter_mut().flat_map(|t| t.inputs.sources_mut()) {
        if let Source::Task { task, .. } = source {
            *task = place[*task];
        }
    }
    Ok(Plan { study: study.name.clone(), base: study.dir.clone(), tasks: ordered })
}
