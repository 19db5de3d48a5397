//! One function for each rule: a source in, the violations out.

use super::Violation;
use super::files::Source;
use super::imports::{inner, outer};
use super::lex::{Kind, Token};
use super::rooms::Room;

fn violation(source: &Source, line: usize, rule: impl Into<String>) -> Violation {
    Violation { file: source.path.clone(), line, rule: rule.into() }
}

/// `room` imports only itself and `allowed`.
pub fn imports_only(source: &Source, room: &str, allowed: &[&str]) -> Vec<Violation> {
    if source.room() != room {
        return Vec::new();
    }
    inner(source)
        .into_iter()
        .filter(|i| i.room() != room && !i.room().is_empty() && !allowed.contains(&i.room()))
        .map(|i| {
            violation(source, i.line, format!("`{room}` imports `{}`, allowed are {allowed:?}", i.room()))
        })
        .collect()
}

/// `room` imports nothing from `forbidden`.
pub fn imports_none_of(source: &Source, room: &str, forbidden: &[&str]) -> Vec<Violation> {
    if source.room() != room {
        return Vec::new();
    }
    inner(source)
        .into_iter()
        .filter(|i| forbidden.contains(&i.room()))
        .map(|i| violation(source, i.line, format!("`{room}` must know nothing of `{}`", i.room())))
        .collect()
}

/// Words that must not occur as `word` followed by what `after` accepts.
fn words(
    source: &Source,
    wanted: &[&str],
    after: impl Fn(&[Token], usize) -> bool,
    rule: &str,
) -> Vec<Violation> {
    let tokens = &source.tokens;
    (0..tokens.len())
        .filter_map(|i| tokens[i].word().filter(|w| wanted.contains(w) && after(tokens, i)).map(|w| (i, w)))
        .map(|(i, word)| violation(source, tokens[i].line, format!("{rule}: `{word}`")))
        .collect()
}

fn next_is(tokens: &[Token], i: usize, kind: &Kind) -> bool {
    tokens.get(i + 1).is_some_and(|t| t.kind == *kind)
}

/// Whether token `i` is `base::word`.
fn under(tokens: &[Token], i: usize, base: &str) -> bool {
    i >= 2 && tokens[i - 1].kind == Kind::Path && tokens[i - 2].is(base)
}

/// The plan reads no clock, no file, no environment.
pub fn pure(source: &Source) -> Vec<Violation> {
    let rule = "a pure module reads no clock, file, process or environment";
    let path = |tokens: &[Token], i: usize| next_is(tokens, i, &Kind::Path) || under(tokens, i, "std");
    let mut found = words(source, &["fs", "env", "net", "process", "thread"], path, rule);
    found.extend(words(source, &["SystemTime", "Instant"], |_, _| true, rule));
    found
}

/// The library never prints, never exits, never reads the environment.
pub fn silent(source: &Source) -> Vec<Violation> {
    let bang = Kind::Sign('!');
    let prints = ["print", "println", "eprint", "eprintln", "dbg"];
    let mut found = words(source, &prints, |t, i| next_is(t, i, &bang), "the library never prints");
    found.extend(words(
        source,
        &["stdout", "stderr", "stdin"],
        |t, i| under(t, i, "io"),
        "the library owns no terminal",
    ));
    found.extend(words(source, &["exit", "abort"], |t, i| under(t, i, "process"), "the library never exits"));
    let reads = [
        "var",
        "vars",
        "var_os",
        "vars_os",
        "args",
        "args_os",
        "current_dir",
        "current_exe",
        "home_dir",
        "temp_dir",
        "set_var",
        "remove_var",
        "set_current_dir",
    ];
    found.extend(words(source, &reads, |t, i| under(t, i, "env"), "the library never reads the environment"));
    found
}

/// Each outside crate is named in its home only.
pub fn homes(source: &Source, rooms: &[Room]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, home) in rooms.iter().flat_map(|room| &room.crates) {
        // `main.rs` is the binary's root, next to `cli`.
        let at_home = source.within(home) || (home == "cli" && source.path == "src/main.rs");
        if !at_home {
            let rule = |line| violation(source, line, format!("the crate `{name}` has its home in `{home}`"));
            found.extend(outer(source, name).into_iter().map(rule));
        }
    }
    found
}

