//! Which rooms and outside crates a source names.

use std::collections::BTreeSet;

use super::files::Source;
use super::lex::{Kind, Token};

/// A path into the library, resolved: `crate::io::npz` is `["io", "npz"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module path from the crate's root.
    pub path: Vec<String>,
    /// Line of its first word.
    pub line: usize,
}

impl Import {
    /// The room it leads to.
    pub fn room(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

/// Every path that begins with `crate` or `super`, in `use` declarations and in expressions.
pub fn inner(source: &Source) -> Vec<Import> {
    let tokens = &source.tokens;
    let mut imports = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let starts = (tokens[i].is("crate") || tokens[i].is("super"))
            && tokens.get(i + 1).is_some_and(|t| t.kind == Kind::Path);
        if !starts || (i > 0 && tokens[i - 1].kind == Kind::Path) {
            i += 1;
            continue;
        }
        let line = tokens[i].line;
        let mut prefix = if tokens[i].is("crate") { Vec::new() } else { parent(&source.module) };
        let mut next = i + 2;
        while tokens.get(next).is_some_and(|t| t.is("super")) {
            prefix = parent(&prefix);
            next += 2;
        }
        let mut paths = Vec::new();
        i = tree(tokens, next, &prefix, &mut paths).max(i + 1);
        imports.extend(paths.into_iter().map(|path| Import { path, line }));
    }
    imports
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Reads a use tree (or a plain path) from `i`, adding every full path; returns the index after it.
fn tree(tokens: &[Token], mut i: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(i) {
            Some(token) if token.sign('{') => {
                i += 1;
                while tokens.get(i).is_some_and(|t| !t.sign('}')) {
                    let before = i;
                    i = tree(tokens, i, &path, paths);
                    // `as name` and commas between the branches.
                    while tokens.get(i).is_some_and(|t| !t.sign('}') && !t.sign(',')) && i > before {
                        i += 1;
                    }
                    i += usize::from(tokens.get(i).is_some_and(|t| t.sign(',')) || i == before);
                }
                return i + 1;
            }
            Some(token) => match token.word() {
                Some(word) => path.push(word.to_owned()),
                None => break,
            },
            None => break,
        }
        i += 1;
        if tokens.get(i).is_none_or(|t| t.kind != Kind::Path) {
            break;
        }
        i += 1;
    }
    paths.push(path);
    i
}

/// Lines on which an outside crate is named: `name::…`, `use name…`, `extern crate name`.
pub fn outer(source: &Source, name: &str) -> Vec<usize> {
    let tokens = &source.tokens;
    // A module of ours with the crate's name hides the crate.
    let own: BTreeSet<String> = inner(source).into_iter().filter_map(|i| i.path.last().cloned()).collect();
    let declared = super::files::declared(tokens);
    if own.contains(name) || declared.iter().any(|d| d == name) {
        return Vec::new();
    }
    (0..tokens.len())
        .filter(|&i| tokens[i].is(name))
        .filter(|&i| {
            let before = i.checked_sub(1).map(|b| &tokens[b]);
            let after = tokens.get(i + 1);
            let rooted = before.is_none_or(|t| t.kind != Kind::Path && !t.sign('.'))
                // `::name::x` is rooted as well: nothing stands before its `::`.
                || (before.is_some_and(|t| t.kind == Kind::Path)
                    && i.checked_sub(2).is_none_or(|b| tokens[b].word().is_none_or(|w| w == "use")));
            let path = after.is_some_and(|t| t.kind == Kind::Path);
            let whole = before.is_some_and(|t| t.is("use") || t.is("crate"));
            rooted && (path || whole)
        })
        .map(|i| tokens[i].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        inner(&Source::new(path, text)).iter().map(|i| i.path.join("::")).collect()
    }

    #[test]
    fn paths_are_resolved_wherever_they_stand() {
        let text = "use crate::diag::{StageError, exit::OK as O, self}; use super::{Context, x::{y, z}};\n\
                    fn f(a: &crate::io::npz::Reader) { super::super::cache::go(crate::kind::X { a: 1 }) }";
        assert_eq!(
            paths("src/stages/thin/draw.rs", text),
            [
                "diag::StageError",
                "diag::exit::OK",
                "diag::self",
                "stages::thin::Context",
                "stages::thin::x::y",
                "stages::thin::x::z",
                "io::npz::Reader",
                "stages::cache::go",
                "kind::X",
            ]
        );
        assert_eq!(paths("src/plan/mod.rs", "use super::study::Study;"), ["study::Study"]);
        assert_eq!(paths("src/plan/dag.rs", "use super::super::study::Study;"), ["study::Study"]);
        assert_eq!(paths("src/io/mod.rs", "pub(crate) fn f() {} pub(super) fn g() {}"), Vec::<String>::new());
    }

    #[test]
    fn outside_crates_are_found_and_namesakes_are_not() {
        let lines = |text: &str| outer(&Source::new("src/report/mod.rs", text), "zip");
        assert_eq!(lines("use zip::ZipArchive;\nfn f() { zip::x() }"), [1, 2]);
        assert_eq!(lines("use ::zip::x;\nuse zip as z;\nextern crate zip;"), [1, 2, 3]);
        assert_eq!(
            lines("fn f() { a.iter().zip(b); std::iter::zip(a, b); let zip = 1; io::zip::x() }"),
            [0; 0]
        );
        assert_eq!(lines("use crate::io::zip; fn f() { zip::x() }"), [0; 0]);
        assert_eq!(lines("mod zip; fn f() { zip::x() }"), [0; 0]);
        assert_eq!(lines("// zip::x\nconst A: &str = \"zip::x\";"), [0; 0]);
    }
}
