//! Curves: metrics against dose, ring correlations, losses, residuals.

use super::plots::{Line, Plot, Scale, pieces, range};
use crate::dossier::{Curve, Dossier, METRICS, Role, ScoreRow, condition_text};
use crate::report::summary::{SummaryRow, models};

/// At most so many plots of a kind: a page of hundreds is read by nobody, and the tables have them all.
const PLOTS: usize = 24;
/// At most so many lines in a plot.
const LINES: usize = 14;
/// Metrics that are plotted against dose, by their place in [`METRICS`].
const PLOTTED: [usize; 4] = [0, 1, 5, 6];

/// A plot with its words.
pub(super) struct Chart {
    /// Heading.
    pub title: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// SVG.
    pub svg: String,
}

/// An entry of a legend.
pub(super) struct Key {
    /// What the line is.
    pub name: String,
    /// Place among the colours.
    pub colour: usize,
    /// Whether the line is broken.
    pub dashed: bool,
}

/// Plots that share a legend.
#[derive(Default)]
pub(super) struct ChartGroup {
    pub charts: Vec<Chart>,
    pub keys: Vec<Key>,
    /// Class of the layout: `pairs`, `wide`, or none.
    pub layout: &'static str,
    /// How many plots were left out.
    pub left_out: usize,
}

/// The legend of the models.
pub(super) fn model_keys(dossier: &Dossier) -> Vec<Key> {
    let key = |(colour, name)| Key { name, colour, dashed: false };
    models(dossier).into_iter().enumerate().map(key).collect()
}

fn keep(group: &mut ChartGroup, plot: Plot, title: String, alt: String) {
    if group.charts.len() == PLOTS {
        group.left_out += 1;
    } else if let Ok(svg) = plot.svg() {
        group.charts.push(Chart { title, alt, svg });
    }
}

/// Metrics against dose, a plot for each metric and condition but the dose's.
pub(super) fn against_dose(dossier: &Dossier, rows: &[SummaryRow]) -> ChartGroup {
    let mut group = ChartGroup { keys: model_keys(dossier), ..ChartGroup::default() };
    let Some(axis) = dossier.study.axis(Role::Dose) else { return group };
    let rest =
        |row: &SummaryRow| row.condition.iter().filter(|(a, _)| a != axis).cloned().collect::<Vec<_>>();
    let mut conditions: Vec<Vec<(String, String)>> = Vec::new();
    for row in rows.iter().filter(|row| row.photons.is_some()) {
        if !conditions.contains(&rest(row)) {
            conditions.push(rest(row));
        }
    }
    group.layout = if conditions.len().is_multiple_of(2) { "pairs" } else { "" };
    let Some(doses) = range(rows.iter().filter_map(|row| row.photons), true) else { return group };
    for metric in PLOTTED {
        let about = METRICS[metric];
        let all = rows.iter().flat_map(|row| {
            let stat = row.stats[metric];
            let reach = stat.spread.unwrap_or(0.0);
            stat.mean.into_iter().flat_map(move |mean| [mean - reach, mean + reach])
        });
        let Some(values) = range(all, false) else { continue };
        for condition in &conditions {
            let line = |(colour, model): (usize, String)| {
                let of = |row: &&SummaryRow| row.model == model && rest(row) == *condition;
                let mut points: Vec<(f64, Option<f64>, Option<f64>)> = rows
                    .iter()
                    .filter(of)
                    .filter_map(|row| Some((row.photons?, row.stats[metric].mean, row.stats[metric].spread)))
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                let errors = points.iter().filter_map(|(x, y, reach)| Some((*x, (*y)?, (*reach)?))).collect();
                let pieces = pieces(points.iter().map(|(x, y, _)| (*x, *y)));
                Line { colour, dashed: false, marked: true, pieces, errors }
            };
            let unit = if about.unit.is_empty() { String::new() } else { format!(" ({})", about.unit) };
            let plot = Plot {
                x: Scale { label: "photons per image".to_owned(), range: doses.clone(), log: true },
                y: Scale { label: format!("{}{unit}", about.name), range: values.clone(), log: false },
                lines: models(dossier).into_iter().enumerate().map(line).collect(),
                rules: Vec::new(),
                size: (320, 236),
            };
            let title = match condition.is_empty() {
                true => about.name.to_owned(),
                false => format!("{} · {}", about.name, condition_text(condition)),
            };
            let better = if about.less { "lower" } else { "higher" };
            let alt = format!("{title} against photons per image, a line for each model; {better} is better");
            keep(&mut group, plot, title, alt);
        }
    }
    group
}

