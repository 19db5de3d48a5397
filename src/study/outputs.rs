//! `outputs:` of a stage whose kind has none of its own.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::fields::{is_name, mapping, mismatch, text};
use super::node::{Node, shorten};
use crate::diag::{Problem, Problems};
use crate::kind::PROVENANCE;

/// Outputs of an open kind: names and files inside the results folder, each file once.
pub(super) fn read(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    let entries = mapping(node, "`outputs`", problems).unwrap_or_default();
    for (key, node) in entries {
        let letter = |b: u8| b.is_ascii_alphabetic();
        if !is_name(&key.text, letter, letter) {
            let message = format!("`{}` cannot name an output", shorten(&key.text));
            let expected = "a letter, then letters, digits, `_`, `-`";
            problems.push(Problem::at(key.at.clone(), message).expected(expected));
        }
        let what = format!("output `{}`", shorten(&key.text));
        let Some(file) = text(node, &what, problems) else {
            continue;
        };
        let mut parts = Path::new(file).components();
        let inside = parts.all(|part| matches!(part, Component::Normal(_)))
            && !file.is_empty()
            && !file.ends_with('/')
            && !file.contains(|c: char| c == '\\' || c.is_control());
        if !inside {
            problems.push(mismatch(node, &what, "a file inside the results folder"));
            continue;
        }
        // `a//b` and `a/./b` are one file.
        let plain: Vec<_> = file.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let plain = plain.join("/");
        if plain == PROVENANCE || plain.starts_with(&format!("{PROVENANCE}/")) {
            let message = format!("{what} is `{plain}`, the name of the record that lies beside all outputs");
            problems.push(Problem::at(node.at.clone(), message).expected("another file name"));
            continue;
        }
        if let Some((other, name)) = clash(&files, &plain) {
            let message = format!("{what} is `{plain}`, but output `{name}` is `{other}`");
            problems.push(Problem::at(node.at.clone(), message).expected("one file per output"));
            continue;
        }
        files.insert(plain.clone(), &key.text);
        outputs.insert(key.text.clone(), plain);
    }
    if entries.is_empty() {
        problems.push(Problem::at(node.at.clone(), "`outputs` is empty").expected("one output or more"));
    }
    outputs
}

/// A file that is the same, or that would have to be a folder for the other.
fn clash<'m>(files: &'m BTreeMap<String, &'m str>, file: &str) -> Option<(&'m str, &'m str)> {
    let entry = |(file, name): (&'m String, &'m &'m str)| (file.as_str(), *name);
    let folders = file.match_indices('/').map(|(end, _)| &file[..end]);
    let above = folders.chain([file]).find_map(|path| files.get_key_value(path));
    let within = format!("{file}/");
    let below = || files.range(within.clone()..).next().filter(|(path, _)| path.starts_with(&within));
    above.or_else(below).map(entry)
}
