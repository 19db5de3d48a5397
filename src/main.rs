//! The `phasegraph` command: result → exit code, nothing else.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::main())
}