/// Threshold curves for two noisy half datasets, by the number of samples in a ring (van Heel and Schatz 2005,
/// J. Struct. Biol. 151, 250, eqs. 13 to 17): half a bit and one bit of information per sample.
fn bits(samples: f64, snr_half: f64) -> f64 {
    let root = samples.max(1.0).sqrt();
    let (a, b) = (snr_half, 2.0 * snr_half.sqrt() / root);
    ((a + b + 1.0 / root) / (a + 1.0 + b)).min(1.0)
}

/// Signal-to-noise ratio of one half dataset at ½ bit per sample: (√2 − 1)/2.
const HALF_BIT: f64 = 0.207_106_781_186_547_5;
/// At 1 bit per sample: (2 − 1)/2.
const ONE_BIT: f64 = 0.5;

/// Ring correlations, a plot for each condition and channel.
pub(super) fn ring_correlations(dossier: &Dossier) -> ChartGroup {
    let mut group = ChartGroup { keys: model_keys(dossier), layout: "pairs", ..ChartGroup::default() };
    let models = models(dossier);
    let mut conditions: Vec<&Vec<(String, String)>> = Vec::new();
    for row in &dossier.scores {
        if !conditions.contains(&&row.condition) {
            conditions.push(&row.condition);
        }
    }
    for condition in conditions {
        let of: Vec<&ScoreRow> = dossier.scores.iter().filter(|row| row.condition == *condition).collect();
        let side = of.first().map_or(0, |row| row.frc_side);
        let nyquist = (side / 2) as f64;
        for (channel, curve) in [
            ("phase", (|row| &row.frc_phase) as fn(&ScoreRow) -> &Vec<Option<f64>>),
            ("amplitude", |row| &row.frc_amplitude),
        ] {
            if nyquist < 2.0 || of.iter().all(|row| curve(row).is_empty()) {
                continue;
            }
            // Further trials of a model are broken lines of its colour.
            let mut seen: Vec<&str> = Vec::new();
            let mut lines = Vec::new();
            for row in &of {
                let colour = models.iter().position(|m| *m == row.model).unwrap_or(0);
                let points = curve(row).iter().take(side / 2 + 1).enumerate();
                let pieces = pieces(points.map(|(k, v)| (k as f64 / nyquist, *v)));
                let dashed = seen.contains(&row.model.as_str());
                seen.push(&row.model);
                lines.push(Line { colour, dashed, marked: false, pieces, errors: Vec::new() });
            }
            lines.truncate(LINES);
            let ring = |f: f64| 2.0 * std::f64::consts::PI * f * nyquist;
            let frequencies = || (1..=60).map(|i| f64::from(i) / 60.0);
            let flat = |level: f64| vec![(0.0, level), (1.0, level)];
            let rules = vec![
                (8, flat(0.5)),
                (2, flat(1.0 / 7.0)),
                (2, frequencies().map(|f| (f, bits(ring(f), HALF_BIT))).collect()),
                (8, frequencies().map(|f| (f, bits(ring(f), ONE_BIT))).collect()),
            ];
            let plot = Plot {
                x: Scale { label: "spatial frequency / Nyquist".to_owned(), range: 0.0..1.0, log: false },
                y: Scale { label: "ring correlation".to_owned(), range: 0.0..1.02, log: false },
                lines,
                rules,
                size: (320, 236),
            };
            let title = format!("{channel} · {}", condition_text(condition));
            let alt = format!("Fourier ring correlation of {title} with the truth, a line for each model");
            keep(&mut group, plot, title, alt);
        }
    }
    group
}

