//! `phasegraph schema`.

use phasegraph::diag::exit;
use phasegraph::{stages, study};

use super::common::{json, print};
use super::failure::Failure;

pub fn run() -> Result<u8, Failure> {
    print(&json(&study::schema(&stages::catalog()))?)?;
    Ok(exit::OK)
}
