//! References between stages: does each lead somewhere, and does each slot get what it takes at
//! every point?

use std::collections::BTreeMap;
use std::path::Path;

use super::axes::Axes;
use super::fields::{self, near};
use super::files;
use super::graph::{self, Edges};
use super::input::{Input, Origin, Source};
use super::matching::{self, Matcher, Matchers, select};
use super::model::{Axis, Reference};
use super::node::{Key, shorten};
use super::stage::StageDraft;
use super::template::Scope;
use crate::diag::{Problem, Problems};
use crate::kind::{Arity, Slot};
use crate::table::Table;

/// Checks the references of all stages.
pub(super) fn check(stages: &[StageDraft<'_>], axes: &Axes, seed: u64, dir: &Path, problems: &mut Problems) {
    let by_id = stages.iter().enumerate().map(|(i, s)| (s.decl.id.as_str(), i)).collect();
    let mut link = Link {
        stages,
        by_id,
        axes,
        seed,
        dir,
        files: BTreeMap::new(),
        matchers: Matchers::default(),
        edges: vec![Vec::new(); stages.len()],
        problems,
    };
    for i in 0..stages.len() {
        link.stage(i);
    }
    let names: Vec<&str> = stages.iter().map(|stage| stage.decl.id.as_str()).collect();
    graph::check(&names, &link.edges, link.problems);
}

pub(super) struct Link<'a, 'c> {
    pub(super) stages: &'a [StageDraft<'c>],
    by_id: BTreeMap<&'a str, usize>,
    pub(super) axes: &'a Axes,
    seed: u64,
    dir: &'a Path,
    /// Files looked at → what is wrong with them.
    files: BTreeMap<String, Option<String>>,
    matchers: Matchers,
    edges: Edges,
    pub(super) problems: &'a mut Problems,
}

/// What a source leads to at some points of the consumer.
pub(super) enum Lead {
    File,
    Stage {
        producer: usize,
        matcher: Matcher,
    },
    /// Somewhere that has a problem of its own: nothing can be concluded.
    Unknown,
}

/// A source, resolved: columns of the consumer's rows on which it depends, and for their values
/// where it leads.
pub(super) struct Resolved {
    columns: Vec<usize>,
    pub(super) leads: Table<matching::Key, Lead>,
}

impl Resolved {
    pub(super) fn lead(&self, row: &[u32]) -> Option<&Lead> {
        if self.columns.is_empty() {
            return self.leads.values().next();
        }
        self.leads.get(&select(row, &self.columns))
    }
}

