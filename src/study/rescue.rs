//! `on_out_of_memory:` of a stage: what is tried when memory runs out, before the task has failed.

use serde::{Deserialize, Serialize};

use super::fields::{self, Fields, mismatch, unknown_key};
use super::model::{DeviceKind, Resources};
use super::node::{Content, Key, Node};
use super::quantity;
use super::scalar::Wanted;
use crate::diag::{Problem, Problems};

/// What every native stage that works in chunks calls them.
pub(super) const CHUNK: &str = "chunk";
/// Keys that name nothing to halve.
pub(super) const OTHER_KEYS: [&str; 3] = ["floor", "memory", "device"];
/// Growth of the memory limit when the study names none.
pub(super) const FACTOR: f64 = 2.0;
/// Largest growth of the memory limit.
pub(super) const MOST_FACTOR: f64 = 100.0;
/// Largest floor: more is a slip.
pub(super) const MOST_FLOOR: u64 = 1_000_000_000;

/// What is tried when memory runs out: first less at a time, then more memory, then another device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rescue {
    /// What is halved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halve: Option<Halve>,
    /// How the memory limit grows when there is nothing left to halve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Grow>,
    /// Where it is tried when nothing else is left. The study allows then that results are of either device, and
    /// the fingerprint says so: they agree to the last digits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceKind>,
}

/// A number that is halved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Halve {
    /// `chunk` for native stages, which report how much they hold at a time; the name of a tuning value
    /// for a command.
    pub name: String,
    /// It is not made smaller than this, at least 1.
    pub floor: u64,
}

/// A limit that grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grow {
    /// So many times the last limit.
    pub factor: f64,
    /// It does not grow beyond this, bytes; where absent, the machine sets the bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}

impl Rescue {
    /// What holds for a stage of which the study says nothing: a chunk that it reports is halved.
    pub fn usual() -> Self {
        Self { halve: Some(Halve { name: CHUNK.to_owned(), floor: 1 }), memory: None, device: None }
    }

    /// Nothing is tried.
    pub fn none() -> Self {
        Self { halve: None, memory: None, device: None }
    }
}

/// What a policy is read against.
pub(super) struct Context<'a> {
    /// Id of the stage.
    pub(super) stage: &'a str,
    /// What can be halved: `chunk`, or the tuning values that a command declares.
    pub(super) names: Vec<&'a str>,
    /// Whether the stage is a command.
    pub(super) open: bool,
    pub(super) resources: &'a Resources,
}

