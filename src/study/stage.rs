//! One entry of `stages`.

use std::collections::BTreeMap;

use super::axes::Axes;
use super::fields::{self, Fields, is_name, list, mapping, mismatch, text};
use super::input::Input;
use super::model::{Phase, Resources, StageDecl};
use super::node::{Key, Node, shorten};
use super::params::{Overlay, Params};
use super::retries::{Policies, Retries};
use super::space::{MAX_POINTS, TooMuch, Tuples};
use super::{outputs, priority, rescue, resources, tuning};
use crate::diag::{Problem, Problems};
use crate::kind::{Catalog, Kind};

const KEYS: &[&str] = &[
    "phase",
    "kind",
    "over",
    "only",
    "inputs",
    "params",
    "resources",
    "retries",
    "on_out_of_memory",
    "priority",
    "env",
    "outputs",
];

/// A stage while the rest of the file is read.
pub(super) struct StageDraft<'c> {
    pub(super) decl: StageDecl,
    /// Its kind, if that is known.
    pub(super) kind: Option<&'c Kind>,
    /// Positions of the axes in `over`, ascending.
    pub(super) axes: Vec<usize>,
    /// Whether `over` could be read.
    pub(super) over_known: bool,
    /// Whether its points are what the file means; if not, nothing is concluded from them.
    pub(super) sound: bool,
    /// Whether its references could all be read.
    pub(super) whole: bool,
}

/// What a stage is read against.
pub(super) struct Context<'a, 'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) axes: &'a Axes,
    /// Stage → axis position → parameters of that axis's points, by label.
    pub(super) overlays: &'a BTreeMap<&'a str, BTreeMap<usize, BTreeMap<String, Node>>>,
    /// Stage → parameters from the command line.
    pub(super) set: &'a BTreeMap<String, Node>,
    /// `retries` of the study, for classes that the stage does not name.
    pub(super) retries: &'a Policies,
}

