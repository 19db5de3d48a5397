//! Axes × stages → tasks; references → edges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dag::Dag;
use super::{Labels, Plan, Source, Task};
use crate::diag::{Problem, Problems};
use crate::kind::{Catalog, Kind};
use crate::study::{Matcher, Point, Reference, Rescue, Resources, Retries, StageDecl, StageSettings, Study};

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
    /// Consumer → producer → filter → what was made for them.
    matchers: BTreeMap<String, BTreeMap<String, BTreeMap<Filter, Matcher>>>,
    /// What tasks have in common, by its text.
    points: BTreeMap<String, Arc<Labels>>,
    texts: Shared<str>,
    files: Shared<Path>,
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

/// Equal values, kept once.
struct Shared<T: ?Sized>(BTreeSet<Arc<T>>);

impl<T: ?Sized + Ord> Shared<T> {
    fn share<'b>(&mut self, value: &'b T) -> Arc<T>
    where
        Arc<T>: From<&'b T>,
    {
        if let Some(known) = self.0.get(value) {
            return Arc::clone(known);
        }
        let new = Arc::from(value);
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// Axis → labels.
type Filter = BTreeMap<String, Vec<String>>;

impl<'a> Expander<'a> {
    fn new(study: &'a Study, catalog: &'a Catalog) -> Self {
        let mut first = BTreeMap::new();
        let mut next = 0;
        for stage in &study.stages {
            first.insert(stage.id.as_str(), next);
            next += study.each_point(stage).len();
        }
        let (texts, files) = (Shared(BTreeSet::new()), Shared(BTreeSet::new()));
        Self { study, catalog, first, matchers: BTreeMap::new(), points: BTreeMap::new(), texts, files }
    }

    fn tasks(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for stage in &self.study.stages {
            let Some(common) = Common::new(stage, self.catalog) else { continue };
            let mut settings = self.study.settings(stage);
            for point in self.study.each_point(stage) {
                tasks.push(self.task(&common, &mut settings, &point));
            }
        }
        tasks
    }

    fn task(&mut self, common: &Common<'a>, settings: &mut StageSettings<'a>, point: &Point) -> Task {
        let stage = common.stage;
        let settings = settings.at(point);
        let inputs = settings.inputs.iter().map(|(slot, references)| {
            let sources = references.iter().flat_map(|r| self.sources(stage, point, r)).collect();
            (self.texts.share(slot), sources)
        });
        let inputs = inputs.collect();
        let label = point.to_string();
        let id = if label.is_empty() { stage.id.clone() } else { format!("{}@{label}", stage.id) };
        let labels = || Arc::new(point.0.iter().cloned().collect());
        Task {
            id: id.into(),
            stage: Arc::clone(&common.id),
            phase: stage.phase,
            kind: Arc::clone(&common.name),
            kind_version: common.kind.version,
            folder: PathBuf::from(&stage.id).join(&label),
            point: match self.points.get(&label) {
                Some(known) => Arc::clone(known),
                None => Arc::clone(self.points.entry(label).or_insert_with(labels)),
            },
            params: settings.params,
            tuning: settings.tuning,
            seed: common.kind.seeded.then_some(self.study.seed),
            inputs,
            outputs: Arc::clone(&common.outputs),
            env: Arc::clone(&common.env),
            needs_runtime: common.kind.needs_runtime,
            resources: Arc::clone(&common.resources),
            retries: Arc::clone(&common.retries),
            rescue: common.rescue.clone(),
            resumes: common.kind.resumes,
            priority: stage.priority,
        }
    }

    fn sources(&mut self, consumer: &StageDecl, point: &Point, reference: &Reference) -> Vec<Source> {
        match reference {
            Reference::File { path, .. } => vec![Source::File { path: self.files.share(path) }],
            Reference::Stage { stage, output, filter, at: _ } => {
                let output = self.texts.share(output);
                let producers = self.producers(consumer, point, stage, filter).into_iter();
                producers.map(|task| Source::Task { task, output: Arc::clone(&output) }).collect()
            }
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
        // Mostly it is there, and finding it takes no copies.
        let by_filter = match self.matchers.get_mut(&*consumer.id).and_then(|m| m.get_mut(stage)) {
            Some(by_filter) => by_filter,
            None => {
                let of_consumer = self.matchers.entry(consumer.id.clone()).or_default();
                of_consumer.entry(stage.to_owned()).or_default()
            }
        };
        let matcher = match by_filter.get(filter) {
            Some(matcher) => matcher,
            None => {
                let made = self.study.matcher(consumer, producer, filter);
                by_filter.entry(filter.clone()).or_insert(made)
            }
        };
        matcher.producers(point).iter().map(|i| first + i).collect()
    }
}

/// Puts tasks into plan order and renumbers their edges.
fn order(study: &Study, tasks: Vec<Task>) -> Result<Plan, Problems> {
    let edges =
        tasks.iter().enumerate().flat_map(|(to, t)| t.upstream().into_iter().map(move |from| (from, to)));
    let order = Dag::new(tasks.len(), edges).order().map_err(|cycle| {
        let ids: BTreeSet<&str> = cycle.iter().map(|i| &*tasks[*i].id).collect();
        let path = ids.into_iter().collect::<Vec<_>>().join(" → ");
        Problems(vec![Problem::new(format!("these tasks wait for each other: {path}"))])
    })?;
    let mut place = vec![0; tasks.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    // Mostly they are in order as they were made, and a hundred thousand of them are better not copied.
    let mut ordered = tasks;
    if order.iter().enumerate().any(|(new, old)| new != *old) {
        let mut slots: Vec<Option<Task>> = ordered.into_iter().map(Some).collect();
        ordered = order.iter().filter_map(|old| slots[*old].take()).collect();
    }
    for source in ordered.iter_mut().flat_map(|t| t.inputs.0.iter_mut().flat_map(|(_, sources)| sources)) {
        if let Source::Task { task, .. } = source {
            *task = place[*task];
        }
    }
    Ok(Plan { study: study.name.clone(), base: study.dir.clone(), tasks: ordered })
}
