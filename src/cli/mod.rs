//! The command line: arguments, environment, terminal, exit codes. Everything that the library must not
//! know is known here.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod check;
mod common;
mod compare;
mod completions;
mod explain;
mod failure;
mod finale;
mod gc;
mod log;
mod model;
mod plan;
mod progress;
mod provenance;
mod report;
mod run;
mod runtime;
mod schema;
mod status;
mod store;
mod surroundings;
mod worker;

use clap::Parser;

use args::{Args, Command, ModelCommand, StoreCommand};

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> u8 {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap's own codes: 0 for --help and --version, 2 for mistakes, which is diag::exit::USAGE.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(phasegraph::diag::exit::USAGE);
        }
    };
    #[cfg(debug_assertions)]
    if let Err(message) = surroundings::arm_faults() {
        eprintln!("error: PHASEGRAPH_FAULTS: {message}");
        return phasegraph::diag::exit::USAGE;
    }
    let result = match args.command {
        Command::Run(run) => run::run(&run),
        Command::Resume(run) => run::resume(&run),
        Command::Plan(plan) => plan::run(&plan),
        Command::Status(status) => status::run(&status),
        Command::Report(report) => report::run(&report),
        Command::Compare(compare) => compare::run(&compare),
        Command::Explain(explain) => explain::run(&explain),
        Command::Log(log) => log::run(&log),
        Command::Provenance(provenance) => provenance::run(&provenance),
        Command::Store(StoreCommand::Verify(verify)) => store::verify(&verify),
        Command::Gc(gc) => gc::run(&gc),
        Command::Check(check) => check::run(&check),
        Command::Schema => schema::run(),
        Command::Completions(completions) => completions::run(&completions),
        Command::Runtime(runtime) => runtime::run(&runtime),
        Command::Model(ModelCommand::Inspect(inspect)) => model::inspect(&inspect),
        Command::Worker => worker::run(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}
