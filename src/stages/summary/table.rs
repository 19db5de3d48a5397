//! The summary as data, as CSV and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::diag::{StageError, StageResult};
use crate::stages::compare::csv::{cell, full};
use crate::stages::compare::{Comparison, Model};
use crate::stages::metrics::Scores;

/// All comparisons of a study, in the order of their points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) comparisons: Vec<Comparison>,
}

/// A column of the text: heading, value, digits, and whether less is better.
type Column = (&'static str, fn(&Scores) -> Option<f64>, usize, bool);

const COLUMNS: [Column; 8] = [
    ("phase MAE", |s| s.phase.mae, 4, true),
    ("phase SSIM", |s| s.phase.ssim, 3, false),
    ("phase MS-SSIM", |s| s.phase.ms_ssim, 3, false),
    ("phase FRC50", |s| s.phase.frc50, 1, false),
    ("ampl. MAE", |s| s.amplitude.mae, 4, true),
    ("ampl. SSIM", |s| s.amplitude.ssim, 3, false),
    ("ampl. MS-SSIM", |s| s.amplitude.ms_ssim, 3, false),
    ("ampl. FRC50", |s| s.amplitude.frc50, 1, false),
];

const LEGEND: &str = "* best of its condition; ! no better than a blank guess (column `blank MAE`, phase). \
                      MAE of phases in rad; FRC50 in bins; - no value, see summary.json.\n";

impl Summary {
    pub(super) fn new(comparisons: Vec<Comparison>) -> Self {
        Self { comparisons }
    }

    /// Fails if two comparisons are of one condition: their rows could not be told apart.
    pub(super) fn check_conditions(&self) -> StageResult {
        let mut seen = BTreeSet::new();
        match self.comparisons.iter().find(|c| !seen.insert(&c.condition)) {
            None => Ok(()),
            Some(twice) => Err(StageError::input(format!(
                "two comparisons are of one condition ({}), so their rows could not be told apart",
                if twice.condition.is_empty() { "no axes".to_owned() } else { twice.title() }
            ))
            .hint("summarise comparisons that differ in their axes")),
        }
    }

    /// All models, in the order they first appear.
    pub(super) fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = Vec::new();
        for model in self.comparisons.iter().flat_map(|c| &c.models) {
            if !models.contains(&model.model.as_str()) {
                models.push(&model.model);
            }
        }
        models
    }

    /// Axes of the conditions, in the order of their names.
    fn axes(&self) -> Vec<&str> {
        let axes: BTreeSet<&str> =
            self.comparisons.iter().flat_map(|c| c.condition.keys().map(String::as_str)).collect();
        axes.into_iter().collect()
    }

    /// A row for each condition, model and metric, numbers in full. `blank_mae` is what a constant guess
    /// scores; registration offsets and gauges stand in the column `value`.
    pub(super) fn to_csv(&self) -> String {
        let axes = self.axes();
        let mut text: String = axes.iter().map(|a| format!("{},", cell(a))).collect();
        text.push_str("model,metric,amplitude,phase,value\n");
        for comparison in &self.comparisons {
            let condition: String =
                axes.iter().map(|a| format!("{},", label(&comparison.condition, a))).collect();
            for Model { model, scores, .. } in &comparison.models {
                let start = format!("{condition}{}", cell(model));
                let pairs = scores.amplitude.named().into_iter().zip(scores.phase.named());
                for ((metric, amplitude), (_, phase)) in pairs {
                    let _ = writeln!(text, "{start},{metric},{},{},", full(amplitude), full(phase));
                }
                let blank = [scores.blank_amplitude_mae, scores.blank_phase_mae].map(full);
                let _ = writeln!(text, "{start},blank_mae,{},{},", blank[0], blank[1]);
                for (axis, offset) in ["dy", "dx"].iter().zip(scores.registration_offset_yx) {
                    let _ = writeln!(text, "{start},registration_offset_{axis},,,{offset}");
                }
                for (name, value) in scores.gauge.named() {
                    let _ = writeln!(text, "{start},{name},,,{}", full(value));
                }
            }
        }
        text
    }

    /// The main scores as an aligned table for a terminal.
    pub(super) fn to_text(&self) -> String {
        let axes = self.axes();
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut head: Vec<String> = axes.iter().map(|a| (*a).to_owned()).collect();
        // Numbers end in a mark or a blank, so headings of numbers end in a blank.
        head.extend(["model".to_owned(), "blank MAE ".to_owned()]);
        head.extend(COLUMNS.iter().map(|c| format!("{} ", c.0)));
        lines.push(head);
        for comparison in &self.comparisons {
            let best: Vec<Option<f64>> = COLUMNS.iter().map(|column| best(comparison, column)).collect();
            for Model { model, scores, .. } in &comparison.models {
                let mut line: Vec<String> =
                    axes.iter().map(|a| label(&comparison.condition, a).to_owned()).collect();
                line.push(model.clone());
                line.push(number(scores.blank_phase_mae, 4) + " ");
                for ((_, value, digits, _), best) in COLUMNS.iter().zip(&best) {
                    let value = value(scores);
                    let mark = if value.is_some() && value == *best { '*' } else { ' ' };
                    line.push(format!("{}{mark}", number(value, *digits)));
                }
                let blank = scores.blank_phase_mae.unwrap_or(f64::INFINITY);
                if scores.phase.mae.is_none_or(|own| own >= blank) {
                    let at = axes.len() + 2;
                    line[at] = format!("{}!", number(scores.phase.mae, 4));
                }
                lines.push(line);
            }
        }
        aligned(&lines, axes.len() + 1) + LEGEND
    }
}

/// The best value of a column among a condition's models.
fn best(comparison: &Comparison, (_, value, _, less): &Column) -> Option<f64> {
    let values = comparison.models.iter().filter_map(|m| value(&m.scores));
    if *less { values.reduce(f64::min) } else { values.reduce(f64::max) }
}

fn label<'a>(condition: &'a BTreeMap<String, String>, axis: &str) -> &'a str {
    condition.get(axis).map_or("", String::as_str)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
}

/// Columns padded to one width: the first `texts` to the left, the rest to the right. A rule follows the
/// first line.
fn aligned(lines: &[Vec<String>], texts: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        let cells: Vec<String> = (0..columns)
            .map(|c| {
                let width = widths[c];
                if c < texts { format!("{:<width$}", line[c]) } else { format!("{:>width$}", line[c]) }
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        if i == 0 {
            let rule: usize = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
            let _ = writeln!(text, "{}", "-".repeat(rule));
        }
    }
    text
}
