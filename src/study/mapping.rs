//! A YAML mapping under construction: repeated keys, merge keys, keys that are none.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Content, Key, Node, shorten};
use crate::diag::{Location, Problem, Problems};

/// Its entries so far.
#[derive(Default)]
pub(super) struct Mapping {
    entries: Vec<(Key, Node)>,
    /// Keys seen → line of the first.
    seen: BTreeMap<String, usize>,
    /// A key that waits for its value.
    key: Option<Pending>,
    /// Values of `<<`, in order.
    merges: Vec<Node>,
}

/// A key that waits for its value.
enum Pending {
    Key(Key),
    Merge,
    /// A key that repeats another or is none: its value is read and dropped.
    Dropped,
}

impl Mapping {
    /// Whether a key comes next.
    pub(super) fn wants_key(&self) -> bool {
        self.key.is_none()
    }

    /// Takes the next key or value.
    pub(super) fn add(&mut self, node: Node, problems: &mut Problems) {
        match self.key.take() {
            Some(Pending::Key(key)) => self.entries.push((key, node)),
            Some(Pending::Merge) => self.merges.push(node),
            Some(Pending::Dropped) => {}
            None => match node.content.label() {
                Some(label) => {
                    let key = Key { text: label.into_owned(), at: node.at };
                    self.open_key(key, false, problems);
                }
                None => {
                    let message = format!("{} as a key", node.content.describe());
                    problems.push(Problem::at(node.at, message).expected("a text"));
                    self.key = Some(Pending::Dropped);
                }
            },
        }
    }

    pub(super) fn open_key(&mut self, key: Key, merge: bool, problems: &mut Problems) {
        if merge {
            self.key = Some(Pending::Merge);
            return;
        }
        self.key = match self.seen.get(&key.text) {
            Some(first) => {
                let message = format!("the key `{}` repeats", shorten(&key.text));
                problems
                    .push(Problem::at(key.at, message).hint(format!("it stands on line {first} already")));
                Some(Pending::Dropped)
            }
            None => {
                self.seen.insert(key.text.clone(), key.at.line);
                Some(Pending::Key(key))
            }
        };
    }

    /// Lays the mappings of `<<` under the explicit entries; earlier ones win.
    pub(super) fn finish(self, at: &Location, problems: &mut Problems) -> Content {
        let Self { mut entries, merges, .. } = self;
        let mut seen: BTreeSet<String> = BTreeSet::new();
        if !merges.is_empty() {
            seen.extend(entries.iter().map(|(key, _)| key.text.clone()));
        }
        for merge in merges {
            let sources = match merge.content {
                Content::Seq(items) => items,
                _ => vec![merge],
            };
            for source in sources {
                match source.content {
                    Content::Map(below) => {
                        entries.extend(below.into_iter().filter(|(k, _)| seen.insert(k.text.clone())));
                    }
                    other => problems.push(
                        Problem::at(source.at, format!("`<<` merges {}", other.describe()))
                            .expected("a mapping, or a list of mappings"),
                    ),
                }
            }
        }
        // `{axis.dose}` without quotes is YAML for a mapping with one key and no value.
        if let [(key, Node { content: Content::Null, .. })] = &entries[..]
            && (key.text.starts_with("axis.") || key.text == "seed")
        {
            problems.push(
                Problem::at(at.clone(), format!("`{{{}}}` without quotes is a mapping", key.text))
                    .hint(format!("write \"{{{}}}\"", key.text)),
            );
        }
        Content::Map(entries)
    }
}
