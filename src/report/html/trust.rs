//! Words about trust.

use crate::dossier::{DatasetFacts, Dossier, TaskState};

/// A difference between what was wanted and what was measured, beyond which it is pointed out.
const TOLERANCE: f64 = 0.05;
/// Shifts beyond so many pixels are pointed out.
const SHIFT: f64 = 2.0;

/// A line of the list of warnings.
pub(super) struct Warning {
    /// `damage`, `outdated`, `coverage`, `frame`, `dose`, `overlap`, `retried`, `task`.
    pub kind: &'static str,
    pub who: String,
    pub text: String,
    /// Whether results cannot be believed.
    pub grave: bool,
}

/// Everything that a reader should know before believing the results.
pub(super) fn warnings(dossier: &Dossier) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut tell = |kind, who: &str, text: String, grave| {
        found.push(Warning { kind, who: who.to_owned(), text, grave });
    };
    for text in &dossier.trust.damage {
        tell("damage", "store and results", text.clone(), true);
    }
    for source in dossier.trust.sources.iter().filter(|s| s.state != "as recorded") {
        tell("damage", &source.path, format!("this source file {}", source.state), true);
    }
    for task in &dossier.tasks {
        if !task.outdated.is_empty() {
            let text = format!(
                "its results do not belong to the study file as it is now: {}",
                task.outdated.join("; ")
            );
            tell("outdated", &task.id, text, true);
        }
        match task.state {
            TaskState::Failed => tell("failed", &task.id, task.message.clone().unwrap_or_default(), true),
            TaskState::Unfinished => tell("failed", &task.id, "it did not end".to_owned(), true),
            _ => {}
        }
    }
    for row in &dossier.scores {
        if let Some(share) = row.uncovered.filter(|share| *share > 0.0) {
            let text =
                format!("{:.2} % of the compared pixels have no data; they count as zero", 100.0 * share);
            tell("coverage", &row.task, text, share > TOLERANCE);
        }
        let [dy, dx] = row.offset_yx;
        if dy.hypot(dx) > SHIFT {
            let text = format!("registration moved the image by {dy:.2} px down and {dx:.2} px right");
            tell("frame", &row.task, text, false);
        }
    }
    for data in &dossier.datasets {
        if let Some((nominal, mean)) = differs(data.photons_nominal, data.photons_mean) {
            let text = format!("{mean:.4e} photons per image were counted, {nominal:.4e} wanted");
            tell("dose", &data.task, text, false);
        }
        if let Some((nominal, kept)) = differs(data.share_nominal, data.share_kept) {
            let text =
                format!("{:.1} % of the images were kept, {:.1} % wanted", 100.0 * kept, 100.0 * nominal);
            tell("overlap", &data.task, text, false);
        }
    }
    for bar in dossier.timeline.bars.iter().filter(|bar| bar.attempt > 1 && bar.outcome == "succeeded") {
        let how = if bar.rescue { "rescued after memory ran out" } else { "tried again after a failure" };
        tell("retried", &bar.task, format!("{how}: attempt {} succeeded", bar.attempt), false);
    }
    for warning in &dossier.trust.warnings {
        tell("task", &warning.task, warning.message.clone(), false);
    }
    found
}

fn differs(wanted: Option<f64>, measured: Option<f64>) -> Option<(f64, f64)> {
    wanted.zip(measured).filter(|(wanted, measured)| (measured - wanted).abs() > TOLERANCE * wanted.abs())
}

/// A row of the table of datasets, in words.
pub(super) struct Dataset {
    pub task: String,
    pub scored: bool,
    pub images: String,
    pub nominal: String,
    pub measured: String,
    pub share_nominal: String,
    pub share_kept: String,
    pub overlap: String,
    pub groups: String,
}

pub(super) fn datasets(dossier: &Dossier) -> Vec<Dataset> {
    let none = || "–".to_owned();
    let share = |v: Option<f64>| v.map_or_else(none, |v| format!("{:.1} %", 100.0 * v));
    let row = |d: &DatasetFacts| Dataset {
        task: d.task.clone(),
        scored: d.scored,
        images: d.images.map_or_else(none, |n| n.to_string()),
        nominal: d.photons_nominal.map_or_else(none, photons),
        measured: match (d.photons_mean, d.photons_std) {
            (Some(mean), Some(std)) => format!("{} ± {}", photons(mean), photons(std)),
            (Some(mean), None) => photons(mean),
            _ => none(),
        },
        share_nominal: share(d.share_nominal),
        share_kept: share(d.share_kept),
        overlap: share(d.overlap_images),
        groups: share(d.overlap_groups),
    };
    dossier.datasets.iter().map(row).collect()
}

/// A number of photons: three or four digits, in powers of ten where it is large.
pub(super) fn photons(n: f64) -> String {
    if n.abs() < 1e4 {
        return format!("{n:.0}");
    }
    let exponent = n.abs().log10().floor();
    format!("{:.3}e{exponent}", n / 10f64.powf(exponent))
}
