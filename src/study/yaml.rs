//! YAML text → located tree.
//!
//! This reads the parser's events rather than deserializing through `Spanned`: it takes a third of
//! the time, and one pass can go on after a repeated key, an unknown alias or a number out of range
//! and report them all. Only a syntax error ends it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_yaml::granit_parser::{self, ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::mapping::Mapping;
use super::node::{Content, Key, Node, shorten};
use super::scalar;
use crate::diag::{Location, Problem, Problems};

/// Largest study file.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Deepest nesting, aliases expanded: bounds the recursion wherever the tree is walked.
const MAX_DEPTH: usize = 64;
/// Most values, aliases expanded: bounds memory.
const MAX_NODES: usize = 2_000_000;

/// Reads a text. `None` after a syntax error; lesser problems still give a tree, so that later
/// checks can report theirs too. A repeated key keeps its first value.
pub(super) fn parse(file: &Arc<PathBuf>, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = Location { file: Arc::clone(file), line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let found = format!("the file is too large: {} MiB", text.len() >> 20);
        problems.push(Problem::at(start, found).expected(format!("{} MiB", MAX_BYTES >> 20)));
        return None;
    }
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        // The scanner runs ahead of the events, so it needs the limit as well.
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder {
        file,
        problems,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
        documents: 0,
        held: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = event.map_err(|error| syntax(file, &error));
        let step = step.and_then(|(event, span)| builder.event(event, span.start));
        if let Err(problem) = step {
            builder.problems.push(problem);
            return None;
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        problems.push(Problem::at(start, "the file is empty").expected("a study"));
    }
    root
}

/// A collection under construction.
struct Frame {
    at: Location,
    /// Id of its anchor; 0 for none.
    anchor: usize,
    items: Items,
    /// Deepest nesting below it.
    height: usize,
    /// Number of nodes in it, itself included.
    size: usize,
}

enum Items {
    Seq(Vec<Node>),
    Map(Mapping),
}

/// A finished node that an alias may repeat, and its measures.
#[derive(Clone)]
struct Measured {
    node: Node,
    height: usize,
    size: usize,
}

struct Builder<'a> {
    file: &'a Arc<PathBuf>,
    problems: &'a mut Problems,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Measured>,
    root: Option<Node>,
    documents: usize,
    /// Nodes kept for aliases.
    held: usize,
}

