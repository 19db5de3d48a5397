//! The header: magic, version, and a Python dictionary with `descr`, `fortran_order` and `shape`.

use std::io::Read;

use super::NpyError;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header accepted. NumPy writes about 100 bytes and by default reads no more than 10 000.
pub(super) const MAX_HEADER: u64 = 1 << 20;

/// Type of the elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DType {
    /// `|b1`
    Bool,
    /// `i1` … `i8`: bytes each.
    Int(usize),
    /// `u1` … `u8`: bytes each.
    Uint(usize),
    /// `f2`, `f4`, `f8`: bytes each.
    Float(usize),
    /// `c8`, `c16`: bytes each.
    Complex(usize),
    /// `U`: UCS-4 text.
    Text {
        /// Characters per element.
        chars: usize,
    },
    /// `S`: bytes, read as UTF-8.
    Bytes {
        /// Bytes per element.
        bytes: usize,
    },
    /// `|O`: pickled Python objects.
    Object,
    /// Anything else: structured, dates, extended precision.
    Other,
}

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type as written, for messages.
    pub descr: String,
    /// Type of the elements.
    pub dtype: DType,
    /// Elements are big-endian.
    pub big_endian: bool,
    /// Elements are in Fortran order (first index fastest).
    pub fortran: bool,
    /// Shape.
    pub shape: Vec<usize>,
}

impl Header {
    /// Reads a header; returns it and the bytes it took.
    pub fn read(reader: &mut impl Read) -> Result<(Self, u64), NpyError> {
        let mut start = [0u8; 8];
        let mut magic_bytes = 0;
        // A file shorter than the magic string is "not NPY" rather than "cut off".
        while magic_bytes < start.len() {
            match reader.read(&mut start[magic_bytes..])? {
                0 => return Err(NpyError::Magic),
                n => magic_bytes += n,
            }
        }
        if !start.starts_with(MAGIC) {
            return Err(NpyError::Magic);
        }
        let (length, prefix) = match (start[6], start[7]) {
            (1, 0) => {
                let mut bytes = [0u8; 2];
                reader.read_exact(&mut bytes)?;
                (u64::from(u16::from_le_bytes(bytes)), 10)
            }
            (2 | 3, 0) => {
                let mut bytes = [0u8; 4];
                reader.read_exact(&mut bytes)?;
                (u64::from(u32::from_le_bytes(bytes)), 12)
            }
            (major, minor) => return Err(NpyError::Version(major, minor)),
        };
        if length > MAX_HEADER {
            return Err(NpyError::HeaderLength(length));
        }
        let mut text = Vec::new();
        reader.take(length).read_to_end(&mut text)?;
        if (text.len() as u64) < length {
            return Err(NpyError::Truncated);
        }
        // Versions 1 and 2 are Latin-1, version 3 is UTF-8; what matters here is ASCII in all of them.
        Ok((Self::parse(&String::from_utf8_lossy(&text))?, prefix + length))
    }