/// No map whose order changes from run to run.
pub fn ordered(source: &Source) -> Vec<Violation> {
    let rule = "order must not depend on hashing; use the BTree kinds";
    words(source, &["HashMap", "HashSet"], |_, _| true, rule)
}

/// Nothing that ends the process over what a user or a disk can cause, and nothing left to do.
pub fn no_panics(source: &Source) -> Vec<Violation> {
    let tokens = &source.tokens;
    let method = |t: &[Token], i: usize| i > 0 && t[i - 1].sign('.') && next_is(t, i, &Kind::Sign('('));
    let call = |i: usize| match tokens[i].word() {
        Some("unwrap") => method(tokens, i) && tokens.get(i + 2).is_some_and(|t| t.sign(')')),
        // With a character it is a method of a parser of ours.
        Some("expect") => method(tokens, i) && tokens.get(i + 2).is_some_and(|t| t.kind != Kind::Quote),
        Some("panic" | "unreachable") => next_is(tokens, i, &Kind::Sign('!')),
        _ => false,
    };
    let mut found: Vec<Violation> = (0..tokens.len())
        .filter(|&i| {
            call(i) && !in_const_block(tokens, i) && !documented(source, tokens[i].line, "INVARIANT:")
        })
        .map(|i| {
            let word = tokens[i].word().unwrap_or_default();
            let rule = format!("`{word}` without an `// INVARIANT:` comment that says why it cannot happen");
            violation(source, tokens[i].line, rule)
        })
        .collect();
    let stubs = ["todo", "unimplemented"];
    found.extend(words(source, &stubs, |t, i| next_is(t, i, &Kind::Sign('!')), "nothing is left undone"));
    found
}

/// Whether the innermost braces around token `i` are `const { … }`: rustc has run that already.
fn in_const_block(tokens: &[Token], i: usize) -> bool {
    let mut depth = 0;
    for at in (0..i).rev() {
        if tokens[at].sign('}') {
            depth += 1;
        } else if tokens[at].sign('{') && depth > 0 {
            depth -= 1;
        } else if tokens[at].sign('{') {
            return at > 0 && tokens[at - 1].is("const");
        }
    }
    false
}

/// `unsafe` blocks, functions and implementations each have their proof.
pub fn proven(source: &Source) -> Vec<Violation> {
    let tokens = &source.tokens;
    (0..tokens.len())
        .filter(|&i| tokens[i].is("unsafe"))
        // `unsafe fn` in a type (`unsafe extern "C" fn(…)`) claims nothing.
        .filter(|&i| {
            ["fn", "impl", "trait"].iter().any(|w| tokens.get(i + 1).is_some_and(|t| t.is(w)))
                || next_is(tokens, i, &Kind::Sign('{'))
        })
        .filter(|&i| !documented(source, tokens[i].line, "SAFETY:"))
        .map(|i| violation(source, tokens[i].line, "`unsafe` without a `// SAFETY:` comment"))
        .collect()
}

/// Whether a comment with `word` stands on the line or above it, before the statement before.
fn documented(source: &Source, line: usize, word: &str) -> bool {
    let comment = |l: usize| source.comments.iter().any(|(at, text)| *at == l && text.contains(word));
    let ends_statement = |l: usize| {
        let last = source.tokens.iter().rfind(|t| t.line == l);
        last.is_some_and(|t| t.sign(';') || t.sign('{') || t.sign('}'))
    };
    comment(line) || (1..line).rev().take_while(|l| !ends_statement(*l)).any(comment)
}

/// No file longer than `most` lines.
pub fn short(source: &Source, most: usize) -> Vec<Violation> {
    if source.lines <= most {
        return Vec::new();
    }
    vec![violation(source, most + 1, format!("{} lines, at most {most} are allowed", source.lines))]
}

#[cfg(test)]
mod tests {
    use super::super::rooms;
    use super::*;

