//! Placeholders: `{axis.NAME}` and `{seed}` in parameters, references and file names.
//!
//! A text that is exactly one placeholder takes the typed value; inside a longer text the value's
//! label is put in. Every other brace stays as written, so that stages may have placeholders of
//! their own (`{input.NAME}` of `command`).

use super::model::AxisPoint;
use super::node::{Content, Node};

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Axis(&'a str),
    Seed,
}

/// Splits a text into its pieces; two literals never follow each other.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut literal, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|i| from + i) {
        let Some(close) = text[open..].find('}').map(|i| open + i) else {
            break;
        };
        let inner = &text[open + 1..close];
        let piece = match inner.strip_prefix("axis.") {
            // `{axis.a{axis.b}`: the inner brace may open a placeholder of its own.
            Some(name) if !name.contains('{') => Piece::Axis(name),
            _ if inner == "seed" => Piece::Seed,
            _ => {
                from = open + 1;
                continue;
            }
        };
        if literal < open {
            found.push(Piece::Literal(&text[literal..open]));
        }
        found.push(piece);
        literal = close + 1;
        from = literal;
    }
    if literal < text.len() || found.is_empty() {
        found.push(Piece::Literal(&text[literal..]));
    }
    found
}

/// The axes that a text names.
pub(super) fn axes_in(text: &str) -> impl Iterator<Item = &str> {
    // Most texts have no brace, and need not be taken apart.
    let pieces = if text.contains('{') { pieces(text) } else { Vec::new() };
    pieces.into_iter().filter_map(|piece| match piece {
        Piece::Axis(name) => Some(name),
        Piece::Literal(_) | Piece::Seed => None,
    })
}

/// The axes that the texts of a tree name, each as often as it is named.
pub(super) fn axes_in_tree<'n>(node: &'n Node, found: &mut impl Extend<&'n str>) {
    visit_texts(node, &mut |_, text| found.extend(axes_in(text)));
}

/// Calls `visit` for every text of a tree (keys are no texts).
pub(super) fn visit_texts<'n>(node: &'n Node, visit: &mut impl FnMut(&'n Node, &'n str)) {
    match &node.content {
        Content::Text(text) => visit(node, text),
        Content::Seq(items) => items.iter().for_each(|item| visit_texts(item, visit)),
        Content::Map(entries) => entries.iter().for_each(|(_, value)| visit_texts(value, visit)),
        Content::Null | Content::Bool(_) | Content::Int(_) | Content::Float(_) => {}
    }
}

/// What placeholders stand for at one point of a stage.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    /// Axis → its point, in the study's axis order.
    pub(super) values: Vec<(&'a str, &'a AxisPoint)>,
    pub(super) seed: u64,
}

impl Scope<'_> {
    pub(super) fn axis(&self, name: &str) -> Option<&AxisPoint> {
        self.values.iter().find(|(axis, _)| *axis == name).map(|(_, point)| *point)
    }

    /// The text with every placeholder replaced by its label. One that names no axis of this scope
    /// stays as written: it has been reported as a problem.
    pub(super) fn text(&self, text: &str) -> String {
        pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(literal) => literal.to_owned(),
                Piece::Seed => self.seed.to_string(),
                Piece::Axis(name) => match self.axis(name) {
                    Some(point) => point.label.clone(),
                    None => format!("{{axis.{name}}}"),
                },
            })
            .collect()
    }

    /// Replaces every placeholder of a tree; places stay those of the placeholders.
    pub(super) fn fill(&self, node: &mut Node) {
        match &mut node.content {
            Content::Text(text) if text.contains('{') => node.content = self.content(text),
            Content::Seq(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Content::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.fill(value)),
            _ => {}
        }
    }

    fn content(&self, text: &str) -> Content {
        match pieces(text)[..] {
            [Piece::Axis(name)] => match self.axis(name) {
                Some(point) => point.content.clone(),
                None => Content::Text(text.to_owned()),
            },
            [Piece::Seed] => Content::Int(self.seed.into()),
            _ => Content::Text(self.text(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_placeholders_are_pieces() {
        use Piece::{Axis, Literal, Seed};
        assert_eq!(pieces("{axis.dose}"), [Axis("dose")]);
        assert_eq!(pieces("a{seed}b"), [Literal("a"), Seed, Literal("b")]);
        assert_eq!(pieces("{inputs.x} {seed"), [Literal("{inputs.x} {seed")]);
        assert_eq!(pieces("{{axis.v}}"), [Literal("{"), Axis("v"), Literal("}")]);
        assert_eq!(pieces("{axis.a{axis.b}é"), [Literal("{axis.a"), Axis("b"), Literal("é")]);
        assert_eq!(pieces(""), [Literal("")]);
    }
}