impl Builder<'_> {
    /// Takes an event; an error ends the reading.
    fn event(&mut self, event: Event<'_>, mark: Marker) -> Result<(), Problem> {
        let at = place(self.file, &mark);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::at(at, "a second document").expected("one study per file"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), at)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &at);
                self.open(Items::Seq(Vec::new()), anchor, at)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &at);
                self.open(Items::Map(Mapping::default()), anchor, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(target) => self.add(target, 0)?,
                None => {
                    self.problems.push(Problem::at(at.clone(), "an alias inside its own anchor"));
                    self.add_null(at)?;
                }
            },
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{}` before this alias", shorten(&name));
                self.problems.push(Problem::at(at.clone(), message));
                self.add_null(at)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, items: Items, anchor: usize, at: Location) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.stack.push(Frame { at, anchor, items, height: 0, size: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let content = match frame.items {
            Items::Seq(items) => Content::Seq(items),
            Items::Map(mapping) => mapping.finish(&frame.at, self.problems),
        };
        let node = Node { content, at: frame.at };
        self.add(Measured { node, height: frame.height + 1, size: frame.size }, frame.anchor)
    }

    fn add_null(&mut self, at: Location) -> Result<(), Problem> {
        self.add(Measured { node: Node { content: Content::Null, at }, height: 0, size: 1 }, 0)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, measured: Measured, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.held += measured.size;
            self.anchors.insert(anchor, measured.clone());
        }
        let Measured { node, height, size } = measured;
        if self.stack.len() + height > MAX_DEPTH {
            return Err(too_deep(node.at));
        }
        let total = self.stack.last().map_or(0, |frame| frame.size) + size;
        if total.max(self.held) > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values, aliases expanded");
            return Err(Problem::at(node.at, message));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        frame.size = total;
        match &mut frame.items {
            Items::Seq(items) => items.push(node),
            Items::Map(mapping) => mapping.add(node, self.problems),
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Location,
    ) -> Result<(), Problem> {
        if let Some(Frame { items: Items::Map(mapping), .. }) = self.stack.last_mut()
            && mapping.wants_key()
        {
            let merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
            let key = Key { text: text.to_owned(), at: at.clone() };
            mapping.open_key(key, merge, self.problems);
            if anchor != 0 {
                let node = Node { content: Content::Text(text.to_owned()), at };
                self.anchors.insert(anchor, Measured { node, height: 0, size: 1 });
            }
            return Ok(());
        }
        let read = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(Content::Text(text.to_owned())),
            Some(tag) if is_non_specific(tag) => Ok(Content::Text(text.to_owned())),
            Some(tag) => scalar::tagged(tag.core_suffix().unwrap_or_default(), text),
        };
        let content = read.unwrap_or_else(|why| {
            let tag = tag.map_or(String::new(), |tag| format!("{} ", tag.original()));
            let found = shorten(&format!("{tag}{text}"));
            self.problems.push(Problem::at(at.clone(), format!("{why}: `{found}`")));
            Content::Null
        });
        self.add(Measured { node: Node { content, at }, height: 0, size: 1 }, anchor)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, at: &Location) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
            && !is_non_specific(tag)
        {
            let message = format!("an unknown tag: `{}`", shorten(&tag.original()));
            self.problems.push(Problem::at(at.clone(), message));
        }
    }
}

/// The tag `!`: the value is what its form says, and a scalar a text.
fn is_non_specific(tag: &Tag) -> bool {
    tag.parts() == ("", "!")
}

fn place(file: &Arc<PathBuf>, mark: &Marker) -> Location {
    Location { file: Arc::clone(file), line: mark.line(), column: mark.col() + 1 }
}

fn too_deep(at: Location) -> Problem {
    Problem::at(at, "nested too deeply").expected(format!("at most {MAX_DEPTH} levels"))
}

fn syntax(file: &Arc<PathBuf>, error: &ScanError) -> Problem {
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(place(file, error.marker()));
    }
    let problem = Problem::at(place(file, error.marker()), format!("not valid YAML: {}", error.info()));
    let hint = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => "indent with spaces, not tabs",
        ErrorKind::MappingValueNotAllowed => {
            "quote a text that holds `: `; check that keys of one mapping start in one column"
        }
        ErrorKind::UnexpectedCharacter { .. } => "quote a text that starts with this character",
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            "keys of one mapping start in one column"
        }
        _ => return problem,
    };
    problem.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::default();
        let node = parse(&Arc::new(PathBuf::from("f")), text, &mut problems);
        let told = problems.0.iter().map(|p| p.to_string().trim_end().to_owned()).collect();
        (node, told)
    }

    fn json(text: &str) -> serde_json::Value {
        let (node, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        node.unwrap().to_json()
    }

    #[test]
    fn anchors_aliases_and_merge_keys() {
        let text = "a: &a {x: 1, y: {z: 2}}\nb: *a\nc: {<<: *a, x: 3}\nd: {<<: [{y: 0}, *a]}\n? *s\n: 1";
        let text = format!("k: &s key\n{text}");
        let a = serde_json::json!({"x": 1, "y": {"z": 2}});
        let expected = serde_json::json!({
            "k": "key", "a": a, "b": a, "c": {"x": 3, "y": {"z": 2}}, "d": {"x": 1, "y": 0}, "key": 1
        });
        assert_eq!(json(&text), expected);
        // What stands behind an alias is where its text is.
        let (node, _) = read(&text);
        let at = &node.unwrap().get("b").unwrap().get("x").unwrap().at.clone();
        assert_eq!((at.line, at.column), (2, 11));
    }

    #[test]
    fn tags_choose_the_type() {
        assert_eq!(json("[!!str 5, ! 5, !!float 5, !!int \"5\"]"), serde_json::json!(["5", "5", 5, 5]));
        assert_eq!(read("[!x 5, !!timestamp 5, !!int x, !!set {a}]").1.len(), 4);
    }

    #[test]
    fn several_problems_are_told_at_once() {
        let (node, problems) = read("a: 1\na: 2\nb: *none\nc: .nan\n? [x]\n: 1\nd: {<<: 5}\n");
        assert_eq!(
            problems,
            [
                "error: f:2:1: the key `a` repeats\n  hint: it stands on line 1 already",
                "error: f:3:4: no anchor `&none` before this alias",
                "error: f:4:4: a number must be finite: `.nan`",
                "error: f:5:3: a list as a key\n  expected: a text",
                "error: f:7:9: `<<` merges the number 5\n  expected: a mapping, or a list of mappings",
            ]
        );
        assert_eq!(node.unwrap().get("a").unwrap().content, Content::Int(1));
    }

    #[test]
    fn absurd_files_end_early() {
        let (_, problems) = read(&"[".repeat(100_000));
        assert!(problems[0].contains("nested too deeply"), "{problems:?}");
        let mut laughs = String::from("a0: &a0 [x]\n");
        for i in 1..40 {
            let row = format!("*a{}, ", i - 1).repeat(10);
            laughs += &format!("a{i}: &a{i} [{row}]\n");
        }
        let (_, problems) = read(&laughs);
        assert!(problems[0].contains("aliases expanded"), "{problems:?}");
        let nested = format!("{}x{}", "&a [".repeat(60), "]".repeat(60));
        let (_, problems) = read(&format!("- {nested}\n- [*a, *a]"));
        assert!(problems.is_empty(), "{problems:?}");
        assert!(read("- &a [*a]").1[0].contains("inside its own anchor"));
        assert!(read("").1[0].contains("empty"));
        assert!(read("a: 1\n---\nb: 2").1[0].contains("second document"));
    }
}
