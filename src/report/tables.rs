//! Every table of a report, as data for other programs: CSV and JSON.

use serde_json::{Map, Value, json};

use super::summary::summary;
use crate::dossier::{Curve, Dossier, METRICS, TaskState};

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name, fit for a file.
    pub name: &'static str,
    /// Headings.
    pub columns: Vec<String>,
    /// Rows, each as long as the headings. Texts, numbers, booleans, or null for no value.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    fn new(name: &'static str, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name, columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// RFC 4180, with line feeds; an empty cell where there is no value.
    pub fn to_csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let head = line(self.columns.iter().map(|name| quoted(name)).collect());
        let cell = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other => other.to_string(),
        };
        self.rows.iter().fold(head, |text, row| text + &line(row.iter().map(cell).collect()))
    }

    /// A list of objects, a row each.
    pub fn to_json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            Value::Object(self.columns.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// All tables; those without rows, too, so that programs find what they look for.
pub fn tables(dossier: &Dossier) -> Vec<Table> {
    vec![
        summary_table(dossier),
        scores(dossier),
        frc(dossier),
        datasets(dossier),
        curves("training", &dossier.training),
        curves("convergence", &dossier.convergence),
        tasks(dossier),
        timeline(dossier),
        sources(dossier),
        warnings(dossier),
    ]
}

/// Axes of the conditions, in the study's order.
fn axes(dossier: &Dossier) -> Vec<String> {
    let named = |name: &String| dossier.scores.iter().any(|row| row.condition.iter().any(|(a, _)| a == name));
    dossier.study.axes.iter().map(|axis| axis.name.clone()).filter(named).collect()
}

fn labels(axes: &[String], condition: &[(String, String)]) -> Vec<Value> {
    let label = |axis| condition.iter().find(|(a, _)| a == axis).map(|(_, label)| label.as_str());
    axes.iter().map(|axis| json!(label(axis))).collect()
}

fn summary_table(dossier: &Dossier) -> Table {
    let axes = axes(dossier);
    let metrics = METRICS.iter().flat_map(|m| [m.id.to_owned(), format!("{}_spread", m.id)]);
    let tail = ["model", "trials", "photons_per_image"].map(str::to_owned);
    let mut table = Table::new("summary", axes.iter().cloned().chain(tail).chain(metrics));
    for row in summary(dossier) {
        let mut cells = labels(&axes, &row.condition);
        cells.extend([json!(row.model), json!(row.trials), json!(row.photons)]);
        cells.extend(row.stats.iter().flat_map(|stat| [json!(stat.mean), json!(stat.spread)]));
        table.rows.push(cells);
    }
    table
}

fn scores(dossier: &Dossier) -> Table {
    let axes = axes(dossier);
    let tail = ["model", "trial", "photons_per_image"].map(str::to_owned);
    let metrics = METRICS.iter().map(|m| m.id.to_owned());
    let rest = ["blank_phase_mae", "offset_dy_px", "offset_dx_px", "uncovered_fraction", "task"];
    let rest = rest.map(str::to_owned);
    let mut table = Table::new("scores", axes.iter().cloned().chain(tail).chain(metrics).chain(rest));
    for row in &dossier.scores {
        let mut cells = labels(&axes, &row.condition);
        cells.extend([json!(row.model), json!(row.trial), json!(row.photons)]);
        cells.extend(row.values.iter().map(|v| json!(v)));
        let [dy, dx] = row.offset_yx;
        cells.extend([
            json!(row.blank_phase_mae),
            json!(dy),
            json!(dx),
            json!(row.uncovered),
            json!(row.task),
        ]);
        table.rows.push(cells);
    }
    table
}

fn frc(dossier: &Dossier) -> Table {
    let mut table = Table::new("frc", ["task", "side", "ring", "phase", "amplitude"]);
    for row in &dossier.scores {
        for ring in 0..row.frc_phase.len().max(row.frc_amplitude.len()) {
            let at = |curve: &[Option<f64>]| json!(curve.get(ring).copied().flatten());
            let (phase, amplitude) = (at(&row.frc_phase), at(&row.frc_amplitude));
            table.rows.push(vec![json!(row.task), json!(row.frc_side), json!(ring), phase, amplitude]);
        }
    }
    table
}

fn datasets(dossier: &Dossier) -> Table {
    let columns = [
        "task",
        "scored",
        "images",
        "photons_nominal",
        "photons_mean",
        "photons_std",
        "share_nominal",
        "share_kept",
        "overlap_images",
        "overlap_groups",
        "probe_diameter_px",
    ];
    let mut table = Table::new("datasets", columns);
    table.rows.extend(dossier.datasets.iter().map(|d| {
        vec![
            json!(d.task),
            json!(d.scored),
            json!(d.images),
            json!(d.photons_nominal),
            json!(d.photons_mean),
            json!(d.photons_std),
            json!(d.share_nominal),
            json!(d.share_kept),
            json!(d.overlap_images),
            json!(d.overlap_groups),
            json!(d.probe_diameter_px),
        ]
    }));
    table
}

fn curves(name: &'static str, curves: &[Curve]) -> Table {
    let mut table = Table::new(name, ["task", "epoch", "quantity", "value"]);
    for curve in curves {
        for (quantity, values) in &curve.columns {
            for (epoch, value) in curve.epochs.iter().zip(values) {
                table.rows.push(vec![json!(curve.task), json!(epoch), json!(quantity), json!(value)]);
            }
        }
    }
    table
}

fn tasks(dossier: &Dossier) -> Table {
    let columns =
        ["task", "stage", "state", "seconds", "peak_memory_bytes", "device", "attempt", "made_in", "message"];
    let mut table = Table::new("tasks", columns);
    table.rows.extend(dossier.tasks.iter().map(|task| {
        vec![
            json!(task.id),
            json!(task.stage),
            json!(TaskState::name(task.state)),
            json!(task.seconds),
            json!(task.peak_memory),
            json!(task.device),
            json!(task.attempt),
            json!(task.made_in),
            json!(task.message),
        ]
    }));
    table
}

fn timeline(dossier: &Dossier) -> Table {
    let columns = [
        "task",
        "attempt",
        "start_s",
        "seconds",
        "device",
        "peak_memory_bytes",
        "limit_bytes",
        "chunk",
        "outcome",
        "rescue",
    ];
    let mut table = Table::new("timeline", columns);
    table.rows.extend(dossier.timeline.bars.iter().map(|bar| {
        vec![
            json!(bar.task),
            json!(bar.attempt),
            json!(bar.start),
            json!(bar.seconds),
            json!(bar.device),
            json!(bar.peak_memory),
            json!(bar.limit),
            json!(bar.chunk),
            json!(bar.outcome),
            json!(bar.rescue),
        ]
    }));
    table
}

fn sources(dossier: &Dossier) -> Table {
    let mut table = Table::new("sources", ["path", "digest", "state"]);
    let rows = dossier.trust.sources.iter().map(|s| vec![json!(s.path), json!(s.digest), json!(s.state)]);
    table.rows.extend(rows);
    table
}

fn warnings(dossier: &Dossier) -> Table {
    let mut table = Table::new("warnings", ["task", "warning"]);
    table.rows.extend(dossier.trust.warnings.iter().map(|w| vec![json!(w.task), json!(w.message)]));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let mut table = Table::new("t", ["a", "b,c"]);
        table.rows.push(vec![json!("say \"x\""), Value::Null]);
        table.rows.push(vec![json!(1e-7), json!(true)]);
        assert_eq!(table.to_csv(), "a,\"b,c\"\n\"say \"\"x\"\"\",\n1e-7,true\n");
        assert_eq!(table.to_json(), json!([{"a": "say \"x\"", "b,c": null}, {"a": 1e-7, "b,c": true}]));
    }
}
