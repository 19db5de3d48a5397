//! Reading a mapping with known keys: unknown, missing and mistyped ones become problems.

use std::collections::BTreeMap;

use super::node::{Content, Key, Node, shorten};
use super::scalar::{self, Wanted};
use crate::diag::{Location, Problem, Problems};

/// A mapping whose keys have been checked.
pub(super) struct Fields<'n> {
    /// What the mapping describes, for messages: "stage `train`".
    what: String,
    at: &'n Location,
    entries: BTreeMap<&'n str, (&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Reads a mapping; reports one that is none, and every key that is not in `known`.
    pub(super) fn read(
        node: &'n Node,
        what: impl Into<String>,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        Self::read_where(node, what.into(), known, |_| false, problems)
    }

    /// The same, but keys that start with `x-` are passed over: a place for anchors.
    pub(super) fn read_with_extensions(
        node: &'n Node,
        what: impl Into<String>,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        Self::read_where(node, what.into(), known, |key| key.starts_with("x-"), problems)
    }

    fn read_where(
        node: &'n Node,
        what: String,
        known: &[&str],
        pass: fn(&str) -> bool,
        problems: &mut Problems,
    ) -> Option<Self> {
        let entries = mapping(node, &what, problems)?;
        let mut fields = Self { what, at: &node.at, entries: BTreeMap::new() };
        for (key, value) in entries {
            if known.contains(&key.text.as_str()) {
                fields.entries.insert(&key.text, (key, value));
            } else if !pass(&key.text) {
                problems.push(unknown_key(key, &fields.what, known.iter().copied()));
            }
        }
        Some(fields)
    }

    /// Names another place for what is missing than the mapping itself.
    pub(super) fn placed(mut self, at: &'n Location) -> Self {
        self.at = at;
        self
    }

    /// The value under a key. A key without a value counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.entries.get(key)?;
        (node.content != Content::Null).then_some(*node)
    }

    /// The value under a key that must be there.
    pub(super) fn require(&self, key: &str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("{} has no `{key}`", self.what);
            // A key without a value is a better place than the mapping it stands in.
            let at = self.entries.get(key).map_or(self.at, |(key, _)| &key.at);
            problems.push(Problem::at(at.clone(), message));
        }
        found
    }
}

/// A key that does not belong there.
pub(super) fn unknown_key<'k>(
    key: &Key,
    what: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Problem {
    let names: Vec<&str> = known.clone().into_iter().collect();
    Problem::at(key.at.clone(), format!("unknown key `{}` in {what}", shorten(&key.text)))
        .expected(one_of(&names))
        .did_you_mean(&key.text, known)
}

/// Adds the nearest of `names`, as long as few problems are known: comparing every name of a large
/// file with every other would take minutes.
pub(super) fn near<'n>(
    problem: Problem,
    word: &str,
    names: impl IntoIterator<Item = &'n str>,
    problems: &Problems,
) -> Problem {
    if problems.0.len() < 100 { problem.did_you_mean(word, names) } else { problem }
}

/// `one of a, b, c`, at most a dozen of them.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "no key at all".into(),
        [one] => format!("`{one}`"),
        _ => {
            let shown: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > 12 { ", …" } else { "" };
            format!("one of {}{more}", shown.join(", "))
        }
    }
}

/// A value of another type than expected.
pub(super) fn mismatch(node: &Node, what: &str, expected: &str) -> Problem {
    Problem::at(node.at.clone(), format!("{what} is {}", node.content.describe())).expected(expected)
}

/// The entries of a mapping; nothing at all counts as an empty one.
pub(super) fn mapping<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n [(Key, Node)]> {
    match &node.content {
        Content::Map(entries) => Some(entries),
        Content::Null => Some(&[]),
        _ => {
            problems.push(mismatch(node, what, "a mapping"));
            None
        }
    }
}

/// The items of a list.
pub(super) fn list<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n [Node]> {
    match &node.content {
        Content::Seq(items) => Some(items),
        other => {
            let problem = mismatch(node, what, "a list");
            problems.push(match other.label().filter(|label| !label.is_empty()) {
                Some(label) => problem.hint(format!("write `[{}]`", shorten(&label))),
                None => problem,
            });
            None
        }
    }
}

/// The items of a list, or the one value itself.
pub(super) fn one_or_more(node: &Node) -> &[Node] {
    match &node.content {
        Content::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// A text.
pub(super) fn text<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.content {
        Content::Text(text) => Some(text),
        Content::Bool(_) | Content::Int(_) | Content::Float(_) => {
            let problem = mismatch(node, what, "a text");
            problems.push(problem.hint("put it in quotes to make it a text"));
            None
        }
        _ => {
            problems.push(mismatch(node, what, "a text"));
            None
        }
    }
}

/// An integer in a range.
pub(super) fn integer<T: TryFrom<i128>>(
    node: &Node,
    what: &str,
    expected: &str,
    problems: &mut Problems,
) -> Option<T> {
    let read = match &node.content {
        Content::Int(value) => T::try_from(*value).ok(),
        _ => None,
    };
    if read.is_none() {
        let problem = mismatch(node, what, expected);
        problems.push(with_hint(problem, node, Wanted::Number));
    }
    read
}

/// Adds what to write when a text looks like the number or boolean that was expected.
pub(super) fn with_hint(problem: Problem, node: &Node, wanted: Wanted) -> Problem {
    let hint = match &node.content {
        Content::Text(text) => scalar::hint(text, wanted),
        _ => None,
    };
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// Whether a name has only the allowed characters: it starts with a letter (or, for studies, a
/// digit) and goes on with letters, digits, `_` and `-`.
pub(super) fn is_name(text: &str, start: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let [first, others @ ..] = text.as_bytes() else {
        return false;
    };
    start(*first)
        && others.iter().all(|b| rest(*b) || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        && text.len() <= MAX_NAME
}

/// Longest name: names become folders.
pub(super) const MAX_NAME: usize = 100;
