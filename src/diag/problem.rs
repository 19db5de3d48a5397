//! A problem with a place: `file:line:column`, the offending line, what was expected, a hint.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place in a text file. Lines and columns count from 1, as editors do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as the user named it.
    pub file: Arc<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One thing that is wrong with what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, when it has a place.
    pub at: Option<Location>,
    /// What is wrong, naming the thing; no full stop.
    pub message: String,
    /// The line of the file at fault, without its newline.
    pub excerpt: Option<String>,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn at(at: Location, message: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::new(message) }
    }

    /// A problem without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), excerpt: None, expected: None, hint: None }
    }

    /// Adds what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `did you mean` with the nearest of `names`, if one is near.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match super::nearest(word, names) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Fills the excerpt from the text of the file, if the problem has a place in it.
    pub fn quote(&mut self, text: &str) {
        if let (Some(at), None) = (&self.at, &self.excerpt) {
            self.excerpt = text.lines().nth(at.line.saturating_sub(1)).map(str::to_owned);
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => writeln!(f, "error: {at}: {}", self.message)?,
            None => writeln!(f, "error: {}", self.message)?,
        }
        if let (Some(line), Some(at)) = (&self.excerpt, &self.at) {
            let gutter = at.line.to_string();
            let blank = " ".repeat(gutter.len());
            // A tab before the caret is kept so that the caret stays under its character.
            let pad: String = line
                .chars()
                .take(at.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            writeln!(f, " {gutter} | {}", line.trim_end())?;
            writeln!(f, " {blank} | {pad}^")?;
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "  expected: {expected}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Every problem found, sorted by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts by place, drops repetitions, and quotes the offending lines of `text`.
    #[must_use]
    pub fn finish(mut self, text: &str) -> Self {
        self.0.sort_by(|a, b| (&a.at, &a.message).cmp(&(&b.at, &b.message)));
        self.0.dedup();
        // Split once: a large file may have as many problems as lines.
        let lines: Vec<&str> = text.lines().collect();
        for problem in &mut self.0 {
            if let (Some(at), None) = (&problem.at, &problem.excerpt) {
                problem.excerpt = lines.get(at.line.saturating_sub(1)).map(|line| (*line).to_owned());
            }
        }
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|p| p.fmt(f))?;
        match self.0.len() {
            1 => write!(f, "1 problem"),
            n => write!(f, "{n} problems"),
        }
    }
}
