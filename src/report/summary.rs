//! Scores over trials, what is best, and a verdict on every model. Pure: from numbers to numbers and sentences.

use std::collections::BTreeMap;

use crate::dossier::{Dossier, METRICS, Role, ScoreRow};

/// Axis and label, in the study's order.
type Condition = Vec<(String, String)>;

/// What a metric is over the trials of one condition and model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stat {
    /// Mean of the trials that have a value.
    pub mean: Option<f64>,
    /// Sample standard deviation; none of fewer than two values.
    pub spread: Option<f64>,
    /// Trials that have a value.
    pub count: usize,
}

impl Stat {
    /// Of all values that are there.
    pub fn of(values: impl Iterator<Item = Option<f64>>) -> Self {
        let values: Vec<f64> = values.flatten().collect();
        let count = values.len();
        if count == 0 {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let spread = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Self { mean: Some(mean), spread, count }
    }
}

/// One condition and model.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// Axis and label, in the study's order.
    pub condition: Vec<(String, String)>,
    /// Model.
    pub model: String,
    /// Trials.
    pub trials: usize,
    /// In the order of [`METRICS`].
    pub stats: Vec<Stat>,
    /// In the order of [`METRICS`]: whether it is the best of its condition, of at least two.
    pub best: Vec<bool>,
    /// Phase error of a constant guess, mean of the trials.
    pub blank: Option<f64>,
    /// Photons of an image, mean of the trials.
    pub photons: Option<f64>,
}

/// Models in the order of their axis; those that no axis names come in the order of the plan.
pub fn models(dossier: &Dossier) -> Vec<String> {
    let axis = dossier.study.axes.iter().find(|axis| axis.role == Role::Model);
    let order = |model: &str| {
        axis.and_then(|axis| axis.labels.iter().position(|label| label == model)).unwrap_or(usize::MAX)
    };
    let mut models: Vec<String> = Vec::new();
    for row in &dossier.scores {
        if !models.contains(&row.model) {
            models.push(row.model.clone());
        }
    }
    models.sort_by_key(|model| order(model));
    models
}

/// A row for every condition and model, conditions in the order of the plan.
pub fn summary(dossier: &Dossier) -> Vec<SummaryRow> {
    let models = models(dossier);
    // Condition → model → trials; conditions in the order in which they first appear.
    let mut trials_of: BTreeMap<&Condition, BTreeMap<&str, Vec<&ScoreRow>>> = BTreeMap::new();
    let mut conditions: Vec<&Condition> = Vec::new();
    for row in &dossier.scores {
        let of_condition = trials_of.entry(&row.condition).or_insert_with(|| {
            conditions.push(&row.condition);
            BTreeMap::new()
        });
        of_condition.entry(&row.model).or_default().push(row);
    }
    let mut rows: Vec<SummaryRow> = Vec::new();
    for condition in conditions {
        let first = rows.len();
        for model in &models {
            let Some(trials) = trials_of.get(condition).and_then(|of| of.get(model.as_str())) else {
                continue;
            };
            rows.push(SummaryRow {
                condition: condition.clone(),
                model: model.clone(),
                trials: trials.len(),
                stats: (0..METRICS.len()).map(|m| Stat::of(trials.iter().map(|t| t.values[m]))).collect(),
                best: vec![false; METRICS.len()],
                blank: Stat::of(trials.iter().map(|t| t.blank_phase_mae)).mean,
                photons: Stat::of(trials.iter().map(|t| t.photons)).mean,
            });
        }
        mark_best(&mut rows[first..]);
    }
    rows
}

fn mark_best(rows: &mut [SummaryRow]) {
    for (metric, about) in METRICS.iter().enumerate() {
        let means = rows.iter().filter_map(|row| row.stats[metric].mean);
        if means.clone().count() < 2 {
            continue;
        }
        let best = if about.less { means.reduce(f64::min) } else { means.reduce(f64::max) };
        rows.iter_mut().for_each(|row| row.best[metric] = row.stats[metric].mean == best);
    }
}

/// What to think of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Model.
    pub model: String,
    /// In one sentence.
    pub headline: String,
    /// What else.
    pub details: Vec<String>,
    /// Whether it is worse than no model somewhere.
    pub bad: bool,
}

