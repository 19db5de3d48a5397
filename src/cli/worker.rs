//! `phasegraph worker`: one job from standard input, messages to standard output.

use std::io::{self, BufRead, BufReader};

use phasegraph::diag::exit;
use phasegraph::exec::end_with_parent;
use phasegraph::stages::Job;
use phasegraph::worker::serve;

use super::failure::Failure;

pub fn run() -> Result<u8, Failure> {
    let mut stdin = BufReader::new(io::stdin());
    let mut line = Vec::new();
    stdin.read_until(b'\n', &mut line).map_err(Failure::Output)?;
    let job: Job = serde_json::from_slice(&line).map_err(|e| Failure::Output(e.into()))?;
    end_with_parent(stdin).map_err(Failure::Output)?;
    serve(&job, &mut io::stdout()).map_err(Failure::Output)?;
    Ok(exit::OK)
}
