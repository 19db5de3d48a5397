//! The walk as one JSON document.

use serde::Serialize;

use super::{Finding, Lineage};

/// The lineage, and what is wrong with it.
pub fn json(lineage: &Lineage) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        findings: Vec<Finding>,
        #[serde(flatten)]
        lineage: &'a Lineage,
    }
    serde_json::to_string_pretty(&Document { findings: lineage.findings(), lineage }).map(|text| text + "\n")
}