/// Place of the metric that verdicts are about: the phase error.
const JUDGE: usize = 0;

/// A verdict on every model.
pub fn verdicts(dossier: &Dossier, rows: &[SummaryRow]) -> Vec<Verdict> {
    models(dossier).into_iter().map(|model| verdict(dossier, rows, model)).collect()
}

fn verdict(dossier: &Dossier, rows: &[SummaryRow], model: String) -> Verdict {
    let own: Vec<&SummaryRow> = rows.iter().filter(|row| row.model == model).collect();
    let total = own.len();
    let times = |n: usize| if n == 1 { "1 condition".to_owned() } else { format!("{n} conditions") };
    let wins = own.iter().filter(|row| row.best[JUDGE]).count();
    let rivals = rows.iter().any(|row| row.model != model);
    let headline = match (rivals, wins) {
        (false, _) => format!("the only model, scored in {}", times(total)),
        (true, 0) => format!("smallest phase error in none of {}", times(total)),
        (true, wins) if wins == total => format!("smallest phase error in all {}", times(total)),
        (true, wins) => format!("smallest phase error in {wins} of {}", times(total)),
    };
    let mut details = Vec::new();
    if let Some(text) = range(&own, JUDGE) {
        let blank = Stat::of(own.iter().map(|row| row.blank)).mean;
        let blank = blank.map(|b| format!(" (a blank guess: {b:.4} rad)")).unwrap_or_default();
        details.push(format!("phase MAE {text} rad{blank}"));
    }
    if let Some(text) = range(&own, 1) {
        details.push(format!("phase SSIM {text}"));
    }
    details.extend(dose_effect(dossier, &own));
    let spreads = Stat::of(own.iter().map(|row| row.stats[JUDGE].spread)).mean;
    if let Some(spread) = spreads {
        details.push(format!("varies by ±{spread:.4} rad between trials"));
    }
    let blank = |row: &&&SummaryRow| row.blank.zip(row.stats[JUDGE].mean).is_some_and(|(b, own)| own >= b);
    let worse = own.iter().filter(blank).count();
    if worse > 0 {
        details.push(format!("no better than a blank guess in {worse} of {}", times(total)));
    }
    Verdict { model, headline, details, bad: worse > 0 }
}

/// `0.0593 to 0.0669`.
fn range(rows: &[&SummaryRow], metric: usize) -> Option<String> {
    let values: Vec<f64> = rows.iter().filter_map(|row| row.stats[metric].mean).collect();
    let digits = METRICS[metric].digits;
    let lo = values.iter().copied().reduce(f64::min)?;
    let hi = values.iter().copied().reduce(f64::max)?;
    let (lo, hi) = (format!("{lo:.digits$}"), format!("{hi:.digits$}"));
    Some(if lo == hi { lo } else { format!("{lo} to {hi}") })
}

/// How the phase error changes from the highest dose to the lowest, other conditions being equal.
fn dose_effect(dossier: &Dossier, rows: &[&SummaryRow]) -> Option<String> {
    let axis = dossier.study.axis(Role::Dose)?;
    let label = |row: &SummaryRow| row.condition.iter().find(|(a, _)| a == axis).map(|(_, l)| l.clone());
    let mut doses: Vec<(f64, String)> = Vec::new();
    for row in rows {
        if let (Some(photons), Some(label)) = (row.photons, label(row))
            && !doses.iter().any(|(_, known)| *known == label)
        {
            doses.push((photons, label));
        }
    }
    doses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ((_, low), (_, high)) = (doses.first()?, doses.last()?);
    if low == high {
        return None;
    }
    let mean = |dose: &str| {
        let of = rows.iter().filter(|row| label(row).as_deref() == Some(dose));
        Stat::of(of.map(|row| row.stats[JUDGE].mean)).mean
    };
    let (at_low, at_high) = (mean(low)?, mean(high)?);
    if at_high <= 0.0 {
        return None;
    }
    let change = 100.0 * (at_low / at_high - 1.0);
    let way = if change >= 0.0 { "larger" } else { "smaller" };
    Some(format!("from {axis} {high} to {low} its phase error is {:.0} % {way}", change.abs()))
}
