//! Tasks for which memory ran out, and what was tried.

use std::fmt::Write;

use crate::diag::{FailureClass, memory};
use crate::events::{AttemptView, Had, Next, RunView};

/// What the next attempt is given in place of what the last one had: `with 64 groups at a time`.
pub fn given(had: &Had, next: &Next) -> String {
    let unit = had.unit.as_deref().unwrap_or("units");
    let fewer = next.chunk.filter(|chunk| Some(*chunk) != had.chunk);
    let more = next.memory.filter(|bytes| Some(*bytes) != had.memory);
    let fewer = fewer.map(|chunk| format!("{chunk} {unit} at a time"));
    let more = more.map(|bytes| format!("{} of memory", memory(bytes)));
    let words: Vec<String> = fewer.into_iter().chain(more).collect();
    let device = next.device.as_deref().filter(|device| Some(*device) != had.device.as_deref());
    match (words.is_empty(), device) {
        (_, None) => format!("with {}", words.join(", ")),
        (true, Some(device)) => format!("on {device}"),
        (false, Some(device)) => format!("on {device} with {}", words.join(", ")),
    }
}

/// A table of the attempts at all tasks for which memory ran out and that were tried again; `None` if there
/// are none.
pub fn rescues(view: &RunView) -> Option<String> {
    let ran_out = |attempts: &[AttemptView]| {
        attempts.iter().any(|attempt| attempt.failure == Some(FailureClass::OutOfMemory))
    };
    let tasks = view.tasks.iter().filter(|(_, task)| ran_out(&task.attempts));
    let rows: Vec<[String; 6]> = tasks.flat_map(|(id, task)| of_task(id, &task.attempts)).collect();
    if rows.is_empty() {
        return None;
    }
    let header = ["task", "attempt", "at a time", "limit", "peak", "outcome"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&header]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::from("memory ran out; what was tried:\n");
    for row in [&header].into_iter().chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Some(out)
}

fn of_task(task: &str, attempts: &[AttemptView]) -> Vec<[String; 6]> {
    // Where a task computed is worth a word only if it moved.
    let known: Vec<&String> = attempts.iter().filter_map(|attempt| attempt.had.device.as_ref()).collect();
    let moved = known.windows(2).any(|pair| pair[0] != pair[1]);
    attempts.iter().map(|attempt| row(task, attempt, moved)).collect()
}

fn row(task: &str, attempt: &AttemptView, moved: bool) -> [String; 6] {
    let Had { chunk, unit, memory: limit, peak, device } = &attempt.had;
    let size = |bytes: &Option<u64>| bytes.map_or_else(|| "-".to_owned(), memory);
    let unit = unit.as_deref().unwrap_or("units");
    [
        task.to_owned(),
        attempt.attempt.to_string(),
        chunk.map_or_else(|| "-".to_owned(), |chunk| format!("{chunk} {unit}"))
            + &device.as_ref().filter(|_| moved).map_or_else(String::new, |device| format!(" on {device}")),
        size(limit),
        size(peak),
        attempt.failure.map_or("succeeded", FailureClass::name).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, Record, Room};
    use crate::io::digest::Digest;

    fn view(events: Vec<Event>) -> RunView {
        let record = |event| Record { time: 0.0, event };
        RunView::of(&events.into_iter().map(record).collect::<Vec<_>>())
    }

    fn started(attempt: u32, memory: u64) -> Event {
        let (task, log) = ("infer@dose=1e3".to_owned(), "log".into());
        let (why, device) = (Vec::new(), "cpu".to_owned());
        let (memory, room) = (Some(memory), Room::default());
        Event::TaskStarted { task, attempt, why, device, log, worker: 1, memory, room }
    }

    fn chunk(size: u64) -> Event {
        let (task, unit) = ("infer@dose=1e3".to_owned(), "groups".to_owned());
        Event::TaskChunk { task, size, unit, predicted_peak: None }
    }

    fn retried(attempt: u32, class: FailureClass, had: Had, next: Option<Next>) -> Event {
        let (task, message, log) = ("infer@dose=1e3".to_owned(), "no".to_owned(), "log".into());
        Event::TaskRetried {
            task,
            attempt,
            class,
            message,
            seconds: 1.0,
            wait: 0.0,
            log,
            had,
            next,
            room: Room::default(),
        }
    }

    #[test]
    fn every_attempt_is_a_row() {
        let unit = Some("groups".to_owned());
        let had = Had { chunk: Some(512), unit, memory: Some(1 << 30), peak: Some(1000 << 20), device: None };
        let next = Next { chunk: Some(256), memory: Some(1 << 30), device: None };
        let (task, outputs) = ("infer@dose=1e3".to_owned(), Default::default());
        let fingerprint = Digest::of(b"");
        let view = view(vec![
            started(1, 1 << 30),
            chunk(512),
            retried(1, FailureClass::OutOfMemory, had.clone(), Some(next.clone())),
            started(2, 1 << 30),
            chunk(256),
            Event::TaskSucceeded { task, fingerprint, seconds: 2.0, peak_memory: Some(600 << 20), outputs },
        ]);
        assert_eq!(view.rescued, 1);
        assert_eq!(
            rescues(&view).unwrap(),
            "memory ran out; what was tried:\n\
             \x20 task            attempt  at a time   limit    peak      outcome\n\
             \x20 infer@dose=1e3  1        512 groups  1.0 GiB  1000 MiB  out_of_memory\n\
             \x20 infer@dose=1e3  2        256 groups  1.0 GiB  600 MiB   succeeded\n"
        );
        assert_eq!(given(&had, &next), "with 256 groups at a time");
        let more = Next { chunk: Some(512), memory: Some(2 << 30), device: None };
        assert_eq!(given(&had, &more), "with 2.0 GiB of memory");
        let moved = Next { chunk: None, memory: None, device: Some("cpu".to_owned()) };
        assert_eq!(given(&had, &moved), "on cpu");
    }

    #[test]
    fn other_failures_are_none_of_it() {
        let view =
            view(vec![started(1, 1), retried(1, FailureClass::Io, Had::default(), None), started(2, 1)]);
        assert_eq!((rescues(&view), view.rescued), (None, 0));
        assert_eq!(view.tasks["infer@dose=1e3"].attempts.len(), 1);
    }

    #[test]
    fn a_retry_in_an_old_journal_has_no_more_than_it_told() {
        let old = r#"{"time":1.0,"event":"task_retried","task":"a","attempt":1,"class":"out_of_memory",
                      "message":"m","seconds":1.0,"wait":0.0,"log":"l"}"#;
        let record: Record = serde_json::from_str(old).unwrap();
        let Event::TaskRetried { had, next, .. } = &record.event else { panic!("{record:?}") };
        assert_eq!((had, next), (&Had::default(), &None));
        let table = rescues(&RunView::of(&[record])).unwrap();
        assert!(table.contains("a     1        -          -      -     out_of_memory"), "{table}");
    }
}
