//! `phasegraph status`.

use phasegraph::diag::exit;
use phasegraph::exec::RunLock;
use phasegraph::report;
use serde::Serialize;

use super::args::Status;
use super::common::{json, last_view, load, print};
use super::failure::Failure;
use super::surroundings::now;

pub fn run(args: &Status) -> Result<u8, Failure> {
    let loaded = load(&args.study)?;
    let view = last_view(&loaded.layout, &loaded.plan.study)?;
    let alive = view.outcome.is_none() && RunLock::is_held(&loaded.layout.lock());
    if args.json {
        #[derive(Serialize)]
        struct Document<'a, V: Serialize> {
            alive: bool,
            #[serde(flatten)]
            view: &'a V,
        }
        print(&json(&Document { alive, view: &view })?)?;
    } else {
        print(&report::status(&view, alive, now()))?;
    }
    Ok(exit::OK)
}
