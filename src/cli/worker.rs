//! `phasegraph worker`: jobs from standard input, messages to standard output.

use std::io::{self, BufReader};

use phasegraph::diag::exit;
use phasegraph::worker::serve_all;

use super::failure::Failure;

pub fn run() -> Result<u8, Failure> {
    serve_all(BufReader::new(io::stdin()), &mut io::stdout()).map_err(Failure::Output)?;
    Ok(exit::OK)
}
