//! `phasegraph check`.

use phasegraph::diag::exit;

use super::args::Check;
use super::common::{load, print, short};
use super::failure::Failure;

pub fn run(args: &Check) -> Result<u8, Failure> {
    let loaded = load(&args.study)?;
    let (tasks, file) = (loaded.plan.tasks.len(), short(&args.study.study));
    print(&format!("{file}: no problem found; study `{}` has {tasks} tasks\n", loaded.plan.study))?;
    Ok(exit::OK)
}
