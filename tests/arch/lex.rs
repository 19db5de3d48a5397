//! Tokens and comments of a Rust source.

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A name, keyword or number.
    Word(String),
    /// `::`
    Path,
    /// Any other sign, one character.
    Sign(char),
    /// A string or byte-string literal, with its quotes.
    Text(String),
    /// A character literal or a lifetime.
    Quote,
}

/// A token and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Line, from 1.
    pub line: usize,
}

impl Token {
    /// Whether it is this name.
    pub fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(w) if w == word)
    }

    /// Whether it is this sign.
    pub fn sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// The name, if it is one.
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// A source, read.
#[derive(Debug, Clone, Default)]
pub struct Lexed {
    /// Tokens in order.
    pub tokens: Vec<Token>,
    /// (line, text) of each comment; a block comment stands on its first line.
    pub comments: Vec<(usize, String)>,
}

/// Reads a source. Unfinished literals end with the file: rustc reports those.
pub fn lex(source: &str) -> Lexed {
    let mut lexed = Lexed::default();
    let chars: Vec<char> = source.chars().collect();
    let (mut i, mut line) = (0, 1);
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    while i < chars.len() {
        let start = (i, line);
        let kind = match (at(i), at(i + 1)) {
            ('/', '/') => {
                let text: String = chars[i..].iter().take_while(|c| **c != '\n').collect();
                i += text.chars().count();
                lexed.comments.push((line, text));
                continue;
            }
            ('/', '*') => {
                i = block_comment(&chars, i);
                lexed.comments.push((line, chars[start.0..i].iter().collect()));
                line += newlines(&chars[start.0..i]);
                continue;
            }
            ('\n', _) => {
                (i, line) = (i + 1, line + 1);
                continue;
            }
            (c, _) if c.is_whitespace() => {
                i += 1;
                continue;
            }
            ('"', _) => {
                i = plain_string(&chars, i);
                Kind::Text(chars[start.0..i].iter().collect())
            }
            ('r' | 'b' | 'c', _) if literal_prefix(&chars, i).is_some() => {
                let (quote, hashes) = literal_prefix(&chars, i).unwrap();
                i = match hashes {
                    Some(n) => raw_string(&chars, quote, n),
                    None => plain_string(&chars, quote),
                };
                Kind::Text(chars[start.0..i].iter().collect())
            }
            ('\'', _) => {
                i = quote(&chars, i);
                Kind::Quote
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                let word: String =
                    chars[i..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                i += word.chars().count();
                Kind::Word(word)
            }
            (':', ':') => {
                i += 2;
                Kind::Path
            }
            (c, _) => {
                i += 1;
                Kind::Sign(c)
            }
        };
        lexed.tokens.push(Token { kind, line: start.1 });
        line += newlines(&chars[start.0..i.min(chars.len())]);
    }
    lexed
}

fn newlines(chars: &[char]) -> usize {
    chars.iter().filter(|c| **c == '\n').count()
}

/// Index after a block comment, which may nest.
fn block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i.min(chars.len())
}

/// Index after a string whose opening quote is at or after `i`.
fn plain_string(chars: &[char], i: usize) -> usize {
    let mut i = i + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// For `r"`, `br#"`, `b"`, `c"` …: index of the quote, and the number of hashes if it is raw.
fn literal_prefix(chars: &[char], mut i: usize) -> Option<(usize, Option<usize>)> {
    if matches!(chars.get(i), Some('b' | 'c')) {
        i += 1;
    }
    let raw = chars.get(i) == Some(&'r');
    i += usize::from(raw);
    let hashes = chars[i.min(chars.len())..].iter().take_while(|c| raw && **c == '#').count();
    (chars.get(i + hashes) == Some(&'"')).then_some((i + hashes, raw.then_some(hashes)))
}

fn raw_string(chars: &[char], quote: usize, hashes: usize) -> usize {
    let mut i = quote + 1;
    while i < chars.len() {
        let closes = chars[i] == '"' && (1..=hashes).all(|n| chars.get(i + n) == Some(&'#'));
        i += 1;
        if closes {
            return i + hashes;
        }
    }
    chars.len()
}

/// Index after a character literal or a lifetime.
fn quote(chars: &[char], i: usize) -> usize {
    if chars.get(i + 1) == Some(&'\\') {
        // '\'' has its own quote escaped.
        let end = chars[(i + 3).min(chars.len())..].iter().position(|c| *c == '\'');
        return end.map_or(chars.len(), |n| i + 3 + n + 1);
    }
    if chars.get(i + 2) == Some(&'\'') {
        return i + 3;
    }
    i + 1 + chars[i + 1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        lex(source).tokens.iter().filter_map(|t| t.word().map(str::to_owned)).collect()
    }

    #[test]
    fn literals_and_comments_hold_no_code() {
        assert_eq!(words("a /* b /* c */ d */ e // f\n g"), ["a", "e", "g"]);
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words("a r\"b\\\" c r#\"d \" e\"# f b\"g\" br##\"h\"# i\"## j"), ["a", "c", "f", "j"]);
        assert_eq!(words(r"a 'b' '\'' '\u{41}' c<'d> 'e: f"), ["a", "c", "f"]);
        // A name that begins like a prefix.
        assert_eq!(words("raw break br r#type"), ["raw", "break", "br", "r", "type"]);
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let lexed = lex("a\n\"x\ny\"\nb /* \n\n */ c // d\n// e\nf");
        let at: Vec<(usize, &str)> = lexed.tokens.iter().filter_map(|t| Some((t.line, t.word()?))).collect();
        assert_eq!(at, [(1, "a"), (4, "b"), (6, "c"), (8, "f")]);
        assert_eq!(lexed.comments.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 6, 7]);
    }
}
