//! Reads Rust sources well enough to hold them against the rules: a lexer, the files, their imports, and
//! one function for each rule. No parser of the whole language is needed for that, and none is a dependency.

pub mod files;
pub mod imports;
pub mod lex;
pub mod rooms;
pub mod rules;

use std::fmt;

/// A rule that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path from the project's root.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The rule, and how it is broken.
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Fails, listing every violation.
pub fn assert_none(mut violations: Vec<Violation>) {
    violations.sort();
    let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "src/ARCHITECTURE.md is broken in {} places:\n{}", list.len(), list.join("\n"));
}
