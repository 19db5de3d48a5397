//! The `phasegraph` command: result → exit code, nothing else.

fn main() {}
