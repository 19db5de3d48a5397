//! `phasegraph plan`.

use phasegraph::cache::Memory;
use phasegraph::diag::exit;
use phasegraph::exec;
use phasegraph::plan::{Format, Outlook, Prospects, render};
use phasegraph::runtime;

use super::args::{Plan, PlanFormat};
use super::common::{Loaded, load_with_memory, outlook, print, select};
use super::failure::Failure;
use super::surroundings;

pub fn run(args: &Plan) -> Result<u8, Failure> {
    let (loaded, mut memory) = load_with_memory(&args.study, args.verify)?;
    let selected = select(&loaded.plan, &args.select)?;
    let outlook = outlook(&loaded, &mut memory, &selected)?;
    let cores = args.jobs.unwrap_or_else(surroundings::cores);
    let library = || Some(runtime::locate(&surroundings::search(true)).ok()??.path);
    let needs = exec::foresee(&loaded.plan, &loaded.layout, &outlook, cores, library)?;
    let prospects = Prospects { needs, ..times(&loaded, &memory, &outlook, cores) };
    let format = match args.format {
        _ if args.json => Format::Json,
        PlanFormat::Text => Format::Text,
        PlanFormat::Json => Format::Json,
        PlanFormat::Dot => Format::Dot,
        PlanFormat::Mermaid => Format::Mermaid,
    };
    print(&render(&loaded.plan, &outlook, &prospects, format))?;
    // The process ends here; taking a plan of a hundred thousand tasks apart first would only take time.
    std::mem::forget((loaded, outlook, memory, prospects));
    Ok(exit::OK)
}

/// What tasks took before, and how long those that are not cached will take.
fn times(loaded: &Loaded, memory: &Memory, outlook: &[Outlook], cores: u32) -> Prospects {
    let tasks = &loaded.plan.tasks;
    let left = |index: usize| outlook[index].is_to_come();
    if !(0..tasks.len()).any(left) {
        return Prospects::default();
    }
    let past = |id: &str| memory.history.past(id);
    Prospects {
        past: tasks.iter().map(|task| past(&task.id)).collect(),
        estimate: loaded.plan.estimate(left, |task| past(&task.id).seconds, cores),
        ..Prospects::default()
    }
}
