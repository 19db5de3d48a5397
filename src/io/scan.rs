//! A quick way through lines that phasegraph itself wrote, of which every run reads tens of thousands: JSON,
//! with the fields in the order in which they were written, without spaces or escapes. Whatever is not exactly
//! so is left to a JSON parser, which says the same of what is.

use super::digest::Digest;

/// What is left of a line. Every step is `None` where the line is not of the expected form.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    /// A line from its beginning.
    pub fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    /// Passes over exactly this text.
    pub fn text(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// Whether this text comes next; it is passed over if so.
    pub fn has(&mut self, text: &str) -> bool {
        self.text(text).is_some()
    }

    /// A digest in its quotes.
    pub fn digest(&mut self) -> Option<Digest> {
        self.text("\"")?;
        let (hex, rest) = self.0.split_at_checked(64)?;
        self.0 = rest;
        self.text("\"")?;
        Digest::of_hex(hex)
    }

    /// A number without fraction or exponent.
    pub fn integer<T: std::str::FromStr>(&mut self) -> Option<T> {
        let digits = |b: &u8| b.is_ascii_digit() || *b == b'-';
        self.number(digits)
    }

    /// Any number.
    pub fn float(&mut self) -> Option<f64> {
        self.number(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
    }

    fn number<T: std::str::FromStr>(&mut self, belongs: impl Fn(&u8) -> bool) -> Option<T> {
        let length = self.0.iter().take_while(|b| belongs(b)).count();
        let (number, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// A text in its quotes, without escapes.
    pub fn string(&mut self) -> Option<&'a str> {
        self.text("\"")?;
        let length = self.0.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        self.text("\"")?;
        std::str::from_utf8(text).ok()
    }

    /// That nothing is left.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_it_expects_and_nothing_else() {
        let digest = Digest::of(b"x");
        let line = format!("{{\"a\":\"{digest}\",\"b\":-12,\"c\":1.5e-7,\"d\":\"t é\"}}");
        let mut scan = Scan::new(line.as_bytes());
        scan.text("{\"a\":").unwrap();
        assert_eq!(scan.digest(), Some(digest));
        assert!(!scan.has(",\"x\"") && scan.has(",\"b\":"));
        assert_eq!(scan.clone().integer::<u64>(), None, "negative");
        assert_eq!(scan.integer(), Some(-12_i64));
        scan.text(",\"c\":").unwrap();
        assert_eq!(scan.float(), Some(1.5e-7));
        scan.text(",\"d\":").unwrap();
        assert_eq!(scan.string(), Some("t é"));
        assert_eq!(scan.end(), None);
        scan.text("}").unwrap();
        assert_eq!(scan.end(), Some(()));
        for bad in ["", "\"", "\"abc", "\"a\\\"b\"", "x"] {
            assert_eq!(Scan::new(bad.as_bytes()).string(), None, "{bad}");
            assert_eq!(Scan::new(bad.as_bytes()).digest(), None, "{bad}");
            assert_eq!(Scan::new(bad.as_bytes()).float(), None, "{bad}");
        }
    }
}