impl Context<'_> {
    /// Reads a policy. `None` if it cannot be read; the problem has been told then.
    pub(super) fn read(&self, node: &Node, problems: &mut Problems) -> Option<Rescue> {
        let what = format!("`on_out_of_memory` of stage `{}`", self.stage);
        match &node.content {
            Content::Text(text) if text == "fail" => Some(Rescue::none()),
            Content::Map(entries) => Some(self.policy(node, entries, &what, problems)),
            _ => {
                problems.push(mismatch(
                    node,
                    &what,
                    "`fail`, or a mapping such as `{chunk: halve, floor: 4}`",
                ));
                None
            }
        }
    }

    fn policy(&self, node: &Node, entries: &[(Key, Node)], what: &str, problems: &mut Problems) -> Rescue {
        let mut halve: Option<Halve> = None;
        let (mut keep, mut unknown) = (false, false);
        for (key, value) in entries {
            if OTHER_KEYS.contains(&key.text.as_str()) {
                continue;
            }
            if !self.names.contains(&key.text.as_str()) {
                problems.push(self.unknown(key, what));
                unknown = true;
                continue;
            }
            match &value.content {
                Content::Text(word) if word == "halve" && halve.is_some() => {
                    let message = format!("{what} halves two values");
                    problems.push(Problem::at(key.at.clone(), message).expected("one of them"));
                }
                Content::Text(word) if word == "halve" => {
                    halve = Some(Halve { name: key.text.clone(), floor: 1 });
                }
                Content::Text(word) if word == "keep" => keep = true,
                _ => problems.push(mismatch(value, &format!("`{}`", key.text), "`halve` or `keep`")),
            }
        }
        if halve.is_none() && !keep && !self.open {
            halve = Rescue::usual().halve;
        }
        if let Some(node) = node.get("floor") {
            let floor = floor(node, problems);
            match (&mut halve, floor) {
                (Some(halve), Some(floor)) => halve.floor = floor,
                (None, _) if !unknown => {
                    let problem = Problem::at(node.at.clone(), "`floor` is set, but nothing is halved");
                    problems.push(problem.hint("say what is, as in `chunk: halve`"));
                }
                _ => {}
            }
        }
        let memory = node.get("memory").and_then(|node| self.grow(node, problems));
        let device = node.get("device").and_then(|node| self.device(node, problems));
        Rescue { halve, memory, device }
    }

    fn device(&self, node: &Node, problems: &mut Problems) -> Option<DeviceKind> {
        if !matches!(&node.content, Content::Text(text) if text == "cpu") {
            problems.push(mismatch(node, "`device`", "`cpu`"));
            return None;
        }
        if self.resources.device == DeviceKind::Cpu {
            let message = format!("stage `{}` computes on the processor already", self.stage);
            problems.push(
                Problem::at(node.at.clone(), message)
                    .hint("`device: cpu` is for stages with `resources: {device: cuda}`"),
            );
            return None;
        }
        Some(DeviceKind::Cpu)
    }

    fn unknown(&self, key: &Key, what: &str) -> Problem {
        let known: Vec<&str> = self.names.iter().copied().chain(OTHER_KEYS).collect();
        let problem = unknown_key(key, what, known);
        match self.open && problem.hint.is_none() {
            true => problem.hint(format!(
                "to have it halved, declare it: `params: {{tuning: {{{name}: 512}}}}`, and pass `{{{name}}}` \
                 to the program",
                name = key.text
            )),
            false => problem,
        }
    }

    fn grow(&self, node: &Node, problems: &mut Problems) -> Option<Grow> {
        let what = format!("`memory` in `on_out_of_memory` of stage `{}`", self.stage);
        let fields = Fields::read(node, what, &["factor", "most"], problems)?;
        let factor = fields.get("factor").map_or(Some(FACTOR), |node| factor(node, problems));
        let most = fields.get("most").and_then(|node| quantity::size(node, "most", problems));
        let Some(limit) = self.resources.memory else {
            let message = format!("stage `{}` has no memory limit that could grow", self.stage);
            problems.push(Problem::at(node.at.clone(), message).hint("add `resources: {memory: 4GiB}`, say"));
            return None;
        };
        if let (Some(most), Some(node)) = (most, fields.get("most"))
            && most <= limit
        {
            let message = "`most` is no more than `memory` in `resources`";
            problems.push(Problem::at(node.at.clone(), message).hint("it must leave room to grow"));
        }
        Some(Grow { factor: factor?, most })
    }
}

fn floor(node: &Node, problems: &mut Problems) -> Option<u64> {
    let expected = format!("an integer from 1 to {MOST_FLOOR}");
    let floor: u64 = fields::integer(node, "`floor`", &expected, problems)?;
    if (1..=MOST_FLOOR).contains(&floor) {
        return Some(floor);
    }
    problems.push(mismatch(node, "`floor`", &expected));
    None
}

fn factor(node: &Node, problems: &mut Problems) -> Option<f64> {
    let value = match node.content {
        Content::Int(value) => Some(value as f64),
        Content::Float(value) => Some(value),
        _ => None,
    };
    let good = value.filter(|value| *value > 1.0 && *value <= MOST_FACTOR);
    if good.is_none() {
        let problem = mismatch(node, "`factor`", &format!("a number above 1, at most {MOST_FACTOR}"));
        problems.push(fields::with_hint(problem, node, Wanted::Number));
    }
    good
}