impl<'c> Context<'_, 'c> {
    /// Reads a stage. One that is no mapping still gives a draft, so that its name is known.
    pub(super) fn read(&self, id: &Key, node: &Node, problems: &mut Problems) -> StageDraft<'c> {
        let lower = |b: u8| b.is_ascii_lowercase();
        if !is_name(&id.text, lower, lower) {
            let message = format!("`{}` cannot name a stage", shorten(&id.text));
            let expected = "a small letter, then small letters, digits, `_`, `-`";
            problems.push(Problem::at(id.at.clone(), message).expected(expected));
        }
        let name = shorten(&id.text);
        let Some(fields) = Fields::read(node, format!("stage `{name}`"), KEYS, problems) else {
            return draft(id);
        };
        let fields = fields.placed(&id.at);
        let mut stage = draft(id);
        stage.sound = true;
        stage.decl.phase =
            fields.require("phase", problems).and_then(|node| phase(node, problems)).unwrap_or(Phase::C);
        stage.kind = fields.require("kind", problems).and_then(|node| self.kind(node, problems));
        if let Some(kind) = stage.kind {
            stage.decl.kind = kind.name.to_owned();
            stage.decl.tuning = kind.tuning;
        }
        self.read_over(&fields, &mut stage, problems);
        self.read_points(&fields, &mut stage, problems);
        if let Some(node) = fields.get("inputs") {
            let before = problems.0.len();
            stage.decl.inputs = Input::read_all(node, &name, problems);
            stage.whole = problems.0.len() == before;
        }
        self.read_params(&fields, &mut stage, problems);
        self.check_placeholders(&mut stage, problems);
        if let Some(node) = fields.get("resources") {
            stage.decl.resources = resources::read(node, &name, stage.kind, problems);
        }
        let retries =
            Policies::read(fields.get("retries"), &format!("`retries` of stage `{name}`"), problems);
        stage.decl.retries = retries.over(self.retries);
        stage.decl.priority = priority::read(fields.get("priority"), problems);
        if let Some(node) = fields.get("env") {
            stage.decl.env = env(node, problems);
        }
        self.read_outputs(&fields, &mut stage, problems);
        if let Some(node) = fields.get("on_out_of_memory") {
            stage.decl.rescue = read_rescue(node, &stage, problems);
        }
        tuning::check(&stage, problems);
        stage
    }

    fn kind(&self, node: &Node, problems: &mut Problems) -> Option<&'c Kind> {
        let name = text(node, "`kind`", problems)?;
        let kind = self.catalog.get(name);
        if kind.is_none() {
            let names: Vec<&str> = self.catalog.names().collect();
            problems.push(
                Problem::at(node.at.clone(), format!("unknown kind `{}`", shorten(name)))
                    .expected(fields::one_of(&names))
                    .did_you_mean(name, names),
            );
        }
        kind
    }

    fn read_over(&self, fields: &Fields<'_>, stage: &mut StageDraft<'_>, problems: &mut Problems) {
        let Some(node) = fields.get("over") else {
            return;
        };
        let Some(items) = list(node, "`over`", problems) else {
            stage.sound = false;
            stage.over_known = false;
            return;
        };
        for item in items {
            let found = text(item, "an axis in `over`", problems).and_then(|name| {
                let key = Key { text: name.to_owned(), at: item.at.clone() };
                self.axes.position(&key, "`over`", problems)
            });
            match found {
                None => (stage.sound, stage.over_known) = (false, false),
                Some(axis) if stage.axes.contains(&axis) => {
                    let message = format!("`over` names `{}` twice", self.axes.drafts[axis].axis.name);
                    problems.push(Problem::at(item.at.clone(), message));
                }
                Some(axis) => stage.axes.push(axis),
            }
        }
        stage.axes.sort_unstable();
        let drafts = stage.axes.iter().map(|axis| &self.axes.drafts[*axis]);
        stage.sound &= drafts.clone().all(|draft| draft.sound);
        stage.decl.over = drafts.map(|draft| draft.axis.name.clone()).collect();
    }

    /// `only`, and the points that `over` and `only` leave.
    fn read_points(&self, fields: &Fields<'_>, stage: &mut StageDraft<'_>, problems: &mut Problems) {
        let id = stage.decl.id.clone();
        let mut only = BTreeMap::new();
        let mut retired = false;
        let node = fields.get("only");
        let entries = node.and_then(|node| mapping(node, "`only`", problems)).unwrap_or_default();
        for (key, values) in entries {
            let Some(axis) = self.axes.position(key, "`only`", problems) else {
                stage.sound = false;
                continue;
            };
            if !stage.axes.contains(&axis) {
                if stage.sound {
                    let message = format!("`only` names axis `{}`, but `over` does not", key.text);
                    problems.push(
                        Problem::at(key.at.clone(), message)
                            .hint(format!("add `{}` to `over` of stage `{id}`", key.text)),
                    );
                }
                continue;
            }
            let named = self.axes.named(axis, values, problems);
            retired |= named.retired;
            stage.sound &= named.sound;
            only.insert(axis, named.positions);
        }
        let at = node.map_or(&stage.decl.at, |node| &node.at);
        match self.axes.space.project(&stage.axes, &only) {
            Ok(tuples) => {
                if tuples.len() == 0 && stage.sound && !retired && !self.axes.narrowed() {
                    let message = match node {
                        Some(_) => format!("`only` leaves no point for stage `{id}`"),
                        None => format!("`exclude` leaves no point for stage `{id}`"),
                    };
                    problems.push(Problem::at(at.clone(), message));
                    stage.sound = false;
                }
                stage.decl.tuples = tuples;
            }
            Err(why) => {
                stage.sound = false;
                problems.push(Problem::at(at.clone(), too_much(why, &id)));
            }
        }
    }

    fn read_params(&self, fields: &Fields<'_>, stage: &mut StageDraft<'_>, problems: &mut Problems) {
        if let Some(node) = fields.get("params")
            && mapping(node, "`params`", problems).is_some()
        {
            stage.decl.params.base = node.clone();
        }
        for (axis, by_label) in self.overlays.get(stage.decl.id.as_str()).into_iter().flatten() {
            let draft = &self.axes.drafts[*axis];
            if stage.axes.contains(axis) {
                let (axis, by_label) = (draft.axis.name.clone(), by_label.clone());
                stage.decl.params.overlays.push(Overlay { axis, by_label });
            } else if stage.sound
                && let Some(node) = by_label.values().next()
            {
                let id = &stage.decl.id;
                let message = format!(
                    "axis `{}` has parameters for stage `{id}`, which does not go over it",
                    draft.axis.name
                );
                let hint = format!("add `{}` to `over` of stage `{id}`", draft.axis.name);
                problems.push(Problem::at(node.at.clone(), message).hint(hint));
            }
        }
        stage.decl.params.top = self.set.get(&stage.decl.id).cloned();
    }

    fn read_outputs(&self, fields: &Fields<'_>, stage: &mut StageDraft<'_>, problems: &mut Problems) {
        let Some(kind) = stage.kind else {
            return;
        };
        if kind.open {
            if let Some(node) = fields.require("outputs", problems) {
                stage.decl.outputs = outputs::read(node, problems);
            }
            return;
        }
        if let Some(node) = fields.get("outputs") {
            let names: Vec<&str> = kind.outputs.iter().map(|output| output.name).collect();
            let message = format!("kind `{}` has outputs of its own", kind.name);
            let hint = format!("leave `outputs` out: there are `{}`", names.join("`, `"));
            problems.push(Problem::at(node.at.clone(), message).hint(hint));
        }
        let outputs = kind.outputs.iter();
        stage.decl.outputs = outputs.map(|output| (output.name.to_owned(), output.file.to_owned())).collect();
    }
}

