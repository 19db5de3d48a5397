//! The table of scores.

use crate::dossier::{Dossier, METRICS, Metric};
use crate::report::summary::{Stat, SummaryRow, models};

/// At most so many rows: a page of more is too long to open.
const ROWS: usize = 1500;

/// A heading.
pub(super) struct Heading {
    pub name: &'static str,
    pub unit: &'static str,
    pub about: &'static str,
    /// Less is better.
    pub less: bool,
    pub digits: usize,
}

/// A value.
pub(super) struct Cell {
    /// In full, to sort and subtract.
    pub value: String,
    pub text: String,
    pub spread: Option<String>,
    pub best: bool,
    /// Difference to the reference: words, and whether it is better, worse or neither.
    pub delta: Option<(String, &'static str)>,
    /// Why there is no value.
    pub missing: Option<String>,
}

/// A row.
pub(super) struct Row {
    /// Labels of the condition.
    pub labels: Vec<String>,
    /// All of them, to find the reference of the same condition.
    pub key: String,
    pub model: String,
    pub colour: usize,
    pub trials: usize,
    pub cells: Vec<Cell>,
}

/// The table.
pub(super) struct Scores {
    pub axes: Vec<String>,
    pub headings: Vec<Heading>,
    pub rows: Vec<Row>,
    pub models: Vec<String>,
    pub reference: String,
    /// Rows beyond [`ROWS`], which are only in the file beside the page.
    pub left_out: usize,
    /// Whether any row has more than one trial.
    pub trials: bool,
}

/// The table, with differences to a reference model.
pub(super) fn scores(dossier: &Dossier, rows: &[SummaryRow], reference: Option<&str>) -> Scores {
    let models = models(dossier);
    let reference = reference.map(str::to_owned).or_else(|| models.first().cloned()).unwrap_or_default();
    let named = |axis: &String| rows.iter().any(|row| row.condition.iter().any(|(a, _)| a == axis));
    let axes: Vec<String> = dossier.study.axes.iter().map(|a| a.name.clone()).filter(named).collect();
    let row = |row: &SummaryRow| {
        let label = |axis: &String| row.condition.iter().find(|(a, _)| a == axis).map(|(_, l)| l.clone());
        let other = rows.iter().find(|r| r.condition == row.condition && r.model == reference);
        let cell = |(place, metric): (usize, &Metric)| {
            let of_reference = other.filter(|_| row.model != reference).map(|r| r.stats[place]);
            let why = row.stats[place].mean.is_none().then(|| missing(dossier, row, metric)).flatten();
            cell(metric, row.stats[place], row.best[place], of_reference, why)
        };
        Row {
            labels: axes.iter().map(|axis| label(axis).unwrap_or_default()).collect(),
            key: crate::dossier::condition_text(&row.condition),
            model: row.model.clone(),
            colour: models.iter().position(|m| *m == row.model).unwrap_or(0) % 7,
            trials: row.trials,
            cells: METRICS.iter().enumerate().map(cell).collect(),
        }
    };
    let heading =
        |m: &Metric| Heading { name: m.name, unit: m.unit, about: m.about, less: m.less, digits: m.digits };
    Scores {
        headings: METRICS.iter().map(heading).collect(),
        trials: rows.iter().any(|row| row.trials > 1),
        rows: rows.iter().take(ROWS).map(row).collect(),
        left_out: rows.len().saturating_sub(ROWS),
        axes,
        models,
        reference,
    }
}

fn cell(metric: &Metric, stat: Stat, best: bool, reference: Option<Stat>, missing: Option<String>) -> Cell {
    let digits = metric.digits;
    let delta = stat.mean.zip(reference.and_then(|r| r.mean)).map(|(own, other)| {
        let difference = own - other;
        // What rounds to nothing is neither better nor worse.
        let text = format!("{difference:+.digits$}");
        let nothing = text.trim_start_matches(['+', '-']).chars().all(|c| matches!(c, '0' | '.'));
        let class = match (nothing, (difference < 0.0) == metric.less) {
            (true, _) => "same",
            (false, true) => "better",
            (false, false) => "worse",
        };
        (text.replace('-', "−"), class)
    });
    Cell {
        value: stat.mean.map(|v| v.to_string()).unwrap_or_default(),
        text: stat.mean.map_or("–".to_owned(), |v| format!("{v:.digits$}")),
        spread: stat.spread.map(|v| format!("{v:.digits$}")),
        best,
        delta,
        missing,
    }
}

/// Why a metric of a row has no value.
fn missing(dossier: &Dossier, row: &SummaryRow, metric: &Metric) -> Option<String> {
    let scored = dossier.scores.iter().find(|s| s.condition == row.condition && s.model == row.model)?;
    let (channel, name) = metric.id.split_once('_')?;
    let name = if name == "psnr" { "psnr_range" } else { name };
    scored.missing.get(&format!("{channel} {name}")).cloned()
}
