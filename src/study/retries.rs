//! `retries:` of the study and of its stages: class of failure → how often and when to try again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fields::{self, Fields, mapping, mismatch, one_of, unknown_key};
use super::node::{Content, Key, Node, shorten};
use super::quantity;
use super::scalar::Wanted;
use crate::diag::{FailureClass, Problem, Problems};

/// Classes whose failures may pass when the same is done again.
pub(super) const RETRIABLE: [FailureClass; 6] = [
    FailureClass::OutOfMemory,
    FailureClass::Timeout,
    FailureClass::Signal,
    FailureClass::ExitCode,
    FailureClass::Io,
    FailureClass::Other,
];

/// Most that `times` may be: more is a slip, or a task that never succeeds.
pub(super) const MOST_TIMES: u32 = 100;
/// Growth of the wait when the study names none.
pub(super) const FACTOR: f64 = 2.0;
/// Largest growth of the wait.
pub(super) const MOST_FACTOR: f64 = 100.0;
/// No wait is longer when the study does not say otherwise.
const LONGEST_S: f64 = 3600.0;
/// Longest time that can be named: beyond it a time is a slip, and clocks may overflow.
const MOST_S: f64 = 30.0 * 86_400.0;

/// Which failures of a task are tried again. A class that is not in it fails at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Retries(
    /// Class of failure → what is done about it; always at least once.
    pub BTreeMap<FailureClass, Retry>,
);

/// How often and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often at most, beyond the first attempt.
    pub times: u32,
    /// Seconds before the first further attempt.
    pub wait_s: f64,
    /// Every further wait is so many times the one before.
    pub factor: f64,
    /// No wait is longer, seconds.
    pub longest_s: f64,
}

impl Retries {
    /// What is done about failures of a class, if anything.
    pub fn get(&self, class: FailureClass) -> Option<&Retry> {
        self.0.get(&class)
    }

    /// Whether every failure is final.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What one `retries:` says. Unlike in [`Retries`], `times` may be 0: never try again, whatever the
/// study's defaults are.
#[derive(Debug, Default)]
pub(super) struct Policies(BTreeMap<FailureClass, Retry>);

impl Policies {
    /// Reads `retries`; `what` names it in messages.
    pub(super) fn read(node: Option<&Node>, what: &str, problems: &mut Problems) -> Self {
        let mut policies = BTreeMap::new();
        let Some(node) = node else {
            return Self(policies);
        };
        if let Content::Int(_) = node.content {
            // It would be unclear whether a failed check, say, was meant as well.
            let hint = "name the classes, as in `{timeout: 1, io: 3}`";
            problems.push(mismatch(node, what, "a mapping from classes of failures").hint(hint));
            return Self(policies);
        }
        for (key, node) in mapping(node, what, problems).unwrap_or_default() {
            let class = class(key, what, problems);
            // Read in any case, so that every mistake is told.
            let retry = retry(node, &key.text, problems);
            if let (Some(class), Some(retry)) = (class, retry) {
                policies.insert(class, retry);
            }
        }
        Self(policies)
    }

    /// These, and `below` for the classes that these do not name.
    pub(super) fn over(self, below: &Self) -> Retries {
        let mut all = below.0.clone();
        all.extend(self.0);
        all.retain(|_, retry| retry.times > 0);
        Retries(all)
    }
}

/// What failures of a class that can be retried are, for the schema.
pub(super) fn describe(class: FailureClass) -> &'static str {
    match class {
        FailureClass::OutOfMemory => "Memory ran out, on the host or on a GPU.",
        FailureClass::Timeout => "The time limit passed.",
        FailureClass::Signal => "The task's process was ended by a signal.",
        FailureClass::ExitCode => "A program exited with a code other than 0.",
        FailureClass::Io => "Files could not be read or written.",
        _ => "Anything else.",
    }
}