fn draft<'c>(id: &Key) -> StageDraft<'c> {
    let decl = StageDecl {
        id: id.text.clone(),
        phase: Phase::C,
        kind: String::new(),
        over: Vec::new(),
        outputs: BTreeMap::new(),
        resources: Resources::default(),
        retries: Retries::default(),
        rescue: None,
        priority: 0,
        env: Vec::new(),
        at: id.at.clone(),
        tuples: Tuples::default(),
        params: Params { base: Node::empty_map(id.at.clone()), overlays: Vec::new(), top: None },
        inputs: Vec::new(),
        tuning: &[],
    };
    StageDraft { decl, kind: None, axes: Vec::new(), over_known: true, sound: false, whole: true }
}

fn read_rescue(node: &Node, stage: &StageDraft<'_>, problems: &mut Problems) -> Option<rescue::Rescue> {
    let open = stage.kind?.open;
    let names = if open { tuning::names(stage) } else { vec![rescue::CHUNK] };
    let (id, resources) = (stage.decl.id.as_str(), &stage.decl.resources);
    rescue::Context { stage: id, names, open, resources }.read(node, problems)
}

fn phase(node: &Node, problems: &mut Problems) -> Option<Phase> {
    let name = text(node, "`phase`", problems)?;
    let phase = Phase::from_name(name);
    if phase.is_none() {
        let names = Phase::ALL.map(Phase::name);
        let problem = mismatch(node, "`phase`", &fields::one_of(&names));
        problems.push(match Phase::from_name(&name.to_uppercase()) {
            Some(phase) => problem.hint(format!("did you mean `{phase}`?")),
            None => problem,
        });
    }
    phase
}

fn env(node: &Node, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in list(node, "`env`", problems).unwrap_or_default() {
        let Some(name) = text(item, "a name in `env`", problems) else {
            continue;
        };
        let rest = |b: u8| b.is_ascii_alphabetic();
        let start = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        if !is_name(name, start, rest) || name.contains('-') {
            problems.push(mismatch(item, "a name in `env`", "the name of an environment variable"));
        } else if names.iter().any(|known| known == name) {
            problems.push(Problem::at(item.at.clone(), format!("`env` names `{name}` twice")));
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn too_much(why: TooMuch, id: &str) -> String {
    match why {
        TooMuch::Points => format!("stage `{id}` has more than {MAX_POINTS} points"),
        TooMuch::Exclusions => {
            format!("`exclude` is too entangled to find the points of stage `{id}`")
        }
    }
}
