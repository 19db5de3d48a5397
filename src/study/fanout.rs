//! What a stage is given at each of its points: parameters, and where its inputs come from.
//!
//! Most parameters and references depend on few axes, or on none; points that agree on those share what
//! was made for them.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::input::Source;
use super::matching::{Key, Matcher, Matchers, select};
use super::model::{Axis, Reference, StageDecl, Study};
use super::template::Scope;
use crate::table::Table;

/// A stage, fanned out over its points. Points are known by their position in [`Study::points`].
pub struct Fanout<'a> {
    study: &'a Study,
    stage: &'a StageDecl,
    axes: Vec<&'a Axis>,
    /// Places in `axes` on which the parameters depend.
    decisive: Vec<usize>,
    settings: Table<Key, Settings>,
    slots: Vec<(&'a str, Vec<Leads<'a>>)>,
    matchers: Matchers,
}

/// Parameters at a point.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Parameters that enter the fingerprint: a mapping with sorted keys and normalised numbers,
    /// as written (the stage fills in defaults).
    pub params: Arc<Value>,
    /// The kind's tuning parameters, which cannot change the result.
    pub tuning: Arc<Value>,
}

/// Where an input comes from, at a point.
#[derive(Debug, Clone, Copy)]
pub enum Found<'f> {
    /// A file as written: absolute, or relative to the study file's folder.
    File(&'f Arc<Path>),
    /// An output of another stage.
    Output {
        /// Position of the stage in [`Study::stages`].
        stage: usize,
        /// Name of the output.
        output: &'f Arc<str>,
        /// Which of the stage's points, ascending.
        points: &'f [usize],
    },
}

/// A reference, and where it leads by the values that its placeholders take.
struct Leads<'a> {
    source: &'a Source,
    /// Places among the stage's axes of those that the placeholders name.
    columns: Vec<usize>,
    known: Table<Key, Option<Lead>>,
}

enum Lead {
    File(Arc<Path>),
    Output { stage: usize, output: Arc<str>, matcher: Matcher },
}

impl Study {
    /// A stage at its points.
    pub fn fanout<'a>(&'a self, stage: &'a StageDecl) -> Fanout<'a> {
        let axes = self.axes_of(stage);
        let columns = |names: &[&str]| -> Vec<usize> {
            (0..axes.len()).filter(|i| names.contains(&axes[*i].name.as_str())).collect()
        };
        let leads =
            |source: &'a Source| Leads { source, columns: columns(&source.axes()), known: Table::default() };
        let inputs = stage.inputs.iter();
        let slots = inputs.map(|input| (input.slot.as_str(), input.sources.iter().map(leads).collect()));
        Fanout {
            decisive: columns(&stage.params.axes().into_iter().collect::<Vec<_>>()),
            slots: slots.collect(),
            study: self,
            stage,
            axes,
            settings: Table::default(),
            matchers: Matchers::default(),
        }
    }
}

impl<'a> Fanout<'a> {
    /// Parameters at a point.
    pub fn settings(&mut self, point: usize) -> &Settings {
        let row = self.stage.tuples.row(point);
        let (study, stage, axes) = (self.study, self.stage, &self.axes);
        self.settings.entry(select(row, &self.decisive)).or_insert_with(|| {
            let (params, tuning) = stage.params.split(&scope(study, axes, row), stage.tuning);
            Settings { params: Arc::new(params), tuning: Arc::new(tuning) }
        })
    }

    /// Names of the slots, in the order of the file.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &'a str> {
        self.slots.iter().map(|(name, _)| *name)
    }

    /// Tells `take` what fills a slot at a point, in the order of the file. `slot` is a position in
    /// [`slots`](Self::slots).
    pub fn each_source(&mut self, slot: usize, point: usize, mut take: impl FnMut(Found<'_>)) {
        let row = self.stage.tuples.row(point);
        let (study, axes, matchers) = (self.study, &self.axes, &mut self.matchers);
        for leads in &mut self.slots[slot].1 {
            let key = select(row, &leads.columns);
            let source = leads.source;
            let lead = leads
                .known
                .entry(key)
                .or_insert_with(|| follow(study, source.resolve(&scope(study, axes, row)), axes, matchers));
            match lead {
                Some(Lead::File(path)) => take(Found::File(path)),
                Some(Lead::Output { stage, output, matcher }) => {
                    take(Found::Output { stage: *stage, output, points: matcher.for_row(row) });
                }
                None => {}
            }
        }
    }
}

/// In a checked study every reference leads somewhere.
fn follow(study: &Study, reference: Reference, axes: &[&Axis], matchers: &mut Matchers) -> Option<Lead> {
    match reference {
        Reference::File { path } => Some(Lead::File(path.into())),
        Reference::Stage { stage, output, filter } => {
            let stage = *study.by_id.get(&stage)?;
            let producer = &study.stages[stage];
            let matcher = matchers.make(axes, producer, &study.axes_of(producer), &filter);
            Some(Lead::Output { stage, output: output.into(), matcher })
        }
    }
}

fn scope<'s>(study: &Study, axes: &[&'s Axis], row: &[u32]) -> Scope<'s> {
    let value = |(axis, i): (&&'s Axis, &u32)| Some((axis.name.as_str(), axis.points.get(*i as usize)?));
    Scope { values: axes.iter().zip(row).filter_map(value).collect(), seed: study.seed }
}
