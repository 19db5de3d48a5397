//! Cells of CSV files.

/// A cell: quoted if its text would otherwise end it (RFC 4180).
pub(in crate::stages) fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A number with six decimals, as the reference study writes them; empty if there is none.
pub(in crate::stages) fn six(value: Option<f64>) -> String {
    value.map(|v| format!("{v:.6}")).unwrap_or_default()
}

/// A number in full; empty if there is none.
pub(in crate::stages) fn full(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_when_they_must() {
        assert_eq!(cell("dose=1e3"), "dose=1e3");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!((six(Some(0.0414134)), six(None)), ("0.041413".into(), String::new()));
        assert_eq!(full(Some(1.25e-7)), "0.000000125");
    }
}
