//! What ran when, from a journal.

use std::collections::BTreeMap;

use super::model::{Bar, Timeline};
use crate::events::{Event, Record};

/// The time line of a run.
pub(super) fn of(run: &str, records: &[Record]) -> Timeline {
    let begin = records.first().map_or(0.0, |r| r.time);
    let end = records.last().map_or(begin, |r| r.time);
    let mut bars: Vec<Bar> = Vec::new();
    // Task → its bar that has not ended.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    // Tasks whose next attempt is a rescue.
    let mut rescues: BTreeMap<&str, bool> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::TaskStarted { task, attempt, device, memory, .. } => {
                open.insert(task, bars.len());
                bars.push(Bar {
                    task: task.clone(),
                    attempt: *attempt,
                    start: record.time - begin,
                    seconds: end - record.time,
                    device: device.clone(),
                    peak_memory: None,
                    limit: *memory,
                    chunk: None,
                    outcome: "unfinished".to_owned(),
                    rescue: rescues.remove(task.as_str()).unwrap_or(false),
                });
            }
            Event::TaskChunk { task, size, unit, .. } => {
                if let Some(bar) = open.get(task.as_str()) {
                    bars[*bar].chunk = Some(format!("{size} {unit}"));
                }
            }
            Event::TaskSucceeded { task, seconds, peak_memory, .. } => {
                if let Some(bar) = open.remove(task.as_str()) {
                    close(&mut bars[bar], *seconds, *peak_memory, "succeeded");
                }
            }
            Event::TaskRetried { task, seconds, class, had, next, .. } => {
                rescues.insert(task, next.is_some());
                if let Some(bar) = open.remove(task.as_str()) {
                    close(&mut bars[bar], *seconds, had.peak, class.name());
                }
            }
            Event::TaskFailed { task, seconds, class, had, .. } => {
                if let Some(bar) = open.remove(task.as_str()) {
                    close(&mut bars[bar], *seconds, had.peak, class.name());
                }
            }
            Event::TaskCancelled { task } => {
                if let Some(bar) = open.remove(task.as_str()) {
                    let seconds = record.time - begin - bars[bar].start;
                    close(&mut bars[bar], seconds, None, "cancelled");
                }
            }
            _ => {}
        }
    }
    Timeline { run: Some(run.to_owned()), bars }
}

fn close(bar: &mut Bar, seconds: f64, peak: Option<u64>, outcome: &str) {
    (bar.seconds, bar.peak_memory, bar.outcome) = (seconds, peak, outcome.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(lines: &[&str]) -> Vec<Record> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_rescue_is_a_second_bar() {
        let records = records(&[
            r#"{"time":10,"event":"run_started","run":"r","study":"s","tasks":2,"pid":1,"host":"h","version":"0"}"#,
            r#"{"time":11,"event":"task_started","task":"a","attempt":1,"why":[],"device":"cuda:0","log":"l","memory":1024}"#,
            r#"{"time":12,"event":"task_chunk","task":"a","size":64,"unit":"groups"}"#,
            r#"{"time":14,"event":"task_retried","task":"a","attempt":1,"class":"out_of_memory","message":"m","seconds":2.5,"wait":0,"log":"l","peak":1000,"next":{"chunk":32}}"#,
            r#"{"time":15,"event":"task_started","task":"a","attempt":2,"why":[],"device":"cuda:0","log":"l"}"#,
            r#"{"time":16,"event":"task_started","task":"b","attempt":1,"why":[],"device":"cpu","log":"l"}"#,
            r#"{"time":17,"event":"task_cancelled","task":"b"}"#,
            r#"{"time":19,"event":"task_cancelled","task":"c"}"#,
        ]);
        let timeline = of("r", &records);
        let told: Vec<_> = timeline
            .bars
            .iter()
            .map(|b| (b.task.as_str(), b.start, b.seconds, b.outcome.as_str(), b.rescue, b.peak_memory))
            .collect();
        assert_eq!(
            told,
            [
                ("a", 1.0, 2.5, "out_of_memory", false, Some(1000)),
                ("a", 5.0, 4.0, "unfinished", true, None),
                ("b", 6.0, 1.0, "cancelled", false, None),
            ]
        );
        assert_eq!(timeline.bars[0].chunk.as_deref(), Some("64 groups"));
        assert_eq!(timeline.bars[0].limit, Some(1024));
    }
}
