//! `phasegraph log`.

use phasegraph::diag::exit;
use phasegraph::events::{Event, read};

use super::args::Log;
use super::common::{load, print, task};
use super::failure::Failure;

pub fn run(args: &Log) -> Result<u8, Failure> {
    let loaded = load(&args.study)?;
    let id = loaded.plan.tasks[task(&loaded.plan, &args.task)?].id.clone();
    let layout = &loaded.layout;
    let runs = layout.list_runs().map_err(|source| Failure::Read { path: layout.runs(), source })?;
    // A cached task's log lies in the run that made it, so look backwards.
    for run in runs.iter().rev() {
        let started = read(&layout.journal(run))?.into_iter().rev().find_map(|r| match r.event {
            Event::TaskStarted { task, log, attempt, .. }
                if *task == *id && args.attempt.is_none_or(|wanted| wanted == attempt) =>
            {
                Some(log)
            }
            _ => None,
        });
        if let Some(path) = started {
            let text = std::fs::read(&path).map_err(|source| Failure::Read { path: path.clone(), source })?;
            print(&format!("# {id}, run {run}, {}\n", path.display()))?;
            print(&String::from_utf8_lossy(&text))?;
            return Ok(exit::OK);
        }
    }
    let attempt = args.attempt.map(|n| format!(" an attempt {n} at")).unwrap_or_default();
    Err(Failure::NoSuchTask { message: format!("no run of this study has started{attempt} task `{id}`") })
}
