//! `phasegraph plan`.

use phasegraph::diag::exit;
use phasegraph::plan::{Format, render};

use super::args::{Plan, PlanFormat};
use super::common::{load_with_memory, outlook, print, select};
use super::failure::Failure;

pub fn run(args: &Plan) -> Result<u8, Failure> {
    let (loaded, memory) = load_with_memory(&args.study, args.verify)?;
    let selected = select(&loaded.plan, &args.select)?;
    let outlook = outlook(&loaded, memory, &selected)?;
    let format = match args.format {
        _ if args.json => Format::Json,
        PlanFormat::Text => Format::Text,
        PlanFormat::Json => Format::Json,
        PlanFormat::Dot => Format::Dot,
        PlanFormat::Mermaid => Format::Mermaid,
    };
    print(&render(&loaded.plan, &outlook, format))?;
    // The process ends here; taking a plan of a hundred thousand tasks apart first would only take time.
    std::mem::forget((loaded, outlook));
    Ok(exit::OK)
}
