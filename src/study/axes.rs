//! `axes`, `exclude` and `include`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fields::{self, Fields, MAX_NAME, is_name, list, mapping, mismatch};
use super::model::{Axis, AxisPoint};
use super::node::{Content, Key, Node, shorten};
use super::space::{Pattern, Space};
use crate::diag::{Location, Problem, Problems};

/// Most axes: bounds the recursion over them.
const MAX_AXES: usize = 64;
/// Words that selections on the command line use for something else (`phase=G`).
const RESERVED: &[&str] = &["phase", "stage"];

/// An axis while the rest of the file is read.
pub(super) struct AxisDraft {
    pub(super) axis: Axis,
    /// Number of values on the axis itself; those after it are `include`'s.
    base: u32,
    /// False when a value could not be read: then nothing is said about unknown values.
    pub(super) sound: bool,
    /// Values of the file that `--set` has replaced. Naming one is no mistake.
    retired: BTreeSet<String>,
    /// Parameters of points for stages.
    pub(super) params: Vec<PointParams>,
}

/// Parameters that a point of an axis gives to a stage.
pub(super) struct PointParams {
    pub(super) label: String,
    pub(super) stage: Key,
    pub(super) node: Node,
}

/// All axes and the space they span.
#[derive(Default)]
pub(super) struct Axes {
    pub(super) drafts: Vec<AxisDraft>,
    by_name: BTreeMap<String, usize>,
    pub(super) space: Space,
}

/// Values of an axis named by a filter.
pub(super) struct Named {
    /// Their positions, sorted.
    pub(super) positions: Vec<u32>,
    /// Whether each of them is, or before `--set` was, a value of the axis.
    pub(super) sound: bool,
    /// Whether `--set` has replaced one of them.
    pub(super) retired: bool,
}

impl Axes {
    /// Reads `axes`; `set` holds the values that the command line gives instead.
    pub(super) fn read(node: Option<&Node>, set: &BTreeMap<String, Node>, problems: &mut Problems) -> Self {
        let mut axes = Self::default();
        let entries = node.and_then(|node| mapping(node, "`axes`", problems)).unwrap_or_default();
        for (key, values) in entries {
            if axes.drafts.len() == MAX_AXES {
                let message = format!("more than {MAX_AXES} axes");
                problems.push(Problem::at(key.at.clone(), message));
                break;
            }
            let letter = |b: u8| b.is_ascii_alphabetic();
            if !is_name(&key.text, letter, letter) || RESERVED.contains(&key.text.as_str()) {
                let message = format!("`{}` cannot name an axis", shorten(&key.text));
                problems.push(Problem::at(key.at.clone(), message).expected(format!(
                    "a letter, then letters, digits, `_`, `-`; none of `{}`",
                    RESERVED.join("`, `")
                )));
            }
            let mut draft = AxisDraft::new(key);
            draft.read_points(values, problems);
            if let Some(values) = set.get(&key.text) {
                draft.replace(values, problems);
            }
            draft.base = draft.axis.points.len() as u32;
            axes.by_name.insert(key.text.clone(), axes.drafts.len());
            axes.drafts.push(draft);
        }
        axes.space.sizes = axes.drafts.iter().map(|draft| draft.base).collect();
        axes
    }

    /// Reads `exclude` and then `include`, whose values may be new.
    pub(super) fn read_combinations(
        &mut self,
        exclude: Option<&Node>,
        include: Option<&Node>,
        problems: &mut Problems,
    ) {
        for (node, what) in [(exclude, "exclude"), (include, "include")] {
            let items = node.and_then(|node| list(node, &format!("`{what}`"), problems));
            for item in items.unwrap_or_default() {
                let add = what == "include";
                let Some(pattern) = self.pattern(item, what, add, problems) else {
                    continue;
                };
                if add {
                    self.space.include.push(pattern);
                } else {
                    self.space.exclude.push(pattern);
                }
            }
        }
    }

