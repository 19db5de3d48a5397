//! `phasegraph status`.

use phasegraph::cache::{History, StoreError};
use phasegraph::diag::exit;
use phasegraph::events::{RunView, TaskPhase};
use phasegraph::os::FileLock;
use phasegraph::plan::Task;
use phasegraph::report;
use serde::Serialize;

use super::args::Status;
use super::common::{Loaded, json, last_view, load, print, short};
use super::failure::Failure;
use super::surroundings::{cores, now};

pub fn run(args: &Status) -> Result<u8, Failure> {
    let loaded = load(&args.study)?;
    let view = last_view(&loaded.layout, &loaded.plan.study)?;
    let alive = view.outcome.is_none() && FileLock::owner(&loaded.layout.lock()).is_some();
    if args.json {
        #[derive(Serialize)]
        struct Document<'a, V: Serialize> {
            alive: bool,
            #[serde(flatten)]
            view: &'a V,
        }
        print(&json(&Document { alive, view: &view })?)?;
    } else {
        let left = if alive { left(&loaded, &view)? } else { None };
        let logs = short(&loaded.layout.logs(&view.run));
        print(&format!("{}  logs: {logs}\n", report::status(&view, alive, now(), left)))?;
    }
    Ok(exit::OK)
}

/// How long a run that goes on will still take, seconds, as far as earlier runs tell.
fn left(loaded: &Loaded, view: &RunView) -> Result<Option<f64>, Failure> {
    let file = loaded.layout.history();
    let history = History::load(&file).map_err(StoreError::io("read", &file))?;
    let plan = &loaded.plan;
    // What a run of a selection leaves out is not told apart from what it has not come to.
    if view.tasks_total != plan.tasks.len() {
        return Ok(None);
    }
    let left = |index: usize| {
        let phase = view.tasks.get(&*plan.tasks[index].id).map(|task| task.phase);
        matches!(phase, None | Some(TaskPhase::Running | TaskPhase::Delayed))
    };
    let past = |task: &Task| history.past(&task.id).seconds;
    Ok(plan.estimate(left, past, cores()).map(|estimate| estimate.seconds))
}
