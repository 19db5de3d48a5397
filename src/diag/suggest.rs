//! The nearest valid name to a misspelt one.

/// The name nearest to `word`, if any is near enough to be worth suggesting.
///
/// Distance is Damerau–Levenshtein (as `git` uses); at most a third of the
/// letters, and at least one, may differ. Ties go to the earlier name.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 3).max(1);
    let word = word.to_lowercase();
    names
        .into_iter()
        // The distance is at least the difference in length: most names need no more than that.
        .filter(|name| name.chars().count().abs_diff(length) <= limit)
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_near_and_refuses_the_far() {
        assert_eq!(nearest("stiches", ["simulate", "stitch", "stitches"]), Some("stitches"));
        assert_eq!(nearest("Dose", ["dose", "view"]), Some("dose"));
        assert_eq!(nearest("zebra", ["dose", "view"]), None);
    }
}
