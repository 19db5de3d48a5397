//! `phasegraph model inspect`.

use std::fmt::Write;

use phasegraph::diag::{StageError, exit};
use phasegraph::nn::onnx::{About, Port};
use phasegraph::stages::infer::check_file;
use serde_json::json;

use super::args::Inspect;
use super::common::{json as to_json, print};
use super::failure::Failure;

pub fn inspect(args: &Inspect) -> Result<u8, Failure> {
    let wrong = |why: String| Failure::Runtime(StageError::input(format!("{}: {why}", args.file.display())));
    let bytes = std::fs::read(&args.file).map_err(|e| wrong(e.to_string()))?;
    let size = bytes.len();
    let about = About::read(bytes).map_err(|why| wrong(format!("this is no ONNX model: {why}")))?;
    let fit = check_file(&about).map(|_| ());
    if args.json {
        let problem = fit.as_ref().err();
        print(&to_json(&json!({
            "file": args.file,
            "bytes": size,
            "model": about,
            "fits": problem.is_none(),
            "problem": problem,
        }))?)?;
        return Ok(exit::OK);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("file", &format!("{} ({size} bytes)", args.file.display()));
    line("written by", &about.producer);
    for (domain, version) in &about.opsets {
        line("opset", &format!("{domain} {version}"));
    }
    let mut ports = |name: &str, ports: &[Port]| ports.iter().for_each(|port| line(name, &port.to_string()));
    ports("input", &about.inputs);
    ports("output", &about.outputs);
    line("parameters", &about.parameters.to_string());
    let operations: Vec<String> = about.operations.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    line("operations", &operations.join(", "));
    for (key, value) in &about.metadata {
        line("metadata", &format!("{key} = {value}"));
    }
    match fit {
        Ok(()) => line("contract", "fits: `infer` can run it"),
        Err(why) => {
            line("contract", &format!("does not fit: {why}"));
            line("", "`params: {adapter: …}` of `infer` can say how it is laid out: docs/models.md");
        }
    }
    print(&out)?;
    Ok(exit::OK)
}
