//! `phasegraph runtime`.

use std::fmt::Write;

use phasegraph::diag::{StageError, exit};
use phasegraph::runtime::{self, FetchStep, Found, Origin};
use serde_json::json;

use super::args::Runtime;
use super::common::{json as to_json, print};
use super::failure::Failure;
use super::surroundings::search;

pub fn run(args: &Runtime) -> Result<u8, Failure> {
    let failed = |e: runtime::RuntimeError| Failure::Runtime(e.into());
    let search = search(false);
    let found = if args.fetch {
        Some(runtime::obtain(&search, &mut |step| eprintln_step(&step)).map_err(failed)?)
    } else {
        runtime::locate(&search).map_err(failed)?
    };
    let Some(found) = found else {
        let error = StageError::new(phasegraph::diag::FailureClass::Runtime, "no ONNX Runtime was found")
            .hint(format!(
                "`phasegraph runtime --fetch` fetches onnxruntime {}; so does the first run that needs it",
                runtime::PINNED_VERSION
            ));
        return Err(Failure::Runtime(error));
    };
    tell(&found, args.json)
}

fn tell(found: &Found, as_json: bool) -> Result<u8, Failure> {
    let about = runtime::describe(found).map_err(Failure::Runtime)?;
    if as_json {
        let providers: Vec<_> = about
            .providers
            .iter()
            .map(|p| json!({"name": p.name, "usable": p.problem.is_none(), "problem": p.problem}))
            .collect();
        print(&to_json(&json!({
            "library": found.path,
            "version": about.version,
            "origin": format!("{:?}", found.origin),
            "build": about.build_info,
            "providers": providers,
        }))?)?;
        return Ok(exit::OK);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "library    {}", found.path.display());
    let _ = writeln!(out, "version    {}", about.version);
    let origin = match found.origin {
        Origin::EnvVar => "ORT_DYLIB_PATH",
        Origin::Cache => "phasegraph's cache",
        Origin::Python => "an installed Python package",
    };
    let _ = writeln!(out, "found in   {origin}");
    for provider in &about.providers {
        let usable = provider.problem.as_ref().map_or("usable".to_owned(), |p| format!("not usable: {p}"));
        let _ = writeln!(out, "provider   {}  {usable}", provider.name);
    }
    print(&out)?;
    Ok(exit::OK)
}

/// A step of a fetch in words; unpacking is told once.
pub fn describe_step(step: &FetchStep) -> Option<String> {
    match step {
        FetchStep::Waiting => Some("waiting for another process that fetches ONNX Runtime".to_owned()),
        FetchStep::Downloading { wheel, bytes, with } => {
            Some(format!("fetching ONNX Runtime once: {wheel} ({} MB) with {with}", bytes / 1_000_000))
        }
        FetchStep::Done(found) => Some(format!("ONNX Runtime is in {}", found.path.display())),
        FetchStep::Checking | FetchStep::Unpacking { .. } => None,
    }
}

fn eprintln_step(step: &FetchStep) {
    if let Some(text) = describe_step(step) {
        eprintln!("{text}");
    }
}
