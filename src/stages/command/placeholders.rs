//! Placeholders in arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::diag::{StageError, StageResult, nearest};
use crate::kind::placeholders::{Piece, pieces};

/// What placeholders stand for: a name such as `input.data`, and the files or the one value under it.
#[derive(Debug, Default)]
pub(super) struct Placeholders(BTreeMap<String, Vec<OsString>>);

impl Placeholders {
    /// Adds a name.
    pub fn add(&mut self, name: impl Into<String>, values: Vec<OsString>) {
        self.0.insert(name.into(), values);
    }

    /// The arguments that `item` stands for: one, except that an item which is exactly a placeholder gives
    /// one argument for each of its values.
    pub fn expand(&self, item: &str) -> StageResult<Vec<OsString>> {
        match pieces(item)[..] {
            [Piece::Name(name)] => self.values(name).cloned(),
            _ => Ok(vec![self.expand_one(item)?]),
        }
    }

    /// `text` as one argument; a placeholder with several values is an error.
    pub fn expand_one(&self, text: &str) -> StageResult<OsString> {
        let mut whole = OsString::new();
        for piece in pieces(text) {
            match piece {
                Piece::Literal(literal) => whole.push(literal),
                Piece::Name(name) => match &self.values(name)?[..] {
                    [one] => whole.push(one),
                    several => {
                        let count = several.len();
                        let message =
                            format!("`{{{name}}}` stands for {count} files, but is a part of `{text}`");
                        return Err(StageError::input(message).hint(format!(
                            "make `{{{name}}}` an item of its own: it becomes an argument for each file"
                        )));
                    }
                },
            }
        }
        Ok(whole)
    }

    fn values(&self, name: &str) -> StageResult<&Vec<OsString>> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let near =
                nearest(name, names.iter().copied()).map(|near| format!("did you mean `{{{near}}}`? "));
            StageError::input(format!("unknown placeholder `{{{name}}}`; there are {}", names.join(", ")))
                .hint(format!("{}for the literal text write `{{{{{name}}}}}`", near.unwrap_or_default()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> Placeholders {
        let mut known = Placeholders::default();
        known.add("input.data", vec!["/a b.npz".into()]);
        known.add("input.parts", vec!["/1".into(), "/2".into()]);
        known.add("seed", vec!["7".into()]);
        known
    }

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        for (item, expected) in [
            ("{input.data}", vec!["/a b.npz"]),
            ("--in={input.data}", vec!["--in=/a b.npz"]),
            ("{seed}{seed}", vec!["77"]),
            ("{input.parts}", vec!["/1", "/2"]),
            ("{print $1}", vec!["{print $1}"]),
            ("{\"a\": {\"b\": 1}}", vec!["{\"a\": {\"b\": 1}}"]),
            ("{{seed}}", vec!["{seed}"]),
            ("${{HOME}}/{seed}é{", vec!["${HOME}/7é{"]),
            ("{ {seed} } {}", vec!["{ 7 } {}"]),
            ("{seed", vec!["{seed"]),
            ("", vec![""]),
        ] {
            assert_eq!(known().expand(item).unwrap(), expected, "{item}");
        }
    }

    #[test]
    fn several_files_need_an_item_of_their_own() {
        let error = known().expand("--in={input.parts}").unwrap_err();
        assert_eq!(
            error.message,
            "`{input.parts}` stands for 2 files, but is a part of `--in={input.parts}`"
        );
        assert!(error.hint.unwrap().contains("an item of its own"));
    }

    #[test]
    fn unknown_names_are_errors_with_the_nearest() {
        let error = known().expand("x{inputs.data}").unwrap_err();
        assert_eq!(
            error.message,
            "unknown placeholder `{inputs.data}`; there are input.data, input.parts, seed"
        );
        assert_eq!(
            error.hint.unwrap(),
            "did you mean `{input.data}`? for the literal text write `{{inputs.data}}`"
        );
        assert_eq!(
            known().expand("{zzz}").unwrap_err().hint.unwrap(),
            "for the literal text write `{{zzz}}`"
        );
    }

    proptest! {
        /// Doubling the braces of a name always gives the name in braces.
        #[test]
        fn doubling_quotes(before in "[a-z ]{0,3}", name in "[a-z][a-z0-9._-]{0,8}", after in "[a-z ]{0,3}") {
            let item = format!("{before}{{{{{name}}}}}{after}");
            let expected: OsString = format!("{before}{{{name}}}{after}").into();
            prop_assert_eq!(known().expand(&item).unwrap(), vec![expected]);
        }

        #[test]
        fn nothing_panics(text in "[{}a.é ]{0,12}") {
            let _ = known().expand(&text);
        }
    }
}
