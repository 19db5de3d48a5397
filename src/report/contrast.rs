//! What differs between two runs, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::diag::duration;
use crate::dossier::{Contrast, FieldDifference, METRICS, Side, TaskDifference};

/// Tasks that a group names before it only counts them.
const NAMED: usize = 3;
/// Digests are cut to so many characters.
const DIGEST: usize = 12;

/// Everything that differs, grouped: parameters, inputs, metrics.
pub fn contrast(contrast: &Contrast) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for (name, side) in [("A", &contrast.a), ("B", &contrast.b)] {
        let _ = writeln!(out, "{name}  {}", about(side));
    }
    let _ = writeln!(out, "\n{} tasks are the same in both", contrast.same);
    for (side, only) in [("A", &contrast.only_a), ("B", &contrast.only_b)] {
        if !only.is_empty() {
            let _ = writeln!(out, "only in {side}: {}", names(only));
        }
    }
    section(&mut out, "parameters, seeds, versions", &contrast.tasks, |task| &task.fields);
    section(&mut out, "contents of inputs", &contrast.tasks, |task| &task.inputs);
    for task in &contrast.tasks {
        if let Some(why) = &task.unknown {
            let _ = writeln!(out, "{}: differs, but {why}", task.task);
        }
    }
    metrics(&mut out, contrast);
    out
}

fn about(side: &Side) -> String {
    let [ran, cached] = side.ran_and_cached;
    let took = side.seconds.map(duration).unwrap_or_else(|| "did not end in order".to_owned());
    format!("{}/{}  phasegraph {}: {ran} run, {cached} cached, {took}", side.study, side.run, side.version)
}

fn names(tasks: &[String]) -> String {
    let more = tasks.len().saturating_sub(NAMED);
    let named = tasks[..tasks.len() - more].join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// Differences that many tasks share are told once.
fn section(
    out: &mut String,
    title: &str,
    tasks: &[TaskDifference],
    of: impl Fn(&TaskDifference) -> &Vec<FieldDifference>,
) {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for task in tasks {
        let stage = task.task.split('@').next().unwrap_or(&task.task);
        for field in of(task) {
            let key = format!("{stage}: {} {} → {}", field.field, value(&field.a), value(&field.b));
            groups.entry(key).or_default().push(task.task.clone());
        }
    }
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for (what, tasks) in groups {
        let _ = writeln!(out, "  {what}  ({})", names(&tasks));
    }
}

fn value(value: &Option<Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) if text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) => {
            text.chars().take(DIGEST).collect()
        }
        Some(other) => other.to_string(),
    }
}

fn metrics(out: &mut String, contrast: &Contrast) {
    if contrast.metrics.is_empty() {
        if contrast.equal_metrics > 0 {
            let _ = writeln!(out, "\nall {} metrics are equal", contrast.equal_metrics);
        }
        return;
    }
    let _ =
        writeln!(out, "\nmetrics ({} differ, {} are equal)", contrast.metrics.len(), contrast.equal_metrics);
    let width = contrast.metrics.iter().map(|m| m.task.chars().count()).max().unwrap_or(0);
    for metric in &contrast.metrics {
        let about = METRICS.iter().find(|m| m.id == metric.metric);
        let digits = about.map_or(4, |m| m.digits + 1);
        let number = |v: Option<f64>| v.map_or("none".to_owned(), |v| format!("{v:.digits$}"));
        let change = metric.a.zip(metric.b).map(|(a, b)| format!("{:+.digits$}", b - a)).unwrap_or_default();
        let verdict = match metric.better {
            Some(true) => "better",
            Some(false) => "worse",
            None => "",
        };
        let (task, name) = (&metric.task, about.map_or(metric.metric.as_str(), |m| m.name));
        let (a, b) = (number(metric.a), number(metric.b));
        let line = format!("  {task:<width$}  {name:<17}  {a:>9} → {b:>9}  {change:>9}  {verdict}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