    /// Parses the dictionary literal.
    pub fn parse(text: &str) -> Result<Self, NpyError> {
        let mut cursor = Cursor { text, at: 0 };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        cursor.expect('{')?;
        while !cursor.eat('}') {
            let key = cursor.string()?;
            cursor.expect(':')?;
            match key {
                "descr" => descr = Some(cursor.descr()?.to_owned()),
                "fortran_order" => fortran = Some(cursor.boolean()?),
                "shape" => shape = Some(cursor.shape()?),
                other => return Err(NpyError::Header(format!("unknown entry `{other}`"))),
            }
            if !cursor.eat(',') {
                cursor.expect('}')?;
                break;
            }
        }
        if !cursor.rest().trim().is_empty() {
            return Err(cursor.error("nothing after the dictionary"));
        }
        let missing = |name: &str| NpyError::Header(format!("no entry `{name}`"));
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let (dtype, big_endian) = dtype(&descr);
        Ok(Self {
            dtype,
            big_endian,
            descr,
            fortran: fortran.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    /// Bytes per element; 0 where that is unknown.
    pub fn item_size(&self) -> usize {
        match self.dtype {
            DType::Bool => 1,
            DType::Int(n) | DType::Uint(n) | DType::Float(n) | DType::Complex(n) => n,
            DType::Text { chars } => chars.saturating_mul(4),
            DType::Bytes { bytes } => bytes,
            DType::Object | DType::Other => 0,
        }
    }

    /// Whether the elements are complex numbers.
    pub fn is_complex(&self) -> bool {
        matches!(self.dtype, DType::Complex(_))
    }

    /// The number of elements, if shape and type fill exactly `have` bytes.
    pub(super) fn check_length(&self, have: u64) -> Result<usize, NpyError> {
        // Zeros are left out first: a shape like (2⁶², 2⁶², 0) is empty, yet no array can have it.
        let mut lengths = self.shape.iter().copied().filter(|n| *n > 0);
        lengths
            .try_fold(self.item_size().max(1), usize::checked_mul)
            .filter(|n| *n <= isize::MAX as usize)
            .ok_or_else(|| NpyError::Overflow(self.shape.clone()))?;
        let count = self.shape.iter().product::<usize>();
        let need = (count * self.item_size()) as u64;
        if matches!(self.dtype, DType::Object) {
            return Err(NpyError::Object);
        }
        if !matches!(self.dtype, DType::Other) && need != have {
            return Err(NpyError::Length {
                shape: self.shape.clone(),
                descr: self.descr.clone(),
                need,
                have,
            });
        }
        Ok(count)
    }

    pub(super) fn wrong_type(&self, wanted: &'static str) -> NpyError {
        match self.dtype {
            DType::Object => NpyError::Object,
            _ => NpyError::Type { descr: self.descr.clone(), wanted },
        }
    }

    /// Decodes one text element, without the NULs that pad it.
    pub(super) fn text(&self, bytes: &[u8]) -> Result<String, NpyError> {
        let text = if let DType::Bytes { .. } = self.dtype {
            String::from_utf8_lossy(bytes).into_owned()
        } else {
            let (codes, _) = bytes.as_chunks::<4>();
            let code =
                |b: &[u8; 4]| if self.big_endian { u32::from_be_bytes(*b) } else { u32::from_le_bytes(*b) };
            let character = |b| char::from_u32(code(b)).ok_or(NpyError::Text(code(b)));
            codes.iter().map(character).collect::<Result<String, _>>()?
        };
        Ok(text.trim_end_matches('\0').to_owned())
    }
}

/// Type and byte order of a type string such as `<f4`.
fn dtype(descr: &str) -> (DType, bool) {
    let (order, kind) = match descr.as_bytes() {
        [order @ (b'<' | b'>' | b'|' | b'='), ..] => (*order, &descr[1..]),
        _ => (b'|', descr),
    };
    let mut letters = kind.chars();
    let letter = letters.next().unwrap_or(' ');
    let size = letters.as_str().parse::<usize>().ok();
    let dtype = match (letter, size) {
        ('b', Some(1)) => DType::Bool,
        ('i', Some(n @ (1 | 2 | 4 | 8))) => DType::Int(n),
        ('u', Some(n @ (1 | 2 | 4 | 8))) => DType::Uint(n),
        ('f', Some(n @ (2 | 4 | 8))) => DType::Float(n),
        ('c', Some(n @ (8 | 16))) => DType::Complex(n),
        ('U', Some(chars)) => DType::Text { chars },
        ('S' | 'a', Some(bytes)) => DType::Bytes { bytes },
        ('O', None | Some(8)) => DType::Object,
        _ => DType::Other,
    };
    (dtype, order == b'>')
}

/// Header bytes (version 1.0) for a type and shape, padded to a multiple of 64 as NumPy pads it.
pub(super) fn encode(descr: &str, shape: &[usize]) -> Vec<u8> {
    let shape = crate::io::fault::shape_text(shape);
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    pad(&dictionary, (10 + dictionary.len() + 1).next_multiple_of(64))
}

/// The same, byte by byte as `ndarray-npy` writes it: no last comma, and at least one space.
pub(super) fn encode_as_arrays(descr: &str, shape: &[usize]) -> Vec<u8> {
    let shape = crate::io::fault::shape_text(shape);
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}");
    pad(&dictionary, (10 + dictionary.len() + 2).next_multiple_of(64))
}

/// Magic, version, length, dictionary, spaces, newline: `total` bytes. At most 32 dimensions of 20 digits:
/// version 1 holds them.
fn pad(dictionary: &str, total: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&((total - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(dictionary.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Reads the few Python literals that headers are made of. No recursion, so no input can exhaust the stack.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, expected: &str) -> NpyError {
        let found: String = self.rest().chars().take(12).collect();
        NpyError::Header(format!("at byte {} expected {expected}, found `{}`", self.at, found.escape_debug()))
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, character: char) -> bool {
        self.skip_space();
        let there = self.rest().starts_with(character);
        self.at += usize::from(there) * character.len_utf8();
        there
    }

    fn expect(&mut self, character: char) -> Result<(), NpyError> {
        if self.eat(character) { Ok(()) } else { Err(self.error(&format!("`{character}`"))) }
    }

    /// A quoted string; headers contain no escapes.
    fn string(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.eat('\'') {
            '\''
        } else if self.eat('"') {
            '"'
        } else {
            return Err(self.error("a quoted name"));
        };
        let rest = self.rest();
        let length = rest.find(quote).ok_or_else(|| self.error("a closing quote"))?;
        self.at += length + quote.len_utf8();
        Ok(&rest[..length])
    }

    /// The type: a string, or the list of a structured type, which is kept as text.
    fn descr(&mut self) -> Result<&'a str, NpyError> {
        self.skip_space();
        let rest = self.rest();
        if !rest.starts_with('[') {
            return self.string();
        }
        let mut depth = 0usize;
        for (at, character) in rest.char_indices() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += at + 1;
                return Ok(&rest[..=at]);
            }
        }
        Err(self.error("a closing `]`"))
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("True or False"))
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyError> {
        self.expect('(')?;
        let mut shape = Vec::new();
        while !self.eat(')') {
            self.skip_space();
            let rest = self.rest();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number = rest[..digits].parse().map_err(|_| self.error("a whole number below 2⁶⁴"))?;
            self.at += digits;
            // Python 2 wrote long integers as `3L`.
            self.eat('L');
            shape.push(number);
            // NumPy allows 64 dimensions (32 before version 2).
            if shape.len() > 64 {
                return Err(self.error("at most 64 dimensions"));
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}
