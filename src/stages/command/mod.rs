//! Stage kind `command`: any external program, with declared inputs and outputs.
//!
//! The program is started from an argument list, never through a shell, in the task's own folder. It runs
//! in a process group that ends with the stage, whatever happens to either.

mod group;
mod lines;
mod outcome;
mod placeholders;
mod process;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Device, Job, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::Kind;
use placeholders::Placeholders;
use process::Program;

/// The `command` stage.
pub struct Command;

/// Parameters of `command`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The program and its arguments, each its own item; no shell takes part. Placeholders: `{input.NAME}`,
    /// `{output.NAME}`, `{param.NAME}` (from `values`), `{axis.NAME}`, `{seed}`, `{threads}`, `{device}`
    /// (`cpu` or `cuda:0`: a program sees only the GPUs that it was given), `{gpus}` (how many these are), and
    /// `{NAME}` (from `tuning`). An item that is exactly `{input.NAME}` becomes one argument for each file of
    /// that input. `{{name}}` gives a literal `{name}`; braces around anything that is no name stay as they
    /// are.
    #[schemars(length(min = 1))]
    pub argv: Vec<Scalar>,
    /// Values for `{param.NAME}`.
    #[serde(default)]
    pub values: BTreeMap<String, Scalar>,
    /// Values for `{NAME}` that cannot change the result, as a chunk size: they are outside the fingerprint,
    /// and `on_out_of_memory` can have one halved.
    #[serde(default)]
    pub tuning: BTreeMap<String, Scalar>,
    /// Environment variables to set, on top of those phasegraph was started with. Placeholders as in `argv`.
    #[serde(default)]
    pub env: BTreeMap<String, Scalar>,
}

/// A text, number or truth value; numbers appear in arguments as JSON writes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// `true` or `false`.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl Stage for Command {
    fn kind(&self) -> Kind {
        Kind {
            name: "command",
            version: 1,
            summary: "run any external program with declared inputs and outputs",
            inputs: &[],
            outputs: &[],
            params: || schemars::schema_for!(Params),
            tuning: &["tuning"],
            seeded: true,
            needs_runtime: false,
            resumes: false,
            open: true,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let outputs = prepare(cx)?;
        let program = program(cx, &params, &outputs)?;
        cx.log(format!("$ {program}"));
        let ended = process::run(cx, &program)?;
        outcome::judge(&program, &ended)?;
        outcome::check(&outputs)
    }
}

/// Where each output must appear. Folders that its file name asks for are made, and what an earlier attempt
/// left is removed: it must not pass for this one's.
fn prepare(cx: &Context<'_>) -> StageResult<BTreeMap<String, PathBuf>> {
    let staging = std::path::absolute(&cx.job().staging)?;
    let place = |(name, file): (&String, &String)| {
        let path = staging.join(file);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        Ok((name.clone(), path))
    };
    cx.job().outputs.iter().map(place).collect()
}

/// The argument list and environment with every placeholder replaced.
fn program(cx: &Context<'_>, params: &Params, outputs: &BTreeMap<String, PathBuf>) -> StageResult<Program> {
    let job = cx.job();
    let mut known = Placeholders::default();
    for (name, files) in &job.inputs {
        // Absolute, because the program runs in another folder than this process.
        let paths: Result<_, _> =
            files.iter().map(|f| std::path::absolute(&f.path).map(OsString::from)).collect();
        known.add(format!("input.{name}"), paths?);
    }
    for (name, path) in outputs {
        known.add(format!("output.{name}"), vec![path.into()]);
    }
    for (name, value) in &params.values {
        known.add(format!("param.{name}"), vec![value.to_string().into()]);
    }
    for (name, value) in &params.tuning {
        known.add(name.clone(), vec![value.to_string().into()]);
    }
    for (axis, label) in &job.point {
        known.add(format!("axis.{axis}"), vec![label.into()]);
    }
    known.add("seed", vec![job.seed.to_string().into()]);
    known.add("threads", vec![job.threads.to_string().into()]);
    let device = if job.device == Device::Cpu { Device::Cpu } else { Device::Cuda(0) };
    known.add("device", vec![device.to_string().into()]);
    known.add("gpus", vec![job.gpus.len().to_string().into()]);

    let mut argv = Vec::new();
    for (i, item) in params.argv.iter().enumerate() {
        argv.extend(known.expand(&item.to_string()).map_err(|e| at(format!("argument {i}"), e))?);
    }
    let mut environment = gpus_alone(job);
    for (name, value) in &params.env {
        let place = || format!("environment variable `{name}`");
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(StageError::input(format!("{}: no such name is possible", place())));
        }
        environment.insert(name.clone(), known.expand_one(&value.to_string()).map_err(|e| at(place(), e))?);
    }
    let mut argv = argv.into_iter();
    let name =
        argv.next().ok_or_else(|| StageError::input("the argument list is empty: there is no program"))?;
    check_program(&name)?;
    Ok(Program {
        name,
        arguments: argv.collect(),
        environment,
        folder: std::path::absolute(&job.staging)?,
        limit: job.timeout_s.and_then(|s| Duration::try_from_secs_f64(s).ok()),
        memory: job.memory,
    })
}

/// What lets a program see the GPUs that it was given and no others, whatever it does; it counts them from 0.
fn gpus_alone(job: &Job) -> BTreeMap<String, OsString> {
    let mut environment = BTreeMap::new();
    if !job.gpus.is_empty() {
        environment.insert("CUDA_VISIBLE_DEVICES".to_owned(), job.gpus.join(",").into());
        // As the driver numbers them, by whose numbers they are leased, and not by speed.
        environment.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".into());
    }
    environment
}

/// A program is looked up on PATH, or absolute: a relative path would mean a file in the task's empty folder.
fn check_program(name: &OsStr) -> StageResult {
    if name.is_empty() {
        return Err(StageError::input("the program's name is empty"));
    }
    let relative = name.as_encoded_bytes().contains(&b'/') && Path::new(name).is_relative();
    if relative {
        return Err(StageError::input(format!("program `{}` is a relative path", name.display())).hint(
            "a command runs in a folder of its own; declare the script as an input and write `{input.NAME}`",
        ));
    }
    Ok(())
}

fn at(place: String, error: StageError) -> StageError {
    StageError { message: format!("{place}: {}", error.message), ..error }
}
