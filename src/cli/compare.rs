//! `phasegraph compare`.

use phasegraph::cache::StoreLock;
use phasegraph::diag::exit;
use phasegraph::dossier::{RunPlace, contrast};
use phasegraph::report;

use super::args::Compare;
use super::common::{folder, json, print};
use super::failure::Failure;

pub fn run(args: &Compare) -> Result<u8, Failure> {
    // Only names need a folder to look them up in; paths tell their own.
    let root = match (&args.folder.dir, folder(&args.folder)) {
        (_, Ok(root)) => Some(root),
        (None, Err(_)) => None,
        (Some(_), Err(failure)) => return Err(failure),
    };
    let [a, b] = [&args.a, &args.b].map(|run| RunPlace::find(run, root.as_deref()));
    let (a, b) = (a?, b?);
    // Nothing is to be removed between looking at it and reading it.
    let _shared =
        (StoreLock::share_if_there(&a.layout.store())?, StoreLock::share_if_there(&b.layout.store())?);
    let contrast = contrast(&a, &b)?;
    print(&if args.json { json(&contrast)? } else { report::contrast(&contrast) })?;
    Ok(exit::OK)
}
