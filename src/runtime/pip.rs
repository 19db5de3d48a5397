//! Downloading the pinned wheel with the user's own pip or uv, and so with their index, proxy and
//! certificates.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::RuntimeError;
use super::pins::{self, Pin};
use super::search::Search;

/// Ways to run pip: a program on PATH and the arguments that lead to pip.
const WAYS: [(&str, &[&str]); 6] = [
    ("python3", &["-m", "pip"]),
    ("python", &["-m", "pip"]),
    ("pip3", &[]),
    ("pip", &[]),
    // uv cannot download a wheel itself, but it can run pip.
    ("uvx", &["pip"]),
    ("uv", &["tool", "run", "pip"]),
];

/// Lines of output shown when pip fails.
const TAIL: usize = 8;

/// A pip that answers.
#[derive(Debug)]
pub(super) struct Pip {
    program: PathBuf,
    arguments: &'static [&'static str],
}

impl Pip {
    /// The first way that works.
    pub fn find(search: &Search) -> Result<Self, RuntimeError> {
        let mut tried = Vec::new();
        for (name, arguments) in WAYS {
            let Some(program) = search.programs(name).next() else {
                tried.push(format!("{name} (not on PATH)"));
                continue;
            };
            let pip = Self { program, arguments };
            match pip.run(&["--version"]) {
                Ok(output) if output.status.success() => return Ok(pip),
                Ok(output) => tried.push(format!("{} ({})", pip.name(), tail(&output, 1))),
                Err(error) => tried.push(format!("{} ({error})", pip.name())),
            }
        }
        Err(RuntimeError::NoPip { tried: tried.join(", ") })
    }

    /// `python3 -m pip`, for messages.
    pub fn name(&self) -> String {
        let program = self.program.display().to_string();
        [program.as_str()].iter().chain(self.arguments).copied().collect::<Vec<_>>().join(" ")
    }

    /// Downloads the wheel into `folder`, whatever version of Python runs pip.
    pub fn download(&self, pin: &Pin, folder: &Path) -> Result<PathBuf, RuntimeError> {
        let requirement = format!("onnxruntime=={}", pins::PINNED_VERSION);
        let destination = folder.display().to_string();
        let arguments = [
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--only-binary=:all:",
            "--implementation=cp",
            "--python-version",
            pins::PYTHON_VERSION,
            "--abi",
            pins::ABI,
            "--platform",
            pin.platform,
            "--dest",
            &destination,
            &requirement,
        ];
        let failed = |status: String, tail: String| RuntimeError::Download {
            command: format!("{} {}", self.name(), arguments.join(" ")),
            status,
            tail,
        };
        let output = self.run(&arguments).map_err(|e| failed("could not start".to_owned(), e.to_string()))?;
        let wheel = folder.join(pin.wheel);
        if !output.status.success() {
            return Err(failed(output.status.to_string(), tail(&output, TAIL)));
        }
        if !wheel.is_file() {
            return Err(failed(format!("left no {}", pin.wheel), tail(&output, TAIL)));
        }
        Ok(wheel)
    }

    fn run(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new(&self.program).args(self.arguments).args(arguments).stdin(Stdio::null()).output()
    }
}

/// The last lines a program wrote, errors after the rest.
fn tail(output: &Output, lines: usize) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    let lines_all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines_all[lines_all.len().saturating_sub(lines)..] {
        [] => "no output".to_owned(),
        last => last.join("\n"),
    }
}
