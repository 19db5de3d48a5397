//! Exit codes of the `phasegraph` binary. They are part of the interface: scripts may rely on them.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// At least one task failed, or was blocked by one that failed.
pub const TASK_FAILED: u8 = 1;
/// The command line could not be understood.
pub const USAGE: u8 = 2;
/// The study file has problems; each was printed with its place.
pub const INVALID_STUDY: u8 = 3;
/// A selection (`--select`, `--from`, `--until`, a task name) matched nothing.
pub const NOTHING_SELECTED: u8 = 4;
/// The store, the journal or a results folder could not be read or written.
pub const STORAGE: u8 = 5;
/// Another phasegraph process is running this study, or uses or cleans the store.
pub const LOCKED: u8 = 6;
/// ONNX Runtime, or an execution provider that was asked for, could not be had.
pub const RUNTIME: u8 = 7;
/// A result, an object of the store or a record is not what was made, or is gone; each was named.
pub const DAMAGED: u8 = 8;
/// Interrupted by Ctrl-C, SIGTERM or SIGHUP; finished work is kept.
pub const INTERRUPTED: u8 = 130;

/// Every code with its meaning, in order: the source of the table in `--help` and the README.
pub const ALL: &[(u8, &str)] = &[
    (OK, "everything asked for was done"),
    (TASK_FAILED, "at least one task failed"),
    (USAGE, "the command line could not be understood"),
    (INVALID_STUDY, "the study file has problems; each was printed with its place"),
    (NOTHING_SELECTED, "a selection or task name matched nothing"),
    (STORAGE, "the store, journal or results folder could not be read or written"),
    (LOCKED, "another phasegraph process is running this study, or uses or cleans the store"),
    (RUNTIME, "ONNX Runtime or a requested provider could not be had"),
    (DAMAGED, "a result, an object of the store or a record is not what was made; each was named"),
    (INTERRUPTED, "interrupted; finished work is kept, `phasegraph resume` goes on"),
];
