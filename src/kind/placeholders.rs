//! Placeholders that a stage kind fills in itself, as `command` does: how they are told from other text. Here,
//! because a study file is checked by the same rule by which the stage later reads it.

/// Names that stand for something in every command, beside those of its inputs, outputs, values and axes.
pub const ALWAYS: [&str; 4] = ["seed", "threads", "device", "gpus"];

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands as it is.
    Literal(&'a str),
    /// Stands for something: `input.data`.
    Name(&'a str),
}

/// Splits a text. A placeholder is a name in braces; `{{name}}` is the literal `{name}`; braces around
/// anything else are themselves (`awk '{print $1}'`, JSON).
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut literal, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|i| from + i) {
        let Some(length) = text[open + 1..].find(|c: char| !is_name(c)) else { break };
        let close = open + 1 + length;
        if length == 0 || !text[close..].starts_with('}') {
            from = open + 1;
            continue;
        }
        let doubled = text[..open].ends_with('{') && open > literal && text[close..].starts_with("}}");
        if doubled {
            // One brace of each pair goes.
            found.push(Piece::Literal(&text[literal..open - 1]));
            found.push(Piece::Literal(&text[open..=close]));
            from = close + 2;
        } else {
            found.push(Piece::Literal(&text[literal..open]));
            found.push(Piece::Name(&text[open + 1..close]));
            from = close + 1;
        }
        literal = from;
    }
    found.push(Piece::Literal(&text[literal..]));
    found.retain(|piece| *piece != Piece::Literal(""));
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}
