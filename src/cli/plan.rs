//! `phasegraph plan`.

use phasegraph::cache::Memory;
use phasegraph::diag::exit;
use phasegraph::plan::{Format, Outlook, Times, render};

use super::args::{Plan, PlanFormat};
use super::common::{Loaded, load_with_memory, outlook, print, select};
use super::failure::Failure;
use super::surroundings;

pub fn run(args: &Plan) -> Result<u8, Failure> {
    let (loaded, mut memory) = load_with_memory(&args.study, args.verify)?;
    let selected = select(&loaded.plan, &args.select)?;
    let outlook = outlook(&loaded, &mut memory, &selected)?;
    let times = times(&loaded, &memory, &outlook, args.jobs.unwrap_or_else(surroundings::cores));
    let format = match args.format {
        _ if args.json => Format::Json,
        PlanFormat::Text => Format::Text,
        PlanFormat::Json => Format::Json,
        PlanFormat::Dot => Format::Dot,
        PlanFormat::Mermaid => Format::Mermaid,
    };
    print(&render(&loaded.plan, &outlook, &times, format))?;
    // The process ends here; taking a plan of a hundred thousand tasks apart first would only take time.
    std::mem::forget((loaded, outlook, memory, times));
    Ok(exit::OK)
}

/// What tasks took before, and how long those that are not cached will take.
fn times(loaded: &Loaded, memory: &Memory, outlook: &[Outlook], cores: u32) -> Times {
    let tasks = &loaded.plan.tasks;
    let left = |index: usize| matches!(outlook[index], Outlook::Run { .. } | Outlook::AwaitsUpstream { .. });
    if !(0..tasks.len()).any(left) {
        return Times::default();
    }
    let past = |id: &str| memory.history.past(id);
    Times {
        past: tasks.iter().map(|task| past(&task.id)).collect(),
        estimate: loaded.plan.estimate(left, |task| past(&task.id).seconds, cores),
    }
}
