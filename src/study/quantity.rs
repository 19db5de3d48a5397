//! Sizes and times as people write them: a number and its unit.

use super::fields::mismatch;
use super::node::{Content, Node};
use crate::diag::Problems;

/// Units of sizes, in bytes.
const SIZES: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// Units of times, in seconds.
const TIMES: &[(&str, f64)] = &[("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)];

/// A size in bytes.
pub(super) fn size(node: &Node, key: &str, problems: &mut Problems) -> Option<u64> {
    let expected = "a size such as `512MiB`, `2GiB`, `6GB`";
    let bytes = quantity(node, key, SIZES, expected, problems)?.round();
    if (1.0..=LARGEST).contains(&bytes) {
        return Some(bytes as u64);
    }
    problems.push(mismatch(node, &format!("`{key}`"), expected));
    None
}

/// A size written with its unit, in bytes: `512MiB`.
pub fn size_in_bytes(text: &str) -> Option<u64> {
    let (number, factor) = split(text.trim(), SIZES)?;
    let bytes = (number * factor?).round();
    (1.0..=LARGEST).contains(&bytes).then_some(bytes as u64)
}

/// A time written with its unit, in seconds: `30d`.
pub fn time_in_seconds(text: &str) -> Option<f64> {
    let (number, factor) = split(text.trim(), TIMES)?;
    Some(number * factor?)
}

/// 2^53: beyond it a size is a slip of the keyboard, and no longer exact.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// A positive number, and what its unit stands for, if it is one.
fn split(written: &str, units: &[(&str, f64)]) -> Option<(f64, Option<f64>)> {
    let digits = written.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
    let unit = written[digits.len()..].trim_start();
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = digits.parse::<f64>().ok().filter(|value| plain && *value > 0.0 && value.is_finite())?;
    Some((number, units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)))
}

/// A time in seconds.
pub(super) fn time(node: &Node, key: &str, expected: &str, problems: &mut Problems) -> Option<f64> {
    quantity(node, key, TIMES, expected, problems)
}

/// A positive number with a unit.
fn quantity(
    node: &Node,
    key: &str,
    units: &[(&str, f64)],
    expected: &str,
    problems: &mut Problems,
) -> Option<f64> {
    let problem = || mismatch(node, &format!("`{key}`"), expected);
    let written = match &node.content {
        Content::Text(text) => text.trim(),
        Content::Int(_) | Content::Float(_) => {
            problems.push(problem().hint("a unit is missing"));
            return None;
        }
        _ => {
            problems.push(problem());
            return None;
        }
    };
    let digits = written.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
    let unit = written[digits.len()..].trim_start();
    let near = match split(written, units) {
        Some((number, Some(factor))) => return Some(number * factor),
        Some((_, None)) => nearest_unit(unit, units),
        None => None,
    };
    problems.push(match near {
        Some(near) => problem().hint(format!("did you mean `{digits}{near}`?")),
        None => problem(),
    });
    None
}

/// The unit that was probably meant: same letters in another case, or what stands before a slip.
fn nearest_unit<'u>(written: &str, units: &[(&'u str, f64)]) -> Option<&'u str> {
    let letters = written.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let aliases = [("sec", "s"), ("seconds", "s"), ("m", "min"), ("minutes", "min"), ("hours", "h")];
    let meant = aliases.iter().find(|(alias, _)| *alias == letters).map_or(letters, |(_, unit)| unit);
    let names = || units.iter().map(|(name, _)| *name);
    names().find(|name| name.eq_ignore_ascii_case(meant)).or_else(|| {
        names().find(|name| {
            name.chars().next() == meant.chars().next() && meant.len() == 1 && name.ends_with("iB")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Location;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn node(content: Content) -> Node {
        let at = Location { file: Arc::new(PathBuf::from("f")), line: 1, column: 1 };
        Node { content, at }
    }

    fn told(read: impl Fn(&Node, &mut Problems) -> Option<f64>, text: &str) -> (Option<f64>, String) {
        let mut problems = Problems::default();
        let read = read(&node(Content::Text(text.into())), &mut problems);
        let hint = problems.0.first().and_then(|p| p.hint.clone()).unwrap_or_default();
        assert_eq!(read.is_none(), !problems.is_empty());
        (read, hint)
    }

    #[test]
    fn sizes_and_times() {
        let bytes = |text| told(|n, p| size(n, "memory", p).map(|size| size as f64), text);
        assert_eq!(bytes("512MiB").0, Some(536_870_912.0));
        assert_eq!(bytes("6 GB").0, Some(6e9));
        assert_eq!(bytes("1.5kB").0, Some(1500.0));
        assert_eq!(bytes("2GB?"), (None, "did you mean `2GB`?".into()));
        assert_eq!(bytes("2gib"), (None, "did you mean `2GiB`?".into()));
        assert_eq!(bytes("2G"), (None, "did you mean `2GiB`?".into()));
        for bad in ["", "GiB", "-2GiB", "0GiB", "1e3GiB", "99999TiB", "2..0GiB", "½GiB", "infGiB"] {
            assert_eq!(bytes(bad).0, None, "{bad}");
        }
        let seconds = |text| told(|n, p| time(n, "time", "a time", p), text);
        assert_eq!(seconds("90s").0, Some(90.0));
        assert_eq!(seconds("1.5h").0, Some(5400.0));
        assert_eq!(seconds("10m"), (None, "did you mean `10min`?".into()));
        assert_eq!(seconds("1:30").0, None);
    }
}