    /// One item of `exclude` or `include`; `None` if it cannot match anything.
    fn pattern(&mut self, item: &Node, what: &str, add: bool, problems: &mut Problems) -> Option<Pattern> {
        let entries = mapping(item, &format!("an item of `{what}`"), problems)?;
        if entries.is_empty() {
            let message = format!("an item of `{what}` names no axis");
            problems.push(Problem::at(item.at.clone(), message));
            return None;
        }
        let mut pattern: Pattern = vec![None; self.drafts.len()];
        let mut sound = true;
        for (key, value) in entries {
            let Some(axis) = self.position(key, &format!("`{what}`"), problems) else {
                sound = false;
                continue;
            };
            if add {
                fields::one_or_more(value).iter().for_each(|value| self.drafts[axis].extend(value, problems));
            }
            let named = self.named(axis, value, problems);
            sound &= !named.positions.is_empty();
            pattern[axis] = Some(named.positions);
        }
        sound.then_some(pattern)
    }

    /// The axis that a key names.
    pub(super) fn position(&self, key: &Key, place: &str, problems: &mut Problems) -> Option<usize> {
        let found = self.find(&key.text);
        if found.is_none() {
            problems.push(self.unknown(&key.text, &key.at, place));
        }
        found
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The problem of naming an axis that is not there.
    pub(super) fn unknown(&self, name: &str, at: &Location, place: &str) -> Problem {
        let names: Vec<&str> = self.drafts.iter().map(|draft| draft.axis.name.as_str()).collect();
        let problem = Problem::at(at.clone(), format!("unknown axis `{}` in {place}", shorten(name)));
        match &names[..] {
            [] => problem.hint("this study has no axes"),
            _ => problem.expected(fields::one_of(&names)).did_you_mean(name, names.iter().copied()),
        }
    }

    /// The positions of a value or a list of values; unknown ones are reported.
    pub(super) fn named(&self, axis: usize, node: &Node, problems: &mut Problems) -> Named {
        let draft = &self.drafts[axis];
        let mut named = Named { positions: Vec::new(), sound: draft.sound, retired: false };
        for value in fields::one_or_more(node) {
            match draft.look_up(value, problems) {
                Found::At(position) => named.positions.push(position),
                Found::Retired => named.retired = true,
                Found::Nowhere => named.sound = false,
            }
        }
        named.positions.sort_unstable();
        named.positions.dedup();
        named
    }

    /// Whether the command line replaced values, so that filters of the file may find nothing.
    pub(super) fn narrowed(&self) -> bool {
        self.drafts.iter().any(|draft| !draft.retired.is_empty())
    }

    /// The axes of the finished study.
    pub(super) fn finish(self) -> Vec<Axis> {
        self.drafts.into_iter().map(|draft| draft.axis).collect()
    }
}

/// Where a value is on an axis.
enum Found {
    At(u32),
    Retired,
    Nowhere,
}

impl AxisDraft {
    fn new(key: &Key) -> Self {
        Self {
            axis: Axis {
                name: key.text.clone(),
                points: Vec::new(),
                at: key.at.clone(),
                by_label: Arc::default(),
            },
            base: 0,
            sound: true,
            retired: BTreeSet::new(),
            params: Vec::new(),
        }
    }

    fn read_points(&mut self, node: &Node, problems: &mut Problems) {
        let what = format!("axis `{}`", shorten(&self.axis.name));
        let Some(items) = list(node, &what, problems) else {
            self.sound = false;
            return;
        };
        if items.is_empty() {
            problems.push(Problem::at(node.at.clone(), format!("{what} is empty")));
            self.sound = false;
        }
        for item in items {
            match &item.content {
                Content::Map(_) => self.read_detailed(item, &what, problems),
                _ => {
                    self.add(item, problems);
                }
            }
        }
    }

