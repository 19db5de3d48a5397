//! Which tasks of a plan are wanted: `--select`, `--from`, `--until`.

use std::collections::BTreeSet;

use super::{Plan, Task, TaskSet};
use crate::diag::nearest;
use crate::study::Phase;

/// What the user wants of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Alternatives; each is a list of `key=value` terms that must all hold. Keys are `stage`, `phase`, `task`
    /// or an axis; `value` may list alternatives with `|`.
    pub select: Vec<String>,
    /// Only from this phase, or from this stage and what follows it.
    pub from: Option<String>,
    /// Only up to this phase, or up to this stage and what it needs.
    pub until: Option<String>,
}

/// A selection that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Not `key=value`.
    #[error("`{0}` in --select is not of the form key=value")]
    Form(String),
    /// Neither `stage`, `phase`, `task` nor an axis.
    #[error("--select knows no `{key}`; expected one of {names}{}", hint(.nearest))]
    Key {
        /// As written.
        key: String,
        /// Valid keys.
        names: String,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// No task has that value.
    #[error("no task has {key}={value}; this study has {names}{}", hint(.nearest))]
    Value {
        /// The key.
        key: String,
        /// As written.
        value: String,
        /// Values that occur.
        names: String,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// Each term is right but no task fits all of them.
    #[error("the selection matches no task")]
    Nothing,
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

impl Selection {
    /// Whether everything is wanted.
    pub fn is_all(&self) -> bool {
        self.select.is_empty() && self.from.is_none() && self.until.is_none()
    }

    /// The tasks that match, without what they need.
    pub fn targets(&self, plan: &Plan) -> Result<BTreeSet<usize>, SelectError> {
        let mut targets: BTreeSet<usize> = (0..plan.tasks.len()).collect();
        if !self.select.is_empty() {
            let mut any = BTreeSet::new();
            for alternative in &self.select {
                any.extend(matching(plan, alternative)?);
            }
            targets = &targets & &any;
        }
        if let Some(from) = &self.from {
            targets = &targets & &from_on(plan, from)?;
        }
        if let Some(until) = &self.until {
            targets = &targets & &up_to(plan, until)?;
        }
        if targets.is_empty() { Err(SelectError::Nothing) } else { Ok(targets) }
    }
}

fn matching(plan: &Plan, alternative: &str) -> Result<BTreeSet<usize>, SelectError> {
    let mut found: BTreeSet<usize> = (0..plan.tasks.len()).collect();
    for term in alternative.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        let (key, values) = term.split_once('=').ok_or_else(|| SelectError::Form(term.to_owned()))?;
        let key = key.trim();
        check_key(plan, key)?;
        let mut any = BTreeSet::new();
        for value in values.split('|').map(str::trim) {
            let hits: BTreeSet<usize> = (0..plan.tasks.len())
                .filter(|i| field(&plan.tasks[*i], key).is_some_and(|label| same(label, value)))
                .collect();
            if hits.is_empty() {
                return Err(unknown_value(plan, key, value));
            }
            any.extend(hits);
        }
        found = &found & &any;
    }
    Ok(found)
}

fn field<'a>(task: &'a Task, key: &str) -> Option<&'a str> {
    match key {
        "stage" => Some(&task.stage),
        "task" => Some(&task.id),
        "phase" => Some(task.phase.name()),
        axis => task.point.get(axis),
    }
}

/// Labels are equal as text, as phases without regard to case, or as numbers (`1000` is `1e3`).
fn same(label: &str, value: &str) -> bool {
    let number = |s: &str| s.parse::<f64>().ok();
    label == value
        || (label.len() == 1 && label.eq_ignore_ascii_case(value))
        || matches!((number(label), number(value)), (Some(a), Some(b)) if a == b)
}

fn names(plan: &Plan, key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let labels = plan.tasks.iter().filter_map(|t| field(t, key));
    labels.filter(|l| seen.insert(*l)).map(str::to_owned).collect()
}

fn check_key(plan: &Plan, key: &str) -> Result<(), SelectError> {
    let axes: BTreeSet<&str> = plan.tasks.iter().flat_map(|t| t.point.iter().map(|(axis, _)| axis)).collect();
    let keys: Vec<&str> = ["stage", "phase", "task"].into_iter().chain(axes).collect();
    if keys.contains(&key) {
        return Ok(());
    }
    Err(SelectError::Key {
        key: key.to_owned(),
        names: keys.join(", "),
        nearest: nearest(key, keys.iter().copied()).map(str::to_owned),
    })
}

fn unknown_value(plan: &Plan, key: &str, value: &str) -> SelectError {
    let names = names(plan, key);
    let shown = if names.len() > 12 {
        format!("{}, … ({} in all)", names[..12].join(", "), names.len())
    } else {
        names.join(", ")
    };
    SelectError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        nearest: nearest(value, names.iter().map(String::as_str)).map(str::to_owned),
        names: shown,
    }
}

/// A phase letter takes whole phases; a stage takes itself and all that depends on it.
fn from_on(plan: &Plan, name: &str) -> Result<BTreeSet<usize>, SelectError> {
    if let Some(phase) = Phase::from_name(name) {
        return Ok((0..plan.tasks.len()).filter(|i| plan.tasks[*i].phase >= phase).collect());
    }
    let edges = plan.edges();
    let mut found = stage(plan, name)?;
    for index in 0..plan.tasks.len() {
        if edges.upstream(index).any(|up| found.contains(&up)) {
            found.insert(index);
        }
    }
    Ok(found)
}

fn up_to(plan: &Plan, name: &str) -> Result<BTreeSet<usize>, SelectError> {
    if let Some(phase) = Phase::from_name(name) {
        return Ok((0..plan.tasks.len()).filter(|i| plan.tasks[*i].phase <= phase).collect());
    }
    Ok(plan.with_upstream(&TaskSet::from(&stage(plan, name)?)).iter().collect())
}

fn stage(plan: &Plan, name: &str) -> Result<BTreeSet<usize>, SelectError> {
    let found: BTreeSet<usize> = (0..plan.tasks.len()).filter(|i| &*plan.tasks[*i].stage == name).collect();
    if found.is_empty() { Err(unknown_value(plan, "stage", name)) } else { Ok(found) }
}