    fn lines(found: Vec<Violation>) -> Vec<usize> {
        found.into_iter().map(|v| v.line).collect()
    }

    #[test]
    fn imports_are_held_to_their_lists() {
        let source =
            Source::new("src/study/load.rs", "use crate::diag::X;\nuse crate::cache::Y;\nuse super::Z;");
        assert_eq!(lines(imports_only(&source, "study", &["diag", "kind"])), [2]);
        assert_eq!(lines(imports_only(&source, "plan", &[])), [0; 0]);
        assert_eq!(lines(imports_none_of(&source, "study", &["cache"])), [2]);
        let test_only =
            Source::new("src/study/load.rs", "#[cfg(test)]\nmod tests { use crate::stages::all; }");
        assert_eq!(lines(imports_only(&test_only, "study", &[])), [0; 0]);
    }

    #[test]
    fn impurity_is_seen() {
        let source = Source::new(
            "src/plan/x.rs",
            "use std::fs;\nlet t = Instant::now();\nstd::env::var(\"A\");\nlet env = File::X;\nuse std::{time::SystemTime};",
        );
        let mut found = lines(pure(&source));
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 5]);
    }

    #[test]
    fn noise_is_heard() {
        let text = "println!(\"a\");\nstd::process::exit(1);\nenv::var_os(\"A\");\nwriteln!(f, \"b\");\n\
                    std::env::split_paths(p);\nenv!(\"C\");\nio::stdout().lock();\ncommand.stdout(x);\n\
                    #[cfg(test)]\nfn t() { println!() }\n// eprintln!()\ndbg!(x);";
        let mut found = lines(silent(&Source::new("src/io/x.rs", text)));
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 7, 12]);
    }

    #[test]
    fn crates_stay_at_home() {
        let rooms = rooms::read(
            "| `io` | files | zip |\n| `cli` (binary) | x | clap |\n| `stages` | y | ort (in `stages/infer`) |",
        );
        let found =
            |path: &str| lines(homes(&Source::new(path, "use zip::A;\nuse clap::B;\nuse ort::C;"), &rooms));
        assert_eq!(found("src/io/npz/mod.rs"), [2, 3]);
        assert_eq!(found("src/main.rs"), [1, 3]);
        assert_eq!(found("src/stages/infer/mod.rs"), [1, 2]);
        assert_eq!(found("src/stages/train/mod.rs"), [1, 2, 3]);
    }

    #[test]
    fn hashing_is_found() {
        assert_eq!(
            lines(ordered(&Source::new("src/plan/x.rs", "use a::BTreeMap;\nlet m: HashMap<A, B>;"))),
            [2]
        );
    }

    #[test]
    fn panics_need_an_invariant() {
        let text = "a.unwrap();\nb.expect(\"c\");\nself.expect('{');\nd.unwrap_or(1);\n\
                    // INVARIANT: e is there.\ne.unwrap();\nf\n    // INVARIANT: g.\n    .g()\n    .expect(\"h\");\n\
                    i.unwrap(); // INVARIANT: i\nj.unwrap();\nunreachable!();\ntodo!();\nmatch k { _ => panic!() }\n\
                    let l = const { f({}).unwrap() };";
        let mut found = lines(no_panics(&Source::new("src/io/x.rs", text)));
        found.sort_unstable();
        assert_eq!(found, [1, 2, 12, 13, 14, 15]);
    }

    #[test]
    fn unsafe_needs_a_proof() {
        let text = "// SAFETY: a\nlet a = unsafe { b };\nlet c = unsafe { d };\nunsafe fn e() {}\n\
                    type F = unsafe extern \"C\" fn();\n/// SAFETY: f\nunsafe impl Send for F {}";
        assert_eq!(lines(proven(&Source::new("src/io/x.rs", text))), [3, 4]);
    }

    #[test]
    fn length_is_counted() {
        assert!(short(&Source::new("src/a.rs", &"x\n".repeat(500)), 500).is_empty());
        assert_eq!(lines(short(&Source::new("src/a.rs", &"x\n".repeat(501)), 500)), [501]);
    }
}