fn class(key: &Key, what: &str, problems: &mut Problems) -> Option<FailureClass> {
    let names = RETRIABLE.map(FailureClass::name);
    let Some(class) = FailureClass::from_name(&key.text) else {
        let problem = unknown_key(key, what, names);
        problems.push(match key.text.to_ascii_lowercase().as_str() {
            "oom" | "memory" => problem.hint("did you mean `out_of_memory`?"),
            "time" => problem.hint("did you mean `timeout`?"),
            "exit" | "code" => problem.hint("did you mean `exit_code`?"),
            "all" | "any" | "default" => problem.hint("name each class that is worth another attempt"),
            _ => problem,
        });
        return None;
    };
    if RETRIABLE.contains(&class) {
        return Some(class);
    }
    let why = match class {
        FailureClass::Input => "an input that cannot be used stays so until it is changed",
        FailureClass::Check => "the same work gives the same result, which fails the same check",
        _ => "ONNX Runtime is looked for once; `phasegraph runtime` says what was found",
    };
    let message = format!("failures of class `{class}` cannot be retried");
    problems.push(Problem::at(key.at.clone(), message).expected(one_of(&names)).hint(why));
    None
}

/// A number of times, or a mapping.
fn retry(node: &Node, class: &str, problems: &mut Problems) -> Option<Retry> {
    let what = format!("the policy for `{}`", shorten(class));
    match &node.content {
        Content::Map(_) => {}
        Content::Int(_) => {
            let times = times(node, &what, problems)?;
            return Some(Retry { times, wait_s: 0.0, factor: 1.0, longest_s: 0.0 });
        }
        _ => {
            let expected = "how often to try again, or a mapping such as `{times: 3, wait: 10s}`";
            problems.push(mismatch(node, &what, expected));
            return None;
        }
    }
    let fields = Fields::read(node, what, &["times", "wait", "factor", "longest"], problems)?;
    let times = fields.require("times", problems).and_then(|node| times(node, "`times`", problems));
    let wait = fields.get("wait").map(|node| time(node, "wait", problems));
    let factor = fields.get("factor").map(|node| factor(node, problems));
    let longest = fields.get("longest").map(|node| time(node, "longest", problems));
    if wait.is_none() {
        for key in ["factor", "longest"] {
            if let Some(node) = fields.get(key) {
                let message = format!("`{key}` is set, but there is no `wait`");
                problems.push(Problem::at(node.at.clone(), message).hint("add `wait: 10s`, say"));
            }
        }
    }
    // The outer option is whether the key is there, the inner one whether its value is good.
    let (wait_s, factor) = (wait.unwrap_or(Some(0.0))?, factor.unwrap_or(Some(FACTOR))?);
    let longest_s = longest.unwrap_or(Some(LONGEST_S.max(wait_s)))?;
    if let Some(node) = fields.get("longest").filter(|_| longest_s < wait_s) {
        problems.push(Problem::at(node.at.clone(), "`longest` is shorter than `wait`"));
        return None;
    }
    // One form for "at once", so that both ways to write it are equal.
    let growth = if wait_s > 0.0 { (factor, longest_s) } else { (1.0, 0.0) };
    Some(Retry { times: times?, wait_s, factor: growth.0, longest_s: growth.1 })
}

fn times(node: &Node, what: &str, problems: &mut Problems) -> Option<u32> {
    let expected = format!("an integer from 0 to {MOST_TIMES}");
    let times = fields::integer(node, what, &expected, problems)?;
    if times <= MOST_TIMES {
        return Some(times);
    }
    problems.push(mismatch(node, what, &expected));
    None
}

fn time(node: &Node, key: &str, problems: &mut Problems) -> Option<f64> {
    let expected = "a time such as `10s`, `5min`, at most `30d`";
    let seconds = quantity::time(node, key, expected, problems)?;
    if seconds <= MOST_S {
        return Some(seconds);
    }
    problems.push(mismatch(node, &format!("`{key}`"), expected));
    None
}

fn factor(node: &Node, problems: &mut Problems) -> Option<f64> {
    let value = match node.content {
        Content::Int(value) => Some(value as f64),
        Content::Float(value) => Some(value),
        _ => None,
    };
    let good = value.filter(|value| (1.0..=MOST_FACTOR).contains(value));
    if good.is_none() {
        let problem = mismatch(node, "`factor`", &format!("a number from 1 to {MOST_FACTOR}"));
        problems.push(fields::with_hint(problem, node, Wanted::Number));
    }
    good
}
