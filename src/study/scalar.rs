//! What a plain scalar means.
//!
//! The reading is the core schema of YAML 1.2 (section 10.3.2), made stricter where YAML 1.1 — and
//! with it PyYAML — reads something else, so that nothing silently changes its meaning with the
//! parser: `yes`, `no`, `on`, `off` are texts, not booleans; `010` is a text, neither 8 nor 10;
//! `1_000` is a text, not 1000; `1:30` is a text, not 90. Where a number or a boolean is expected,
//! such a text is a problem whose hint says what to write ([`hint`]).

use super::node::Content;

/// Reads a plain, untagged scalar; `Err` says why a number cannot be held.
pub(super) fn plain(text: &str) -> Result<Content, &'static str> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ if redundant_zero(text) => Content::Text(text.to_owned()),
        _ => match number(text) {
            Some(number) => number?,
            None => Content::Text(text.to_owned()),
        },
    })
}

/// Reads a scalar with a tag of the core schema; `kind` is the tag's suffix, empty for others.
pub(super) fn tagged(kind: &str, text: &str) -> Result<Content, &'static str> {
    match (kind, number(text)) {
        ("str", _) => Ok(Content::Text(text.to_owned())),
        ("int", Some(Ok(value @ Content::Int(_)))) => Ok(value),
        ("float", Some(number)) => number,
        ("bool" | "null", _) => match plain(text)? {
            value @ Content::Bool(_) if kind == "bool" => Ok(value),
            Content::Null if kind == "null" => Ok(Content::Null),
            _ => Err("the value does not fit its tag"),
        },
        ("int" | "float", _) => Err("the value does not fit its tag"),
        _ => Err("an unknown tag"),
    }
}

/// Reads a number; `None` for a text that is none.
pub(super) fn number(text: &str) -> Option<Result<Content, &'static str>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err("a number must be finite"));
    }
    let prefixed = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        let valid = !digits.is_empty() && digits.chars().all(|c: char| c.is_digit(radix));
        valid.then(|| integer(u64::from_str_radix(digits, radix).ok(), false))
    };
    if let Some(number) = prefixed("0x", 16).or_else(|| prefixed("0o", 8)) {
        return Some(number);
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(integer(digits.parse().ok(), negative));
    }
    is_decimal(digits).then(|| match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Content::number(value)),
        _ => Err("the number is too large for a 64-bit float"),
    })
}

fn integer(magnitude: Option<u64>, negative: bool) -> Result<Content, &'static str> {
    let limit = if negative { 1 << 63 } else { u64::MAX };
    match magnitude {
        Some(value) if value <= limit => {
            let value = i128::from(value);
            Ok(Content::Int(if negative { -value } else { value }))
        }
        // As a float it would lose digits without a word.
        _ => Err("the integer does not fit in 64 bits"),
    }
}

/// `1.5`, `.5`, `5.`, `1e3`, `1.5E-3`: digits with a point or an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_ok
}

/// `010`, `-007`, `00`: octal to YAML 1.1, decimal to YAML 1.2.
fn redundant_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What kind of scalar was expected where a text was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Bool,
    Number,
}

/// What to write instead of a text that looks like what was expected.
pub(super) fn hint(text: &str, wanted: Wanted) -> Option<String> {
    match wanted {
        Wanted::Bool => {
            let value = match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" | "true" => true,
                "no" | "n" | "off" | "false" => false,
                _ => return None,
            };
            Some(format!("write `{value}`, without quotes"))
        }
        Wanted::Number => {
            let bare = text.replace('_', "");
            if redundant_zero(&bare) {
                let value = bare.trim_start_matches(['+', '-']).trim_start_matches('0');
                let value = if value.is_empty() { "0" } else { value };
                let sign = if bare.starts_with('-') { "-" } else { "" };
                return Some(format!("a number has no leading zeros: write `{sign}{value}`"));
            }
            let readable = matches!(number(&bare), Some(Ok(_)));
            match (readable, bare == text) {
                (false, _) => None,
                (true, true) => Some(format!("write `{bare}`, without quotes")),
                (true, false) => Some(format!("write `{bare}`, without underscores")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    #[test]
    fn scalars_of_yaml_1_2() {
        for (written, content) in [
            ("", Content::Null),
            ("~", Content::Null),
            ("True", Content::Bool(true)),
            ("0", Content::Int(0)),
            ("-5", Content::Int(-5)),
            ("+5", Content::Int(5)),
            ("0x1F", Content::Int(31)),
            ("0o10", Content::Int(8)),
            ("18446744073709551615", Content::Int(u64::MAX.into())),
            ("-9223372036854775808", Content::Int(i64::MIN.into())),
            ("1e3", Content::Int(1000)),
            ("5.", Content::Int(5)),
            (".5", Content::Float(0.5)),
            ("-1.5e-3", Content::Float(-0.0015)),
        ] {
            assert_eq!(plain(written), Ok(content), "{written}");
        }
        for written in ["18446744073709551616", "-9223372036854775809", "1e999", ".inf", "-.INF"] {
            assert!(plain(written).is_err(), "{written}");
        }
    }

    #[test]
    fn what_yaml_1_1_reads_otherwise_stays_text() {
        for written in [
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "010",
            "-007",
            "00",
            "1_000",
            "1:30",
            "0b11",
            "2024-01-01",
            ".",
            "-",
            "+",
            "e3",
            "1e",
            "1e+",
            "1.2.3",
            "0x",
            "inf",
            "nan",
            "1 000",
            "٣",
        ] {
            assert_eq!(plain(written), Ok(text(written)), "{written}");
        }
    }

    #[test]
    fn hints_say_what_to_write() {
        assert_eq!(hint("yes", Wanted::Bool).as_deref(), Some("write `true`, without quotes"));
        let number = |text| hint(text, Wanted::Number);
        assert_eq!(number("-010").as_deref(), Some("a number has no leading zeros: write `-10`"));
        assert_eq!(number("1_000").as_deref(), Some("write `1000`, without underscores"));
        assert_eq!(number("5").as_deref(), Some("write `5`, without quotes"));
        assert_eq!(number("five"), None);
    }
}
