//! Does every slot get as many files as it takes, at every point of its stage?

use super::fields;
use super::input::{Input, Origin};
use super::link::{Lead, Link, Resolved};
use super::model::{Axis, StageDecl};
use super::stage::StageDraft;
use crate::diag::Problem;
use crate::kind::Arity;

impl Link<'_, '_> {
    /// Does the slot get as many files as it takes, at every point?
    pub(super) fn coverage(
        &mut self,
        stage: &StageDraft<'_>,
        input: &Input,
        arity: Arity,
        resolved: &[Resolved],
    ) {
        let unknown = |r: &Resolved| r.leads.values().any(|lead| matches!(lead, Lead::Unknown));
        let readable = stage.whole && !resolved.is_empty() && !resolved.iter().any(unknown);
        if !stage.sound || !readable {
            return;
        }
        let rows = &stage.decl.tuples;
        let mut counts = vec![0_usize; rows.len()];
        let mut idle = Vec::new();
        for (source, resolved) in input.sources.iter().zip(resolved) {
            let mut useful = false;
            for (row, count) in rows.iter().zip(&mut counts) {
                let found = match resolved.lead(row) {
                    Some(Lead::File) => 1,
                    Some(Lead::Stage { matcher, .. }) => matcher.for_row(row).len(),
                    Some(Lead::Unknown) | None => 0,
                };
                *count += found;
                useful |= found > 0;
            }
            if !useful {
                idle.push(source);
            }
        }
        let gap = |count: &usize| *count == 0 && arity != Arity::Optional;
        let excess = |count: &usize| *count > 1 && arity != Arity::Many;
        let gaps = counts.iter().filter(|count| gap(count)).count();
        match counts.iter().position(gap) {
            Some(i) => self.gap(stage, input, resolved, rows.row(i), gaps),
            // With values from the command line a reference may have lost its points for now.
            None if rows.len() > 0 && !self.axes.narrowed() => {
                for source in idle {
                    let message = format!("this matches no point of stage `{}`", stage.decl.id);
                    self.problems.push(Problem::at(source.at.clone(), message));
                }
            }
            None => {}
        }
        let excesses = counts.iter().filter(|count| excess(count)).count();
        if let Some(i) = counts.iter().position(excess) {
            self.excess(stage, input, resolved, rows.row(i), excesses);
        }
    }

    fn gap(
        &mut self,
        stage: &StageDraft<'_>,
        input: &Input,
        resolved: &[Resolved],
        row: &[u32],
        gaps: usize,
    ) {
        let place = place(&self.axes_of(stage), row, gaps);
        let message = format!("slot `{}` of stage `{}` gets nothing{place}", input.slot, stage.decl.id);
        let mut sought = Vec::new();
        for (source, resolved) in input.sources.iter().zip(resolved) {
            if let Some(Lead::Stage { producer, matcher }) = resolved.lead(row) {
                let axes = self.axes_of(stage);
                let mut at: Vec<String> = matcher
                    .shared()
                    .map(|(axis, column)| format!("{axis}={}", label(axes[column], row[column])))
                    .collect();
                if let Origin::Stage { filter, .. } = &source.from {
                    let named = filter.iter().map(|(key, node)| (key, fields::one_or_more(node)));
                    at.extend(named.map(|(key, values)| {
                        let labels = values.iter().filter_map(|v| v.content.label());
                        format!("{}={}", key.text, labels.collect::<Vec<_>>().join("|"))
                    }));
                }
                let id = &self.stages[*producer].decl.id;
                sought.push(match (at.is_empty(), self.stages[*producer].decl.tuples.len()) {
                    (_, 0) => format!("a point of `{id}`, which has none"),
                    (true, _) => format!("a point of `{id}`"),
                    (false, _) => format!("a point of `{id}` with {}", at.join(",")),
                });
            }
        }
        sought.dedup();
        let at = match &input.sources[..] {
            [source] => source.at.clone(),
            _ => input.at.clone(),
        };
        self.problems.push(Problem::at(at, message).expected(sought.join(", or ")));
    }

    fn excess(
        &mut self,
        stage: &StageDraft<'_>,
        input: &Input,
        resolved: &[Resolved],
        row: &[u32],
        excesses: usize,
    ) {
        let mut names = Vec::new();
        let mut free: Vec<&str> = Vec::new();
        for resolved in resolved {
            match resolved.lead(row) {
                Some(Lead::File) => names.push("a file".to_owned()),
                Some(Lead::Stage { producer, matcher }) => {
                    let found = &self.stages[*producer];
                    let axes = self.axes_of(found);
                    let points = matcher.for_row(row);
                    let point = |i: &usize| point(&axes, found.decl.tuples.row(*i));
                    names.extend(points.iter().take(4).map(|i| match point(i) {
                        at if at.is_empty() => format!("`{}`", found.decl.id),
                        at => format!("`{}` at {at}", found.decl.id),
                    }));
                    if points.len() > 4 {
                        names.push(format!("{} more", points.len() - 4));
                    }
                    if points.len() > 1 {
                        free.extend(open_axes(&found.decl, &stage.decl));
                    }
                }
                Some(Lead::Unknown) | None => {}
            }
        }
        let place = place(&self.axes_of(stage), row, excesses);
        let message = format!(
            "slot `{}` of stage `{}` takes one file, but gets several{place}: {}",
            input.slot,
            stage.decl.id,
            names.join(", ")
        );
        let at = match &input.sources[..] {
            [source] => source.at.clone(),
            _ => input.at.clone(),
        };
        let problem = Problem::at(at, message);
        free.sort_unstable();
        free.dedup();
        self.problems.push(match &free[..] {
            [] => problem.hint("only one of these references may match at a point"),
            _ => problem.hint(format!(
                "choose with `where: {{{}: VALUE}}`, or add `{}` to `over` of stage `{}`",
                free.join(": VALUE, "),
                free.join("`, `"),
                stage.decl.id
            )),
        });
    }
}

/// Axes of the producer that the consumer does not go over.
fn open_axes<'p>(producer: &'p StageDecl, consumer: &StageDecl) -> Vec<&'p str> {
    let open = producer.over.iter().filter(|axis| !consumer.over.contains(axis));
    open.map(String::as_str).collect()
}

fn label(axis: &Axis, position: u32) -> &str {
    axis.points.get(position as usize).map_or("?", |point| point.label.as_str())
}

/// `dose=1e3,view=dense`.
pub(super) fn point(axes: &[&Axis], row: &[u32]) -> String {
    let pairs = axes.iter().zip(row).map(|(axis, i)| format!("{}={}", axis.name, label(axis, *i)));
    pairs.collect::<Vec<_>>().join(",")
}

/// ` at dose=1e3 (and at 3 more points)`; nothing for a stage that runs once.
fn place(axes: &[&Axis], row: &[u32], count: usize) -> String {
    let more = match count {
        0 | 1 => String::new(),
        2 => " (and at 1 more point)".into(),
        n => format!(" (and at {} more points)", n - 1),
    };
    match row {
        [] => more,
        _ => format!(" at {}{more}", point(axes, row)),
    }
}
