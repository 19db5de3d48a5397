//! The page: all parts, put into the template.

use askama::Template;
use jiff::Timestamp;

use super::charts::{self, ChartGroup};
use super::dag::{self, Graph};
use super::gallery::{self, Condition, Quantity, Whole};
use super::gantt::{self, Gantt, TaskRow};
use super::scan_plot::{ScanPlot, scan_plot};
use super::table::{self, Scores};
use super::trust::{self, Dataset, Warning};
use super::{file, image};
use crate::diag::duration;
use crate::dossier::{Dossier, Role, TaskState};
use crate::report::summary::{Verdict, models, summary, verdicts};
use crate::report::tables::tables;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// The reference model was not scored.
    #[error("no scored model is called `{model}`; there are {known}")]
    NoModel {
        /// What was asked for.
        model: String,
        /// The models.
        known: String,
    },
    /// The template failed.
    #[error("the report could not be written: {0}")]
    Template(#[from] askama::Error),
}

/// Patterns of one dose.
struct Patterns {
    title: String,
    /// Address, description, caption.
    pictures: Vec<(String, String, String)>,
}

/// A table as files that the page carries in it.
struct Download {
    name: &'static str,
    rows: usize,
    csv: String,
    json: String,
}

#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    css: &'static str,
    script: &'static str,
    dossier: &'a Dossier,
    heading: &'a str,
    when: String,
    facts: Vec<(String, String)>,
    axes: Vec<(String, &'static str, String)>,
    verdicts: Vec<Verdict>,
    scores: Scores,
    quantities: Vec<Quantity>,
    conditions: Vec<Condition>,
    wholes: Vec<Whole>,
    scans: Vec<ScanPlot>,
    patterns: Vec<Patterns>,
    pattern_bar: Option<(String, String)>,
    dose: ChartGroup,
    rings: ChartGroup,
    training: ChartGroup,
    convergence: ChartGroup,
    graph: Graph,
    gantt: Option<Gantt>,
    troubles: Vec<[String; 6]>,
    tasks: Vec<TaskRow>,
    tasks_left_out: usize,
    warnings: Vec<Warning>,
    grave: usize,
    datasets: Vec<Dataset>,
    downloads: Vec<Download>,
}

/// A report of a study as one HTML file. Differences in the table of scores are to `reference`, or to the first
/// model; a reader can choose another.
///
/// # Errors
/// If no scored model has that name.
pub fn html(dossier: &Dossier, reference: Option<&str>) -> Result<String, HtmlError> {
    let known = models(dossier);
    if let Some(model) = reference.filter(|model| !known.iter().any(|known| known == model)) {
        let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(HtmlError::NoModel { model: model.to_owned(), known });
    }
    let rows = summary(dossier);
    let (tasks, tasks_left_out) = gantt::task_rows(dossier);
    let warnings = trust::warnings(dossier);
    let page = Page {
        css: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/report/report.css")),
        script: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/report/report.js")),
        heading: dossier.study.title.as_deref().unwrap_or(&dossier.study.name),
        when: when(dossier.run.started),
        facts: facts(dossier),
        axes: dossier
            .study
            .axes
            .iter()
            .map(|a| (a.name.clone(), role(a.role), a.labels.join(", ")))
            .collect(),
        verdicts: verdicts(dossier, &rows),
        scores: table::scores(dossier, &rows, reference),
        quantities: gallery::quantities(dossier),
        conditions: gallery::conditions(dossier),
        wholes: gallery::wholes(dossier),
        scans: dossier.scans.positions.iter().filter_map(scan_plot).collect(),
        patterns: patterns(dossier),
        pattern_bar: dossier
            .scans
            .bar
            .as_ref()
            .map(|b| (image(b), trust::photons(dossier.scans.most_photons))),
        dose: charts::against_dose(dossier, &rows),
        rings: charts::ring_correlations(dossier),
        training: charts::training(dossier),
        convergence: charts::convergence(dossier),
        graph: dag::graph(dossier),
        gantt: gantt::gantt(dossier),
        troubles: gantt::troubles(dossier),
        tasks,
        tasks_left_out,
        grave: warnings.iter().filter(|w| w.grave).count(),
        warnings,
        datasets: trust::datasets(dossier),
        downloads: downloads(dossier),
        dossier,
    };
    Ok(page.render()?)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Model => "models",
        Role::Dose => "dose",
        Role::Trial => "trials",
        Role::Condition => "condition",
    }
}

/// `2026-11-27 18:32 UTC`.
fn when(seconds: f64) -> String {
    let stamp = Timestamp::from_second(seconds as i64).ok();
    stamp.map(|stamp| stamp.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}

fn facts(dossier: &Dossier) -> Vec<(String, String)> {
    let count = |state| dossier.tasks.iter().filter(|task| task.state == state).count();
    let states = TaskState::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, n)| *n > 0);
    let states: Vec<String> = states.map(|(state, n)| format!("{n} {}", state.name())).collect();
    let mut facts = vec![("tasks".to_owned(), states.join(", "))];
    if let Some(seconds) = dossier.run.seconds {
        facts.push(("wall time".to_owned(), duration(seconds)));
    }
    if dossier.run.saved_seconds > 0.0 {
        facts.push(("work that the cache saved".to_owned(), duration(dossier.run.saved_seconds)));
    }
    if dossier.run.rescued > 0 {
        facts.push(("rescued after memory ran out".to_owned(), format!("{} tasks", dossier.run.rescued)));
    }
    facts
}

fn patterns(dossier: &Dossier) -> Vec<Patterns> {
    let set = |set: &crate::dossier::PatternSet| {
        let picture = |pattern: &crate::dossier::Pattern| {
            let photons = trust::photons(pattern.photons);
            let alt = format!(
                "Diffraction pattern {} of {}, {photons} photons, logarithmic",
                pattern.index, set.title
            );
            (image(&pattern.picture), alt, format!("image {}, {photons} photons", pattern.index))
        };
        Patterns { title: set.title.clone(), pictures: set.patterns.iter().map(picture).collect() }
    };
    dossier.scans.patterns.iter().map(set).collect()
}

/// Tables without rows are not offered.
fn downloads(dossier: &Dossier) -> Vec<Download> {
    let download = |table: &crate::report::Table| Download {
        name: table.name,
        rows: table.rows.len(),
        csv: file("text/csv", &table.to_csv()),
        json: file("application/json", &table.to_json().to_string()),
    };
    tables(dossier).iter().filter(|table| !table.rows.is_empty()).map(download).collect()
}

/// Filters of the templates.
mod filters {
    use std::fmt::Display;

    /// A number with one digit after the point at most: enough for drawings.
    #[askama::filter_fn]
    pub(super) fn tenth(value: &f64, _: &dyn askama::Values) -> askama::Result<String> {
        let text = format!("{value:.1}");
        Ok(text.strip_suffix(".0").map(str::to_owned).unwrap_or(text))
    }

    /// A number with a minus sign instead of a hyphen.
    #[askama::filter_fn]
    pub(super) fn minus(value: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(value.to_string().replace('-', "−"))
    }
}
