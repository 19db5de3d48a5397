//! `phasegraph completions`.

use clap::CommandFactory;
use phasegraph::diag::exit;

use super::args::{Args, Completions};
use super::common::print;
use super::failure::Failure;

pub fn run(args: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "phasegraph", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