    /// A point with parameters for stages.
    fn read_detailed(&mut self, item: &Node, what: &str, problems: &mut Problems) {
        let what = format!("a point of {what}");
        let value = Fields::read(item, what, &["value", "params"], problems)
            .and_then(|fields| Some((fields.require("value", problems)?, fields)));
        let Some((value, fields)) = value else {
            self.sound = false;
            return;
        };
        let Some(label) = self.add(value, problems) else {
            return;
        };
        let params = fields.get("params").and_then(|node| mapping(node, "`params`", problems));
        for (stage, node) in params.unwrap_or_default() {
            let what = format!("`params` for stage `{}`", shorten(&stage.text));
            if mapping(node, &what, problems).is_some() {
                let (stage, node) = (stage.clone(), node.clone());
                self.params.push(PointParams { label: label.clone(), stage, node });
            }
        }
    }

    /// Adds a value; `None`, with a problem, if it is none or a repetition.
    fn add(&mut self, node: &Node, problems: &mut Problems) -> Option<String> {
        let Some(label) = label(node, &self.axis.name, problems) else {
            self.sound = false;
            return None;
        };
        if self.axis.by_label.contains_key(&label) {
            let message = format!("the value {label} repeats on axis `{}`", self.axis.name);
            problems.push(Problem::at(node.at.clone(), message));
            return None;
        }
        let position = self.axis.points.len() as u32;
        Arc::make_mut(&mut self.axis.by_label).insert(label.clone(), position);
        self.axis.points.push(AxisPoint {
            label: label.clone(),
            value: node.to_json(),
            content: node.content.clone(),
        });
        Some(label)
    }

    /// A value that `include` names, which need not be on the axis.
    fn extend(&mut self, node: &Node, problems: &mut Problems) {
        let known = node.content.label().is_some_and(|l| self.axis.by_label.contains_key(l.as_ref()));
        if !known {
            self.add(node, problems);
        }
    }

    /// Puts the command line's values in place of the file's; points that remain keep their
    /// parameters.
    fn replace(&mut self, values: &Node, problems: &mut Problems) {
        self.retired = std::mem::take(Arc::make_mut(&mut self.axis.by_label)).into_keys().collect();
        self.axis.points.clear();
        self.sound = true;
        self.read_points(values, problems);
        self.retired.retain(|label| !self.axis.by_label.contains_key(label));
        self.params.retain(|params| self.axis.by_label.contains_key(&params.label));
    }

    /// The position of a value; an unknown one is reported.
    fn look_up(&self, node: &Node, problems: &mut Problems) -> Found {
        let Some(label) = node.content.label() else {
            let what = format!("a value of axis `{}`", self.axis.name);
            problems.push(mismatch(node, &what, "a number, text or boolean"));
            return Found::Nowhere;
        };
        if let Some(position) = self.axis.by_label.get(label.as_ref()) {
            return Found::At(*position);
        }
        if self.retired.contains(label.as_ref()) {
            return Found::Retired;
        }
        // With an unreadable value on the axis, this may well be the one.
        if self.sound {
            let labels: Vec<&str> = self.axis.points.iter().map(|p| p.label.as_str()).collect();
            let message = format!("axis `{}` has no value {}", self.axis.name, shorten(&label));
            let problem = Problem::at(node.at.clone(), message).expected(fields::one_of(&labels));
            // The nearest number in letters is no better a guess than any other.
            problems.push(match &node.content {
                Content::Text(text) => fields::near(problem, text, labels, problems),
                _ => problem,
            });
        }
        Found::Nowhere
    }
}

/// The label of a value, fit for a file name.
fn label(node: &Node, axis: &str, problems: &mut Problems) -> Option<String> {
    let what = || format!("a value of axis `{}`", shorten(axis));
    let Some(label) = node.content.label() else {
        problems.push(mismatch(node, &what(), "a number, text or boolean"));
        return None;
    };
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    let sound =
        !label.is_empty() && label.len() <= MAX_NAME && !label.starts_with('.') && label.bytes().all(fit);
    if !sound {
        let expected = "letters, digits, `.`, `_`, `+`, `-`, not starting with `.`: \
                        values become names of folders";
        problems.push(mismatch(node, &what(), expected));
        return None;
    }
    Some(label.into_owned())
}
