//! `phasegraph gc`.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use phasegraph::cache::{Going, Layout, Policy, StoreLock, Sweep};
use phasegraph::diag::{exit, memory};
use phasegraph::os;
use serde::Serialize;

use super::args::Gc;
use super::common::{folder, json, print, short};
use super::failure::Failure;

pub fn run(args: &Gc) -> Result<u8, Failure> {
    let root = folder(&args.folder)?;
    let policy = Policy {
        keep_runs: args.keep_runs.map(|n| n as usize),
        older_than: args.older_than,
        max_size: args.max_size,
        quarantine: args.quarantine,
    };
    let plan = || Sweep::plan(&root, &policy, SystemTime::now());
    let sweep = if args.dry_run {
        let _shared = StoreLock::share_if_there(&Layout::store_in(&root))?;
        plan()?
    } else {
        // Alone before the first look, so that nothing has come to be needed between looking and removing.
        let alone = StoreLock::own(&root, &os::host())?;
        let sweep = plan()?;
        sweep.carry_out(&alone)?;
        sweep
    };
    if args.json {
        #[derive(Serialize)]
        struct Document<'a> {
            folder: &'a Path,
            dry_run: bool,
            bytes: u64,
            shown_bytes: u64,
            #[serde(flatten)]
            sweep: &'a Sweep,
        }
        let (bytes, shown_bytes) = (sweep.bytes(), sweep.shown_bytes());
        print(&json(&Document { folder: &root, dry_run: args.dry_run, bytes, shown_bytes, sweep: &sweep })?)?;
    } else {
        print(&text(&sweep, args.dry_run))?;
    }
    Ok(exit::OK)
}

fn text(sweep: &Sweep, dry_run: bool) -> String {
    let mut out = String::new();
    if dry_run {
        for Going { path, bytes, what, .. } in sweep.going() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{bytes:>12} B  {what}  {}", short(path));
        }
        if sweep.compacted_bytes > 0 {
            let _ = writeln!(out, "{:>12} B  lines that no longer count", sweep.compacted_bytes);
        }
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    let (manifests, objects) = (sweep.manifests.len(), sweep.objects.len());
    let _ = write!(out, "{verb} {}: {manifests} records, {objects} objects", size(sweep.bytes()));
    let aside = if sweep.quarantine_goes { sweep.quarantine.len() } else { 0 };
    for (count, what) in
        [(sweep.runs.len(), "old runs"), (sweep.leftovers.len(), "leftovers"), (aside, "damaged files")]
    {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    out.push('\n');
    if sweep.shown_bytes() > 0 {
        let shown = size(sweep.shown_bytes());
        let _ = writeln!(out, "{shown} of it are freed only when the results that show them go, too");
    }
    let kept = (sweep.kept_manifests, sweep.kept_objects, size(sweep.kept_bytes));
    let _ = writeln!(out, "kept {}: {} records, {} objects", kept.2, kept.0, kept.1);
    if sweep.too_much > 0 {
        let _ =
            writeln!(out, "that is {} more than asked for, but nothing else may go", size(sweep.too_much));
    }
    if !sweep.quarantine.is_empty() && !sweep.quarantine_goes {
        let bytes = sweep.quarantine.iter().map(|going| going.bytes).sum();
        let count = sweep.quarantine.len();
        let _ =
            writeln!(out, "{count} damaged files in quarantine, {}; --quarantine removes them", size(bytes));
    }
    for study in &sweep.guarded {
        let _ = writeln!(
            out,
            "the history of study {study} had damaged lines: all its records are kept this time; run it before \
             the next gc"
        );
    }
    for (study, by) in &sweep.running {
        let _ = writeln!(out, "{by} runs study {study}: until that ends, nothing can be removed");
    }
    out
}

/// Exact, and in words where that is easier to read.
fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} B") } else { format!("{bytes} B ({})", memory(bytes)) }
}
