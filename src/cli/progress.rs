//! Progress bars. The only file that knows indicatif.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use phasegraph::cache::Step;
use phasegraph::diag::duration;
use phasegraph::events::{Event, Listener, Record, RunView};
use phasegraph::report::{given, tally};
use phasegraph::runtime::FetchStep;

use super::runtime::describe_step;

/// A line for every running task, and one for the whole.
pub struct Progress {
    screen: MultiProgress,
    total: ProgressBar,
    tasks: BTreeMap<String, ProgressBar>,
}

impl Progress {
    pub fn new() -> Self {
        let screen = MultiProgress::new();
        let total =
            screen.add(ProgressBar::new(0).with_style(style("{bar:20} {pos}/{len} tasks  {elapsed}  {msg}")));
        total.enable_steady_tick(Duration::from_millis(500));
        Self { screen, total, tasks: BTreeMap::new() }
    }

    /// Removes the bars; what was printed above them stays.
    pub fn close(self) {
        self.tasks.values().for_each(ProgressBar::finish_and_clear);
        self.total.finish_and_clear();
    }

    /// Shows the fetching of ONNX Runtime, called from another thread.
    pub fn fetching(&self) -> Box<dyn Fn(&FetchStep) + Send + Sync> {
        let screen = self.screen.clone();
        let bar = ProgressBar::hidden().with_style(style("{bar:20} {bytes}/{total_bytes}  {msg}"));
        Box::new(move |step| {
            if let Some(text) = describe_step(step) {
                let _ = screen.println(text);
            }
            match step {
                FetchStep::Unpacking { done, total } => {
                    if bar.is_hidden() {
                        screen.add(bar.clone());
                        bar.set_message("unpacking ONNX Runtime");
                    }
                    bar.set_length(*total);
                    bar.set_position(*done);
                }
                FetchStep::Done(_) => bar.finish_and_clear(),
                _ => {}
            }
        })
    }

    fn above(&self, text: String) {
        // A terminal that has gone away must not end the run.
        let _ = self.screen.println(text);
    }

    fn start(&mut self, task: &str) {
        let bar = ProgressBar::new(0).with_style(style("{spinner} {prefix}  {elapsed}"));
        bar.set_prefix(task.to_owned());
        let bar = self.screen.insert_before(&self.total, bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        self.tasks.insert(task.to_owned(), bar);
    }

    fn end(&mut self, task: &str) {
        if let Some(bar) = self.tasks.remove(task) {
            bar.finish_and_clear();
        }
    }
}

/// A bar for looking at everything in a store, moved from several threads.
pub fn verifying() -> Box<dyn Fn(Step) + Sync> {
    let bar =
        ProgressBar::new(0).with_style(style("{bar:20} {bytes}/{total_bytes}  {elapsed}, {eta} left  {msg}"));
    Box::new(move |step| match step {
        Step::Begun { files, bytes } => {
            bar.set_length(bytes);
            bar.set_message(format!("{files} files"));
        }
        Step::Looked { bytes } => bar.inc(bytes),
        Step::Done => bar.finish_and_clear(),
    })
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; should one be wrong, the default still shows progress.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

impl Listener for Progress {
    fn hear(&mut self, record: &Record, view: &RunView) {
        match &record.event {
            Event::RunStarted { tasks, .. } => self.total.set_length(*tasks as u64),
            Event::TaskStarted { task, .. } => self.start(task),
            Event::Progress { task, done, total, unit, note } => {
                if let Some(bar) = self.tasks.get(task) {
                    if bar.length() != Some(*total) {
                        bar.set_style(style(
                            "{spinner} {prefix}  {bar:20} {pos}/{len} {msg}  {elapsed}, {eta} left",
                        ));
                        bar.set_length(*total);
                    }
                    bar.set_position(*done);
                    bar.set_message(match note {
                        Some(note) => format!("{unit}, {note}"),
                        None => unit.clone(),
                    });
                }
            }
            Event::Warned { task, message } => self.above(format!("warning: {task}: {message}")),
            Event::TaskSucceeded { task, seconds, .. } => {
                self.end(task);
                self.above(format!("done   {task}  {}", duration(*seconds)));
            }
            Event::TaskFailed { task, message, hint, log, .. } => {
                self.end(task);
                let hint = hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
                let log = log.as_ref().map(|l| format!("\n  log: {}", l.display())).unwrap_or_default();
                self.above(format!("failed {task}: {message}{hint}{log}"));
            }
            Event::TaskRetried { task, attempt, message, wait, had, next, .. } => {
                self.end(task);
                let when = match next {
                    Some(next) => given(had, next),
                    None => format!("in {}", duration(*wait)),
                };
                self.above(format!("retry  {task} {when}: attempt {attempt} failed: {message}"));
            }
            Event::TaskHeldUp { task, by } => self.above(format!("waits  {task}: {by}")),
            Event::TaskCancelled { task } => self.end(task),
            _ => {}
        }
        self.total.set_position(view.ended() as u64);
        let left = view.remaining.map(|s| format!(", about {} left", duration(s))).unwrap_or_default();
        self.total.set_message(format!("{}{left}", tally(view)));
    }
}
