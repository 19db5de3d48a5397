//! What a command may say in its parameters, beyond their schema: tuning values, and placeholders that stand
//! for something.

use std::collections::BTreeSet;

use super::fields::is_name;
use super::node::{Content, Key, Node, shorten};
use super::rescue::OTHER_KEYS;
use super::stage::StageDraft;
use super::template::visit_texts;
use crate::diag::{Problem, Problems};
use crate::kind::placeholders::{ALWAYS, Piece, pieces};

/// The parameter in which a command declares its tuning values.
const TUNING: &str = "tuning";
/// Parameters whose texts have placeholders.
const FILLED: [&str; 2] = ["argv", "env"];

/// Names of the tuning values of a command.
pub(super) fn names<'s>(stage: &'s StageDraft<'_>) -> Vec<&'s str> {
    let declared: BTreeSet<&str> = keys(stage, TUNING).map(|key| key.text.as_str()).collect();
    declared.into_iter().collect()
}

/// Keys of a parameter that is a mapping, wherever it is written.
fn keys<'s>(stage: &'s StageDraft<'_>, parameter: &'static str) -> impl Iterator<Item = &'s Key> {
    let of = move |tree: &'s Node| match tree.get(parameter).map(|node| &node.content) {
        Some(Content::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    stage.decl.params.trees().flat_map(of).map(|(key, _)| key)
}

/// Checks the parameters of a command.
pub(super) fn check(stage: &StageDraft<'_>, problems: &mut Problems) {
    if !stage.kind.is_some_and(|kind| kind.open) {
        return;
    }
    for key in keys(stage, TUNING) {
        name(key, problems);
    }
    halved(stage, problems);
    placeholders(stage, problems);
}

fn name(key: &Key, problems: &mut Problems) {
    let letter = |b: u8| b.is_ascii_alphabetic();
    let message = format!("`{}` cannot name a tuning value", shorten(&key.text));
    let problem = Problem::at(key.at.clone(), message);
    if !is_name(&key.text, letter, letter) {
        problems.push(problem.expected("a letter, then letters, digits, `_`, `-`"));
    } else if ALWAYS.contains(&key.text.as_str()) {
        problems.push(problem.hint(format!("`{{{}}}` stands for something in every command", key.text)));
    } else if OTHER_KEYS.contains(&key.text.as_str()) {
        problems.push(problem.hint("it means something else in `on_out_of_memory`"));
    }
}

/// What is halved must be a whole number.
fn halved(stage: &StageDraft<'_>, problems: &mut Problems) {
    let Some(halve) = stage.decl.rescue.as_ref().and_then(|rescue| rescue.halve.as_ref()) else { return };
    for tree in stage.decl.params.trees() {
        let Some(node) = tree.get(TUNING).and_then(|tuning| tuning.get(&halve.name)) else { continue };
        let good = match &node.content {
            Content::Int(value) => *value >= i128::from(halve.floor),
            // A placeholder: what it stands for is known at a point only.
            Content::Text(text) => text.starts_with('{') && text.ends_with('}'),
            _ => false,
        };
        if !good {
            let what = format!("tuning value `{}`", halve.name);
            let expected = match halve.floor {
                1 => "an integer from 1, for `on_out_of_memory` halves it".to_owned(),
                floor => format!("an integer, not less than the floor of {floor} in `on_out_of_memory`"),
            };
            problems.push(super::fields::mismatch(node, &what, &expected));
        }
    }
}

/// Every placeholder must stand for something.
fn placeholders(stage: &StageDraft<'_>, problems: &mut Problems) {
    let decl = &stage.decl;
    if !stage.whole {
        // An input that could not be read may be the one that is meant.
        return;
    }
    let mut known: Vec<String> = ALWAYS.map(str::to_owned).to_vec();
    known.extend(names(stage).into_iter().filter(|n| !ALWAYS.contains(n)).map(str::to_owned));
    known.extend(decl.inputs.iter().map(|input| format!("input.{}", input.slot)));
    known.extend(decl.outputs.keys().map(|output| format!("output.{output}")));
    known.extend(keys(stage, "values").map(|key| format!("param.{}", key.text)));
    known.extend(decl.over.iter().map(|axis| format!("axis.{axis}")));
    for tree in decl.params.trees() {
        for node in FILLED.iter().filter_map(|parameter| tree.get(parameter)) {
            visit_texts(node, &mut |node, text| {
                for piece in pieces(text) {
                    // Axes have been looked at.
                    if let Piece::Name(name) = piece
                        && !name.starts_with("axis.")
                        && !known.iter().any(|k| k == name)
                    {
                        problems.push(unknown(node, name, &known));
                    }
                }
            });
        }
    }
}

fn unknown(node: &Node, name: &str, known: &[String]) -> Problem {
    let name = shorten(name);
    let names: Vec<String> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
    let message = format!("unknown placeholder `{{{name}}}`");
    let problem = Problem::at(node.at.clone(), message)
        .expected(format!("one of {}", names.join(", ")))
        .did_you_mean(&name, known.iter().map(String::as_str));
    match problem.hint {
        Some(_) => problem,
        None if name.contains('.') => problem.hint(format!("for the literal text write `{{{{{name}}}}}`")),
        None => problem.hint(format!(
            "declare it as `tuning: {{{name}: …}}` in `params`, or for the literal text write `{{{{{name}}}}}`"
        )),
    }
}
