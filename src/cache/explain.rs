//! Which fields differ between two fingerprints: the same fields that decide, walked by name.

use std::fmt;

use serde_json::Value;

use super::Fingerprint;

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the field: `params.epochs`, `inputs.data[0].digest`.
    pub field: String,
    /// Value before; `None` if the field is new.
    pub old: Option<Value>,
    /// Value now; `None` if the field is gone.
    pub new: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(slot) = self.field.strip_prefix("inputs.").and_then(|s| s.strip_suffix(".digest")) {
            let short = |v: &Option<Value>| match v.as_ref().and_then(Value::as_str) {
                Some(digest) => digest.chars().take(12).collect(),
                None => "nothing".to_owned(),
            };
            return write!(f, "content of input {slot} changed: {} → {}", short(&self.old), short(&self.new));
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{} changed: {old} → {new}", self.field),
            (None, Some(new)) => write!(f, "{} is new: {new}", self.field),
            (Some(old), None) => write!(f, "{} is gone, was {old}", self.field),
            (None, None) => write!(f, "{}", self.field),
        }
    }
}

/// The fields in which `new` differs from `old`, in the order of the struct's field names.
pub fn changes(old: &Fingerprint<'_>, new: &Fingerprint<'_>) -> Vec<Change> {
    let value = |f: &Fingerprint<'_>| serde_json::to_value(f).unwrap_or_default();
    let mut found = Vec::new();
    walk(String::new(), Some(&value(old)), Some(&value(new)), &mut found);
    found
}

fn walk(field: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    match (old, new) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                walk(path, a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                walk(format!("{field}[{i}]"), a.get(i), b.get(i), found);
            }
        }
        (a, b) => found.push(Change { field, old: a.cloned(), new: b.cloned() }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::cache::{FINGERPRINT_VERSION, InputDigest};
    use crate::io::digest::Digest;
    use crate::plan::Labels;

    pub(crate) fn sample() -> Fingerprint<'static> {
        let input = InputDigest { digest: Digest::of(b"a"), point: Cow::Owned(Labels::default()) };
        Fingerprint {
            version: FINGERPRINT_VERSION,
            kind: "reconstruct".into(),
            kind_version: 1,
            params: Cow::Owned(json!({"epochs": 10, "alpha": 0.5})),
            seed: Some(1),
            point: Cow::Owned(Labels::default()),
            inputs: BTreeMap::from([("data".into(), vec![input])]),
            outputs: Cow::Owned(BTreeMap::new()),
            env: BTreeMap::new(),
            runtime: None,
            device: "cpu".into(),
        }
    }

    #[test]
    fn names_the_parameter_with_old_and_new_value() {
        let mut new = sample();
        new.params.to_mut()["epochs"] = json!(20);
        let lines: Vec<String> = changes(&sample(), &new).iter().map(Change::to_string).collect();
        assert_eq!(lines, ["params.epochs changed: 10 → 20"]);
        assert_ne!(sample().digest(), new.digest());
    }

    #[test]
    fn names_the_input() {
        let mut new = sample();
        new.inputs.get_mut("data").unwrap()[0].digest = Digest::of(b"b");
        let [change] = &changes(&sample(), &new)[..] else { panic!("one change expected") };
        assert!(change.to_string().starts_with("content of input data[0] changed: "));
    }

    #[test]
    fn every_field_counts() {
        let old = serde_json::to_value(sample()).unwrap();
        for key in old.as_object().unwrap().keys() {
            let mut value = old.clone();
            value[key] = match &old[key] {
                Value::Number(n) => json!(n.as_u64().unwrap() + 1),
                Value::String(s) => json!(format!("{s}x")),
                Value::Null => json!("x"),
                Value::Object(_) if key == "inputs" => json!({}),
                Value::Object(_) => json!({"x": "y"}),
                other => panic!("no other kind of field expected: {other}"),
            };
            let new: Fingerprint = serde_json::from_value(value).unwrap();
            assert_ne!(new.digest(), sample().digest(), "{key} does not reach the digest");
            assert!(!changes(&sample(), &new).is_empty(), "{key} is not explained");
        }
    }

    #[test]
    fn equal_fingerprints_have_equal_digests_after_a_round_trip() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap().digest(), sample().digest());
    }
}
