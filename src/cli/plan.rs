//! `phasegraph plan`.

use phasegraph::diag::exit;
use phasegraph::plan::{Format, render};

use super::args::{Plan, PlanFormat};
use super::common::{load, outlook, print, select};
use super::failure::Failure;

pub fn run(args: &Plan) -> Result<u8, Failure> {
    let loaded = load(&args.study)?;
    let selected = select(&loaded.plan, &args.select)?;
    let outlook = outlook(&loaded, &selected, args.verify)?;
    let format = match args.format {
        _ if args.json => Format::Json,
        PlanFormat::Text => Format::Text,
        PlanFormat::Json => Format::Json,
        PlanFormat::Dot => Format::Dot,
        PlanFormat::Mermaid => Format::Mermaid,
    };
    print(&render(&loaded.plan, &outlook, format))?;
    Ok(exit::OK)
}