impl<'a, 'c> Link<'a, 'c> {
    pub(super) fn axes_of(&self, stage: &StageDraft<'_>) -> Vec<&'a Axis> {
        stage.axes.iter().map(|axis| &self.axes.drafts[*axis].axis).collect()
    }

    fn stage(&mut self, i: usize) {
        let stage = &self.stages[i];
        let id = &stage.decl.id;
        let slots = stage.kind.filter(|kind| !kind.open).map(|kind| kind.inputs);
        for input in &stage.decl.inputs {
            let resolved: Vec<Resolved> =
                input.sources.iter().map(|source| self.resolve(i, source)).collect();
            let slot = slots.map(|slots| slots.iter().find(|slot| slot.name == input.slot));
            match slot {
                // Slots of open kinds take any number of files.
                None => self.coverage(stage, input, Arity::Many, &resolved),
                Some(Some(slot)) => self.coverage(stage, input, slot.arity, &resolved),
                Some(None) => self.unknown_slot(input, stage, slots.unwrap_or_default()),
            }
        }
        let filled = |slot: &Slot| stage.decl.inputs.iter().any(|input| input.slot == slot.name);
        for slot in slots.unwrap_or_default() {
            if slot.arity != Arity::Optional && !filled(slot) && stage.whole {
                let message = format!("stage `{id}` has nothing in slot `{}`", slot.name);
                self.problems.push(
                    Problem::at(stage.decl.at.clone(), message)
                        .expected(format!("`inputs: {{{}: STAGE.OUTPUT}}`: {}", slot.name, slot.doc)),
                );
            }
        }
    }

    fn unknown_slot(&mut self, input: &Input, stage: &StageDraft<'_>, slots: &[Slot]) {
        let kind = &stage.decl.kind;
        let message = format!("kind `{kind}` has no slot `{}`", shorten(&input.slot));
        let problem = Problem::at(input.at.clone(), message);
        let names: Vec<&str> = slots.iter().map(|slot| slot.name).collect();
        self.problems.push(match &names[..] {
            [] => problem.hint("it takes no inputs"),
            _ => problem.expected(fields::one_of(&names)).did_you_mean(&input.slot, names),
        });
    }

    /// Follows a source for every combination of values that its placeholders take.
    fn resolve(&mut self, consumer: usize, source: &Source) -> Resolved {
        let stage = &self.stages[consumer];
        let mut columns: Vec<usize> = source
            .axes()
            .into_iter()
            .filter_map(|name| stage.decl.over.iter().position(|axis| axis == name))
            .collect();
        columns.sort_unstable();
        columns.dedup();
        let mut resolved = Resolved { columns, leads: Table::default() };
        if source.axes().is_empty() {
            let lead = self.follow(consumer, source, &[]);
            resolved.leads.insert(matching::Key::new(), lead);
        } else if stage.sound {
            for row in stage.decl.tuples.iter() {
                let key = select(row, &resolved.columns);
                if !resolved.leads.contains_key(&key) {
                    resolved.leads.insert(key, self.follow(consumer, source, row));
                }
            }
        }
        resolved
    }

    /// Follows a source at one row of the consumer (an empty row if it has no placeholders).
    fn follow(&mut self, consumer: usize, source: &Source, row: &[u32]) -> Lead {
        let axes = self.axes_of(&self.stages[consumer]);
        let values = axes
            .iter()
            .zip(row)
            .filter_map(|(axis, i)| Some((axis.name.as_str(), axis.points.get(*i as usize)?)))
            .collect();
        let scope = Scope { values, seed: self.seed };
        match source.resolve(&scope) {
            Reference::File { path } => self.file(&path.to_string_lossy(), source),
            Reference::Stage { stage, output, filter } => {
                let Some(&producer) = self.by_id.get(stage.as_str()) else {
                    self.unknown_stage(&stage, &output, source);
                    return Lead::Unknown;
                };
                self.edges[consumer].push((producer, source.at.clone()));
                let found = &self.stages[producer];
                let known = found.kind.is_some() && !found.decl.outputs.is_empty();
                if known && !found.decl.outputs.contains_key(&output) {
                    let names: Vec<&str> = found.decl.outputs.keys().map(String::as_str).collect();
                    let message = format!("stage `{stage}` has no output `{}`", shorten(&output));
                    self.problems.push(
                        Problem::at(source.at.clone(), message)
                            .expected(fields::one_of(&names))
                            .did_you_mean(&output, names),
                    );
                    return Lead::Unknown;
                }
                if !self.filter(source, found, &scope) || !found.sound {
                    return Lead::Unknown;
                }
                let producer_axes = self.axes_of(found);
                let matcher = self.matchers.make(&axes, &found.decl, &producer_axes, &filter);
                Lead::Stage { producer, matcher }
            }
        }
    }

    fn unknown_stage(&mut self, stage: &str, output: &str, source: &Source) {
        let message = format!("unknown stage `{}`", shorten(stage));
        let problem = Problem::at(source.at.clone(), message);
        let file = format!("{stage}.{output}");
        let names: Vec<&str> = self.by_id.keys().copied().collect();
        let problem = near(problem, stage, names.iter().copied(), self.problems);
        self.problems.push(match &problem.hint {
            Some(_) => problem,
            None if self.dir.join(&file).is_file() => {
                problem.hint(format!("for the file write `{{file: {}}}`", shorten(&file)))
            }
            None => problem.expected(fields::one_of(&names)),
        });
    }

    /// Checks `where`: axes of the producer, and values of those axes.
    fn filter(&mut self, source: &Source, producer: &StageDraft<'_>, scope: &Scope<'_>) -> bool {
        let Origin::Stage { filter, .. } = &source.from else {
            return true;
        };
        let mut sound = true;
        for (key, node) in filter {
            let Some(axis) = self.axes.position(key, "`where`", self.problems) else {
                sound = false;
                continue;
            };
            if !producer.axes.contains(&axis) {
                sound = false;
                if producer.sound {
                    self.foreign_axis(key, producer);
                }
                continue;
            }
            let mut node = node.clone();
            scope.fill(&mut node);
            sound &= self.axes.named(axis, &node, self.problems).sound;
        }
        sound
    }

    fn foreign_axis(&mut self, key: &Key, producer: &StageDraft<'_>) {
        let id = &producer.decl.id;
        let message = format!("`where` names `{}`, but stage `{id}` does not go over it", key.text);
        let names: Vec<&str> = producer.decl.over.iter().map(String::as_str).collect();
        let problem = Problem::at(key.at.clone(), message);
        self.problems.push(match &names[..] {
            [] => problem.hint(format!("stage `{id}` goes over no axis: leave `where` out")),
            _ => problem.expected(fields::one_of(&names)),
        });
    }

    fn file(&mut self, path: &str, source: &Source) -> Lead {
        let wrong = match self.files.get(path) {
            Some(wrong) => wrong.clone(),
            None => {
                let wrong = files::look_at(self.dir, path);
                self.files.insert(path.to_owned(), wrong.clone());
                wrong
            }
        };
        let Some(wrong) = wrong else {
            return Lead::File;
        };
        let problem = Problem::at(source.at.clone(), format!("`{}` {wrong}", shorten(path)))
            .expected("a file, relative to the folder of the study file");
        self.problems.push(match files::near(self.dir, path) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        });
        Lead::Unknown
    }
}