/// A column of the histories against epochs, in one plot, a line for each task.
fn histories(curves: &[Curve], column: &str, label: &str, group: &mut ChartGroup) {
    let values =
        |curve: &Curve| curve.columns.iter().find(|(name, _)| name == column).map(|(_, v)| v.clone());
    let known: Vec<(&Curve, Vec<Option<f64>>)> =
        curves.iter().filter_map(|curve| Some((curve, values(curve)?))).take(LINES).collect();
    let all = || known.iter().flat_map(|(_, values)| values.iter().flatten().copied());
    // A logarithmic axis needs a decade to have two ticks.
    let (lo, hi) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let log = lo > 0.0 && hi > 10.0 * lo;
    let epochs = range(known.iter().flat_map(|(curve, _)| curve.epochs.iter().copied()), false);
    let (Some(x), Some(y)) = (epochs, range(all(), log)) else { return };
    let line = |(place, (curve, values)): (usize, &(&Curve, Vec<Option<f64>>))| {
        let points = curve.epochs.iter().copied().zip(values.iter().copied());
        let (colour, dashed) = (place % 7, place >= 7);
        Line { colour, dashed, marked: curve.epochs.len() <= 12, pieces: pieces(points), errors: Vec::new() }
    };
    let plot = Plot {
        x: Scale { label: "epoch".to_owned(), range: x.start.max(0.0)..x.end, log: false },
        y: Scale { label: label.to_owned(), range: y, log },
        lines: known.iter().enumerate().map(line).collect(),
        rules: Vec::new(),
        size: (560, 300),
    };
    group.left_out += curves.len() - known.len();
    let scale = if log { ", logarithmic" } else { "" };
    let alt = format!("{label} against epoch{scale}, a line for each of {} tasks", known.len());
    keep(group, plot, label.to_owned(), alt);
}

fn history_keys(curves: &[Curve]) -> Vec<Key> {
    let key = |(place, curve): (usize, &Curve)| {
        let (colour, dashed) = (place % 7, place >= 7);
        Key { name: curve.task.clone(), colour, dashed }
    };
    curves.iter().take(LINES).enumerate().map(key).collect()
}

/// Losses of the networks.
pub(super) fn training(dossier: &Dossier) -> ChartGroup {
    let mut group =
        ChartGroup { keys: history_keys(&dossier.training), layout: "wide", ..ChartGroup::default() };
    histories(&dossier.training, "loss", "training loss", &mut group);
    group
}

/// Residuals of the solvers.
pub(super) fn convergence(dossier: &Dossier) -> ChartGroup {
    let mut group =
        ChartGroup { keys: history_keys(&dossier.convergence), layout: "wide", ..ChartGroup::default() };
    histories(&dossier.convergence, "residual", "residual", &mut group);
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::approx_constant)]
    fn bit_thresholds_are_the_published_ones() {
        // The rounded constants of van Heel and Schatz: (0.2071 + 1.9102/√n)/(1.2071 + 0.9102/√n) and
        // (0.5 + 2.4142/√n)/(1.5 + 1.4142/√n).
        for n in [4.0f64, 30.0, 800.0] {
            let root = n.sqrt();
            let half = ((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)).min(1.0);
            let one = ((0.5 + 2.4142 / root) / (1.5 + 1.4142 / root)).min(1.0);
            assert!((bits(n, HALF_BIT) - half).abs() < 1e-4, "{n}");
            assert!((bits(n, ONE_BIT) - one).abs() < 1e-4, "{n}");
        }
    }
}
