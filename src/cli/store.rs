//! `phasegraph store …`.

use std::fmt::Write;

use phasegraph::cache::{Fault, Layout, NoManifest, Owner, Step, StoreLock, Verdict, verify as look};
use phasegraph::diag::{exit, memory};
use serde::Serialize;

use super::args::Verify;
use super::common::{folder, json, print, short};
use super::failure::Failure;
use super::progress::verifying;
use super::surroundings::draws;

pub fn verify(args: &Verify) -> Result<u8, Failure> {
    let root = folder(&args.folder)?;
    // Nothing is to be removed while it is looked at; runs may go on.
    let _shared = StoreLock::share_if_there(&Layout::store_in(&root))?;
    let tell: Box<dyn Fn(Step) + Sync> = if draws() { verifying() } else { Box::new(|_| {}) };
    let verdict = look(&root, &tell)?;
    if args.json {
        #[derive(Serialize)]
        struct Document<'a> {
            folder: &'a std::path::Path,
            sound: bool,
            #[serde(flatten)]
            verdict: &'a Verdict,
        }
        print(&json(&Document { folder: &root, sound: verdict.faults.is_empty(), verdict: &verdict })?)?;
    } else {
        print(&text(&verdict, &short(&root)))?;
    }
    if verdict.faults.is_empty() {
        return Ok(exit::OK);
    }
    let mut tasks: Vec<&Owner> = verdict.faults.iter().flat_map(Fault::tasks).collect();
    tasks.sort();
    tasks.dedup();
    let (faults, tasks) = (verdict.faults.len(), tasks.len());
    let what = format!("damaged or gone in the store: {faults}; tasks that have lost something: {tasks}");
    let what = [vec![what], verdict.stuck].concat();
    Err(Failure::Damage {
        what,
        hint: "`phasegraph run` makes again what a study needs; damaged files are in store/quarantine",
    })
}

fn text(verdict: &Verdict, root: &str) -> String {
    let mut out = String::new();
    for fault in &verdict.faults {
        // Writing to a String cannot fail.
        let _ = match fault {
            Fault::Object { digest, now, .. } => writeln!(out, "damaged  object {digest}\n         is {now}"),
            Fault::Manifest { fingerprint, why: NoManifest::Gone, .. } => {
                writeln!(out, "gone     record {fingerprint}")
            }
            Fault::Manifest { fingerprint, .. } => writeln!(out, "damaged  record {fingerprint}"),
            Fault::Lost { digest, output, .. } => writeln!(out, "gone     object {digest} (`{output}`)"),
        };
        for Owner { study, task } in fault.tasks() {
            let _ = writeln!(out, "         of {task} in study {study}");
        }
        if let Fault::Object { aside: Some(aside), .. } | Fault::Manifest { aside: Some(aside), .. } = fault {
            let _ = writeln!(out, "         moved to {}", short(aside));
        }
    }
    let (objects, manifests) = (verdict.objects, verdict.manifests);
    let _ =
        writeln!(out, "{root}: {objects} objects ({}), {manifests} records looked at", memory(verdict.bytes));
    if verdict.orphans > 0 {
        let _ = writeln!(
            out,
            "objects that belong to no record: {}; `phasegraph gc` removes them",
            verdict.orphans
        );
    }
    out
}
