//! One line per event, for pipes, logs and CI.

use std::io::Write;
use std::time::{Duration, Instant};

use super::rescues::given;
use crate::diag::{duration, memory};
use crate::events::{Event, Listener, Record, RunView};

/// Progress of one task is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Writes a line per event.
pub struct Plain<W: Write> {
    out: W,
    quiet: bool,
    last_progress: Option<Instant>,
}

impl<W: Write> Plain<W> {
    /// Lines go to `out`; when quiet, only warnings and failures do.
    pub fn new(out: W, quiet: bool) -> Self {
        Self { out, quiet, last_progress: None }
    }

    fn line(&mut self, text: &str) {
        // A reader that has gone away must not end the run.
        let _ = writeln!(self.out, "{text}");
    }
}

fn counter(view: &RunView) -> String {
    let total = view.tasks_total;
    format!("[{:>width$}/{total}]", view.ended(), width = total.to_string().len())
}

impl<W: Write> Listener for Plain<W> {
    fn hear(&mut self, record: &Record, view: &RunView) {
        if let Some(text) = always(&record.event) {
            let text = format!("{} {text}", counter(view));
            return self.line(&text);
        }
        if self.quiet {
            return;
        }
        if let Event::Progress { .. } | Event::Forecast { .. } = record.event {
            if self.last_progress.is_some_and(|t| t.elapsed() < PROGRESS_EVERY) {
                return;
            }
            self.last_progress = Some(Instant::now());
        }
        if let Some(text) = usually(&record.event) {
            let text = format!("{} {text}", counter(view));
            self.line(&text);
        }
    }
}

fn always(event: &Event) -> Option<String> {
    match event {
        Event::Warned { task, message } => Some(format!("warning  {task}: {message}")),
        Event::TaskFailed { task, message, hint, log, .. } => {
            let hint = hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
            let log = log.as_ref().map(|l| format!("\n  log: {}", l.display())).unwrap_or_default();
            Some(format!("failed   {task}: {message}{hint}{log}"))
        }
        Event::TaskRetried { task, attempt, message, wait, log, next, had, .. } => {
            let log = log.display();
            let when = match next {
                Some(next) => given(had, next),
                None => format!("in {}", duration(*wait)),
            };
            Some(format!("retry    {task} {when}: attempt {attempt} failed: {message}\n  log: {log}"))
        }
        Event::TaskHeldUp { task, by } => Some(format!("waits    {task}: {by}")),
        Event::RunAborted { message, .. } => Some(format!("the run cannot go on: {message}")),
        Event::TaskBlocked { task, by } => Some(format!("blocked  {task} (needs {by})")),
        _ => None,
    }
}

fn usually(event: &Event) -> Option<String> {
    match event {
        Event::TaskChunk { task, size, unit, predicted_peak } => {
            let peak = predicted_peak.map(|b| format!(", about {}", memory(b))).unwrap_or_default();
            Some(format!("chunk    {task}  {size} {unit} at a time{peak}"))
        }
        Event::TaskStarted { task, device, .. } => Some(format!("start    {task} on {device}")),
        Event::Progress { task, done, total, unit, note } => {
            let note = note.as_ref().map(|n| format!("  {n}")).unwrap_or_default();
            Some(format!("progress {task}  {done}/{total} {unit}{note}"))
        }
        Event::Forecast { seconds } => Some(format!("about {} left", duration(*seconds))),
        Event::TaskSucceeded { task, seconds, peak_memory, .. } => {
            let peak = peak_memory.map(|b| format!(", {}", memory(b))).unwrap_or_default();
            Some(format!("done     {task}  {}{peak}", duration(*seconds)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_still_tells_failures() {
        let failed = Event::TaskFailed {
            task: "train@model=A".into(),
            class: crate::diag::FailureClass::Check,
            message: "loss is NaN".into(),
            hint: Some("lower the learning rate".into()),
            seconds: 1.0,
            log: Some("logs/train.log".into()),
            had: crate::events::Had::default(),
            room: crate::events::Room::default(),
        };
        let started = Event::TaskStarted {
            task: "train@model=A".into(),
            attempt: 1,
            why: vec![],
            device: "cpu".into(),
            log: "logs/train.log".into(),
            worker: 1,
            memory: None,
            room: crate::events::Room::default(),
        };
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, true);
        let mut view = RunView::default();
        for event in [started, failed] {
            let record = Record { time: 0.0, event };
            view.apply(&record);
            plain.hear(&record, &view);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "[1/0] failed   train@model=A: loss is NaN\n  hint: lower the learning rate\n  log: logs/train.log\n"
        );
    }
}
