//! The sources as modules: where each belongs, and what of it is test code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::lex::{Kind, Lexed, Token, lex};

/// A source file of the library or the binary.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the project's root.
    pub path: String,
    /// Its module: `["io", "npz", "reader"]`.
    pub module: Vec<String>,
    /// Tokens outside test code.
    pub tokens: Vec<Token>,
    /// Comments.
    pub comments: Vec<(usize, String)>,
    /// Number of lines.
    pub lines: usize,
}

impl Source {
    /// From text, for a path such as `src/io/mod.rs`.
    pub fn new(path: &str, text: &str) -> Self {
        let Lexed { tokens, comments } = lex(text);
        let (tokens, _) = without_tests(tokens);
        Self { path: path.to_owned(), module: module_of(path), tokens, comments, lines: text.lines().count() }
    }

    /// The room it belongs to: its first module, empty for `lib.rs` and `main.rs`.
    pub fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Whether it lies in a room or folder such as `io` or `stages/infer`.
    pub fn within(&self, place: &str) -> bool {
        let wanted: Vec<&str> = place.split('/').collect();
        self.module.len() >= wanted.len() && self.module.iter().zip(&wanted).all(|(a, b)| a == b)
    }
}

fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Splits off items under `#[cfg(test)]`; also returns the names of test modules in files of their own.
pub fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        let Some(after) = test_attribute(&tokens, i) else {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        };
        let end = item_end(&tokens, after);
        if tokens[after..end].last().is_some_and(|t| t.sign(';'))
            && let Some(at) = tokens[after..end].iter().position(|t| t.is("mod"))
            && let Some(name) = tokens[after + at + 1].word()
        {
            modules.push(name.to_owned());
        }
        i = end;
    }
    (kept, modules)
}

/// If `#[cfg(… test …)]` begins here, the index after it. `cfg(not(test))` is not test code.
fn test_attribute(tokens: &[Token], i: usize) -> Option<usize> {
    let [hash, open, cfg, ..] = tokens.get(i..)? else { return None };
    if !(hash.sign('#') && open.sign('[') && cfg.is("cfg")) {
        return None;
    }
    let close = i + tokens[i..].iter().position(|t| t.sign(']'))?;
    let inside = &tokens[i..close];
    (inside.iter().any(|t| t.is("test")) && !inside.iter().any(|t| t.is("not"))).then_some(close + 1)
}

/// Index after the item that begins here: after its `;`, or the `}` of its first braces.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        if token.sign('{') || token.sign('(') || token.sign('[') {
            depth += 1;
        } else if token.sign('}') || token.sign(')') || token.sign(']') {
            depth = depth.saturating_sub(1);
            if depth == 0 && token.sign('}') {
                return i + 1;
            }
        } else if token.sign(';') && depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Every `.rs` file below a folder, sorted.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Files reached from crate roots through `mod` declarations, and those of them that are test code.
pub fn reachable(roots: &[PathBuf]) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let (mut seen, mut tests) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<(PathBuf, bool, bool)> = roots.iter().map(|r| (r.clone(), true, false)).collect();
    while let Some((file, is_root, is_test)) = open.pop() {
        if !seen.insert(file.clone()) {
            continue;
        }
        if is_test {
            tests.insert(file.clone());
        }
        let tokens = lex(&std::fs::read_to_string(&file).unwrap()).tokens;
        let (_, test_modules) = without_tests(tokens.clone());
        let owner = is_root || file.file_name().is_some_and(|n| n == "mod.rs");
        let folder = if owner { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for path in named_paths(&tokens) {
            open.push((file.with_file_name(path), false, is_test));
        }
        for name in declared(&tokens) {
            let in_test = is_test || test_modules.contains(&name);
            for candidate in [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")] {
                if candidate.is_file() {
                    open.push((candidate, false, in_test));
                }
            }
        }
    }
    (seen, tests)
}

/// Names of modules declared in files of their own: `mod name;`.
pub fn declared(tokens: &[Token]) -> Vec<String> {
    tokens
        .windows(3)
        .filter(|w| w[0].is("mod") && w[2].sign(';'))
        .filter_map(|w| w[1].word().map(str::to_owned))
        .collect()
}

/// Files named by `#[path = "…"]`.
fn named_paths(tokens: &[Token]) -> Vec<String> {
    let named = |w: &[Token]| match &w[4].kind {
        Kind::Text(text) if w[0].sign('#') && w[2].is("path") && w[3].sign('=') => {
            Some(text.trim_matches('"').to_owned())
        }
        _ => None,
    };
    tokens.windows(6).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_code_is_left_out() {
        let source = "use a; #[cfg(test)] mod tests { fn b() { c[{0}] } } fn d() {}\n\
                      #[cfg(test)] #[allow(x)] pub(in crate::y) mod testing; #[cfg(test)] use e; \
                      #[cfg(not(test))] fn f() {} #[cfg(all(test, unix))] fn g(h: [u8; 2]) { i; j } fn k() {}";
        let (kept, modules) = without_tests(lex(source).tokens);
        let words: Vec<&str> = kept.iter().filter_map(Token::word).collect();
        assert_eq!(words, ["use", "a", "fn", "d", "cfg", "not", "test", "fn", "f", "fn", "k"]);
        assert_eq!(modules, ["testing"]);
    }

    #[test]
    fn modules_follow_from_paths() {
        let module = |path| Source::new(path, "").module;
        assert_eq!(module("src/io/npz/reader.rs"), ["io", "npz", "reader"]);
        assert_eq!(module("src/io/mod.rs"), ["io"]);
        assert!(module("src/lib.rs").is_empty());
        let infer = Source::new("src/stages/infer/session.rs", "");
        assert!(
            infer.within("stages/infer") && infer.within("stages") && !infer.within("stages/infer/session/x")
        );
        assert!(!Source::new("src/stages/inferno.rs", "").within("stages/infer"));
    }

    #[test]
    fn files_without_a_declaration_are_not_reached() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let root = write("lib.rs", "mod a; // mod orphan;\n#[cfg(test)] mod t;\n#[path = \"x/y.rs\"] mod z;");
        let expected = [
            root.clone(),
            write("a/mod.rs", "mod b;"),
            write("a/b.rs", "mod c;"),
            write("a/b/c.rs", ""),
            write("t.rs", ""),
            write("x/y.rs", ""),
        ];
        write("orphan.rs", "");
        let (seen, tests) = reachable(&[root]);
        assert_eq!(seen, expected.iter().cloned().collect());
        assert_eq!(tests, BTreeSet::from([expected[4].clone()]));
    }
}
